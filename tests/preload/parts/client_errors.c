/*
 * client_errors.c - what the C library's loader says to a program: client_errors WAY [PATH].
 * Prints it, so that the output with and without a preloaded library can be compared.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *error(void)
{
	const char *text = dlerror();

	return text ? text : "no error";
}

static void say(const char *what, const void *found)
{
	printf("%s: %s: %s\n", what, found ? "found" : "nothing", error());
}

/* texts NAME: of look-ups that fail, and after some that do not. */
static int way_texts(const char *name)
{
	void *driver = dlopen(name, RTLD_NOW);

	if (!driver) {
		printf("%s\n", error());
		return 1;
	}
	say("unknown name", dlsym(driver, "cuNoSuchFunction"));
	say("unknown version of a name", dlsym(driver, "cuMemAlloc_v9"));
	say("a name that is no function of the driver's", dlsym(driver, "custom"));
	say("NVML's name", dlsym(driver, "nvmlDeviceGetMemoryInfo"));
	say("next", dlsym(RTLD_NEXT, "cuNoSuchFunction"));
	say("next, an entry point nobody limits",
	    dlsym(RTLD_NEXT, "cuNoSuchFunction_v2"));
	say("default", dlsym(RTLD_DEFAULT, "cuNoSuchFunction"));
	say("version", dlvsym(driver, "cuInit", "CUDA_1"));
	say("version of dlsym", dlvsym(RTLD_NEXT, "dlsym", "GLIBC_9.9"));
	say("version of dlopen", dlvsym(RTLD_DEFAULT, "dlopen", "GLIBC_9.9"));
	say("library", dlopen("libno-such-library.so", RTLD_NOW));
	say("library, deep", dlopen("libno-such-library.so", RTLD_NOW | RTLD_DEEPBIND));

	/* A success clears what was not read. */
	dlopen("libno-such-library.so", RTLD_NOW);
	say("hooked", dlsym(driver, "cuMemAlloc_v2"));
	(void)dlsym(driver, "cuNoSuchFunction");
	say("not hooked", dlsym(driver, "cuDriverGetVersion"));
	return 0;
}

/* pending NAME: the same for a look-up that only a program of its own scope could answer. */
static int way_pending(const char *name)
{
	void *found;

	if (!dlopen(name, RTLD_NOW | RTLD_GLOBAL))
		return 1;
	dlopen("libno-such-library.so", RTLD_NOW);
	found = dlsym(RTLD_NEXT, "cuMemAlloc_v2");
	say("next, after an error nobody read", found);
	return 0;
}

/* noload NAME: whether a driver is there already. */
static int way_noload(const char *name)
{
	say("before", dlopen(name, RTLD_NOW | RTLD_NOLOAD));
	say("open", dlopen(name, RTLD_NOW));
	say("after", dlopen(name, RTLD_NOW | RTLD_NOLOAD));
	return 0;
}

/* names PATH: a library with the driver's names, while no driver is loaded, and then one. */
static int way_names(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	int (*init)(unsigned), (*alloc)(unsigned long long *, size_t);
	int (*info)(void *, void *);
	unsigned long long address;

	if (!library) {
		printf("%s\n", error());
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		*(void **)&init = dlsym(library, "cuInit");
		*(void **)&alloc = dlsym(library, "cuMemAlloc_v2");
		*(void **)&info = dlsym(library, "nvmlDeviceGetMemoryInfo");
		printf("%d %d %d\n", init(7), alloc(&address, 99), info(NULL, NULL));
		say("a driver", dlopen("libcuda.so.1", RTLD_NOW));
	}
	return 0;
}

/* forward -: through a function that looks for its next namesake. */
static int way_forward(const char *unused)
{
	int (*forwarded)(int);

	(void)unused;
	*(void **)&forwarded = dlsym(RTLD_DEFAULT, "cuForwarded");
	printf("%d\n", forwarded ? forwarded(0) : -2);
	return 0;
}

/* runpath PATH: of a library with a RUNPATH of its own. */
static int way_runpath(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	int (*run)(void);

	if (!library) {
		printf("%s\n", error());
		return 1;
	}
	*(void **)&run = dlsym(library, "plugin_run");
	return run();
}

/* errno -: which look-ups leave alone. */
static int way_errno(const char *name)
{
	void *driver = dlopen(name, RTLD_NOW);

	errno = 4711;
	(void)dlsym(driver, "cuMemAlloc_v2");
	printf("%d\n", errno);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const char *argument);
} ways[] = {
	{ "texts", way_texts }, { "pending", way_pending }, { "noload", way_noload },
	{ "names", way_names }, { "forward", way_forward }, { "runpath", way_runpath },
	{ "errno", way_errno },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			return ways[i].run(argv[2]);
	fprintf(stderr, "usage: client_errors WAY PATH\n");
	return 2;
}
