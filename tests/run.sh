#!/bin/bash
# Runs test programs and ends with 'N passed, N failed, N skipped': tests/run.sh PROGRAM...
#
# Before that last line stands a table of all of them and, under 'Failures:', what each that
# failed has to say for itself, every line with its name: the end of a log tells it all.
#
# A program is a CUnit binary that prints '<name>: N passed, N failed, N skipped' last, any
# other binary (its exit status is its result), or a client script (exit 77 skips, with the
# reason as its last line). All of them run, whatever fails.
#
# Each gets a fresh state directory, so that no test sees another's simulated device, no
# standard input, and TIMEOUT seconds (default 120; a script may say '# timeout: SECONDS'),
# after which its process group is killed. A process that outlives its program by more than
# LINGER seconds (default 10) is a failure, and is killed. So is what a sanitizer reports in
# any process of a test, the device process among them, whatever the test itself says.
#
# JOBS of them run at a time (default 1), and say what they have to say when they end. Those
# with one of the words of ALONE in their names judge times: they have the machine for
# themselves, one after another once all others have ended.
#
# Environment: BUILD (the build directory), TIMEOUT, LINGER, FUZZ_SECONDS, JOBS, ALONE.
# What the programs see: BUILD (absolute), SIMGPU_STATE, TMPDIR (a directory of their own) and
# LD_LIBRARY_PATH beginning with $BUILD/sim. Output is kept in $BUILD/log/.

set -u
# Limits of whoever runs this are not those of a test.
unset "${!GPUSHIM_@}" "${!CUDA_DEVICE_MEMORY_@}" NVIDIA_GPU_MEMORY_LIMIT LD_PRELOAD
BUILD=$(readlink -f "${BUILD:-build}")
TIMEOUT=${TIMEOUT:-120}
LINGER=${LINGER:-10}
JOBS=${JOBS:-1}
export BUILD

logs=$BUILD/log
mkdir -p "$logs"
# Of program N: output.N until it has been shown, then row.N, failures.N and totals.N.
kept=$(mktemp -d) || exit 2
trap 'rm -rf "$kept"' EXIT

wrapper=()
# ThreadSanitizer's memory layout does not fit every kernel's address randomisation.
if [[ $BUILD == */tsan ]] && setarch -R true 2>/dev/null; then
	wrapper=(setarch -R)
fi

limit() {
	local own=
	[[ $1 != *.sh ]] || own=$(sed -n 's/^# timeout: \([0-9]*\).*/\1/p' "$1" | head -n 1)
	echo "${own:-$TIMEOUT}"
}

# ending STATUS SECONDS: why a program failed that could not say so itself.
ending() {
	if (($1 == 124 || $1 == 137)); then
		echo "killed after $2 s"
	elif (($1 > 128)); then
		echo "died of signal $(kill -l $(($1 - 128)))"
	else
		echo "exit status $1"
	fi
}

# sanitizers FILE: their options, with reports to FILE.PROGRAM.PID; two in one program have a
# file each. ThreadSanitizer lets every process with threads wait for a second at its end,
# should there be a race with it; less is enough.
asan=${ASAN_OPTIONS:-} ubsan=${UBSAN_OPTIONS:-print_stacktrace=1}
tsan=${TSAN_OPTIONS:-second_deadlock_stack=1:atexit_sleep_ms=50}
sanitizers() {
	local to=log_exe_name=1:log_path=$1
	# The shim, which is not instrumented, is preloaded before the sanitizer's library.
	export ASAN_OPTIONS=verify_asan_link_order=0:$asan:$to
	export UBSAN_OPTIONS=$ubsan:$to.undefined TSAN_OPTIONS=$tsan:$to
}

# Processes that still carry a state directory of a test in their environment.
left_of() { grep -lsFz "SIMGPU_STATE=$1" /proc/[0-9]*/environ | cut -d/ -f3; }

# What a process is and where in the kernel it waits (0: nowhere, it runs).
portrait() {
	local comm wchan
	read -r comm <"/proc/$1/comm" && read -r wchan <"/proc/$1/wchan"
	[ -z "${comm:-}" ] || echo "$comm (in ${wchan:-?})"
} 2>/dev/null

# reap DIRECTORY: waits for what a test left running, then kills it and prints its names.
reap() {
	local pids deadline=$((SECONDS + LINGER))
	while pids=$(left_of "$1") && [ -n "$pids" ]; do
		if ((SECONDS >= deadline)); then
			for pid in $pids; do
				portrait "$pid"
				kill -KILL "$pid" 2>/dev/null
			done | sort -u | paste -sd' '
			return
		fi
		sleep 0.05
	done
}

# Arguments of one program, into `args`.
arguments() {
	args=()
	[[ $1 == fuzz/* ]] || return 0
	# An input that takes ten seconds hangs. What fails is kept beside the log.
	args=(-max_total_time="${FUZZ_SECONDS:-5}" -timeout=10 -print_final_stats=1
		-artifact_prefix="$logs/${1//\//-}-" "$2")
	[ ! -d "tests/fuzz/corpus/${1#fuzz/}" ] || args+=("tests/fuzz/corpus/${1#fuzz/}")
}

# timeout passes the signal on to the program and all it started.
child=''
dir=''
together=()
interrupted() {
	[ -z "$child" ] || kill -TERM "$child"
	[ -z "$dir" ] || rm -rf "$dir"
	[ -z "${name:-}" ] || echo "tests/run.sh: interrupted in $name" >&2
	# The shells that run programs beside each other end in the same way.
	if [ ${#together[@]} -gt 0 ]; then
		kill -TERM "${together[@]}" 2>/dev/null
		wait
		cat "$kept"/output.*
	fi
	exit 130
}
trap interrupted INT TERM HUP

# What the programs that ran beside each other have put out until now, but for those at it.
show() {
	local file
	for file in "$kept"/output.*; do
		[ -e "${file/output/totals}" ] || continue
		cat "$file"
		rm "$file"
	done
}

# row NAME PASSED FAILED SKIPPED TIME NOTE: of program $number.
row() {
	printf '%-36s %6s %6s %6s %8s  %s\n' "$@" >"$kept/row.$number"
	echo "$2 $3 $4" >"$kept/totals.$number"
}

# The few lines of a log that say what failed: what sanitizers report, the assertions that did
# not hold with the tests they belong to, or, where it says nothing of the kind, its end but
# for totals.
tell_tale() {
	local lines
	lines=$({
		grep -aE -e '^(WARNING|ERROR|==.*==ERROR|FATAL|SUMMARY): ' -e 'runtime error: ' \
			-e '^    #[01] ' -e 'ThreadSanitizer[: ].*CHECK' "$1" | head -n 4
		grep -aE -e '^FAIL ' -e '^ *[^ :]+\.[ch]:[0-9]+: ' -e ' (was|were) expected$' "$1" |
			grep -av 'runtime error: '
	} | head -n 8)
	[ -n "$lines" ] ||
		lines=$(grep -avE -e '^[[:space:]]*$' -e '^Run Summary:' -e '^ +(suite|test|assert)s ' \
			-e '^Elapsed time' -e '[0-9]+ passed, ' "$1" | tail -n 3)
	[ -z "$lines" ] || cut -c 1-200 <<<"$lines"
}

# blame NAME NOTE LOG: of program $number; NOTE may be empty, LOG missing.
blame() {
	local line
	{
		[ -z "$2" ] || echo "$1: $2"
		[ ! -e "$3" ] || tell_tale "$3" | while IFS= read -r line; do
			echo "$1: $line"
		done
	} >"$kept/failures.$number"
}

# run_one NUMBER PROGRAM
run_one() {
	local number=$1 program name log seconds status start took line left reports
	local p=0 f=0 s=0 note=
	local args

	program=$(readlink -f "$2")
	name=${program#"$BUILD"/}
	name=${name#"$PWD"/}
	if [ ! -x "$program" ]; then
		blame "${name:-$2}" 'not built, or not executable' ''
		row "${name:-$2}" 0 1 0 - 'not built, or not executable'
		return
	fi
	log=$logs/${name//\//-}.log
	dir=$(mktemp -d "${TMPDIR:-/tmp}/gpushim-test.XXXXXX") || exit 2
	mkdir "$dir/state" "$dir/tmp"
	seconds=$(limit "$program")
	arguments "$name" "$dir/tmp"
	sanitizers "$dir/report"

	printf '\n== %s\n' "$name"
	start=$(date +%s%N)
	# To a file, not a pipe: a device process that outlives its client would hold a pipe open.
	# In the background: only so does bash hear of an interrupt before the program's end.
	SIMGPU_STATE=$dir/state TMPDIR=$dir/tmp \
		LD_LIBRARY_PATH=$BUILD/sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
		timeout -k 5 "$seconds" "${wrapper[@]}" "$program" "${args[@]}" \
		</dev/null >"$log" 2>&1 &
	child=$!
	wait "$child"
	status=$?
	child=''
	took=$((($(date +%s%N) - start) / 100000000))
	took=$((took / 10)).$((took % 10))
	left=$(reap "$dir/")
	reports=("$dir"/report.*)
	[ -e "${reports[0]}" ] || reports=()
	[ ${#reports[@]} -eq 0 ] || cat "${reports[@]}" >>"$log"
	rm -rf "$dir"
	dir=''
	cat "$log"

	line=$(grep -E '^[^ ]+: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" |
		tail -n 1)
	if [ -n "$line" ]; then
		read -r p f s < <(tr -dc '0-9 \n' <<<"${line##*: }")
		if ((status != 0 && f == 0)); then
			f=1
			note=$(ending "$status" "$seconds")
		fi
	elif ((status == 77)) && [[ $name == *.sh ]]; then
		s=1
		note=$(tail -n 1 "$log")
	elif ((status != 0)); then
		f=1
		note=$(ending "$status" "$seconds")
	elif [[ $name == tests/* && $name != *.sh ]]; then
		f=1
		note='ended early: no line of totals'
	else
		p=1
	fi
	if [ -n "$left" ]; then
		f=$((f + 1))
		note="${note:+$note; }left running: $left"
	fi
	if [ ${#reports[@]} -gt 0 ]; then
		f=$((f + 1))
		note="${note:+$note; }sanitizer reports: ${#reports[@]}"
	fi
	((f == 0)) || blame "$name" "$note" "$log"
	row "$name" "$p" "$f" "$s" "${took}s" "$note"
}

judges_time() {
	local word
	for word in ${ALONE:-}; do
		[[ ${1##*/} != *$word* ]] || return 0
	done
	return 1
}

programs=("$@") alone=()
for i in "${!programs[@]}"; do
	if ((JOBS < 2)) || judges_time "${programs[i]}"; then
		alone+=("$i")
		continue
	fi
	while mapfile -t together < <(jobs -rp) && ((${#together[@]} >= JOBS)); do
		wait -n
		show
	done
	{
		trap interrupted INT TERM HUP
		together=()
		run_one "$(printf %04d "$i")" "${programs[i]}"
	} >"$kept/output.$(printf %04d "$i")" 2>&1 &
done
mapfile -t together < <(jobs -rp)
wait
together=()
show
for i in "${alone[@]}"; do
	run_one "$(printf %04d "$i")" "${programs[i]}"
done

echo
printf '%-36s %6s %6s %6s %8s\n' program passed failed skipped time
[ $# -eq 0 ] || cat "$kept"/row.*
# Nothing run is no success: a test directory may have been lost.
[ $# -gt 0 ] || echo 'Nothing was run: no test program was found.'
failures=$(cat "$kept"/failures.* 2>/dev/null)
[ -z "$failures" ] || printf '\nFailures:\n%s\n' "$failures"
cat "$kept"/totals.* /dev/null 2>/dev/null | awk -v programs=$# '
	{ passed += $1; failed += $2; skipped += $3; n++ }
	END {
		printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed > 0 || n == 0 || n < programs
	}'
