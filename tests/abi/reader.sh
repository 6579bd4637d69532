#!/bin/bash
# The public headers compile by themselves, as C and as C++; libgpushim-reader exports what
# reader.h declares and nothing else, and a C++ program can be linked with it.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

need readelf binutils
reader=$BUILD/lib/libgpushim-reader.so
[ -e "$reader" ] || fail "$reader is not built."

# compiles COMPILER FILE [OPTION...]
compiles() {
	local compiler=$1 file=$2
	shift 2
	"$compiler" -Wall -Wextra -Wpedantic -Werror -Iinclude "$@" "$file"
}

cxx=
for compiler in "${CXX:-c++}" g++ clang++; do
	[ -n "$cxx" ] || ! command -v "$compiler" >/dev/null || cxx=$compiler
done
for header in include/gpushim/*.h; do
	compiles "${CC:-cc}" "$header" -std=c11 -x c -fsyntax-only ||
		bad "$header does not compile by itself as C"
	[ -z "$cxx" ] || compiles "$cxx" "$header" -std=c++11 -x c++ -fsyntax-only ||
		bad "$header does not compile by itself as C++"
done

wanted() {
	sed -n 's/^[a-z].*[ *]\(gpushim_[a-z_]*\)(.*/\1/p' include/gpushim/reader.h
}
exported() {
	readelf --dyn-syms -W "$reader" |
		awk '$1 ~ /^[0-9]+:/ && $7 != "UND" && $5 != "LOCAL" { sub(/@.*/, "", $8); print $8 }'
}
diff <(wanted | sort) <(exported | sort) >"$scratch/diff" || {
	sed -n 's/^< /not exported: /p; s/^> /exported, but not declared: /p' "$scratch/diff"
	bad "the exports differ from reader.h."
}
(($(wanted | wc -l) >= 8)) || bad 'reader.h was not understood'

cat >"$scratch/program.cc" <<'END'
#include "gpushim/reader.h"
#include <cstdio>
int main()
{
	gpushim_reader *reader = nullptr;
	int result = gpushim_reader_open(&reader, "/nowhere", "train");
	std::printf("%d %s\n", result, gpushim_reader_reason());
}
END
if [ -z "$cxx" ]; then
	echo 'There is no C++ compiler, so nothing was tried in C++ (Debian package g++).'
else
	"$cxx" -std=c++11 -Iinclude -o "$scratch/program" "$scratch/program.cc" \
		"$BUILD/lib/libgpushim-reader.a" || bad 'a C++ program is not linked'
	"$scratch/program" | grep -q '^-2 /nowhere ' || bad 'a C++ program does not work'
fi
finish
