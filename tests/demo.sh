#!/bin/bash
# make demo: two tenants on one GPU, twice. Memory: the greedy one is refused at its quota and
# goes on living, and its neighbour notices nothing. Time: both would take all of it, and get
# the shares that they were given, also when one is changed while they run. What gpushim says
# of both is compared with what the device itself says. Ends with 0 only if every promise it
# prints was kept.
#
# Environment: BUILD, the build directory; DEMO_GPU=sim|real|auto (default auto); DEMO_TOP=1
# shows both tenants in gpushim-top while they compete for time, until it is left with q.
#
# On the simulated GPU all programs are written by others and come from Debian: Python with
# numba, and ffmpeg. On a real one numba is replaced by examples/greedy and examples/work, as
# Debian's is too old for a driver of CUDA 13, and the device's own words are NVML's, by
# nvidia-smi, and of time those of examples/work.
set -u

BUILD=$(readlink -f "${BUILD:-build}")
for file in bin/gpushim-run bin/gpushim-ctl lib/libgpushim.so sim/simgpud; do
	[ -e "$BUILD/$file" ] && continue
	echo "demo: $BUILD/$file is missing; run make first." >&2
	exit 1
done
unset "${!SIMGPU_@}" "${!GPUSHIM_@}" "${!CUDA_DEVICE_MEMORY_@}" NVIDIA_GPU_MEMORY_LIMIT LD_PRELOAD
tests=$(dirname "$(readlink -f "$0")")
TMPDIR=$(mktemp -d) || exit 1
export BUILD TMPDIR

gpu=${DEMO_GPU:-auto}
[ "$gpu" != auto ] || gpu=$([ -e /dev/nvidiactl ] && /sbin/ldconfig -p | grep -q libcuda.so.1 &&
	echo real || echo sim)
case $gpu in
sim)
	export SIMGPU_STATE=$TMPDIR/state LD_LIBRARY_PATH=$BUILD/sim
	# A kernel of ffmpeg, whose work is not simulated, takes a millisecond.
	export SIMGPU_KERNEL_NS=1000000
	mkdir "$SIMGPU_STATE"
	;;
real)
	if ! [ -e /dev/nvidiactl ]; then
		echo 'demo: DEMO_GPU=real, but there is no NVIDIA driver here (/dev/nvidiactl).' >&2
		exit 1
	fi
	export SIMGPU_STATE=$TMPDIR/unused
	;;
*)
	echo "demo: DEMO_GPU=$gpu is none of sim, real, auto." >&2
	exit 1
	;;
esac

# shellcheck source=tests/clients/lib.bash
. "$tests/clients/lib.bash"
cleanup() { rm -rf "$TMPDIR"; }
trap cleanup EXIT
cd "$TMPDIR" || exit 1
need ffmpeg ffmpeg

say() { printf '%s\n' "$@"; }
ok() { printf '  ok  %s\n' "$@"; }
ctl() { "$BUILD/bin/gpushim-ctl" "$@"; }
agree() { "$python" "$tests/demo_agrees.py" "$gpu" "$@" || exit 1; }

dir=$TMPDIR/gpushim
frames=500
greedy_quota=1024 chunk=64 # MiB
if [ "$gpu" = sim ]; then
	need_numba
	greedy=("$python" "$here/numba_greedy.py" "$chunk")
	busy=("$python" "$here/numba_busy.py" --steps 200000)
	title='one simulated GPU; the programs are those of Debian, unmodified'
	keep_device
else
	greedy=("$BUILD/examples/greedy" --chunk "${chunk}MiB")
	rate=$("$BUILD/examples/work" --calibrate) ||
		fail "examples/work could not measure the device."
	busy=("$BUILD/examples/work" --kernel-us 200 --iterations-per-us "$rate"
		--seconds 3600 --interval 0.1)
	title='a real GPU'
fi

say "Two tenants on $title" '' 'I. MEMORY' '' 'limits.json' ''
cat >limits.json <<END
{ "version": 1,
  "tenants": {
    "greedy": { "memory": "${greedy_quota}MiB" },
    "video":  { "memory": "256MiB" } } }
END
sed 's/^/  /' limits.json
ctl check limits.json >checked || fail "gpushim-ctl check refused the file."
ctl apply --dir "$dir" limits.json >applied || fail "gpushim-ctl apply did not succeed."

# The neighbour alone, without gpushim: what its frames have to look like.
ffmpeg -nostdin -v error -f lavfi -i "testsrc2=s=640x360:r=25:d=$((frames / 25))" \
	-pix_fmt nv12 -f rawvideo frames.raw || fail "ffmpeg could not make the frames."
video() { # OUT
	"${run[@]}" ffmpeg -v error -init_hw_device cuda=cu:0 -filter_hw_device cu -f rawvideo \
		-pix_fmt nv12 -s 640x360 -r 25 -i pipe:0 -filter_complex \
		"hwupload_cuda,split[a][b];[a]hwdownload,format=nv12[same];
		[b]scale_cuda=320:180,hwdownload,format=nv12,nullsink" \
		-map '[same]' -f framemd5 "$1"
}
run=()
video alone <frames.raw || fail "ffmpeg, alone and without gpushim, ended with exit status $?."

say '' 'Both start, each by  gpushim-run --tenant NAME -- PROGRAM:' \
	"  greedy   takes blocks of $chunk MiB until it is refused, keeps all but what it needs to" \
	'           compute with, computes on, and asks again and again' \
	"  video    ffmpeg: $frames frames to the card and back, and scaled there" ''
mkfifo greedy.in video.in
exec {greedy_out}< <(exec "$BUILD/bin/gpushim-run" --dir "$dir" --tenant greedy -- \
	"${greedy[@]}" <greedy.in)
greedy_pid=$!
kill_at_exit $greedy_pid
exec {greedy_in}>greedy.in
run=("$BUILD/bin/gpushim-run" --dir "$dir" --tenant video --)
# In a subshell that becomes ffmpeg, so that the pid is that of the tenant's process.
(exec {greedy_in}>&- && run=(exec "${run[@]}") && video beside <video.in) &
video_pid=$!
kill_at_exit $video_pid
exec {video_in}>video.in

line=$(line_of "$greedy_out")
[[ $line == ready* ]] || fail "The greedy program did not get as far as a refusal: $line"
# All frames go in, and the neighbour stays to be looked at as long as its input stays open.
cat frames.raw >&"$video_in"
agree --dir "$dir" busy || exit 1

say 'While both hold what they have, gpushim-ctl show says:' ''
memory_shown() { sed '/^TIME OF DEVICES/,$d; s/^./  &/'; }
ctl show --dir "$dir" | memory_shown
if [ "$gpu" = sim ]; then
	say 'and the device itself:' ''
	"$BUILD/bin/simgpu" status | sed 's/^/  /'
	say ''
fi
exec {video_in}>&-
wait $video_pid || fail "ffmpeg, as a tenant, ended with exit status $?."
exec {greedy_in}>&-
line=$(line_of "$greedy_out")
[[ $line == right* ]] || fail "${line:-The greedy program ended without a word.}"
wait $greedy_pid || fail "The greedy program ended with exit status $?."

say 'The promises:' ''
cmp -s alone beside ||
	fail "The neighbour's frames are not what they are alone: $(diff alone beside | head -n 5)"
agree --dir "$dir" --words "$line" "done"
ok "video: $(grep -vc '^#' beside) frames, every MD5 sum as without gpushim and without a neighbour" \
	"greedy: ${line#right: }; every block it holds kept its contents"

# --- time ---

time_dir=$TMPDIR/time
mkfifo busy.in
declare -A pid
# start_both [COMMAND...]: the busy program twice; with a command, each by COMMAND... NAME --.
start_both() {
	local name
	for name in infer train; do
		"$@" ${1:+"$name" --} "${busy[@]}" <busy.in >$name.words 2>$name.progress &
		pid[$name]=$!
		kill_at_exit $!
	done
	exec {busy_in}>busy.in
}
end_both() {
	local name
	# numba ends with its input, examples/work by a signal.
	exec {busy_in}>&-
	[ "$gpu" = sim ] || kill "${pid[@]}"
	for name in infer train; do
		wait "${pid[$name]}" || fail "$name ended with exit status $?: $(
			cat $name.words && tail -n 5 $name.progress
		)"
	done
}
# shares [LIMIT_OF_INFER LIMIT_OF_TRAIN]: three seconds of both; with limits, as tenants.
shares() {
	say ''
	"$python" "$tests/demo_shares.py" "$gpu" ${1:+--dir "$time_dir"} 3 \
		"infer=${pid[infer]}${1:+:$1}" "train=${pid[train]}${2:+:$2}" || {
		grep -hv 'launches finished$' infer.progress train.progress # why one could not start
		exit 1
	}
	say ''
}

say '' 'II. TIME' '' 'Two programs that launch kernels of 200 us without a pause. Without' \
	'gpushim the driver gives each the same, and nobody is asked:'
start_both
shares
end_both

cat >shares.json <<END
{ "version": 1,
  "tenants": {
    "infer": { "compute": 30 },
    "train": { "compute": 60 } } }
END
say 'Now as tenants:' '' 'shares.json' ''
sed 's/^/  /' shares.json
ctl apply --dir "$time_dir" shares.json >applied || fail "gpushim-ctl apply did not succeed."
start_both "$BUILD/bin/gpushim-run" --dir "$time_dir" --tenant
shares 30 60
say 'gpushim-ctl show:' ''
ctl show --dir "$time_dir" | sed -n 's/^/  /; /TIME OF DEVICES/,$p'
if [ "${DEMO_TOP:-}" = 1 ] && [ -t 0 ] && [ -t 1 ]; then
	"$BUILD/bin/gpushim-top" --no-config --dir "$time_dir" ||
		fail "gpushim-top ended with exit status $?."
elif [ "${DEMO_TOP:-}" = 1 ]; then
	say '' 'DEMO_TOP=1 shows gpushim-top on a terminal, and this is none. Once:' ''
	"$BUILD/bin/gpushim-top" --no-config --dir "$time_dir" --once -d 1 | sed 's/^./  &/'
fi
say '' 'While both run:  gpushim-ctl set infer compute=10'
ctl set --dir "$time_dir" infer compute=10 >changed || fail "gpushim-ctl set did not succeed."
shares 10 60
end_both

say 'The promises:' ''
ok 'nobody had more of the device than its limit and two points, also after the change' \
	'nobody was held below six tenths of its limit, though both would have taken everything' \
	'gpushim-ctl showed nobody less than the device did'
for name in infer train; do
	ok "$name: $(sed -nE 's/^(right|plain \(.*\)): //p' $name.words), all results right"
done
say '' 'Without an agent time cannot be told from waiting for others, but for short and steady' \
	'kernels as these: beside others, tenants with long kernels get less than their share.' \
	'' 'Every promise was kept.'
[ "${DEMO_TOP:-}" = 1 ] ||
	say '' 'To watch tenants live: gpushim-top. DEMO_TOP=1 make demo shows it with these two.'
