/* plugin_dlsym.c - a plug-in that opens the driver itself. */
#include <dlfcn.h>

#include "work.h"

int plugin_run(void);

static void *library;

static void *find(const char *symbol, const char *base, int version)
{
	(void)base;
	(void)version;
	return dlsym(library, symbol);
}

int plugin_run(void)
{
	struct work work;

	library = dlopen("libcuda.so.1", RTLD_NOW);
	if (!library) {
		printf("%s\n", dlerror());
		return 1;
	}
	return work_fill(&work, find) || work_run(&work);
}
