#!/bin/bash
# libgpushim.so as the dynamic linker of any process meets it: imports, versions, NEEDED,
# relocations, constructors, thread-local storage, executable stack.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

need readelf binutils

# check_library FILE: every gate; calls bad for each that is open.
check_library() {
	local file=$1 imports newest tls

	[ "$(readelf -dW "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')" = libc.so.6 ] ||
		bad "NEEDED is not libc.so.6 alone"

	imports=$(readelf --dyn-syms -W "$file" | awk '$7 == "UND" && $8 { print $8 }' |
		sed 's/@.*//' | sort -u | comm -23 - <(sed '/^#/d;/^$/d' tests/abi/imports.txt |
			sort -u))
	[ -z "$imports" ] || bad "imports that are not in imports.txt: ${imports//$'\n'/ }"

	newest=$(readelf -VW "$file" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
	[ "$(printf '%s\n' "$newest" GLIBC_2.17 | sort -V | tail -n 1)" = GLIBC_2.17 ] ||
		bad "needs $newest; GLIBC_2.17 is the newest allowed"
	! readelf -VW "$file" | grep -oE 'GLIBC_(ABI|PRIVATE)[A-Z_]*' | sort -u | grep . ||
		bad "needs a private or ABI version of glibc"

	! readelf -dW "$file" | grep -E '\((TEXTREL|RELR|INIT|FINI|RPATH|RUNPATH)\)' ||
		bad "has what is not allowed in its dynamic section"
	# A constructor of our own; compilers may leave frame_dummy there, which is none.
	! readelf -SW "$file" | grep -E '\.(init_array|fini_array|ctors|dtors)' ||
		bad "has constructors or destructors"
	readelf -dW "$file" | grep -qE 'FLAGS.*(BIND_NOW|NOW)' || bad "is not bound at start"
	readelf -lW "$file" | grep -q 'GNU_RELRO' || bad "its tables stay writable"
	readelf -lW "$file" | grep 'GNU_STACK' | grep -q 'RW ' || bad "has an executable stack"
	readelf -dW "$file" | grep -q '(GNU_HASH)' || bad "has no GNU hash table"

	# What lies in thread-local storage has to fit where a dlopen'ed library may put it.
	tls=$(readelf -lW "$file" | awk '$1 == "TLS" { print $6 }')
	((${tls:-0} < 256)) || bad "takes $((tls)) bytes of thread-local storage"
}

check_library "$library"
((failures == 0)) || finish

# The controls: a library built with the usual flags passes none of this.
cat >"$scratch/careless.c" <<'END'
#include <pthread.h>
#include <stdio.h>
#include <math.h>
static __thread char room[4096];
static void __attribute__((constructor)) start(void) { puts(room); }
void *at(double x);
void *at(double x)
{
	pthread_t thread;
	return pthread_create(&thread, NULL, at_exit_of(x), NULL) ? NULL : room;
}
END
sed -i 's/at_exit_of(x)/(void *(*)(void *))start/; s/puts(room)/printf("%s%f", room, pow(room[0], 2))/' \
	"$scratch/careless.c"
${CC:-cc} -shared -fPIC -o "$scratch/careless.so" "$scratch/careless.c" -lm 2>/dev/null ||
	fail "the control cannot be built."
control=$(
	failures=0
	check_library "$scratch/careless.so"
)
for gate in NEEDED imports.txt 'newest allowed' constructors 'bound at start' storage; do
	grep -q "$gate" <<<"$control" || bad "the control is let through: $gate"
done
finish
