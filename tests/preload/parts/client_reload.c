/*
 * client_reload.c - opens a driver, closes it, and opens it again where it comes to lie
 * elsewhere: client_reload PATH. Says whether both times the same function was handed out,
 * and works with the second driver.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>

#include "work.h"

static void *driver;

static void *find(const char *symbol, const char *base, int version)
{
	(void)base;
	(void)version;
	return dlsym(driver, symbol);
}

int main(int argc, char **argv)
{
	void *first, *version;
	struct link_map *map;
	uintptr_t was;
	struct work work;

	driver = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (!driver || dlinfo(driver, RTLD_DI_LINKMAP, &map) < 0)
		return 2;
	was = map->l_addr;
	first = dlsym(driver, "cuMemAlloc_v2");
	version = dlsym(driver, "cuDriverGetVersion");
	dlclose(driver);
	/* So that it cannot come back to the same place. */
	if (mmap((void *)was, 1, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == MAP_FAILED) {
		printf("it is still there\n");
		return 1;
	}
	driver = dlopen(argv[1], RTLD_NOW);
	if (!driver || dlinfo(driver, RTLD_DI_LINKMAP, &map) < 0 || map->l_addr == was)
		return 2;
	printf("hook %s, driver's own %s\n",
	       dlsym(driver, "cuMemAlloc_v2") == first ? "same" : "other",
	       dlsym(driver, "cuDriverGetVersion") == version ? "same" : "other");
	return work_fill(&work, find) || work_run(&work);
}
