# Completion of simgpu for bash.

_simgpu() {
	local word=${COMP_WORDS[COMP_CWORD]}

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'status watch run hold lose limit env --help' \
			-- "$word")
		return
	fi
	case ${COMP_WORDS[1]} in
	status) mapfile -t COMPREPLY < <(compgen -W '--json --all' -- "$word") ;;
	watch) mapfile -t COMPREPLY < <(compgen -W '-d --count' -- "$word") ;;
	run)
		if ((COMP_CWORD == 2)); then
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
		fi
		;;
	hold) mapfile -t COMPREPLY < <(compgen -c -W '--books' -- "$word") ;;
	esac
}
complete -o filenames -F _simgpu simgpu
