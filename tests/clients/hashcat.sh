#!/bin/bash
# hashcat: NVIDIA's own compiler (NVRTC) turns its kernels into PTX, the simulated driver
# loads them, and the benchmark launches them by the thousand. What they would compute is not
# simulated, so hashcat's self-test is left out.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need hashcat hashcat

find_nvrtc
mkdir "$TMPDIR/cache" "$TMPDIR/data"
export XDG_CACHE_HOME=$TMPDIR/cache XDG_DATA_HOME=$TMPDIR/data

on_gpu=(--backend-ignore-opencl --self-test-disable)
keep_device

hashcat "${on_gpu[@]}" --force -I >"$TMPDIR/info" ||
	fail "hashcat -I ended with exit status $?: $(cat "$TMPDIR/info")"
for line in 'Name\.*: Simulated GPU' 'Memory.Total\.*: 16384 MB'; do
	grep -q "$line" "$TMPDIR/info" ||
		fail "hashcat -I does not say '$line': $(cat "$TMPDIR/info")"
done

hashcat "${on_gpu[@]}" -b -m 900 --runtime 3 >"$TMPDIR/out" 2>&1 ||
	fail "hashcat -b ended with exit status $?: $(cat "$TMPDIR/out")"
grep -qE '^Speed\.#1\.*: *[0-9.]*[1-9][0-9.]* [kMGT]?H/s' "$TMPDIR/out" ||
	fail "hashcat -b reached no speed: $(cat "$TMPDIR/out")"
grep '^Speed' "$TMPDIR/out"
books --settled 'client("hashcat").kernels > 1000' 'client("hashcat").gpu_ns > 0' \
	'client("hashcat").allocs > 10' 'client("hashcat").code == 0' \
	'device.busy_ns > device.switch_ns' 'device.used_bytes == 0'
