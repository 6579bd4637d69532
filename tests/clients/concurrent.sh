#!/bin/bash
# ffmpeg and numba on one device at the same time: both results are right, and the device's
# books hold both, to the byte and to the nanosecond.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need ffmpeg ffmpeg
need_numba
export SIMGPU_KERNEL_NS=200000 # so that ffmpeg's kernels have to be taken in slices

frames=200
source="testsrc2=d=8:s=640x360:r=25"
keep_device
start_tenant 64
cd "$TMPDIR" || exit 1

ffmpeg -nostdin -v error -f lavfi -i "$source" -vf format=nv12 -f framemd5 cpu ||
	fail "ffmpeg ended with exit status $?."
ffmpeg -nostdin -v error -init_hw_device cuda=cu:0 -filter_hw_device cu -f lavfi \
	-i "$source" -filter_complex "format=nv12,hwupload_cuda,split[a][b];
		[a]hwdownload,format=nv12[same];
		[b]scale_cuda=320:180,hwdownload,format=nv12[small]" \
	-map '[same]' -f framemd5 gpu -map '[small]' -f null - {tenant_in}>&- &
ffmpeg=$!
kill_at_exit $ffmpeg
# Both are there at once and get on.
books --until 'client("ffmpeg").kernels > 10 and not client("ffmpeg").gone' \
	'client("python3").kernels > 10 and not client("python3").gone' \
	'client("ffmpeg").requested > 0' 'client("python3").requested >= 64 << 20' \
	'device.contexts >= 2'
wait $ffmpeg || fail "ffmpeg ended with exit status $? beside numba."
end_tenant
echo "numba: $tenant_words."

[ "$(grep -vc '^#' gpu)" = $frames ] || fail "ffmpeg did not give $frames frames."
diff cpu gpu || fail "ffmpeg's frames are not the same after a visit to the device."
# That idle, switching and busy time are all the time there was, and the processes' GPU times
# the busy time, is checked with every look at the books.
books --settled "client('ffmpeg').kernels >= 2 * $frames" 'client("ffmpeg").gpu_ns > 0' \
	'client("python3").gpu_ns > 0' 'device.switches > 0 and device.switch_ns > 0' \
	'device.used_bytes == 0'
echo "ffmpeg: $frames frames beside numba, all of them unchanged."
