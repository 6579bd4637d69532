# lib.bash - what the client scripts share; sourced, not run.
#
# Knows: how a script ends, how the simulated device is kept alive while several programs
# come and go, how a program becomes a tenant, and how the device's books are judged. Refuses to know any program.
# shellcheck shell=bash

set -u
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
: "${BUILD:?is not set: run this script by tests/run.sh}" "${SIMGPU_STATE:?is not set}"
python=/usr/bin/python3 # Debian's own; another one would not see Debian's numba

fail() {
	echo "FAILED: $*"
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

# need COMMAND PACKAGE
need() { command -v "$1" >/dev/null || skip "$1 is not installed (Debian package $2)."; }
need "$python" python3

# Debian 12's numba is older than CUDA 13: it takes cuCtxGetDevice_v2, which has another
# parameter since then, for the plain call. The card is given a driver that it can use.
need_numba() {
	export SIMGPU_DRIVER_VERSION=12090
	"$python" -c 'import numba.cuda' 2>/dev/null ||
		skip "numba is not installed for $python (Debian package python3-numba)."
}

# NVRTC, where the toolkit puts it or where the linker finds it, under the name that hashcat
# asks for: libnvrtc.so, which only the toolkit's development package brings.
find_nvrtc() {
	local nvrtc
	nvrtc=$(
		shopt -s nullglob
		for dir in ${CUDA_HOME:+"$CUDA_HOME"} /usr/local/cuda /usr/local/cuda-*; do
			printf '%s\n' "$dir"/{lib64,lib,targets/*/lib}/libnvrtc.so{,.[0-9]*}
		done
		/sbin/ldconfig -p | sed -n 's/.*libnvrtc\.so[.0-9]* .*=> //p'
	)
	nvrtc=$(while read -r file; do
		[ -e "$file" ] && readlink -f "$file" && break
	done <<<"$nvrtc")
	[ -n "$nvrtc" ] ||
		skip "libnvrtc.so was not found in CUDA_HOME, /usr/local/cuda* or by the linker."
	mkdir "$TMPDIR/nvrtc"
	ln -s "$nvrtc" "$TMPDIR/nvrtc/libnvrtc.so"
	export LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$TMPDIR/nvrtc:${nvrtc%/*}
}

# kill_at_exit PID: when the shell that calls this ends, a subshell too.
doomed=() owner=$BASHPID
kill_at_exit() {
	[ "$owner" = "$BASHPID" ] || doomed=() owner=$BASHPID
	doomed+=("$1")
	trap 'kill "${doomed[@]}" 2>/dev/null; cleanup' EXIT
}
cleanup() { :; } # a script may have more to do

# The device ends with its last client, and its books with it: a keeper holds it.
keep_device() {
	local line pipe
	exec {pipe}< <(exec "$BUILD/bin/simgpu" hold)
	kill_at_exit $!
	read -r -t 60 -u "$pipe" line || fail "The simulated device did not start."
}

# start_tenant ARGUMENT...: numba_tenant.py beside us. Returns when it is ready, with its
# pid in tenant_pid and its line in tenant_ready; what it says comes from descriptor tenant_out, and it ends when
# descriptor tenant_in is closed.
start_tenant() {
	local line
	mkfifo "$TMPDIR/tenant" || exit 1
	exec {tenant_out}< <(exec "$python" "$here/numba_tenant.py" "$@" <"$TMPDIR/tenant")
	tenant_pid=$!
	exec {tenant_in}>"$TMPDIR/tenant"
	rm "$TMPDIR/tenant"
	kill_at_exit "$tenant_pid"
	read -r -t 60 -u "$tenant_out" line && [[ $line == ready* ]] ||
		fail "The Python program did not get ready: $line"
	# shellcheck disable=SC2034 # for who sources this
	tenant_ready=$line
}

# end_tenant: its last words go to tenant_words; fails if they are not that all was right.
# Not in a subshell, which could not close the descriptor of its parent.
end_tenant() {
	exec {tenant_in}>&-
	read -r -t 60 -u "$tenant_out" tenant_words && [[ $tenant_words == right* ]] ||
		fail "${tenant_words:-The Python program ended without a word.}"
}

# line_of DESCRIPTOR: the next line, empty if none comes within a minute.
line_of() {
	local line=
	read -r -t 60 -u "$1" line
	printf '%s' "$line"
}

# under LIMIT COMMAND...: as a tenant of its own with that memory quota, under the shim.
under() {
	local limit=$1
	shift
	env GPUSHIM_DIR="$TMPDIR/gpushim" GPUSHIM_MEMORY="$limit" \
		LD_PRELOAD="$BUILD/lib/libgpushim.so" "$@"
}

# share OUT COMMAND...: runs it and ends as it does; what the device says of the time that it
# took goes to OUT, see share.py.
share() { "$python" "$here/share.py" run "$@"; }

# share_under PERCENT OUT COMMAND...: the same as a tenant with that share, under the shim.
share_under() {
	local percent=$1 out=$2
	shift 2
	share --tenant "$TMPDIR/gpushim/limited" "$out" env GPUSHIM_DIR="$TMPDIR/gpushim" \
		GPUSHIM_TENANT=limited GPUSHIM_COMPUTE="$percent" \
		LD_PRELOAD="$BUILD/lib/libgpushim.so" "$@"
}

# judge_shares EXPRESSION...: about what share wrote into this directory.
judge_shares() { "$python" "$here/share.py" judge "$@" || exit 1; }

# books [--settled | --until | --print] EXPRESSION...: see books.py.
books() { "$python" "$here/books.py" "$@" || exit 1; }
