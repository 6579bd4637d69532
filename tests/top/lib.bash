# lib.bash - what the tests of gpushim-top have in common: tenants to look at, a terminal, and
# waiting for what it shows.

set -u
: "${BUILD:?}"
export LC_ALL=C.UTF-8 TZ=UTC
unset GPUSHIM_DIR COLUMNS
command=9 answer=9 # descriptors to the tenants, once there are some
root=${TMPDIR:-/tmp}/top.$$
mkdir -p "$root"
export XDG_CONFIG_HOME=$root/config TMUX_TMPDIR=$root
top=$BUILD/bin/gpushim-top
dir=$root/dir
failures=0

fail() {
	echo "$*"
	exit 1
}
# bad SENTENCE: a failure that lets the rest go on.
bad() {
	echo "FAIL  $*"
	failures=$((failures + 1))
}
finish() {
	((failures == 0)) || fail "$failures failed."
	echo "${checks:-all} as they should be."
}

[ -x "$top" ] || fail "$top is not built."

# tenants COUNT PROCESSES: so many tenants of a device, with so many processes each.
tenants() {
	rm -rf "$dir" "$root/command" "$root/answer"
	mkfifo "$root/command" "$root/answer"
	"$BUILD/tests/top/tenants" "$dir" "$1" "$2" <"$root/command" >"$root/answer" &
	tenants_pid=$!
	exec {command}>"$root/command" {answer}<"$root/answer"
	read -r -t 20 -u "$answer" || fail 'the tenants are not ready.'
}
# tell COMMAND...: see tenants.c; comes back when it is done.
tell() {
	echo "$*" >&"$command"
	read -r -t 20 -u "$answer" || fail "the tenants did not answer to: $*"
}
no_tenants() {
	exec {command}>&- {answer}<&-
	wait "$tenants_pid"
}

# ---- a terminal ----

# What runs in the terminal: the program as a job of a shell, as people have it.
cat >"$root/session" <<'END'
set -m
"$@"
status=$?
while ((status == 147 || status == 148)); do
	echo suspended
	read -r _
	fg >/dev/null
	status=$?
done
echo "ended with $status"
exec cat
END

# start WIDTH HEIGHT [OPTION...]: gpushim-top on a terminal of that size.
terminals=0
start() {
	local width=$1 height=$2
	shift 2
	stop
	terminals=$((terminals + 1))
	tmux -L "t$terminals" -u -f /dev/null new-session -d -x "$width" -y "$height" \
		"TERM=${TERM_SHOWN-screen-256color} exec bash $root/session $top $*" \
		{command}>&- {answer}<&- || fail 'tmux did not start.'
}
in_terminal() { tmux -L "t$terminals" "$@"; }
stop() { ((terminals == 0)) || in_terminal kill-server 2>/dev/null; }
keys() { in_terminal send-keys "$@"; }
screen() { in_terminal capture-pane -p; }
# The process that draws.
top_pid() { pgrep -P "$(in_terminal display-message -p '#{pane_pid}')" -x gpushim-top; }

# shows EXPRESSION...: waits until the screen has a line for each of them.
shows() {
	local expression tries missing=
	for ((tries = 0; tries < 100; tries++)); do
		screen >"$root/screen" || return 1
		missing=
		for expression in "$@"; do
			grep -qE -- "$expression" "$root/screen" || missing=$expression
		done
		[ -n "$missing" ] || return 0
		sleep 0.05
	done
	cat "$root/screen"
	echo "(wanted: $missing)"
	return 1
}
# hides EXPRESSION: waits until no line is like it.
hides() {
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		screen >"$root/screen" || return 1
		grep -qE -- "$1" "$root/screen" || return 0
		sleep 0.05
	done
	cat "$root/screen"
	return 1
}

at_exit() {
	stop
	jobs -p | xargs -r kill 2>/dev/null
	rm -rf "$root"
}
trap at_exit EXIT
