#!/bin/bash
# numba as a tenant, beside another: it sees its quota, is refused at it and computes on; its
# neighbour of another tenant notices nothing; and the device never holds more.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need_numba
keep_device
export GPUSHIM_DIR=$TMPDIR/gpushim

# Of a quota larger than the card nothing is to be noticed.
LD_PRELOAD=$BUILD/lib/libgpushim.so GPUSHIM_MEMORY=64GiB "$python" "$here/numba_check.py" ||
	fail "numba's checks did not pass under a quota larger than the card."
books --settled 'device.used_bytes == 0' 'device.requested_bytes == 0'

export LD_PRELOAD=$BUILD/lib/libgpushim.so
GPUSHIM_TENANT=quiet GPUSHIM_MEMORY=192MiB start_tenant 64
[ "$(sed -n 's/^ready [0-9]* //p' <<<"$tenant_ready")" = $((192 << 20)) ] ||
	fail "numba sees a device of another size than its quota: $tenant_ready"
mkfifo "$TMPDIR/greedy"
exec {greedy_out}< <(GPUSHIM_TENANT=greedy GPUSHIM_MEMORY=320MiB exec "$python" \
	"$here/numba_greedy.py" 32 <"$TMPDIR/greedy")
greedy_pid=$!
kill_at_exit $greedy_pid
exec {greedy_in}>"$TMPDIR/greedy"
unset LD_PRELOAD
line=$(line_of "$greedy_out")
[ "$line" = "ready $((288 << 20))" ] ||
	fail "The greedy program holds other than nine blocks of ten: $line"

exec {greedy_in}>&-
line=$(line_of "$greedy_out")
[[ $line == right* ]] || fail "${line:-The greedy program ended without a word.}"
echo "greedy: ${line#right: }"
end_tenant
echo "quiet: ${tenant_words#right: }"
books --settled 'device.requested_peak_bytes <= 512 << 20' 'device.used_bytes == 0' \
	'max(c.requested_peak for c in clients("python3")) == 320 << 20' \
	'all(c.refusals == 0 for c in clients("python3")[-2:])'
