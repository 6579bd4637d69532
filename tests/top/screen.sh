#!/bin/bash
# gpushim-top in a terminal: keys and what they show, on small and large screens, with tenants
# that come to grief, and how it leaves the terminal.
# timeout: 240
# shellcheck source=tests/top/lib.bash
. "$(dirname "$0")/lib.bash"

# What has one thread has no races, and a library's signal handler is not ours.
[[ $BUILD != */tsan ]] || { echo 'gpushim-top has one thread.'; exit 77; }
command -v tmux >/dev/null || { echo 'tmux is not installed.'; exit 77; }
is_restored() {
	[ "$(in_terminal display-message -p '#{alternate_on} #{cursor_flag} #{mouse_any_flag}')" = \
		'0 1 0' ] || bad "after $1 the terminal is not as it was"
	stty -a <"$(in_terminal display-message -p '#{pane_tty}')" >"$root/stty"
	[ "$(grep -owE -e '-?(icanon|echo)' "$root/stty" | sort | xargs)" = 'echo icanon' ] ||
		bad "after $1 the terminal is not cooked"
}
# above A B: the first line like A stands above the first like B.
above() {
	screen >"$root/screen"
	[ "$(grep -nE -m1 "$1" "$root/screen" | cut -d: -f1)" -lt \
		"$(grep -nE -m1 "$2" "$root/screen" | cut -d: -f1)" ] ||
		bad "$1 is not above $2: $(cat "$root/screen")"
}
# picture NAME: the screen is as it was kept.
picture() {
	screen | sed 's/ *$//' >"$root/picture"
	if [ -n "${GOLDEN:-}" ]; then
		cp "$root/picture" "tests/top/golden/$1.txt"
	else
		diff "tests/top/golden/$1.txt" "$root/picture" || bad "the screen $1 is another"
	fi
}

# ---- pictures of a recording ----
recording='--replay tests/top/incident.jsonl -d 0.1'
for size in 80x24 120x40 60x15; do
	start "${size%x*}" "${size#*x}" "$recording"
	shows 'end of the recording' || bad "$size: the recording does not end"
	picture "$size"
	if [ "$size" = 80x24 ]; then
		keys t
		shows 'TENANT +COMMAND' || bad 'there is no list'
		picture list
		keys t Down Enter
		shows '^Tenant train' || bad 'there are no details'
		picture tenant
		keys Escape '?'
		shows '^Keys' || bad 'there is no help'
		picture help
	fi
done
start 80 24 "$recording --ascii"
shows 'end of the recording' || bad 'the recording does not end'
picture ascii
! LC_ALL=C grep -q '[^ -~]' "$root/picture" || bad 'there is more than ASCII'

# ---- keys ----
tenants 3 3
start 80 24 --dir "$dir"
shows '3 tenants, 9 processes' '^t000 ' '. python3 +1000 ' 'F4 filter' || bad 'no tenants'
tell deny t001 1 2500
shows '^t001 .* refused' 'hashcat +1011 .* refused' || bad 'no refusal'
tell wait t002 0 1500
shows 'python3 +1020 .* waiting' '1 held' || bad 'nobody waits'
tell wait t002 0 0
tell step
shows 'python3 +1000 .* running' || bad 'nobody runs'
keys D
shows '^t001' || bad 'no rows'
above '^t001' '^t000'
keys r
above '^t000' '^t001'
keys M
keys /
keys hash
shows '^Filter: hash_' 'hashcat +1001' || bad 'no filter'
hides 'ffmpeg' || bad 'the filter does not filter'
keys Enter
shows 'filter: hash' || bad 'the filter is not kept'
keys Escape
shows 'ffmpeg' || bad 'the filter does not end'
keys / nothing-like-it
shows 'Nothing matches' || bad 'nothing is said of nothing'
keys Escape
shows 'ffmpeg' || bad 'Esc does not end a filter that is being typed'
keys t
shows '^TENANT +COMMAND' || bad 'no list'
hides '3G/4G' || bad 'the list has tenants'
keys t F6
shows 'memory +memory in use' 'Enter: sort by it' || bad 'no choice of columns to sort by'
keys Home Down Down Enter
shows '^t000' || bad 'the choice does not close'
above 'python3 +1000' 'hashcat +1001'
keys '>' '<' C W M
keys p
shows 'stopped' || bad 'it does not stop'
tell end t000 1
keys .
shows '1001 .* gone' || bad 'one step is not made'
keys p
hides 'stopped' || bad 'it does not go on'
keys d BSpace 5 Enter
shows 'every 5s' || bad 'the pace is not changed'
keys d BSpace x Enter
shows 'It takes seconds' || bad 'a pace that is none is taken'
keys + + +
shows 'every 0.625s' || bad 'it does not look more often'
keys c
shows 'Colours: mono' || bad 'colours do not change'
keys c
shows 'Colours: blind' || bad 'colours do not change again'
keys m
shows "mouse is the terminal's" || bad 'the mouse is not given up'
keys m g
hides 'device 0 memory' || bad 'history stays'
keys g
shows 'device 0 memory' || bad 'history does not come back'
keys v
shows 't00. memory' || bad 'there is no history of the tenant'
keys End Enter
shows '^Tenant t' 'quota 4G .from: policy' || bad 'no details'
keys q
shows 'TENANT/COMMAND' || bad 'q does not leave the details first'
keys K
shows 'only if started with --allow-kill' || bad 'signals are sent unasked'

# ---- the mouse: press on the heading DENIED, on a row, the wheel ----
# mouse BUTTON X Y, from 1; as terminals of this kind have reported it since the eighties.
mouse() {
	local at
	printf -v at '\\x%x' $((32 + $2)) $((32 + $3))
	# Pressed, and let go of again.
	in_terminal send-keys -l "$(printf '%b' "\033[M$(printf '\\x%x' $((32 + $1)))$at\033[M#$at")"
}
column=$(($(screen | grep -oE -m1 '^TENANT/COMMAND.* DENIED' | wc -c) - 2))
line=$(screen | grep -n -m1 TENANT/COMMAND | cut -d: -f1)
mouse 0 "$column" "$line"
shows '^t001' || bad 'no rows'
sleep 0.1
above '^t001' '^t002'
for ((i = 0; i < 2; i++)); do
	mouse 0 3 $((line + 1))
done
shows '^Tenant t001' || bad 'two presses do not open'
mouse 65 3 3
hides '^Tenant t001' || bad 'the wheel does not turn the page'
keys q

# ---- sizes ----
for size in 60x15 120x40 30x6 8x3 1x1 200x60 80x24; do
	in_terminal resize-window -x "${size%x*}" -y "${size#*x}"
	if [ "${size%x*}" -ge 30 ]; then
		shows 't001' || bad "$size shows no tenant"
	fi
done
shows '^t001 .* (idle|refused)$' || bad 'it does not come back from small sizes'

# ---- ledgers that vanish, are cut off, are newer ----
tell truncate t000
shows '^t000 .* stale' '1000 .* stale' || bad 'a ledger that is cut off is not noticed'
tell newer t001
shows '^t001 .* stale' || bad 'a newer ledger is not noticed'
tell vanish t002
shows '^t002 .* gone' || bad 'a ledger that vanished is not noticed'
hides '^t002' || bad 'what has gone stays'
shows '2 tenants' || bad 'what has gone is counted'

# ---- the columns, kept ----
keys F2
shows 'Space: shown or not' '^.x. name ' || bad 'there is no choice of columns'
keys Home Down Down Space
shows '^. . pid ' || bad 'a column is not taken away'
keys Home Down Left Enter
shows 'Settings are kept in .*config/gpushim/toprc' || bad 'settings are not kept'
shows '^TENANT/COMMAND' || bad 'the choice does not close'
hides ' PID ' || bad 'the column is still there'
keys q
shows 'ended with 0' || bad 'q does not end it'
is_restored q
grep -q '^columns = name,tenant,hostpid' "$XDG_CONFIG_HOME/gpushim/toprc" ||
	bad "toprc is another: $(cat "$XDG_CONFIG_HOME/gpushim/toprc")"
start 80 24 --dir "$dir"
shows '^t001' || bad 'it does not start again'
hides ' PID ' || bad 'what was kept is not read'
rm -r "$XDG_CONFIG_HOME"

# ---- suspended, and ended from outside ----
pid=$(top_pid)
keys C-z
shows '^suspended' || bad 'it cannot be suspended'
is_restored suspension
keys Enter
shows '^t001' 'F4 filter' || bad 'it does not go on'
[ "$(in_terminal display-message -p '#{alternate_on}')" = 1 ] ||
	bad 'it goes on without the screen of its own'
# Nobody is asked before SIGSTOP; the shell has the terminal meanwhile.
kill -STOP "$pid"
shows 'uspended' || bad 'SIGSTOP does not stop it'
in_terminal send-keys Enter
shows '^t001' 'F4 filter' || bad 'it does not go on after SIGSTOP'
[ "$(in_terminal display-message -p '#{alternate_on}')" = 1 ] ||
	bad 'it goes on after SIGSTOP without the screen of its own'
keys t
shows '^COMMAND' 'There are no processes; t shows tenants' || bad 'keys do nothing after SIGSTOP'
keys t
shows '^TENANT/COMMAND' || bad 'no tree'
# Many sizes at once.
for ((i = 0; i < 200; i++)); do
	kill -WINCH "$pid"
done
in_terminal resize-window -x 60 -y 15
shows 'F4 filter' || bad 'it does not go on after many changes of size'
in_terminal resize-window -x 80 -y 24
kill -TERM "$pid"
shows 'ended with 143' || bad 'SIGTERM does not end it'
is_restored SIGTERM
for signal in SEGV ABRT; do
	start 80 24 --dir "$dir"
	shows '^t001' || bad 'it does not start'
	kill -"$signal" "$(top_pid)"
	shows 'ended with 1(39|34)' || bad "$signal does not end it"
	is_restored "$signal"
done
start 80 24 --dir "$dir"
shows '^t001' || bad 'it does not start'
keys C-c
shows 'ended with 0' || bad '^C does not end it'
is_restored ^C

# ---- a terminal that goes away takes it along ----
start 80 24 --dir "$dir"
shows '^t001' || bad 'it does not start'
pid=$(top_pid)
stop
for ((i = 0; i < 100; i++)); do
	kill -0 "$pid" 2>/dev/null || break
	sleep 0.05
done
! kill -9 "$pid" 2>/dev/null || bad 'it outlives its terminal'
no_tenants

# ---- nobody, and terminals that cannot ----
start 80 24 --dir /nowhere/at/all
shows 'No tenant has an account in /nowhere/at/all' || bad 'nothing is said of nobody'
keys Down Enter K End t q
shows 'ended with 0' || bad 'it does not end'
TERM_SHOWN=dumb start 80 24 --dir "$dir"
shows '^gpushim-top: dumb ' ' --batch ' 'ended with 1' || bad 'a dumb terminal is not refused'
TERM_SHOWN="" start 80 24 --dir "$dir"
shows 'TERM does not say what kind' 'ended with 1' || bad 'TERM that is unset is not refused'
TERM_SHOWN=no-such-terminal start 80 24 --dir "$dir"
shows 'ended with 1' || bad 'a terminal that is not known is not refused'

# ---- signals to processes ----
tenants 1 2
tell own t000 0
sleep 60 &
bystander=$!
tell foreign t000 1 "$bystander"
start 100 24 --dir "$dir" --allow-kill --flat --sort pid
shows "$tenants_pid" "$bystander" || bad 'processes of this machine are not found'
keys K
shows 'Send a signal to' || bad 'it is not asked'
keys n
shows 'No signal was sent' || bad 'no is not no'
for ((i = 0; i < 2; i++)); do
	keys Home
	((i == 0)) || keys Down
	keys K
	shows "Send a signal to" || bad 'it is not asked'
	if grep -q "Send a signal to $bystander " "$root/screen"; then
		keys y
		shows "$bystander was not signalled: it cannot be seen to use" ||
			bad 'a process is signalled because a tenant says so'
	else
		keys y
		shows "SIGTERM was sent to $tenants_pid" || bad 'no signal is sent'
	fi
	hides 'signal' || sleep 0
done
kill -0 "$bystander" || bad 'a bystander was killed'
wait "$tenants_pid"
[ $? = 143 ] || bad 'the process did not get the signal'
exec {command}>&- {answer}<&-
kill "$bystander"

# ---- a number that another process has by the time of the answer ----
tenants 1 2
# user: sets $user, a process that will have the tenant's ledger mapped; forks nothing else.
user() {
	/usr/bin/python3 -c 'import mmap, sys, time
with open(sys.argv[1], "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 4096)
open(sys.argv[2], "w").close()
time.sleep(60)' "$dir/ledger/t000/ledger" "$root/mapped" {command}>&- {answer}<&- &
	user=$!
}
is_mapped() {
	local tries
	for ((tries = 0; tries < 100; tries++)); do
		[ ! -e "$root/mapped" ] || return 0
		sleep 0.05
	done
	return 1
}
user
first=$user
is_mapped || bad 'the ledger cannot be mapped'
tell foreign t000 1 "$first"
start 100 24 --dir "$dir" --allow-kill --flat --filter "$first"
shows "^[^F]*$first" || bad 'the process is not found'
keys K
shows "Send a signal to $first " || bad 'it is not asked'
kill "$first"
wait "$first"
for ((i = 0; i < 50; i++)); do
	rm -f "$root/mapped"
	{ echo $((first - 1)) >/proc/sys/kernel/ns_last_pid; } 2>/dev/null || break
	user
	((user != first)) || break
	# Before it is Python it is this shell, with all its traps.
	kill -KILL "$user"
	wait "$user" 2>/dev/null
done
if ((user == first && i < 50)) && kill -0 "$user" 2>/dev/null; then
	is_mapped || bad 'the ledger cannot be mapped again'
	keys y
	shows "$first was not signalled: No such process" || bad 'another process was signalled'
	kill -0 "$user" 2>/dev/null || bad 'the process that has the number now was killed'
	kill "$user"
else
	echo "(numbers of processes cannot be chosen here; reuse was not tried)"
fi
keys n q
shows 'ended with 0' || bad 'it does not end'
no_tenants

# ---- five hundred ----
tenants 100 5
start 120 40 --dir "$dir"
shows '100 tenants, 500 processes' || bad '500 processes are not there'
keys End
shows '^t099|. python3 +1990' || bad 'the end is not reached'
keys Home
shows '^t000' || bad 'the start is not reached'
keys PPage NPage NPage
shows '^t008' || bad 'pages are not turned'
keys / t042 Enter
shows '^t042' || bad 'one of a hundred is not found'
hides '^t000' || bad 'the filter leaves others'
# What it takes, unless a sanitizer takes more.
if ! nm "$top" 2>/dev/null | grep -qE '__(a|t|ub)san_'; then
	read -r _ kilobytes _ < <(grep VmHWM "/proc/$(top_pid)/status")
	echo "500 processes in 100 ledgers: $kilobytes kB"
	((kilobytes <= 20480)) || bad "it takes $kilobytes kB for 500 processes"
fi
in_terminal resize-window -x 60 -y 15
shows '^t042 ' '. python3 +1420 .* idle' 'F4' || bad 'there is no room for anything at 60x15'
keys Escape End
shows '1990 .* idle' || bad 'the end is not reached at 60x15'
keys Enter
shows '^Tenant t' || bad 'there are no details at 60x15'
keys q q
shows 'ended with 0' || bad 'it does not end'
no_tenants
finish
