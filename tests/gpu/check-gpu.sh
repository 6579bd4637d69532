#!/bin/bash
# Asks the GPU of this machine, and keeps what it says: make check-gpu
#
# Knows: where the probe and the results are. A result is kept only when the device ran the
# probe's own kernels, which no simulated device does. Without a GPU it says so and succeeds.
#
# Environment: BUILD (the build directory); GPU=sim for the simulated device, of which nothing
# is kept; DATE (default: today).

set -u
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
BUILD=${BUILD:-build}
probe=$BUILD/tests/gpu/probe
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

if [ "${GPU:-real}" = sim ]; then
	export LD_LIBRARY_PATH=$BUILD/sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	export SIMGPU_STATE=$scratch/state
	mkdir "$SIMGPU_STATE"
fi

json=$scratch/facts.json
"$probe" --json "$json" ${DATE:+--date "$DATE"}
status=$?
if ((status == 77)); then
	echo "check-gpu: skipped (77). The reason stands above; make check-gpu GPU=sim tries the probe."
	exit 0
fi
((status == 0)) || exit "$status"

# field NAME: a value of the document's head.
field() { sed -n "s/^  \"$1\": \"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\},\$/\\1/p" "$json" | head -n 1; }
# A name that may be a file's.
plain() { tr -cs 'A-Za-z0-9._\n' - <<<"$1" | tr '[:upper:]' '[:lower:]' | sed 's/^-*//; s/-*$//'; }

unknown=$(grep -c '"known": false' "$json")
all=$(grep -c '"known": ' "$json")
echo
echo "check-gpu: $((all - unknown)) facts of $all known, in $(field seconds) s."
if [ "$(field executes_ptx)" != true ]; then
	echo "check-gpu: this is not a real GPU, so no result is kept."
	exit 0
fi
result=$here/results/$(plain "$(field gpu)")-$(plain "$(field driver)")-$(plain "$(field date)").json
mkdir -p "$here/results" && cp "$json" "$result" && echo "check-gpu: kept as $result"
