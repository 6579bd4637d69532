#!/bin/bash
# ffmpeg under a tenth of the device's time: every frame is what it is without the shim, and
# the device's books never show more than that share.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need ffmpeg ffmpeg
ffmpeg -hide_banner -filters 2>/dev/null | grep -q scale_cuda ||
	skip "This ffmpeg was built without CUDA: it has no filter scale_cuda."
# A bare run waits for the device, also on a slow machine.
export SIMGPU_KERNEL_NS=10000000
cd "$TMPDIR" || exit 1
keep_device

frames=25
# transcode OUT MEASURE...: through the device and back, and scaled there by two kernels for
# each frame; MD5 sums of those that come back as they went to OUT.
transcode() {
	local out=$1
	shift
	"$@" ffmpeg -nostdin -v error -init_hw_device cuda=cu:0 -filter_hw_device cu -f lavfi \
		-i testsrc2=d=1:s=640x360:r=25 -filter_complex "format=nv12,hwupload_cuda,split[a][b];
			[a]hwdownload,format=nv12[same];
			[b]scale_cuda=320:180,hwdownload,format=nv12,nullsink" \
		-map '[same]' -f framemd5 "$out"
}

transcode bare share bare.json || fail "ffmpeg, without the shim, ended with exit status $?."
transcode held share_under 10 held.json ||
	fail "ffmpeg, under a share, ended with exit status $?."
[ "$(grep -vc '^#' held)" = $frames ] || fail "ffmpeg did not give $frames frames."
cmp bare held || fail "ffmpeg's frames are not the same under a share: $(diff bare held)"
# In a second there may be a burst of 20 ms beyond the share, and the end of a kernel.
judge_shares 'bare.worst > 0.2 and held.kernels == bare.kernels' \
	"held.kernels >= 2 * $frames" 'held.share <= 0.13 and held.worst <= 0.16' \
	'abs(held.ledger_ns - held.gpu_ns) <= 0.1 * held.gpu_ns'
echo "10 %: the same $frames frames as without a limit."
