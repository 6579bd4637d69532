#!/bin/bash
# hashcat as a tenant, with NVIDIA's own NVRTC: it sizes itself to the quota that it is
# shown, reaches a speed, and holds no more than the quota.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need hashcat hashcat
find_nvrtc
mkdir "$TMPDIR/cache" "$TMPDIR/data"
export XDG_CACHE_HOME=$TMPDIR/cache XDG_DATA_HOME=$TMPDIR/data
on_gpu=(--backend-ignore-opencl --self-test-disable)
keep_device

under 2GiB hashcat "${on_gpu[@]}" --force -I >"$TMPDIR/info" ||
	fail "hashcat -I ended with exit status $?: $(cat "$TMPDIR/info")"
grep -q 'Memory.Total\.*: 2048 MB' "$TMPDIR/info" ||
	fail "hashcat -I does not see a device of 2048 MB: $(cat "$TMPDIR/info")"

under 2GiB hashcat "${on_gpu[@]}" -b -m 900 --runtime 3 >"$TMPDIR/out" 2>&1 ||
	fail "hashcat -b ended with exit status $?: $(cat "$TMPDIR/out")"
grep -qE '^Speed\.#1\.*: *[0-9.]*[1-9][0-9.]* [kMGT]?H/s' "$TMPDIR/out" ||
	fail "hashcat -b reached no speed: $(cat "$TMPDIR/out")"
grep '^Speed' "$TMPDIR/out"
books --settled 'client("hashcat").kernels > 1000' 'client("hashcat").allocs > 10' \
	'client("hashcat").requested_peak <= 2 << 30' 'device.used_bytes == 0'
