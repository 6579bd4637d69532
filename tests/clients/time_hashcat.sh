#!/bin/bash
# hashcat under a quarter of the device's time, with NVIDIA's own NVRTC: its speed falls to
# about a quarter of what the same run reaches bare, and neither in the device's books nor in
# the tenant's ledger has it more than that share.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need hashcat hashcat
find_nvrtc
mkdir "$TMPDIR/cache" "$TMPDIR/data"
export XDG_CACHE_HOME=$TMPDIR/cache XDG_DATA_HOME=$TMPDIR/data
# A kernel of its work takes 1.6 ms: a bare run waits for the device, also on a slow machine.
export SIMGPU_KERNEL_NS=100000
cd "$TMPDIR" || exit 1
keep_device

# Its tuning measures kernels and what they wait for; so that both runs do the same, there is
# none.
benchmark=(hashcat --backend-ignore-opencl --self-test-disable --force -b -m 900
	--runtime 1 -n 512 -u 1024 -T 64)

# speed_of FILE: sets speed to the hashes per second of what hashcat wrote.
speed_of() {
	speed=$(sed -nE 's/^Speed\.#1\.*: *([0-9.]+) ([kMGT]?)H\/s.*/\1\2/p' "$1")
	[ -n "$speed" ] || fail "hashcat -b reached no speed: $(cat "$1")"
	speed=$(numfmt --from=si "$speed")
}

share bare.json "${benchmark[@]}" >bare 2>&1 ||
	fail "hashcat -b ended with exit status $?: $(cat bare)"
share_under 25 held.json "${benchmark[@]}" >held 2>&1 ||
	fail "hashcat -b, under a share, ended with exit status $?: $(cat held)"
grep -h '^Speed' bare held
speed_of bare
bare=$speed
speed_of held
judge_shares "0.12 <= $speed / $bare <= 0.40" 'bare.worst > 0.5 and held.kernels > 100' \
	'held.share <= 0.27 and held.worst <= 0.29' \
	'abs(held.ledger_ns - held.gpu_ns) <= 0.1 * held.gpu_ns'
