#!/bin/bash
# Completion for bash: every option and column that a tool speaks of is offered, values where
# there is a choice, and tenants that are there.
# shellcheck source=tests/top/lib.bash
. "$(dirname "$0")/lib.bash"

for file in tools/completion/*.bash; do
	# shellcheck disable=SC1090
	. "$file"
done
# offers WORD...: what is offered for the last of the words.
offers() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	"$(complete -p "$1" | sed -E 's/.*-F ([^ ]+).*/\1/')"
	printf '%s\n' "${COMPREPLY[@]}"
}
# offered WHAT WORD...: WHAT is among it.
offered() {
	local what=$1
	shift
	offers "$@" | grep -qxF -- "$what" || bad "$* does not offer $what but: $(offers "$@" | xargs)"
}

for tool in gpushim-top gpushim-run gpushim-agent; do
	[ -x "$BUILD/bin/$tool" ] || continue
	options=$("$BUILD/bin/$tool" --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+')
	(($(wc -w <<<"$options") > 4)) || bad "the help of $tool was not understood"
	for option in $options; do
		offered "$option" "$tool" "${option:0:3}"
	done
done
for command in $("$BUILD/bin/gpushim-ctl" --help | sed -n 's/^  gpushim-ctl \([a-z]*\).*/\1/p'); do
	offered "$command" gpushim-ctl ''
	for option in $("$BUILD/bin/gpushim-ctl" "$command" --help | head -1 | grep -oE -- '--[a-z]+'); do
		offered "$option" gpushim-ctl "$command" tenant "${option:0:3}"
	done
done
for command in $("$BUILD/bin/simgpu" --help | sed -n 's/^  simgpu \([a-z]*\).*/\1/p'); do
	offered "$command" simgpu ''
done
# Every tool has one.
for tool in "$BUILD"/bin/*; do
	[ -e "tools/completion/${tool##*/}.bash" ] || bad "${tool##*/} has no completion"
done
for column in $("$top" --columns help | cut -d' ' -f1); do
	offered "$column" gpushim-top --sort ''
	offered "-$column" gpushim-top --sort -
	offered "$column" gpushim-top --columns ''
	offered "name,$column" gpushim-top --columns name,
done
offered blind gpushim-top --colours ''
offered latency gpushim-run --priority ''
offered bash gpushim-run -m 1GiB bas
offered bash gpushim-run --sim -- bas
mkdir -p "$dir/ledger/train" "$dir/policy/serve"
export GPUSHIM_DIR=$dir
[ "$(offers gpushim-top --tenant '' | xargs)" = 'serve train' ] || bad 'tenants are not offered'
offered train gpushim-ctl show tr
offered serve gpushim-ctl set ''
offered serve gpushim-run --tenant ''
offered memory= gpushim-ctl set train mem
finish
