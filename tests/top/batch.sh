#!/bin/bash
# gpushim-top without a terminal: tables, documents and their schema, recordings, exit
# statuses, and what it says when something is wrong.
# shellcheck source=tests/top/lib.bash
. "$(dirname "$0")/lib.bash"

# run STATUS WORD...: the output is in $root/out, what was said in $root/err.
run() {
	local wanted=$1 got
	shift
	"$top" "$@" >"$root/out" 2>"$root/err" </dev/null
	got=$?
	[ "$got" = "$wanted" ] ||
		bad "gpushim-top $* ended with $got instead of $wanted: $(cat "$root/err")"
}
# says FILE EXPRESSION
says() { grep -qE -- "$2" "$root/$1" || bad "$1 does not say: $2 but: $(cat "$root/$1")"; }
not_says() { ! grep -qE -- "$2" "$root/$1" || bad "$1 says: $2"; }
words() { sed -E 's/ +/ /g; s/ $//' "$root/out" >"$root/words"; }

# valid FILE: each line, or the whole of it, is as the schema says.
valid() {
	/usr/bin/python3 - tools/top/top.schema.json "$1" <<-'END' || bad "$1 is not valid"
		import json, sys
		schema, text = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
		try:
		    documents = [json.loads(text)]
		except ValueError:
		    documents = [json.loads(line) for line in text.splitlines()]
		try:
		    import jsonschema
		except ImportError:
		    sys.exit(0)
		for document in documents:
		    jsonschema.validate(document, schema)
		# The control: it would notice.
		documents[0]["tenants"].append({"tenant": 1})
		try:
		    jsonschema.validate(documents[0], schema)
		except jsonschema.ValidationError:
		    sys.exit(0)
		sys.exit("the schema takes anything")
	END
}
# value EXPRESSION: of the document d, in Python.
value() { /usr/bin/python3 -c "import json,sys; d=json.load(open('$root/out')); print(($1))"; }
is() {
	local got
	got=$(value "$1" 2>&1)
	[ "$got" = "$2" ] || bad "$1 is $got and not $2"
}

# ---- nobody there ----
mkdir -p "$dir"
run 0 --dir "$dir" --once
says out "No tenant has an account in $dir"
run 0 --dir "$dir" --json
valid "$root/out"
is 'd["tenants"], d["devices"], d["events"]' '([], [], [])'
run 0 --dir /nowhere/at/all --once

# ---- three tenants with three processes ----
tenants 3 3
tell step
run 0 --dir "$dir" --once --columns name,pid,device,memory,quota,denied,request,limit,state
words
# How much time was used depends on when one looks.
grep -v '^gpushim-top ' "$root/words" | sed 's/ time [0-9.]*%/ time N%/' >"$root/table"
diff - "$root/table" <<'END' || bad 'the table is another'
0 GPU-513a0000-0000-0000-0000-000000000000 memory 9G/16G time N% 3 tenants, no agent
TENANT/COMMAND PID DEV MEMORY/QUOTA QUOTA DENIED REQ LIMIT STATE
t000 0 3G/4G 4G 0 10% 30% idle
 ffmpeg 1002 0 1.5G 0 idle
 hashcat 1001 0 1G 0 idle
 python3 1000 0 512M 0 idle
t001 0 3G/4G 4G 0 10% 30% idle
 ffmpeg 1012 0 1.5G 0 idle
 hashcat 1011 0 1G 0 idle
 python3 1010 0 512M 0 idle
t002 0 3G/4G 4G 0 10% 30% idle
 ffmpeg 1022 0 1.5G 0 idle
 hashcat 1021 0 1G 0 idle
 python3 1020 0 512M 0 idle
END
run 0 --dir "$dir" --once --flat --tenant t001 --sort pid
words
[ "$(awk '/python3|hashcat|ffmpeg/ { print $1, $3 }' "$root/words" | paste -sd' ')" = \
	't001 1010 t001 1011 t001 1012' ] || bad "the list is another: $(cat "$root/words")"
run 0 --dir "$dir" --once --filter hashcat
[ "$(grep -c hashcat "$root/out")" = 3 ] || bad 'the filter lost some'
not_says out ffmpeg

run 0 --dir "$dir" --json
valid "$root/out"
is 'len(d["tenants"])' 3
is '[p["command"] for p in d["tenants"][1]["processes"]]' "['python3', 'hashcat', 'ffmpeg']"
is 'd["tenants"][0]["devices"][0]["charged_bytes"]' $((3 << 30))
is 'd["tenants"][0]["devices"][0]["rates"]["launches_per_second"]' None
is 'd["devices"][0]["used_bytes"]' $((9 << 30))
is 'd["tenants"][2]["processes"][1]["usage"][0]["charged_bytes"]' $((1 << 30))
is 'd["interval_ns"]' None
run 0 --dir "$dir" --json --tenant t002 --device GPU-513a
is '[t["tenant"] for t in d["tenants"]]' "['t002']"
run 0 --dir "$dir" --json --device 0
is 'len(d["tenants"])' 3

# ---- lines, rates and events ----
{
	for ((i = 0; i < 4; i++)); do
		sleep 0.15
		tell step
	done
	tell deny t001 1 2500
} &
run 0 --dir "$dir" --json -d 0.3 -n 4
wait $!
[ "$(wc -l <"$root/out")" = 4 ] || bad 'there are not four lines'
valid "$root/out"
/usr/bin/python3 - "$root/out" <<'END' || bad 'rates and events are wrong'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
rates = [t["processes"][0]["usage"][0]["rates"] for l in lines for t in l["tenants"][:1]]
assert rates[0]["launches_per_second"] is None
assert any((r["launches_per_second"] or 0) > 10 for r in rates[1:]), rates
assert lines[1]["interval_ns"] >= 3e8
events = [e for l in lines for e in l["events"]]
assert [e["text"] for e in events if e["kind"] == "refused"] == [
    "hashcat (1011) was refused 1 allocation, the last of 2.4G"], events
assert lines[-1]["tenants"][1]["processes"][1]["state"] == "refused"
END
run 0 --dir "$dir" --once -d 0.1
says out 't000 .* 0 +idle'
run 0 --dir "$dir" --batch -d 0.1 -n 3
[ "$(grep -c '^TENANT/COMMAND' "$root/out")" = 3 ] || bad 'there are not three tables'

# ---- closed files are nobody else's ----
"$top" --dir "$dir" --batch -n 1 --record "$root/record" >&- 2>"$root/err" &&
	bad 'a closed output is not noticed'
says err 'cannot be written'
[ "$(grep -c '^gpushim-top' "$root/record")" = 0 ] || bad 'the table is in the recording'

# ---- settings that are garbage ----
mkdir -p "$XDG_CONFIG_HOME/gpushim"
head -c 100000 /dev/urandom >"$XDG_CONFIG_HOME/gpushim/toprc"
run 0 --dir "$dir" --once
printf 'columns = %s\nsort =\ndelay = -1\n= =\ncolumns = name,pid\nmouse = \033[2J\n\n=' \
	"$(printf 'name,%.0s' {1..500})" >"$XDG_CONFIG_HOME/gpushim/toprc"
run 0 --dir "$dir" --once
says out '^TENANT/COMMAND +PID$'
rm "$XDG_CONFIG_HOME/gpushim/toprc"
mkdir "$XDG_CONFIG_HOME/gpushim/toprc"
run 0 --dir "$dir" --once
rm -r "$XDG_CONFIG_HOME"

# ---- recordings ----
run 0 --dir "$dir" --batch -d 0.1 -n 3 --record "$root/record"
cp "$root/out" "$root/first"
[ "$(wc -l <"$root/record")" = 3 ] || bad 'three samples are not three lines'
valid "$root/record"
run 0 --replay "$root/record" --batch
diff "$root/first" "$root/out" >"$root/diff" ||
	bad "a recording shows something else: $(cat "$root/diff")"
"$top" --replay - --json <"$root/record" >"$root/again" || bad 'standard input is no recording'
/usr/bin/python3 - "$root/record" "$root/again" <<'END' || bad 'what is replayed is another'
import json, sys
def documents(path):
    return [json.loads(line, parse_int=float) for line in open(path)]
assert documents(sys.argv[1]) == documents(sys.argv[2])
END
head -c 3000 "$root/record" >"$root/cut"
run 1 --replay "$root/cut" --batch
says err "cut:1: this is not JSON, or it has been cut off"
echo '{"version": 1}' >"$root/other"
run 1 --replay "$root/other" --once
says err 'no line of a recording'
sed 's/"version":1/"version":2/' "$root/record" >"$root/newer"
run 1 --replay "$root/newer" --once
says err 'of another version'
run 1 --replay "$root/missing" --once
says err 'No such file'
run 2 --replay "$root/record" --record "$root/record2"
run 1 --dir "$dir" --batch -n 1 --record /nowhere/at/all
says err '/nowhere/at/all cannot be opened'
run 1 --dir "$dir" --batch -n 2 -d 0.1 --record /dev/full
says err 'cannot be written: No space left'
"$top" --dir "$dir" --json >/dev/full 2>"$root/err" && bad 'a full disk is not noticed'
says err 'cannot be written: No space left'

# ---- ledgers that go bad ----
tell truncate t000
tell newer t001
run 1 --dir "$dir" --once
says out '^t000: .*(truncated|sizes)'
says out '^t001: .*another version'
says out '^t002 .*idle'
says err 'Tenant t000: '
run 0 --dir "$dir" --once --tenant t002
not_says out '^t00[01]: '
run 1 --dir "$dir" --json
valid "$root/out"
is 'sorted(t["tenant"] for t in d["tenants"] if t["error"])' "['t000', 't001']"
tell vanish t000
tell vanish t001
run 0 --dir "$dir" --json
is '[t["tenant"] for t in d["tenants"]]' "['t002']"

# ---- what tenants put in the place of their ledgers, and call themselves ----
ln -s "$dir/ledger/t002/ledger" "$root/link"
for bad in fifo link dir socket; do
	mkdir -p "$dir/ledger/$bad"
done
mkfifo "$dir/ledger/fifo/ledger"
mv "$root/link" "$dir/ledger/link/ledger"
mkdir "$dir/ledger/dir/ledger"
/usr/bin/python3 -c 'import socket, sys, os
os.chdir(sys.argv[1]); socket.socket(socket.AF_UNIX).bind("ledger")' "$dir/ledger/socket"
mkdir -p "$dir/ledger/"$'\033[2J' "$dir/ledger/"$'a\u0301\u5b57'
cp "$dir/ledger/t002/ledger" "$dir/ledger/"$'\033[2J'/ledger
run 1 --dir "$dir" --once
for bad in fifo link dir socket; do
	says out "^$bad: "
done
! LC_ALL=C grep -q '[^ -~]' "$root/out" "$root/err" || bad 'names reach the terminal as they are'
run 1 --dir "$dir" --json
valid "$root/out"
for bad in fifo link dir socket $'\033[2J'; do
	rm -r "$dir/ledger/$bad"
done

tell name t002 0
run 0 --dir "$dir" --once
says out '\?\[31m'
! LC_ALL=C grep -q '[^ -~]' "$root/out" || bad 'commands reach the terminal as they are'
run 0 --dir "$dir" --json
valid "$root/out"
is 'd["tenants"][0]["processes"][0]["command"].isprintable()' True

# ---- not covered ----
tell unknown t002 1 7
run 0 --dir "$dir" --once --columns name,unknown,state
words
says words '^ hashcat 7 uncovered$'
says words '^t002 7 uncovered$'
tell wait t002 1 1500
run 0 --dir "$dir" --once --columns name,unknown,state
words
says words '^ hashcat 7 waiting$'
run 0 --dir "$dir" --json
valid "$root/out"

# ---- wrong usage ----
run 1 --dir "$dir" --once --tenant nobody
says err "no tenant 'nobody'"
run 1 --dir "$dir" --json --device 7
says err "no device '7'"
run 2 --sort nothing
run 2 --columns name,nothing
run 2 --columns name,name
run 2 --delay 0
run 2 --count 0
run 2 --colours pink
run 2 --nonsense
run 2 more
run 0 --help
says out '--allow-kill'
run 0 --columns help
says out '^share10 '
run 0 --version
run 1 --dir "$dir"
says err 'no terminal.*--once'
no_tenants
finish
