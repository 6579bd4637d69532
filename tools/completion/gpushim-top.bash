# Completion of gpushim-top for bash.

_gpushim_top_tenants() {
	local dir=${GPUSHIM_DIR:-/run/gpushim} kind tenant
	for kind in policy ledger; do
		for tenant in "$dir/$kind"/*/; do
			[ -d "$tenant" ] && basename "$tenant"
		done
	done | sort -u
}

_gpushim_top() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local columns='tenant name pid hostpid user container pod device memory quota peak denied'
	columns+=' share share10 request limit wait waiting launches credit gputime unknown state'

	COMPREPLY=()
	case $before in
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "$columns -${columns// / -}" -- "$word")
		return
		;;
	--columns)
		# The last of a list by commas.
		local given=
		[[ $word != *,* ]] || given=${word%,*},
		mapfile -t COMPREPLY < <(compgen -P "$given" -W "$columns help" -- "${word##*,}")
		return
		;;
	--colours) mapfile -t COMPREPLY < <(compgen -W 'default mono blind' -- "$word") ;;
	--tenant) mapfile -t COMPREPLY < <(compgen -W "$(_gpushim_top_tenants)" -- "$word") ;;
	--record | --replay) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	--dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	--delay | -d | --count | -n | --device | --filter) ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '--once --batch --json --delay --count --record
			--replay --tenant --device --sort --filter --columns --flat --dir --ascii
			--colours --no-mouse --no-config --allow-kill --help --version -d -n' -- "$word")
		;;
	esac
}
complete -o filenames -F _gpushim_top gpushim-top
