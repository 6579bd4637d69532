#!/bin/bash
# NVIDIA's own runtime, static and shared, looks up the driver through the hooks.
#
# It refuses a driver that is not NVIDIA's (error 103 or the like), after it has looked up all
# it needs: 440 entry points. That all of these came from the hooked cuGetProcAddress shows
# where no policy can be had: cuInit then is refused by the shim, and the driver never hears
# of it.
# shellcheck source=tests/abi/lib.bash
. "$(dirname "$0")/lib.bash"

need "${CC:-cc}" gcc
case $BUILD in
*/asan | */tsan) skip "An instrumented driver cannot be loaded into a plain program." ;;
esac

shopt -s nullglob
static=(/usr/local/cuda*/lib*/libcudart_static.a /usr/lib/*/libcudart_static.a)
shared=(/usr/local/cuda*/lib*/libcudart.so.[0-9]* /usr/lib/*/libcudart.so.[0-9]*)
[ -z "${CUDA_HOME:-}" ] || static=("$CUDA_HOME"/lib*/libcudart_static.a "${static[@]}")
[ -z "${CUDA_HOME:-}" ] || shared=("$CUDA_HOME"/lib*/libcudart.so.[0-9]* "${shared[@]}")
[ ${#static[@]} -gt 0 ] || [ ${#shared[@]} -gt 0 ] ||
	skip "NVIDIA's runtime is not here: neither libcudart_static.a nor libcudart.so."

cat >"$scratch/client.c" <<'END'
#include <stdio.h>
int cudaGetDeviceCount(int *count);
int main(void)
{
	int count = -1;
	printf("%d\n", cudaGetDeviceCount(&count));
	return 0;
}
END

# calls SYMBOL: how often the driver heard of it.
calls() { grep -c "^simgpu: [0-9]* $1\$" "$scratch/log"; }

# try PROGRAM: what the runtime answered, into `answer`, and the driver's log.
try() { answer=$("$@" 2>"$scratch/log"); }

check_runtime() { # NAME PROGRAM
	local looked_up
	export SIMGPU_LOG=calls GPUSHIM_DIR=$scratch/dir
	# Any wish of its own apart, the runtime asks what it is known to ask.
	try "$2"
	looked_up=$(calls cuGetProcAddress_v2)
	local alone=$answer
	((looked_up >= 440)) || bad "$1 asks for $looked_up entry points"
	(($(calls cuInit) == 1)) || bad "$1 alone does not initialise the driver"

	try env LD_PRELOAD="$library" GPUSHIM_MEMORY=64MiB "$2"
	(($(calls cuGetProcAddress_v2) == looked_up)) ||
		bad "$1: the driver saw $(calls cuGetProcAddress_v2) look-ups, not $looked_up"
	[ "$answer" = "$alone" ] || bad "$1 answers $answer, and alone $alone"

	try env LD_PRELOAD="$library" GPUSHIM_MEMORY=nonsense "$2"
	(($(calls cuGetProcAddress_v2) == looked_up)) ||
		bad "$1: the driver saw $(calls cuGetProcAddress_v2) look-ups, not $looked_up"
	(($(calls cuInit) == 0)) || bad "$1 passes by the hook of cuInit"
	echo "$1: $looked_up look-ups, error $alone; refused with error $answer"
}

tried=0
if [ ${#static[@]} -gt 0 ]; then
	"${CC:-cc}" -o "$scratch/static" "$scratch/client.c" "${static[0]}" -ldl -lrt -lpthread -lm ||
		fail "${static[0]} cannot be linked."
	check_runtime "${static[0]}" "$scratch/static"
	tried=1
fi
if [ ${#shared[@]} -gt 0 ]; then
	"${CC:-cc}" -o "$scratch/shared" "$scratch/client.c" "${shared[0]}" \
		-Wl,-rpath,"$(dirname "${shared[0]}")" || fail "${shared[0]} cannot be linked."
	check_runtime "${shared[0]}" "$scratch/shared"
	tried=1
fi
((tried)) || skip "Nothing was tried."
finish
