#!/bin/bash
# Sees to it that what a make target needs is there: tests/deps.sh SET...
#
# Knows, for each need, how to find it and which Debian package brings it. Where something is
# missing: root on a Debian system gets it installed, after its size has been announced;
# anyone else is told the one line to run, and the target stops.
#
# Sets: build, demo, test, lint, fuzz. Package sources are never added to; the CUDA headers
# are the business of tests/find-cuda.sh.

set -u
export LC_ALL=C

missing=()

# need PACKAGE COMMAND...: COMMAND succeeds when what the package brings is there.
need() {
	local package=$1
	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

has() { command -v "$1"; }
# The clients run Debian's own Python: another one would not see its packages.
python_has() { /usr/bin/python3 -c "import importlib.util as u; exit(not u.find_spec('$1'))"; }
# Looks where the compiler does, so that /usr/local counts as well.
cjson() { echo '#include <cjson/cJSON.h>' | "${CC:-cc}" -E -; }
# The wide one, to link with as well.
ncurses() {
	printf '#include <curses.h>\nint main(void) { return OK; }\n' |
		"${CC:-cc}" -x c -o /dev/null - -lncursesw
}
microhttpd() { echo '#include <microhttpd.h>' | "${CC:-cc}" -E -; }
cunit() { echo '#include <CUnit/CUnit.h>' | "${CC:-cc}" -E -; }

fuzzer() { ls "$(clang -print-resource-dir)"/lib/*/*fuzzer*; }

for set in "$@"; do
	case $set in
	build)
		need gcc has gcc
		need libc6-dev test -e /usr/include/stdio.h
		need make has make
		need libcunit1-dev cunit
		need libcjson-dev cjson
		need libmicrohttpd-dev microhttpd
		need libncurses-dev ncurses
		;;
	demo)
		need ffmpeg has ffmpeg
		need python3-numba python_has numba
		need python3-numpy python_has numpy
		;;
	test)
		need hashcat has hashcat
		need tmux has tmux
		need clang has clang
		# Other C libraries and machines that the preloaded library has to live with.
		need musl-tools has musl-gcc
		need gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
		need libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
		need qemu-user has qemu-aarch64
		;;
	lint)
		need clang has clang
		need clang-format has clang-format
		need clang-tidy has clang-tidy
		need shellcheck has shellcheck
		;;
	fuzz)
		need clang has clang
		need libclang-rt-dev fuzzer
		;;
	*)
		echo "tests/deps.sh: there is no set '$set'; build, demo, test, lint, fuzz" >&2
		exit 2
		;;
	esac
done

[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
	echo "Missing (by their Debian names): ${missing[*]}." >&2
	echo "Install them with this system's package manager, then run make again." >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "Missing packages. Run this, then make again:" >&2
	echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
	exit 1
fi

install=(apt-get install --no-install-recommends)
# A fresh image has no package lists yet; old lists name files that are gone.
fresh=
update() {
	[ -z "$fresh" ] || return 1
	fresh=1
	echo "Reading Debian's package lists (apt-get update) ..."
	apt-get update -qq
}
plan() { "${install[@]}" --assume-no "${missing[@]}" 2>&1; }

size=$(plan)
if grep -q '^E: ' <<<"$size"; then
	if ! update; then
		echo "apt-get update failed (above), so these cannot be installed: ${missing[*]}" >&2
		exit 1
	fi
	size=$(plan)
fi
if grep -q '^E: ' <<<"$size"; then
	grep '^E: ' <<<"$size" >&2
	echo "These packages cannot be installed from this machine's sources: ${missing[*]}" >&2
	exit 1
fi
echo "Installing ${missing[*]} from Debian:"
grep -E '^(Need to get|After this operation|[0-9]+ upgraded)' <<<"$size" | sed 's/^/  /'

get() { DEBIAN_FRONTEND=noninteractive "${install[@]}" -y -qq "${missing[@]}" </dev/null; }
if ! get && ! { update && get; }; then
	echo "apt-get could not install ${missing[*]}; its own message stands above." >&2
	exit 1
fi
