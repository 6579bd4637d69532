#!/bin/bash
# ffmpeg: frames go to the device and come back unchanged, are scaled there by ffmpeg's own
# kernels, and a device that is too small is refused in ffmpeg's own words.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need ffmpeg ffmpeg
ffmpeg -hide_banner -filters 2>/dev/null | grep -q scale_cuda ||
	skip "This ffmpeg was built without CUDA: it has no filter scale_cuda."

frames=50
source="testsrc2=d=2:s=640x360:r=25"
on_gpu=(-init_hw_device cuda=cu:0 -filter_hw_device cu)

# transcode OUT FILTERS [OPTION...]: MD5 sums of the frames that come out, one line each.
transcode() {
	local out=$1 filters=$2
	shift 2
	ffmpeg -nostdin -v error "$@" -f lavfi -i "$source" -vf "$filters" \
		-f framemd5 "$out" || fail "ffmpeg -vf $filters ended with exit status $?."
	[ "$(grep -vc '^#' "$out")" = "$frames" ] ||
		fail "ffmpeg -vf $filters gave $(grep -vc '^#' "$out") frames, not $frames."
}

keep_device
cd "$TMPDIR" || exit 1

# Upload and download, planar and interleaved.
for format in yuv420p nv12 p010le yuv444p; do
	transcode "$format.cpu" "format=$format"
	transcode "$format.gpu" "format=$format,hwupload_cuda,hwdownload,format=$format" \
		"${on_gpu[@]}"
	diff "$format.cpu" "$format.gpu" ||
		fail "$format frames are not the same after a visit to the device."
	books --settled 'client("ffmpeg").kernels == 0' \
		"client('ffmpeg').copies >= 2 * $frames" \
		'client("ffmpeg").requested_peak > 0' 'client("ffmpeg").allocs > 0'
done
echo "Upload and download: $frames frames of 4 formats came back unchanged."

# Scaling. What these kernels compute is not simulated, that they run and for how long is.
transcode scaled "format=nv12,hwupload_cuda,scale_cuda=320:180,hwdownload,format=nv12" \
	"${on_gpu[@]}"
grep -v '^#' scaled | grep -qv ", *$((320 * 180 * 3 / 2)), " &&
	fail "Scaled frames are not of 320x180 pixels."
books --settled "client('ffmpeg').kernels >= 2 * $frames" 'client("ffmpeg").gpu_ns > 0' \
	'client("ffmpeg").kernel_ns >= client("ffmpeg").gpu_ns' 'client("ffmpeg").code == 0' \
	'device.used_bytes == 0'
echo "scale_cuda: two kernels and more for each of $frames frames."

# A device of its own that holds contexts and no frame of this size (12 MB).
(
	export SIMGPU_STATE=$SIMGPU_STATE-small SIMGPU_MEMORY=8MiB SIMGPU_CONTEXT=1MiB
	mkdir "$SIMGPU_STATE"
	keep_device
	ffmpeg -nostdin -v error "${on_gpu[@]}" -f lavfi -i "testsrc2=d=1:s=3840x2160:r=5" \
		-vf format=yuv420p,hwupload_cuda,hwdownload,format=yuv420p -f null - \
		>refused 2>&1 && fail "ffmpeg was given memory that the device does not have."
	grep -q 'cuMemAlloc.*CUDA_ERROR_OUT_OF_MEMORY' refused ||
		fail "ffmpeg was refused for another reason: $(cat refused)"
	books --settled 'client("ffmpeg").refusals > 0' 'device.used_bytes == 0'
) || exit 1
echo "Out of memory: refused, said so, and left nothing behind."
