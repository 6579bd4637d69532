#!/bin/bash
# tests/lint.sh check | format: the repository's sources against .clang-format, .clang-tidy
# and shellcheck. `format` rewrites what clang-format would change and checks nothing.
#
# Environment: CLANG_TIDY_FLAGS, the compiler flags that the Makefile builds with.

set -u
cd "$(dirname "$0")/.." || exit 2

sources() { find libshim include tools examples tests -name "$1" 2>/dev/null | sort; }
mapfile -t c_files < <(sources '*.c')
mapfile -t h_files < <(sources '*.h')
mapfile -t scripts < <(sources '*.sh')
scripts+=(.ci/run)

if [ "${1:-}" = format ]; then
	exec clang-format -i "${c_files[@]}" "${h_files[@]}"
fi

failed=0
verdict() {
	if [ "$2" = 0 ]; then
		printf '  %-13s ok\n' "$1"
	else
		printf '  %-13s FAILED\n' "$1"
		failed=1
	fi
}

clang-format --dry-run -Werror "${c_files[@]}" "${h_files[@]}"
verdict clang-format $?

read -ra flags <<<"${CLANG_TIDY_FLAGS:-}"
# clang-tidy's count of what it left out of system headers is noise.
printf '%s\0' "${c_files[@]}" |
	xargs -0 -I{} -P "$(nproc)" clang-tidy --quiet {} -- "${flags[@]}" \
		2> >(grep -v generated >&2)
verdict clang-tidy $?

shellcheck -x "${scripts[@]}"
verdict shellcheck $?
exit $failed
