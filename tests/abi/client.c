/* client.c - a program for any C library that finds a driver: client PATH dlsym|resolver. */
#include <dlfcn.h>

#include "../preload/parts/work.h"

static void *driver;
static int (*resolve)(const char *, void **, int, unsigned long long, int *);

static void *by_dlsym(const char *symbol, const char *base, int version)
{
	(void)base;
	(void)version;
	return dlsym(driver, symbol);
}

static void *by_resolver(const char *symbol, const char *base, int version)
{
	void *found = NULL;

	(void)symbol;
	return resolve(base, &found, version, 0, NULL) == 0 ? found : NULL;
}

int main(int argc, char **argv)
{
	struct work work;
	void *found;

	driver = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!driver) {
		printf("no driver: %s\n", dlerror());
		return 2;
	}
	found = dlsym(driver, "cuGetProcAddress_v2");
	memcpy(&resolve, &found, sizeof(found));
	return work_fill(&work, strcmp(argv[2], "dlsym") == 0 ? by_dlsym : by_resolver) ||
	       work_run(&work);
}
