#!/bin/bash
# The library for aarch64: it builds with Debian's cross compiler without a warning, passes the
# same gates, and under qemu's user emulation a program is held to its quota.
# timeout: 300
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

cross=aarch64-linux-gnu
need $cross-gcc gcc-aarch64-linux-gnu
echo '#include <stdio.h>' | $cross-gcc -E - >/dev/null 2>&1 ||
	skip "There are no C headers for aarch64 (Debian package libc6-dev-arm64-cross)."

case $BUILD in
*/asan | */ubsan | */tsan) skip "The library is never instrumented; it is checked without." ;;
esac
[ "$(tests/find-cuda.sh 2>/dev/null)" != /usr/include ] ||
	skip "CUDA's headers are among this machine's own, which are not aarch64's."

# Kept between runs, as all that is built is.
build=$BUILD/aarch64
library=$build/lib/libgpushim.so
env -u MAKEFLAGS -u SANITIZE make --no-print-directory -j2 CC=$cross-gcc SANITIZE= WERROR=1 \
	BUILD="$build" "$library" >"$scratch/log" 2>&1 ||
	{
		cat "$scratch/log"
		fail "the library does not build for aarch64."
	}
readelf -h "$library" | grep -q 'AArch64' || fail "what was built is not for aarch64."

# Atomics are to be instructions: what calls out for them needs a newer libgcc.
! readelf --dyn-syms -W "$library" | grep 'UND.*__aarch64_' || bad "imports of libgcc"
library=$library tests/abi/library.sh || bad "the gates of tests/abi/library.sh"
library=$library tests/abi/exports.sh || bad "the gates of tests/abi/exports.sh"

qemu=$(command -v qemu-aarch64 qemu-aarch64-static | head -n 1)
if [ -z "$qemu" ]; then
	echo "built for aarch64, and not run: qemu-aarch64 is not installed (package qemu-user)"
	finish
fi
root=$($cross-gcc -print-sysroot)
[ -e "$root/lib/ld-linux-aarch64.so.1" ] || root=/usr/$cross
[ -e "$root/lib/ld-linux-aarch64.so.1" ] || skip "There is no C library for aarch64."
echo 'int main(void) { return 0; }' >"$scratch/true.c"
if ! $cross-gcc -o "$scratch/true" "$scratch/true.c" ||
	! $cross-gcc -D_GNU_SOURCE -o "$scratch/client" tests/abi/client.c ||
	! $cross-gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$scratch/libcuda.so.1" \
		tests/abi/driver.c; then
	fail "the small program does not build for aarch64."
fi

# The loader by its path, not -L: that would find our own directories below the root, too.
loader=("$root/lib/ld-linux-aarch64.so.1" --library-path "$root/lib")
bare() { "$qemu" "${loader[@]}" "$@"; }
preloaded() { "$qemu" -E LD_PRELOAD="$library" "${loader[@]}" "$@"; }
bare "$scratch/true" || fail "$qemu does not run programs here."
preloaded "$scratch/true" || bad "a program that does nothing ends with $?"
judge
finish
