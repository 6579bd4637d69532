/*
 * plugin_hooker.c - a second preloaded library that replaces dlsym, in the way most of them
 * do: the next one is fetched by its version, and called.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#define VERSION "GLIBC_2.17"
#else
#define VERSION "GLIBC_2.2.5"
#endif

void *dlsym(void *restrict handle, const char *restrict name)
{
	static void *(*next)(void *, const char *);

	if (!next)
		*(void **)&next = dlvsym(RTLD_NEXT, "dlsym", VERSION);
	if (strcmp(name, "cuInit") == 0 && getenv("HOOKER_SAYS"))
		fprintf(stderr, "hooker: cuInit\n");
	return next(handle, name);
}
