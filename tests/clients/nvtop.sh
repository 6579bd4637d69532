#!/bin/bash
# nvtop: shows the device, and a process with its memory and its share of the time, while it
# runs and not after.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

command -v nvtop >/dev/null ||
	skip "nvtop is not installed. Debian 12 has it in contrib, from where nothing is installed unasked."
need tmux tmux
need_numba

mebibytes=64
keep_device
start_tenant "$mebibytes"

if nvtop --help | grep -q -- --snapshot; then
	nvtop --snapshot >"$TMPDIR/snapshot" || fail "nvtop --snapshot ended with exit status $?."
	grep -q 'Simulated GPU' "$TMPDIR/snapshot" ||
		fail "nvtop's snapshot does not name the device: $(cat "$TMPDIR/snapshot")"
fi

export TMUX_TMPDIR=$TMPDIR XDG_CONFIG_HOME=$TMPDIR TERM=xterm-256color
# Not this script's descriptors: nvtop would keep the program's input open.
tmux -f /dev/null new-session -d -x 180 -y 40 "nvtop -d 2" {tenant_in}>&- ||
	fail "tmux did not start nvtop."
kill_at_exit "$(tmux display-message -p '#{pid}')"

# on_screen EXPRESSION: waits until nvtop shows a line that matches; prints it.
on_screen() {
	local tries
	for ((tries = 0; tries < 150; tries++)); do
		tmux capture-pane -p >"$TMPDIR/screen" || fail "nvtop has ended."
		grep -E "$1" "$TMPDIR/screen" && return
		sleep 0.1
	done
	cat "$TMPDIR/screen"
	fail "nvtop did not come to show: $1"
}

on_screen 'Device 0 \[Simulated GPU\]'
on_screen 'MEM\[.*/16\.000Gi\]'
# The columns PID, USER, DEV, TYPE, GPU, GPU MEM. With some time used:
row=$(on_screen "^ *$tenant_pid .* 0 +Compute +[1-9][0-9]*% +[0-9]+MiB .*numba_tenant.py") ||
	{ echo "$row"; exit 1; }
echo "$row"
shown=$(sed -E 's/.* Compute +[0-9]+% +([0-9]+)MiB .*/\1/' <<<"$row")
# The context, 64 MiB of its own, and at times the vectors it computes with.
books 'client("python3").gpu_ns > 0' \
	"client('python3').requested >= $mebibytes << 20" \
	"abs((client('python3').used >> 20) - $shown) < 8"
end_tenant
echo "numba: $tenant_words."

gone() {
	tmux capture-pane -p >"$TMPDIR/screen" && ! grep -qE "^ *$tenant_pid " "$TMPDIR/screen"
}
for ((tries = 0; tries < 150; tries++)); do
	gone && break
	sleep 0.1
done
gone || fail "nvtop still shows a process that has ended."
tmux send-keys q
books --settled 'device.used_bytes == 0'
