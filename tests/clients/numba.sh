#!/bin/bash
# numba: arrays, memory information, streams, events, kernels and several processes, each
# compared with the device's own books.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need_numba
keep_device
"$python" "$here/numba_check.py" || exit 1
books --settled 'device.used_bytes == 0' 'device.requested_bytes == 0'
