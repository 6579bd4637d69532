/*
 * What the shim misses where it is linked into a test: the entries of dlsym, dlvsym and
 * dlopen, which are assembler and would take those names from the sanitizer. Never called.
 */
#include "loader_entry.h"

void *gsh_entry_dlsym(void *handle, const char *name)
{
	(void)handle;
	(void)name;
	return 0;
}

void *gsh_entry_dlvsym(void *handle, const char *name, const char *version)
{
	(void)handle;
	(void)name;
	(void)version;
	return 0;
}

void *gsh_entry_dlopen(const char *path, int flags)
{
	(void)path;
	(void)flags;
	return 0;
}
