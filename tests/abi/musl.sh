#!/bin/bash
# The library under musl: a program of that C library is not harmed, and held to its quota.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

need musl-gcc musl-tools
[ "$(uname -m)" = "$(readelf -h "$library" | sed -n 's/.*Machine:.*X86-64.*/x86_64/p;s/.*Machine: *AArch64.*/aarch64/p')" ] ||
	skip "The library is for another machine than this one."

echo 'int main(void) { return 0; }' >"$scratch/true.c"
if ! musl-gcc -o "$scratch/true" "$scratch/true.c" ||
	! musl-gcc -D_GNU_SOURCE -o "$scratch/client" tests/abi/client.c ||
	! musl-gcc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$scratch/libcuda.so.1" \
		tests/abi/driver.c; then
	fail "musl-gcc does not build the small program."
fi

bare() { "$@"; }
preloaded() { LD_PRELOAD=$library "$@"; }

LD_PRELOAD=$library "$scratch/true" || bad "a program that does nothing ends with $?"
# The control: musl does load what is preloaded, and dies of an import that it lacks.
echo 'void no_such_function(void); void f(void); void f(void) { no_such_function(); }' \
	>"$scratch/broken.c"
musl-gcc -shared -fPIC -o "$scratch/broken.so" "$scratch/broken.c"
LD_PRELOAD=$scratch/broken.so "$scratch/true" 2>/dev/null &&
	bad "a broken library is not noticed, so this check proves nothing"
judge
finish
