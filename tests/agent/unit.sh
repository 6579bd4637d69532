#!/bin/bash
# The unit under examples/systemd: systemd finds nothing wrong with it, it leaves the agent little
# to do harm with, and its options are those of the agent.
set -u
unit=examples/systemd/gpushim-agent.service
limit=25 # of 100, as systemd-analyze counts what a service could do

command -v systemd-analyze >/dev/null || {
	echo 'there is no systemd-analyze'
	exit 77
}
bin=${BUILD:-build}/bin
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0
bad() {
	echo "FAIL $1"
	failures=$((failures + 1))
}

# It is verified where it is built: the program it starts has to be there.
sed "s|/usr/local/bin|$bin|" "$unit" >"$scratch/gpushim-agent.service"
said=$(systemd-analyze verify --man=no "$scratch/gpushim-agent.service" 2>&1) || bad "verify: $said"
[ -z "$said" ] || bad "verify says: $said"
systemd-analyze security --offline=true --threshold=$limit --no-pager \
	"$scratch/gpushim-agent.service" >"$scratch/security" 2>&1 ||
	bad "security: $(tail -n 1 "$scratch/security")"

# The control: a unit without any of it is noticed.
printf '[Service]\nExecStart=%s/gpushim-agent\n' "$bin" >"$scratch/open.service"
! systemd-analyze security --offline=true --threshold=$limit --no-pager "$scratch/open.service" \
	>/dev/null 2>&1 || bad 'a unit that permits everything passes, so this proves nothing'

while read -r option; do
	"$bin/gpushim-agent" --help | grep -q -e " $option" || bad "the agent has no $option"
done < <(grep ^ExecStart= "$unit" | grep -o -e '--[a-z]*')
((failures == 0))
