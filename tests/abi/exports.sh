#!/bin/bash
# What libgpushim.so exports is what the tables say, and nothing else: a name too many takes
# the place of a program's own.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

need readelf binutils

wanted() {
	rows libshim/cuda/hooks.def HOOK | cut -d, -f1
	rows libshim/cuda/nvml.def NVML | cut -d, -f1
	printf '%s\n' dlsym dlvsym dlopen
}
exported() {
	readelf --dyn-syms -W "$library" |
		awk '$1 ~ /^[0-9]+:/ && $7 != "UND" && $8 && $5 != "LOCAL" { sub(/@.*/, "", $8); print $8 }'
}

diff <(wanted | sort) <(exported | sort) >"$scratch/diff" || {
	sed -n 's/^< /not exported: /p; s/^> /exported, but in no table: /p' "$scratch/diff"
	fail "the exports differ from the tables."
}
[ "$(wanted | sort | uniq -d)" = '' ] || bad "named twice: $(wanted | sort | uniq -d)"
(($(wanted | wc -l) > 80)) || bad "the tables were not understood"
finish
