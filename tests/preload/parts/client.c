/*
 * client.c - a program that is not linked to the driver and finds it in one of the ways that
 * programs have: client WAY [ARGUMENT...]. See the table at the end.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#include "work.h"

typedef void *(*dlsym_function)(void *handle, const char *name);

static void *library;
static dlsym_function look_up;

static void *open_or_exit(const char *path, int flags)
{
	void *handle = dlopen(path, flags);

	if (!handle) {
		printf("%s\n", dlerror());
		exit(1);
	}
	return handle;
}

static void *by_dlsym(const char *symbol, const char *base, int version)
{
	(void)base;
	(void)version;
	return look_up(library, symbol);
}

static int work_by(work_find find)
{
	struct work work;

	return work_fill(&work, find) || work_run(&work);
}

/* dlopen NAME [global|deepbind]: an ordinary handle. */
static int way_dlopen(char **arguments)
{
	const char *how = arguments[1] ? arguments[1] : "";
	int flags = strcmp(how, "global") == 0	   ? RTLD_NOW | RTLD_GLOBAL
		    : strcmp(how, "deepbind") == 0 ? RTLD_LAZY | RTLD_DEEPBIND
						   : RTLD_NOW;

	library = open_or_exit(arguments[0], flags);
	look_up = dlsym;
	return work_by(by_dlsym);
}

/* resolver NAME: everything from cuGetProcAddress_v2, as runtimes do. */
static int (*resolve)(const char *, void **, int, unsigned long long, int *);

static void *by_resolver(const char *symbol, const char *base, int version)
{
	void *found = NULL;
	int status = -1, result = resolve(base, &found, version, 0, &status);

	if (result != 0 || status != 0)
		printf("%s: result %d, status %d\n", symbol, result, status);
	return found;
}

static int way_resolver(char **arguments)
{
	library = open_or_exit(arguments[0], RTLD_NOW);
	*(void **)&resolve = dlsym(library, "cuGetProcAddress_v2");
	return work_by(by_resolver);
}

/* plugin PATH [deepbind]: the plug-in does the work. */
static int way_plugin(char **arguments)
{
	int deep = arguments[1] && strcmp(arguments[1], "deepbind") == 0;
	void *plugin = open_or_exit(arguments[0],
				    RTLD_LAZY | RTLD_LOCAL | (deep ? RTLD_DEEPBIND : 0));
	int (*run)(void);

	*(void **)&run = dlsym(plugin, "plugin_run");
	return run();
}

/* dlvsym NAME VERSION: with a dlsym that was fetched by its version. */
static int way_dlvsym(char **arguments)
{
	library = open_or_exit(arguments[0], RTLD_NOW);
	*(void **)&look_up = dlvsym(RTLD_NEXT, "dlsym", arguments[1]);
	return work_by(by_dlsym);
}

/* libc NAME LIBC: with a dlsym that was fetched from the C library by handle. */
static int way_libc(char **arguments)
{
	library = open_or_exit(arguments[0], RTLD_NOW);
	*(void **)&look_up = dlsym(open_or_exit(arguments[1], RTLD_NOW), "dlsym");
	return work_by(by_dlsym);
}

/* default|next NAME: from the global scope. */
static int way_default(char **arguments)
{
	open_or_exit(arguments[0], RTLD_NOW | RTLD_GLOBAL);
	library = RTLD_DEFAULT;
	look_up = dlsym;
	return work_by(by_dlsym);
}

static int way_next(char **arguments)
{
	open_or_exit(arguments[0], RTLD_NOW | RTLD_GLOBAL);
	library = RTLD_NEXT;
	look_up = dlsym;
	return work_by(by_dlsym);
}

/* dlmopen NAME: a driver in a name space of its own. */
static int way_dlmopen(char **arguments)
{
	library = dlmopen(LM_ID_NEWLM, arguments[0], RTLD_NOW);
	if (!library) {
		printf("%s\n", dlerror());
		return 1;
	}
	look_up = dlsym;
	return work_by(by_dlsym);
}

/* dlmopen-plugin PATH: a plug-in, and with it a driver, in a name space of its own. */
static int way_dlmopen_plugin(char **arguments)
{
	void *plugin = dlmopen(LM_ID_NEWLM, arguments[0], RTLD_NOW);
	int (*run)(void);

	if (!plugin) {
		printf("%s\n", dlerror());
		return 1;
	}
	*(void **)&run = dlsym(plugin, "plugin_run");
	return run();
}

static const struct {
	const char *name;
	int (*run)(char **arguments);
} ways[] = {
	{ "dlopen", way_dlopen },
	{ "resolver", way_resolver },
	{ "plugin", way_plugin },
	{ "dlvsym", way_dlvsym },
	{ "libc", way_libc },
	{ "default", way_default },
	{ "next", way_next },
	{ "dlmopen", way_dlmopen },
	{ "dlmopen-plugin", way_dlmopen_plugin },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			return ways[i].run(argv + 2);
	fprintf(stderr, "usage: client WAY NAME [ARGUMENT]\n");
	return 2;
}
