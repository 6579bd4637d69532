/*
 * loader.c - which look-ups of the program are answered with a hook.
 *
 * The C library is asked first. Only if its answer is the very entry point of the driver
 * that a hook stands for is the hook handed out; libraries with names like the driver's,
 * and a driver inside the driver, are left alone, and what does not exist stays so.
 */
#include "loader.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/elf.h"
#include "cuda/driver.h"
#include "cuda/nvml.h"
#include "cuda/resolve.h"
#include "cuda/table.h"
#include "loader_entry.h"

uintptr_t gsh_real_dlsym, gsh_real_dlvsym, gsh_real_dlopen; /* atomic */

/* ---- the C library's own ---- */

/* glibc since 2.34, glibc before it, and whoever starts programs: musl has no such soname. */
static int is_home_of_dlsym(const struct gsh_elf *object, int rank)
{
	switch (rank) {
	case 0:
		return gsh_elf_is(object, "libc.so.6");
	case 1:
		return gsh_elf_is(object, "libdl.so.2");
	default:
		return gsh_elf_symbol(object, "__libc_start_main") != 0;
	}
}

static int read_real(const struct gsh_elf *object, void *data)
{
	const int *rank = data;
	uintptr_t found;

	if (!is_home_of_dlsym(object, *rank) || gsh_elf_contains(object, &gsh_real_dlsym))
		return 0;
	found = gsh_elf_symbol(object, "dlsym");
	if (!found)
		return 0;
	gsh_store_relaxed(&gsh_real_dlvsym, gsh_elf_symbol(object, "dlvsym"));
	gsh_store_relaxed(&gsh_real_dlopen, gsh_elf_symbol(object, "dlopen"));
	/* Last; pairs with the acquire in find_real(). */
	gsh_store_release(&gsh_real_dlsym, found);
	return 1;
}

static void find_real(void)
{
	/* Pairs with the release in read_real(). */
	if (gsh_likely(gsh_load_acquire(&gsh_real_dlsym)))
		return;
	for (int rank = 0; rank <= 2; rank++)
		if (gsh_elf_each(read_real, &rank))
			return;
}

void *gsh_dlopen(const char *path, int flags)
{
	find_real();
	return gsh_real_dlopen
		       ? ((void *(*)(const char *, int))gsh_real_dlopen)(path, flags)
		       : NULL;
}

void *gsh_dlsym(void *handle, const char *name)
{
	find_real();
	return gsh_real_dlsym
		       ? ((void *(*)(void *, const char *))gsh_real_dlsym)(handle, name)
		       : NULL;
}

/* NULL also where it fails, and on a C library without it. */
static void *dlvsym_real(void *handle, const char *name, const char *version)
{
	find_real();
	return gsh_real_dlvsym
		       ? ((void *(*)(void *, const char *, const char *))gsh_real_dlvsym)(
				 handle, name, version)
		       : NULL;
}

/* ---- what to answer ---- */

/*
 * RTLD_NEXT depends on the caller, so that only a jump can ask the question; but if there
 * is such an entry point at all, the answer is the hook. A success clears the error that
 * the program has not read yet; so does finding our own export.
 */
static void *answer_next(void *hook, const char *name)
{
	if (hook)
		gsh_dlsym(RTLD_DEFAULT, name);
	return hook;
}

static void *pick_driver(void *handle, const char *name)
{
	int row = gsh_table_find(name);
	void *answer;

	if (row >= 0 && !gsh_table_is_hooked(row))
		return NULL;
	if (handle == RTLD_NEXT)
		return row < 0 ? NULL : answer_next(gsh_driver_hook_of(row), name);
	answer = gsh_dlsym(handle, name);
	if (!answer)
		return NULL;
	if (row >= 0)
		return gsh_driver_hook(row, answer);
	if (gsh_driver_contains(answer))
		gsh_resolve_unknown();
	return NULL;
}

static void *pick_nvml(void *handle, const char *name)
{
	void *answer;

	if (handle == RTLD_NEXT) {
		answer = (void *)gsh_elf_find("libnvidia-ml.so.1", name);
		return answer ? answer_next(gsh_nvml_substitute(name, answer), name)
			      : NULL;
	}
	answer = gsh_dlsym(handle, name);
	return answer ? gsh_nvml_substitute(name, answer) : NULL;
}

/* Our entry for one of the C library's three; NULL: the name is not one of them. */
static void *own_entry(const char *name, uintptr_t *real)
{
	if (strcmp(name, "dlsym") == 0) {
		*real = gsh_real_dlsym;
		return (void *)(uintptr_t)gsh_entry_dlsym;
	}
	if (strcmp(name, "dlvsym") == 0) {
		*real = gsh_real_dlvsym;
		return (void *)(uintptr_t)gsh_entry_dlvsym;
	}
	if (strcmp(name, "dlopen") == 0) {
		*real = gsh_real_dlopen;
		return (void *)(uintptr_t)gsh_entry_dlopen;
	}
	return NULL;
}

void *gsh_dlsym_pick(void *handle, const char *name)
{
	uintptr_t real;
	void *own;

	find_real();
	/* What anybody can find includes our exports: the C library answers with those. */
	if (!name || handle == RTLD_DEFAULT)
		return NULL;
	if (gsh_table_is_name(name))
		return pick_driver(handle, name);
	if (strncmp(name, "nvml", 4) == 0)
		return pick_nvml(handle, name);
	if (name[0] != 'd' || name[1] != 'l')
		return NULL;
	/* Others that replace dlsym ask for the next one: they shall find us, not pass us. */
	own = own_entry(name, &real);
	return own && (uintptr_t)gsh_dlsym(handle, name) == real ? own : NULL;
}

void *gsh_dlvsym_pick(void *handle, const char *name, const char *version)
{
	uintptr_t real;
	void *own;

	find_real();
	if (!name || !version || handle == RTLD_DEFAULT)
		return NULL;
	own = own_entry(name, &real);
	return own && (uintptr_t)dlvsym_real(handle, name, version) == real ? own : NULL;
}

int gsh_dlopen_flags(const char *path, int flags)
{
	const char *keep;

	(void)path;
	find_real();
	if (gsh_likely(!(flags & RTLD_DEEPBIND)))
		return flags;
	/* A library that binds to itself first would find the driver before the hooks. */
	keep = getenv("GPUSHIM_DEEPBIND");
	return keep && strcmp(keep, "keep") == 0 ? flags : flags & ~RTLD_DEEPBIND;
}
