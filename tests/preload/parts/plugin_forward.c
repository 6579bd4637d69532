/*
 * plugin_forward.c - a function that looks up its next namesake and calls it, as OpenMP's
 * tool interface does. Answered with itself it would never end.
 */
#include <dlfcn.h>

int cuForwarded(int depth);

int cuForwarded(int depth)
{
	int (*next)(int);

	if (depth > 100)
		return -1;
	*(void **)&next = dlsym(RTLD_NEXT, "cuForwarded");
	return next ? next(depth + 1) : depth;
}
