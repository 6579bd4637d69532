#!/bin/bash
# ffmpeg as a tenant: what comes out is what comes out without the shim, the device holds no
# more than the quota, and a quota too small is refused in ffmpeg's own words.
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

need ffmpeg ffmpeg
ffmpeg -hide_banner -filters 2>/dev/null | grep -q scale_cuda ||
	skip "This ffmpeg was built without CUDA: it has no filter scale_cuda."
cd "$TMPDIR" || exit 1
keep_device

# transcode OUT COMMAND...: through the device and back, MD5 sums of all frames to OUT.
transcode() {
	local out=$1
	shift
	"$@" -nostdin -v error -init_hw_device cuda=cu:0 -filter_hw_device cu -f lavfi \
		-i testsrc2=d=2:s=640x360:r=25 -filter_complex "format=nv12,hwupload_cuda,split[a][b];
			[a]hwdownload,format=nv12[same];
			[b]scale_cuda=320:180,hwdownload,format=nv12,nullsink" \
		-map '[same]' -f framemd5 "$out"
}

transcode bare ffmpeg || fail "ffmpeg, without the shim, ended with exit status $?."
books --settled True
allocations=$(books --print 'client("ffmpeg").allocs')
transcode shim under 256MiB ffmpeg || fail "ffmpeg, with the shim, ended with exit status $?."
cmp bare shim || fail "ffmpeg's frames are not the same under the shim: $(diff bare shim)"
books --settled 'client("ffmpeg").requested_peak <= 256 << 20' \
	"client('ffmpeg').allocs == $allocations" 'device.used_bytes == 0'
echo "256 MiB: the same frames, and the same $allocations allocations as without the shim."

transcode tiny under 256KiB ffmpeg 2>refused &&
	fail "ffmpeg was given memory beyond its quota."
grep -q 'cuMemAlloc.*CUDA_ERROR_OUT_OF_MEMORY' refused ||
	fail "ffmpeg was refused for another reason: $(cat refused)"
books --settled 'client("ffmpeg").requested_peak <= 256 << 10' \
	'client("ffmpeg").refusals == 0' 'device.used_bytes == 0'
echo "256 KiB: refused, said so, and the device was never asked."
