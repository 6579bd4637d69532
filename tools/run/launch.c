/*
 * launch.c - what the program finds in its environment.
 *
 * Knows where the library and the simulated driver lie, seen from this tool: in a build
 * directory, and installed.
 */
#include "run/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The path of `file` in the first of two directories that has it; both begin beside the
 * directory of this tool. False: neither has. */
static bool find_beside(const char *file, const char *built, const char *installed,
			char path[PATH_MAX])
{
	char self[PATH_MAX], candidate[PATH_MAX + 128];
	const char *directories[] = { built, installed };
	ssize_t count = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (count <= 0)
		return false;
	self[count] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	for (int i = 0; i < 2; i++) {
		snprintf(candidate, sizeof(candidate), "%s/%s/%s", self, directories[i],
			 file);
		if (realpath(candidate, path))
			return true;
	}
	return false;
}

/* Whether a list with these separators has the entry already. */
static bool has_entry(const char *list, const char *separators, const char *entry)
{
	size_t bytes = strlen(entry);

	while (*list) {
		size_t next = strcspn(list, separators);

		if (next == bytes && strncmp(list, entry, bytes) == 0)
			return true;
		list += next;
		list += strspn(list, separators);
	}
	return false;
}

/* Puts the entry before what the variable has; what is in there already stays as it is. */
static int prepend(const char *variable, const char *separators, const char *entry)
{
	const char *old = getenv(variable);
	size_t bytes = strlen(entry) + (old ? strlen(old) : 0) + 2;
	char *list;
	int failed;

	if (old && has_entry(old, separators, entry))
		return 0;
	list = malloc(bytes);
	if (!list)
		return run_fail("There is no memory for %s.", variable);
	snprintf(list, bytes, "%s%s%s", entry, old && *old ? ":" : "", old ? old : "");
	failed = setenv(variable, list, 1);
	free(list);
	return failed ? run_fail("%s cannot be set: %s.", variable, strerror(errno)) : 0;
}

static int set(const char *variable, const char *value)
{
	return setenv(variable, value, 1)
		       ? run_fail("%s cannot be set: %s.", variable, strerror(errno))
		       : 0;
}

static int preload(void)
{
	char library[PATH_MAX];

	if (!find_beside("libgpushim.so", "../lib", "../lib/gpushim", library))
		return run_fail(
			"libgpushim.so is not where this tool belongs to: neither in "
			"../lib nor in ../lib/gpushim beside its directory.");
	if (strpbrk(library, " :"))
		return run_fail("%s cannot be preloaded: the list of preloaded libraries "
				"takes no path with a space or a colon.",
				library);
	return prepend("LD_PRELOAD", " :", library);
}

static int simulate(void)
{
	char driver[PATH_MAX];

	if (!find_beside("libcuda.so.1", "../sim", "../lib/gpushim/sim", driver))
		return run_fail(
			"There is no simulated driver beside this tool: neither in "
			"../sim nor in ../lib/gpushim/sim.");
	*strrchr(driver, '/') = '\0';
	if (strpbrk(driver, ":;"))
		return run_fail(
			"%s cannot be searched for libraries: its path has a colon "
			"or a semicolon.",
			driver);
	return prepend("LD_LIBRARY_PATH", ":;", driver);
}

int run_set_libraries(bool sim)
{
	int result = preload();

	return result || !sim ? result : simulate();
}

int run_set_tenant(const struct run_tenant *tenant)
{
	int result = set("GPUSHIM_DIR", tenant->dir);

	return result ? result : set("GPUSHIM_TENANT", tenant->name);
}
