# Completion of gpushim-run for bash: its own options, then those of the program it runs.

_gpushim_run_tenants() {
	local dir=${GPUSHIM_DIR:-/run/gpushim} tenant
	for tenant in "$dir"/policy/*/; do
		[ -d "$tenant" ] && basename "$tenant"
	done
}

# Where the program stands in the line; 0: nowhere yet.
_gpushim_run_program() {
	local i
	for ((i = 1; i <= COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--)
			echo $((i + 1))
			return
			;;
		-m | --memory | -c | --compute | --priority | --burst-ms | --context-memory | \
			--view | -l | --limits | -t | --tenant | -d | --dir) i=$((i + 1)) ;;
		-*) ;;
		*)
			echo "$i"
			return
			;;
		esac
	done
	echo 0
}

_gpushim_run() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program

	COMPREPLY=()
	program=$(_gpushim_run_program)
	if ((program > 0 && COMP_CWORD >= program)); then
		if ((COMP_CWORD == program)); then
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
		elif declare -F _command_offset >/dev/null; then
			_command_offset "$program"
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
		fi
		return
	fi
	case $before in
	--priority) mapfile -t COMPREPLY < <(compgen -W 'latency normal batch' -- "$word") ;;
	--view) mapfile -t COMPREPLY < <(compgen -W 'quota device' -- "$word") ;;
	-l | --limits) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	-d | --dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	-t | --tenant) mapfile -t COMPREPLY < <(compgen -W "$(_gpushim_run_tenants)" -- "$word") ;;
	-m | --memory | -c | --compute | --burst-ms | --context-memory) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '--memory --compute --priority --burst-ms --audit
			--context-memory --view --limits --tenant --dir --sim --help --version -- -m -c
			-l -t -d' -- "$word")
		;;
	esac
}
complete -o filenames -F _gpushim_run gpushim-run
