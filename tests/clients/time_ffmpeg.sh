#!/bin/bash
# ffmpeg under a tenth of the device's time: every frame is what it is without the shim, and
# the device never gives it more than that share.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need ffmpeg ffmpeg
ffmpeg -hide_banner -filters 2>/dev/null | grep -q scale_cuda ||
	skip "This ffmpeg was built without CUDA: it has no filter scale_cuda."
# Two of its kernels for each frame, so that it is the device that a bare run waits for.
export SIMGPU_KERNEL_NS=5000000
cd "$TMPDIR" || exit 1
keep_device

frames=40
transcode=(ffmpeg -nostdin -v error -init_hw_device "cuda=cu:0" -filter_hw_device cu -f lavfi
	-i "testsrc2=s=640x360:r=25" -frames:v $frames -filter_complex
	"format=nv12,hwupload_cuda,split[a][b];[a]hwdownload,format=nv12[same];
	[b]scale_cuda=320:180,hwdownload,format=nv12[small]" -frames:v $frames)
# Two outputs, whose frames all get onto the device and back.
share bare.json "${transcode[@]}" -map '[same]' -f framemd5 bare -map '[small]' \
	-frames:v $frames -f null - || fail "ffmpeg ended with exit status $?."
