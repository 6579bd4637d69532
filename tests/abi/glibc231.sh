#!/bin/bash
# The library under glibc 2.31, where dlsym is in libdl.so.2 and most containers are older than
# the machine that built it: a program is not harmed, and held to its quota.
#
# The C library is Debian 11's package libc6, never installed: OLD_LIBC_DEB names the file;
# otherwise apt is asked for it, if the system's package sources have it. OLD_LIBC=fetch asks
# Debian's archive by way of apt, with a configuration of its own.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

need dpkg-deb dpkg
need apt-get apt
[ "$(uname -m)" = x86_64 ] || skip "This check knows Debian's packages for x86-64 only."

deb=${OLD_LIBC_DEB:-}
if [ -z "$deb" ] && [ "${OLD_LIBC:-}" = fetch ]; then
	mkdir -p "$scratch/apt/lists/partial" "$scratch/apt/archives/partial"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	echo "deb [signed-by=$keys] http://deb.debian.org/debian bullseye main" \
		>"$scratch/apt/sources.list"
	options=(-o "Dir::Etc::sourcelist=$scratch/apt/sources.list"
		-o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$scratch/apt/lists"
		-o "Dir::Cache=$scratch/apt" -o Acquire::Retries=0 -o APT::Sandbox::User=root)
	apt-get "${options[@]}" -qq update >/dev/null 2>&1
	(cd "$scratch" && apt-get "${options[@]}" -qq download libc6/bullseye >/dev/null 2>&1)
elif [ -z "$deb" ]; then
	version=$(apt-cache madison libc6 2>/dev/null | sed -n 's/.*| *\(2\.31-[^ ]*\) |.*/\1/p' |
		head -n 1)
	[ -z "$version" ] ||
		(cd "$scratch" && apt-get -qq download "libc6=$version" >/dev/null 2>&1)
fi
[ -n "$deb" ] || deb=$(find "$scratch" -maxdepth 1 -name 'libc6_*.deb')
[ -r "$deb" ] || skip "glibc 2.31 cannot be had here (Debian 11's libc6; see the head of $0)."

dpkg-deb -x "$deb" "$scratch/old" || fail "$deb cannot be unpacked."
old=$scratch/old/lib/x86_64-linux-gnu
loader=$old/ld-linux-x86-64.so.2
[ -e "$loader" ] || fail "$deb has no ld-linux-x86-64.so.2."

# Linked with the old libraries themselves, so that nothing newer can be asked for.
old_libraries=("$old/libc.so.6" "$old/libdl.so.2")
start=$(${CC:-cc} -print-file-name=Scrt1.o)
build() { # OUTPUT SOURCE FLAG...
	local output=$1 source=$2
	shift 2
	${CC:-cc} -D_GNU_SOURCE -U_FORTIFY_SOURCE -fno-stack-protector -O1 -fPIC -o "$output" \
		"$source" -nostdlib "$@" -Wl,--no-as-needed "${old_libraries[@]}"
}
echo 'int main(void) { return 0; }' >"$scratch/true.c"
if ! build "$scratch/true" "$scratch/true.c" -pie "$start" ||
	! build "$scratch/client" tests/abi/client.c -pie "$start" ||
	! build "$scratch/libcuda.so.1" tests/abi/driver.c -shared -Wl,-soname,libcuda.so.1; then
	fail "the small program cannot be linked with glibc 2.31."
fi

bare() { "$loader" --library-path "$old" "$@"; }
preloaded() { LD_PRELOAD=$library "$loader" --library-path "$old" "$@"; }

"$loader" --library-path "$old" "$old/libc.so.6" | head -n 1
bare "$scratch/true" || fail "nothing runs under this glibc 2.31."
preloaded "$scratch/true" || bad "a program that does nothing ends with $?"
# Its own /bin/true would be a program of the new C library, so that one is the control.
bare /bin/true 2>/dev/null && bad "this is no old C library: it runs this system's /bin/true"
judge
finish
