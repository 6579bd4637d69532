#!/bin/bash
# Includes point one way: base <- policy <- ledger <- cuda <- shim. Tools see the core and
# never libshim/cuda; nothing includes by way of "..".
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

# check LAYER PATTERN FILE...: includes in quotes may match PATTERN only.
check() {
	local layer=$1 pattern=$2 found
	shift 2
	found=$(grep -HnoE '^[[:blank:]]*#[[:blank:]]*include[[:blank:]]+"[^"]+"' "$@" |
		grep -vE "\"($pattern)\"")
	[ -z "$found" ] || bad "$layer includes what it may not: $found"
}

shopt -s nullglob
files() { printf '%s\n' "$1"/*.[chS] "$1"/*.def; }
mapfile -t base < <(files libshim/base)
mapfile -t policy < <(files libshim/policy)
mapfile -t ledger < <(files libshim/ledger)
mapfile -t cuda < <(files libshim/cuda)
mapfile -t shim < <(files libshim)
mapfile -t tools < <(find tools -name '*.[ch]')
mapfile -t public < <(files include/gpushim)

public_headers='gpushim/[a-z_]+\.(h|def)'
check 'include/gpushim' "$public_headers" "${public[@]}"
check 'libshim/base' "$public_headers|base/[^/]+" "${base[@]}"
check 'libshim/policy' "$public_headers|(base|policy)/[^/]+" "${policy[@]}"
check 'libshim/ledger' "$public_headers|(base|policy|ledger)/[^/]+" "${ledger[@]}"
check 'libshim/cuda' "$public_headers|(base|policy|ledger|cuda)/[^/]+" "${cuda[@]}"
check 'libshim' "$public_headers|(base|policy|ledger|cuda)/[^/]+|[a-z_]+\.h" "${shim[@]}"
# Tools also include their own headers. The list of what is not covered is printed from
# hooks.def, which is data.
check 'tools' "$public_headers|(base|policy|ledger)/[^/]+|cuda/hooks\.def|[a-z_]+(/[a-z_]+)?\.(h|def)" \
	"${tools[@]}"
! grep -HnE '#[[:blank:]]*include.*[<"](cuda/.*\.h|cuda\.h|cudaTypedefs\.h)' "${tools[@]}" ||
	bad 'a tool includes the CUDA layer or its headers'
((${#base[@]} > 5 && ${#cuda[@]} > 10 && ${#tools[@]} > 5)) || bad 'the sources were not found'

# The control: the same check finds a file that does it wrong.
echo '#include "cuda/hook.h"' >"$scratch/wrong.h"
(
	failures=0
	check control "$public_headers|base/[^/]+" "$scratch/wrong.h" >/dev/null
	((failures == 1))
) || bad 'a wrong include is not noticed, so this check proves nothing'
finish
