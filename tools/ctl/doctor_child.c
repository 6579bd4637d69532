/*
 * doctor_child.c - a program that uses the driver, as gpushim-ctl doctor starts it: once as
 * the environment is, once under the library.
 *
 * It asks whose functions it gets, starts CUDA, and finds out to what it is held. Its answers
 * are lines "key<TAB>value" on standard output.
 */
#include "ctl/ctl.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpushim/reader.h"

/* The few declarations that are needed, as in the CUDA Driver API manual. */
enum { CUDA_SUCCESS = 0, DEVICES_MAX = 64 };

typedef int (*init_function)(unsigned flags);
typedef int (*version_function)(int *version);
typedef int (*count_function)(int *count);
typedef int (*device_function)(int *device, int ordinal);
typedef int (*memory_function)(size_t *bytes, int device);

static void say(const char *key, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const char *key, const char *format, ...)
{
	va_list args;

	printf("%s\t", key);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	/* What comes next may be the end of this process. */
	fflush(stdout);
}

static void say_whose(void *function)
{
	Dl_info info;

	if (function && dladdr(function, &info) && info.dli_fname)
		say("answered_by", "%s", info.dli_fname);
}

/* As programs do before they allocate: afterwards the ledger knows the devices. */
static void ask_devices(void *driver)
{
	count_function get_count = (count_function)(uintptr_t)dlsym(driver,
								    "cuDeviceGetCount");
	device_function get = (device_function)(uintptr_t)dlsym(driver, "cuDeviceGet");
	memory_function get_total = (memory_function)(uintptr_t)dlsym(
		driver, "cuDeviceTotalMem_v2");
	int count = 0, device;
	size_t bytes;

	if (!get_count || !get || !get_total || get_count(&count) != CUDA_SUCCESS)
		return;
	say("devices", "%d", count);
	for (int i = 0; i < count && i < DEVICES_MAX; i++)
		if (get(&device, i) == CUDA_SUCCESS &&
		    get_total(&bytes, device) == CUDA_SUCCESS)
			say("shown_total", "device %d: %s", i, ctl_bytes(bytes));
}

/* What this process is held to, by the ledger at path, if it is one. */
static bool say_limits(const char *path)
{
	struct gpushim_snapshot *snapshot = malloc(sizeof(*snapshot));
	struct gpushim_reader *reader = NULL;
	bool is_ledger = snapshot &&
			 gpushim_reader_open_files(&reader, path, NULL) == 0 &&
			 gpushim_reader_snapshot(reader, snapshot) == 0;

	if (is_ledger) {
		say("ledger", "%s", path);
		say("tenant", "%s", snapshot->tenant);
		for (uint32_t i = 0; i < snapshot->devices_count; i++)
			say("limit", "%s: %s, by %s", ctl_uuid(snapshot->devices[i].uuid),
			    ctl_bytes(snapshot->devices[i].limit_bytes),
			    gpushim_limit_source_name(snapshot->devices[i].limit_source));
	}
	gpushim_reader_close(reader);
	free(snapshot);
	return is_ledger;
}

/* The library keeps the ledger open: among this process' descriptors is the tenant's. */
static void find_ledger(void)
{
	DIR *descriptors = opendir("/proc/self/fd");
	const struct dirent *entry;
	char path[PATH_MAX];
	ssize_t count;

	while (descriptors && (entry = readdir(descriptors))) {
		count = readlinkat(dirfd(descriptors), entry->d_name, path,
				   sizeof(path) - 1);
		if (count <= 0 || path[0] != '/')
			continue;
		path[count] = '\0';
		if (say_limits(path))
			break;
	}
	if (descriptors)
		closedir(descriptors);
}

int ctl_doctor_child(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
	struct link_map *map = NULL;
	version_function get_version;
	init_function init;
	int version = 0, result;

	if (!driver) {
		say("no_driver", "%s", dlerror());
		return EXIT_OK;
	}
	if (dlinfo(driver, RTLD_DI_LINKMAP, &map) == 0 && map)
		say("driver", "%s", map->l_name);
	init = (init_function)(uintptr_t)dlsym(driver, "cuInit");
	say_whose((void *)(uintptr_t)init);
	if (!init)
		return EXIT_OK;
	result = init(0);
	say("init", "%d", result);
	get_version = (version_function)(uintptr_t)dlsym(driver, "cuDriverGetVersion");
	if (get_version && get_version(&version) == CUDA_SUCCESS)
		say("cuda", "%d.%d", version / 1000, version % 1000 / 10);
	if (result == CUDA_SUCCESS) {
		ask_devices(driver);
		find_ledger();
	}
	return EXIT_OK;
}
