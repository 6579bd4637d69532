#!/bin/bash
# make demo: two programs written by others, at once, on one simulated card; what the device
# says of them while they run; and whether their results and the device's books are right.
# Ends with 0 only if everything is.
#
# Environment: BUILD, the build directory.
set -u

BUILD=$(readlink -f "${BUILD:-build}")
for file in bin/simgpu sim/libcuda.so.1 sim/simgpud; do
	[ -e "$BUILD/$file" ] && continue
	echo "demo: $BUILD/$file is missing; run make first." >&2
	exit 1
done
unset "${!SIMGPU_@}"
TMPDIR=$(mktemp -d) || exit 1
SIMGPU_STATE=$TMPDIR/state
mkdir "$SIMGPU_STATE"
export BUILD TMPDIR SIMGPU_STATE LD_LIBRARY_PATH=$BUILD/sim
# A kernel of ffmpeg, whose work is not simulated, takes a millisecond.
export SIMGPU_KERNEL_NS=1000000

# shellcheck source=tests/clients/lib.bash
. "$(dirname "$(readlink -f "$0")")/../clients/lib.bash"
cleanup() { rm -rf "$TMPDIR"; }
trap cleanup EXIT
cd "$TMPDIR" || exit 1
need ffmpeg ffmpeg
need_numba

say() { printf '%s\n' "$@"; }
ok() { printf '  ok  %s\n' "$@"; }

frames=900
source="testsrc2=s=640x360:r=25:d=$((frames / 25))"
mebibytes=256

say 'Two programs at once on one simulated GPU' \
	'=========================================' '' \
	'The card is simulated by this project; a real one is not needed, and not used if there is' \
	'one. The programs are those of Debian, unmodified:' '' \
	"  ffmpeg   uploads $frames frames of 640x360, downloads them again for comparison, and" \
	'           scales them on the card' \
	"  python3  numba: holds $mebibytes MiB of arrays and computes a * x + y, checking every result" ''

keep_device
ffmpeg -nostdin -v error -f lavfi -i "$source" -vf format=nv12 -f framemd5 cpu ||
	fail "ffmpeg, without the card, ended with exit status $?."
start_tenant --steps 4000000 "$mebibytes"
ffmpeg -nostdin -v error -init_hw_device cuda=cu:0 -filter_hw_device cu -f lavfi \
	-i "$source" -filter_complex "format=nv12,hwupload_cuda,split[a][b];
		[a]hwdownload,format=nv12[same];
		[b]scale_cuda=320:180,hwdownload,format=nv12[small]" \
	-map '[same]' -f framemd5 gpu -map '[small]' -f null - {tenant_in}>&- &
ffmpeg=$!
kill_at_exit $ffmpeg

say 'While they run, second by second, in the words of the device:' ''
# A pipe, so that the table does not clear the screen.
"$BUILD/bin/simgpu" watch {tenant_in}>&- > >(exec cat) &
watch=$!
kill_at_exit $watch
books --until 'client("ffmpeg").kernels > 10 and not client("ffmpeg").gone' \
	'client("python3").kernels > 10 and not client("python3").gone'
wait $ffmpeg || fail "ffmpeg ended with exit status $?."
kill $watch
wait $watch
end_tenant
books --settled 'client("ffmpeg").gpu_ns > 0' 'client("python3").gpu_ns > 0' \
	"client('ffmpeg').kernels >= 2 * $frames" 'device.switches > 0' \
	'device.used_bytes == 0'

say '' 'Afterwards:' ''
"$BUILD/bin/simgpu" status --all || exit 1
say ''
[ "$(grep -vc '^#' gpu)" = $frames ] || fail "ffmpeg did not give $frames frames."
cmp -s cpu gpu ||
	fail "ffmpeg's frames are not the same after their visit to the card: $(diff cpu gpu)"
values=$(books --print 'device.requested_peak_bytes >> 20' 'device.idle_ns' \
	'device.switch_ns' 'device.busy_ns' 'now_ns - device.since_ns' \
	'client("ffmpeg").gpu_ns' 'client("python3").gpu_ns') || exit 1
mapfile -t value <<<"$values"
ok "ffmpeg: $frames frames came back from the card with the MD5 sums they have without it" \
	"numba: ${tenant_words#right: }, every result checked" \
	"memory: one pool, ${value[0]} MiB asked for at the height, all of it given back" \
	"time: idle ${value[1]} + switching ${value[2]} + busy ${value[3]} = ${value[4]} ns elapsed" \
	"busy time: ffmpeg ${value[5]} + numba ${value[6]} = ${value[3]} ns"
say '' 'Everything is right.'
