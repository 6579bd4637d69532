/* limits.json by way of libgpushim-limits.so; see limits_file.h. */
#include "limits_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "loader.h"

/* gpushim_limits_load() in tools/common/limits.h, whose ABI is kept. */
typedef int (*load_function)(const char *path, const char *tenant,
			     struct gpushim_policy_limits *limits, char *reason,
			     size_t reason_bytes);

struct own {
	char path[512]; /* "": not found, or too long */
};

static bool contains(const struct dl_phdr_info *object, uintptr_t address)
{
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD &&
		    address - object->dlpi_addr - segment->p_vaddr < segment->p_memsz)
			return true;
	}
	return false;
}

static int find_own(struct dl_phdr_info *object, size_t bytes, void *data)
{
	struct own *own = data;

	(void)bytes;
	if (!contains(object, (uintptr_t)find_own))
		return 0;
	if (strlen(object->dlpi_name) < sizeof(own->path))
		memcpy(own->path, object->dlpi_name, strlen(object->dlpi_name) + 1);
	return 1;
}

/* The parser beside this library, by the name under which the latter was loaded. */
static bool parser_path(char *path, size_t bytes)
{
	static const char name[] = "libgpushim-limits.so";
	struct own own = { "" };
	char *slash;

	dl_iterate_phdr(find_own, &own);
	slash = strrchr(own.path, '/');
	if (!slash || (size_t)(slash + 1 - own.path) + sizeof(name) > bytes)
		return false;
	memcpy(path, own.path, (size_t)(slash + 1 - own.path));
	memcpy(path + (slash + 1 - own.path), name, sizeof(name));
	return true;
}

int gsh_limits_file_load(const char *path, const char *tenant,
			 struct gpushim_policy_limits *limits, struct gsh_reason *why)
{
	char parser[512] = "libgpushim-limits.so";
	load_function load = NULL;
	void *library = NULL;

	/* Without DEEPBIND a JSON library of the program's own would be called. */
	if (parser_path(parser, sizeof(parser)))
		library = gsh_dlopen(parser, RTLD_NOW | RTLD_DEEPBIND);
	if (library)
		load = (load_function)(uintptr_t)gsh_dlsym(library,
							   "gpushim_limits_load");
	if (!load) {
		gsh_reason_set(
			why, path, " cannot be read: ", parser,
			" cannot be loaded; it belongs beside libgpushim.so, which is "
			"to be preloaded by its full path",
			NULL);
		return -ENOENT;
	}
	return load(path, tenant, limits, why->text, sizeof(why->text));
}
