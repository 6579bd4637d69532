/*
 * test_resolve.c - what cuGetProcAddress and dlsym hand out under the shim: the hook of the
 * very function that the driver would have answered with, and everything else untouched.
 *
 * The rule of names, versions and stream flags is worked out here a second time, from the
 * simulated driver's list; addresses are read from the ELF tables, behind everybody's back.
 */
#include "cunit_main.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/elf.h"
#include "common_tenant.h"
#include "gpushim/reader.h"

static const struct row {
	const char *symbol, *base;
	int version, twin;
} rows[] = {
#define SYM(symbol, base, version, variant) \
	{ #symbol, #base, version, sizeof(#variant) == sizeof("ptsz") },
#include "symbols.def"
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

_Static_assert(sizeof("plain") != sizeof("ptsz") && sizeof("ptds") == sizeof("ptsz"),
	       "twins are told by the length of the word");

static const char *const hooked[] = {
#define HOOK(symbol, base, since, flavour, family) #symbol,
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"
};
enum { HOOKED = sizeof(hooked) / sizeof(hooked[0]) };

static const struct lookup {
	const char *base;
	int version;
	unsigned flags;
} cudart_lookups[] = {
#define LOOKUP(base, version, flags) { base, version, flags },
#include "tests/cudart_lookups.def"
};
enum { LOOKUPS = sizeof(cudart_lookups) / sizeof(cudart_lookups[0]) };

enum { FOUND = 0, NO_SYMBOL = 1, VERSION_TOO_LOW = 2 };

typedef int (*resolve_v1)(const char *, void **, int, unsigned long long);
typedef int (*resolve_v2)(const char *, void **, int, unsigned long long, int *);

static void *driver;
static resolve_v1 get_v1;
static resolve_v2 get;
/* By row: what has to be handed out, and whether that is a hook. */
static uintptr_t wanted[ROWS];
static bool is_hook[ROWS];

static void open_driver(void)
{
	driver = dlopen("libcuda.so.1", RTLD_NOW);
	*(void **)&get_v1 = dlsym(driver, "cuGetProcAddress");
	*(void **)&get = dlsym(driver, "cuGetProcAddress_v2");
	for (int i = 0; i < ROWS; i++) {
		for (int j = 0; j < HOOKED; j++)
			is_hook[i] |= strcmp(rows[i].symbol, hooked[j]) == 0;
		wanted[i] = gsh_elf_find(is_hook[i] ? "libgpushim.so" : "libcuda.so.1",
					 rows[i].symbol);
		check(wanted[i] != 0);
	}
	check((uintptr_t)get == gsh_elf_find("libgpushim.so", "cuGetProcAddress_v2"));
}

/* The k-th version of a base has the k-th shortest name; see tests/simgpu/tests. */
static int expected(const char *base, int version, unsigned flags, int *status)
{
	int best = -1, known = 0, twins = 0;

	for (int i = 0; i < ROWS; i++)
		if (strcmp(rows[i].base, base) == 0) {
			known = 1;
			twins |= rows[i].twin;
		}
	for (int i = 0; i < ROWS; i++) {
		const char *symbol = rows[i].symbol;

		if (strcmp(rows[i].base, base) != 0 || rows[i].version > version ||
		    rows[i].twin != (flags == 2 && twins))
			continue;
		if (best < 0 || strlen(symbol) > strlen(rows[best].symbol) ||
		    (strlen(symbol) == strlen(rows[best].symbol) &&
		     strcmp(symbol, rows[best].symbol) > 0))
			best = i;
	}
	*status = best >= 0 ? FOUND : known ? VERSION_TOO_LOW : NO_SYMBOL;
	return best;
}

/* One look-up through both forms. Returns the row handed out, -1: none. */
static int follows_the_rule(const char *base, int version, unsigned flags)
{
	int status = -1, wanted_status, result, result_v1;
	int row = expected(base, version, flags, &wanted_status);
	void *address = &status, *address_v1 = &status;
	uintptr_t right = row < 0 ? 0 : wanted[row];

	result = get(base, &address, version, flags, &status);
	result_v1 = get_v1(base, &address_v1, version, flags);
	if (result != (row < 0 ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS) ||
	    result_v1 != result || (uintptr_t)address != right || address_v1 != address ||
	    status != wanted_status) {
		fprintf(stderr, "%s@%d/%u: result %d, status %d, not %s\n", base, version,
			flags, result, status, row < 0 ? "nothing" : rows[row].symbol);
		check(!"a look-up follows the rule");
	}
	return row;
}

TENANT_BODY(all_names)
{
	open_driver();
	check(ROWS == 673);
	for (int i = 0; i < ROWS; i++)
		if ((uintptr_t)dlsym(driver, rows[i].symbol) != wanted[i]) {
			fprintf(stderr, "dlsym finds another %s\n", rows[i].symbol);
			check(!"dlsym hands out what it should");
		}
}

TENANT_BODY(all_lookups)
{
	int versions[ROWS], count = 0, lookups = 0, hooks = 0;

	open_driver();
	for (int i = 0; i < ROWS; i++) {
		int j = 0;

		while (j < count && versions[j] != rows[i].version)
			j++;
		if (j == count)
			versions[count++] = rows[i].version;
	}
	for (int i = 0; i < ROWS; i++) {
		if (i > 0 && strcmp(rows[i].base, rows[i - 1].base) == 0)
			continue;
		for (int v = 0; v < count; v++)
			for (unsigned flags = 0; flags <= 2; flags++, lookups++) {
				int row = follows_the_rule(rows[i].base, versions[v],
							   flags);

				hooks += row >= 0 && is_hook[row];
			}
		follows_the_rule(rows[i].base, rows[i].version - 10, 0);
		follows_the_rule(rows[i].base, rows[i].version - 10, 2);
	}
	fprintf(stderr, "%d lookups, %d hooks\n", lookups, hooks);
	check(lookups > 20000 && hooks > 2000);
}

TENANT_BODY(runtime_lookups)
{
	int hooks = 0;

	open_driver();
	check(LOOKUPS == 440);
	for (int i = 0; i < LOOKUPS; i++) {
		const struct lookup *l = &cudart_lookups[i];
		int row = follows_the_rule(l->base, l->version, l->flags);

		check((row < 0) == (i == 0));
		hooks += row >= 0 && is_hook[row];
	}
	fprintf(stderr, "%d hooks\n", hooks);
	check(hooks > 40);
}

TENANT_BODY(odd_arguments)
{
	void *address = &address;
	int status = -1;

	open_driver();
	check_result(get("cuMemAlloc", NULL, 3020, 0, NULL), CUDA_SUCCESS);
	check_result(get("cuMemAlloc", NULL, 3020, 0, &status), CUDA_SUCCESS);
	check(status == FOUND);
	check_result(get("cuMemAlloc", &address, 3020, 0, NULL), CUDA_SUCCESS);
	check((uintptr_t)address == gsh_elf_find("libgpushim.so", "cuMemAlloc_v2"));
	check_result(get_v1("cuMemAlloc", NULL, 3020, 0), CUDA_SUCCESS);
	check_result(get(NULL, &address, 3020, 0, &status), CUDA_ERROR_INVALID_VALUE);
	check_result(get("cuMemAlloc", &address, 3020, 77, &status),
		     CUDA_ERROR_INVALID_VALUE);
	address = &address;
	check_result(get("", &address, 0, 0, NULL), CUDA_ERROR_NOT_FOUND);
	check(!address);
	/* An exported name is no base. */
	check_result(get("cuMemAlloc_v2", &address, 13000, 0, &status),
		     CUDA_ERROR_NOT_FOUND);
	check(!address && status == NO_SYMBOL);
}

TENANT_BODY(hidden_entry_point)
{
	void *address = &address;
	int status = -1;

	open_driver();
	check_result(get("cuMemAllocAsync", &address, 11020, 0, &status),
		     CUDA_ERROR_NOT_FOUND);
	check(!address && status == NO_SYMBOL);
}

TENANT_BODY(resolver_that_fails)
{
	void *address = &address;
	int status = 77;

	open_driver();
	check_result(get("cuMemAlloc", &address, 3020, 0, &status), CUDA_ERROR_UNKNOWN);
	check(address == (void *)&address && status == 77);
}

static void every_exported_name_is_the_hook_or_the_drivers_own_by_dlsym(void)
{
	CU_ASSERT(tenant_passes("all_names", NULL));
}

static void all_names_versions_and_flags_follow_the_rule(void)
{
	CU_ASSERT(tenant_passes("all_lookups", NULL));
	printf("      %s", tenant_stderr());
}

static void the_runtimes_440_lookups_get_the_right_hooks(void)
{
	CU_ASSERT(tenant_passes("runtime_lookups", NULL));
	printf("      %s", tenant_stderr());
}

static void pointers_that_are_null_are_allowed_and_answers_stay_the_drivers(void)
{
	CU_ASSERT(tenant_passes("odd_arguments", NULL));
}

static void what_the_driver_does_not_find_is_not_found(void)
{
	CU_ASSERT(tenant_passes("hidden_entry_point",
				"SIMGPU_FAULTS=hide:cuMemAllocAsync", NULL));
	CU_ASSERT(tenant_passes("resolver_that_fails",
				"SIMGPU_FAULTS=cuGetProcAddress_v2@*=999", NULL));
}

/* ---- functions that nobody knows ---- */

TENANT_BODY(future)
{
	void *address = NULL, *again = NULL;

	open_driver();
	check_result(get("cuFutureThing", &address, 13000, 0, NULL), CUDA_SUCCESS);
	check(address != NULL);
	tenant_context();
	check_result(get("cuFutureThing", &again, 13000, 0, NULL), CUDA_SUCCESS);
	check(address == again);
	check_result(get("cuMemAlloc", &address, 3020, 0, NULL), CUDA_SUCCESS);
	tenant_meet();
}

static uint64_t unknown_symbols(void)
{
	struct gpushim_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct gpushim_reader *reader = NULL;
	uint64_t count = UINT64_MAX;

	if (gpushim_reader_open(&reader, tenant_dir(), "default") == 0 && snapshot &&
	    gpushim_reader_snapshot(reader, snapshot) == 0 &&
	    snapshot->processes_count == 1)
		count = snapshot->processes[0].unknown_symbols;
	else
		printf("no ledger of one process: %s\n", gpushim_reader_reason());
	gpushim_reader_close(reader);
	free(snapshot);
	return count;
}

static void an_unknown_function_is_handed_out_and_counted_also_before_cuInit(void)
{
	pid_t pid = tenant_start("future", "SIMGPU_FAULTS=extra:cuFutureThing",
				 "GPUSHIM_MEMORY=64MiB", NULL);

	CU_ASSERT(tenant_met(pid));
	CU_ASSERT_EQUAL(unknown_symbols(), 2);
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

TENANT_BODY(moved)
{
	int (*alloc)(CUdeviceptr *, size_t);
	CUdeviceptr p;
	void *address = NULL;

	open_driver();
	check_result(get("cuMemAlloc", &address, 3020, 0, NULL), CUDA_SUCCESS);
	check((uintptr_t)address == gsh_elf_find("libgpushim.so", "cuMemAlloc_v2"));
	tenant_context();
	*(void **)&alloc = address;
	check_result(alloc(&p, (size_t)65 << 20), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(alloc(&p, (size_t)63 << 20), CUDA_SUCCESS);
}

static void an_entry_point_at_an_unknown_address_is_held_all_the_same(void)
{
	CU_ASSERT(tenant_passes("moved", "SIMGPU_FAULTS=extra:cuMemAlloc",
				"GPUSHIM_MEMORY=64MiB", NULL));
}

/* ---- before anybody initialises ---- */

static void looking_up_opens_no_account(void)
{
	char path[PATH_MAX + 16];
	DIR *ledgers;

	CU_ASSERT(tenant_passes("runtime_lookups", "GPUSHIM_MEMORY=64MiB", NULL));
	snprintf(path, sizeof(path), "%s/ledger", tenant_dir());
	ledgers = opendir(path);
	CU_ASSERT_PTR_NULL(ledgers);
	if (ledgers)
		closedir(ledgers);
	/* Nor does it wait, complain or refuse where no policy can be had. */
	CU_ASSERT(tenant_passes("runtime_lookups", "GPUSHIM_MEMORY=much",
				"GPUSHIM_WAIT_MS=100000", NULL));
	CU_ASSERT_PTR_NULL(strstr(tenant_stderr(), "gpushim:"));
}

enum { THREADS = 16 };
static pthread_barrier_t together;

static void *look_up_first(void *unused)
{
	void *handle = dlopen("libcuda.so.1", RTLD_NOW), *found[2] = { NULL };
	int (*resolve)(const char *, void **, int, unsigned long long, int *);

	(void)unused;
	pthread_barrier_wait(&together);
	found[0] = dlsym(handle, "cuMemAlloc_v2");
	*(void **)&resolve = dlsym(handle, "cuGetProcAddress_v2");
	resolve("cuMemAlloc", &found[1], 3020, 0, NULL);
	return found[0] == found[1] ? found[0] : NULL;
}

TENANT_BODY(race)
{
	pthread_t threads[THREADS];
	void *found;

	pthread_barrier_init(&together, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, look_up_first, NULL) == 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &found);
		check((uintptr_t)found == gsh_elf_find("libgpushim.so", "cuMemAlloc_v2"));
	}
}

static void threads_that_look_up_first_at_once_all_get_hooks(void)
{
	for (int i = 0; i < 20; i++)
		CU_ASSERT(tenant_passes("race", NULL));
}

const struct unit_suite unit_suite = {
	.name = "look-ups",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(every_exported_name_is_the_hook_or_the_drivers_own_by_dlsym),
		UNIT_TEST(all_names_versions_and_flags_follow_the_rule),
		UNIT_TEST(the_runtimes_440_lookups_get_the_right_hooks),
		UNIT_TEST(pointers_that_are_null_are_allowed_and_answers_stay_the_drivers),
		UNIT_TEST(what_the_driver_does_not_find_is_not_found),
		UNIT_TEST(an_unknown_function_is_handed_out_and_counted_also_before_cuInit),
		UNIT_TEST(an_entry_point_at_an_unknown_address_is_held_all_the_same),
		UNIT_TEST(looking_up_opens_no_account),
		UNIT_TEST(threads_that_look_up_first_at_once_all_get_hooks),
	},
};
