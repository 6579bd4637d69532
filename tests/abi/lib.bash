# lib.bash - what the ABI checks share; sourced, not run.
#
# Knows: where the library under test is, how a check ends, and how a small program with a
# small driver is built for another C library. Refuses to know what is checked.
# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts

set -u
export LC_ALL=C
: "${BUILD:?is not set: run this script by tests/run.sh}"
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." || exit 2
library=${library:-$BUILD/lib/libgpushim.so}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/abi.XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
failures=0

# bad WORDS...: something is wrong; the check goes on.
bad() {
	echo "WRONG: $*"
	failures=$((failures + 1))
}

fail() {
	echo "FAILED: $*"
	exit 1
}

skip() {
	echo "$*"
	exit 77
}

finish() {
	((failures == 0)) || fail "$failures found wrong."
	exit 0
}

# need COMMAND PACKAGE
need() { command -v "$1" >/dev/null || skip "$1 is not installed (Debian package $2)."; }

# rows FILE MACRO: the arguments of each MACRO(...) row of a .def file, without blanks.
rows() {
	local macro defines=("-D$2(...)=@ROW __VA_ARGS__")
	for macro in HOOK SKIP CALL NVML SYM; do
		[ "$macro" = "$2" ] || defines+=("-D$macro(...)=")
	done
	"${CC:-cc}" -E -P -x c "${defines[@]}" "$1" | tr '\n' ' ' | sed 's/@ROW /\n/g' |
		sed -e 1d -e 's/[[:blank:]]*,[[:blank:]]*/,/g' -e 's/[[:blank:]]*$//' |
		grep .
}

held='40 MiB: 0, 25 MiB: 2, 24 MiB: 0'
free='40 MiB: 0, 25 MiB: 0, 24 MiB: 0'

# judge COMMAND...: the small program, run by COMMAND with the paths of client and driver
# added, is held to a quota with the library preloaded by `preloaded`, and free without.
# preloaded is to be set to a function that runs its arguments under the library.
judge() {
	local way got

	mkdir -p "$scratch/run"
	export GPUSHIM_DIR=$scratch/run GPUSHIM_MEMORY=64MiB GPUSHIM_WAIT_MS=0
	for way in dlsym resolver; do
		got=$(bare "$scratch/client" "$scratch/libcuda.so.1" "$way" 2>&1) ||
			bad "without the library: exit status $?"
		[ "$got" = "$free" ] || bad "without the library, by $way: $got"
		got=$(preloaded "$scratch/client" "$scratch/libcuda.so.1" "$way" 2>&1) ||
			bad "with the library: exit status $?"
		[ "$got" = "$held" ] || bad "with the library, by $way: $got"
	done
	[ -e "$scratch/run/ledger/default/ledger" ] || bad "no ledger was made"
}
