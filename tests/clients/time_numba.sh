#!/bin/bash
# numba under a fifth of the device's time: a program that launches without a pause computes
# what it should, and the device's books never show more than that share.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need_numba
cd "$TMPDIR" || exit 1
keep_device

# 3000 kernels of 200 us are 0.6 s of the device.
work=("$python" "$here/numba_busy.py" --rounds 60 --steps 200000)
share bare.json "${work[@]}" >bare || fail "$(cat bare)"
share_under 20 held.json "${work[@]}" >held || fail "$(cat held)"
tail -n 1 held
# In a second there may be a burst of 20 ms beyond the share.
judge_shares 'bare.worst > 0.4 and held.kernels == bare.kernels' \
	'0.1 <= held.share <= 0.23 and held.worst <= 0.24' \
	'abs(held.ledger_ns - held.gpu_ns) <= 0.1 * held.gpu_ns'
