/*
 * client_newer.c - asks a driver's cuGetProcAddress for versions older, as old and newer than
 * anybody's headers: client_newer PATH. Says whose each answer is.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *whose(const void *address)
{
	Dl_info info;

	if (!dladdr(address, &info))
		return "nobody's";
	return strstr(info.dli_fname, "libgpushim.so") ? "gpushim's" : "the driver's";
}

int main(int argc, char **argv)
{
	static const struct {
		const char *base;
		int version;
	} asked[] = {
		{ "cuMemAlloc", 3020 },	 { "cuMemAlloc", 13000 },
		{ "cuMemAlloc", 13010 }, { "cuMemAlloc", 99000 },
		{ "cuDeviceGet", 2000 }, { "cuDeviceGet", 13010 },
	};
	int (*resolve)(const char *, void **, int, unsigned long long, int *);
	void *driver = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL, *found;

	if (!driver)
		return 2;
	*(void **)&resolve = dlsym(driver, "cuGetProcAddress_v2");
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		found = NULL;
		if (resolve(asked[i].base, &found, asked[i].version, 0, NULL) != 0)
			found = NULL;
		printf("%s %d %s\n", asked[i].base, asked[i].version, whose(found));
	}
	return 0;
}
