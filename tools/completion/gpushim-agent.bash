# Completion of gpushim-agent for bash.

_gpushim_agent() {
	local word=${COMP_WORDS[COMP_CWORD]}

	COMPREPLY=()
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--limits) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	--dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	--listen) mapfile -t COMPREPLY < <(compgen -W '127.0.0.1:9464 unix: none' -- "$word") ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '--limits --dir --listen --journal --help
			--version' -- "$word")
		;;
	esac
}
complete -o filenames -F _gpushim_agent gpushim-agent
