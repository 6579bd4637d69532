#!/bin/bash
# hooks.def lists every entry point of the driver, hooked or skipped with a reason, under the
# base, version and stream flavour by which a program finds it. calls.def agrees with it.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

hooks=libshim/cuda/hooks.def
listed() {
	{
		rows $hooks HOOK
		rows $hooks SKIP
	} | cut -d, -f1-4
}
driver() {
	rows tests/simgpu/symbols.def SYM |
		sed -E 's/,plain$/,/; s/,(ptds|ptsz)$/,_\1/'
}

diff <(driver | sort) <(listed | sort) >"$scratch/diff" || {
	sed -n 's/^< /the driver has: /p; s/^> /hooks.def has:  /p' "$scratch/diff"
	fail "hooks.def and the driver's list differ."
}
(($(listed | wc -l) == 673)) || bad "$(listed | wc -l) rows were understood, not 673"

# Names are found by binary search.
symbols=$(grep -oE '^(HOOK|SKIP)\([A-Za-z0-9_]+' $hooks | sed 's/.*(//')
[ "$symbols" = "$(sort <<<"$symbols")" ] || bad "$hooks is not sorted in byte order"
calls=$(grep -oE '^CALL\([A-Za-z0-9_]+' libshim/cuda/calls.def | sed 's/.*(//')
[ "$calls" = "$(sort -u <<<"$calls")" ] || bad "calls.def is not sorted, or names one twice"

# An empty reason is none.
! grep -nE '^SKIP\(.*, ""\)|^SKIP\([^"]*\)' $hooks || bad "skipped without a reason"

! rows libshim/cuda/calls.def CALL | cut -d, -f1-4 | sort | comm -23 - <(listed | sort) |
	grep . || bad "calls.def differs from $hooks"

# The file that a family's name promises exists.
for family in $(rows $hooks HOOK | cut -d, -f5 | sort -u); do
	[ -e "libshim/cuda/hook_$family.c" ] || bad "there is no libshim/cuda/hook_$family.c"
done
finish
