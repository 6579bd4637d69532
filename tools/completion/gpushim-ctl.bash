# Completion of gpushim-ctl for bash.

_gpushim_ctl_tenants() {
	local dir=${GPUSHIM_DIR:-/run/gpushim} kind tenant
	for kind in policy ledger; do
		for tenant in "$dir/$kind"/*/; do
			[ -d "$tenant" ] && basename "$tenant"
		done
	done | sort -u
}

_gpushim_ctl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]}
	local keys='memory= compute= priority= burst_ms= view= context_memory= enforce='

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'check apply show set doctor --help --version' \
			-- "$word")
		return
	fi
	case $before in
	--dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	--device) return ;;
	esac
	case $command in
	check | apply)
		mapfile -t COMPREPLY < <(compgen -f -W '--dir' -- "$word")
		[ "$command" != check ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	show)
		mapfile -t COMPREPLY < <(compgen -W "--json --costs --dir $(_gpushim_ctl_tenants)" \
			-- "$word")
		;;
	set)
		if ((COMP_CWORD == 2)); then
			mapfile -t COMPREPLY < <(compgen -W "$(_gpushim_ctl_tenants)" -- "$word")
		else
			compopt -o nospace 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -W "$keys --device --dir" -- "$word")
		fi
		;;
	doctor) mapfile -t COMPREPLY < <(compgen -W '--skipped --dir' -- "$word") ;;
	esac
}
complete -o filenames -F _gpushim_ctl gpushim-ctl
