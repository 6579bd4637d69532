/* plugin_runpath.c - opens by bare name a library that only its own RUNPATH leads to. */
#include <dlfcn.h>
#include <stdio.h>

int plugin_run(void);

int plugin_run(void)
{
	void *found = dlopen("libprivate.so", RTLD_NOW);

	printf("%s\n", found ? "found" : dlerror());
	return 0;
}
