/* Whose policies and ledgers lie under a directory; see tenants.h. */
#include "common/tenants.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"

static void add(struct gsh_tenants *tenants, const char *name)
{
	void *grown;

	for (size_t i = 0; i < tenants->count; i++)
		if (strcmp(tenants->names[i], name) == 0)
			return;
	grown = realloc(tenants->names, (tenants->count + 1) * sizeof(*tenants->names));
	if (!grown)
		return;
	tenants->names = grown;
	snprintf(tenants->names[tenants->count++], sizeof(*tenants->names), "%.63s",
		 name);
}

/* dir/KIND/NAME/KIND: those that are files. */
static void add_all(struct gsh_tenants *tenants, const char *dir, const char *kind)
{
	char path[PATH_MAX], file[GPUSHIM_NAME_BYTES + 16];
	const struct dirent *entry;
	struct stat status;
	DIR *listing;

	snprintf(path, sizeof(path), "%s/%s", dir, kind);
	listing = opendir(path);
	if (!listing)
		return;
	while ((entry = readdir(listing))) {
		if (!gsh_parse_is_tenant(entry->d_name))
			continue;
		snprintf(file, sizeof(file), "%.63s/%s", entry->d_name, kind);
		if (fstatat(dirfd(listing), file, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(status.st_mode))
			add(tenants, entry->d_name);
	}
	closedir(listing);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

void gsh_tenants_list(const char *dir, struct gsh_tenants *tenants)
{
	memset(tenants, 0, sizeof(*tenants));
	add_all(tenants, dir, "policy");
	add_all(tenants, dir, "ledger");
	if (tenants->count > 0)
		qsort(tenants->names, tenants->count, sizeof(*tenants->names), by_name);
}

void gsh_tenants_free(struct gsh_tenants *tenants)
{
	free(tenants->names);
	memset(tenants, 0, sizeof(*tenants));
}
