/*
 * test_resolve.c - which function cuGetProcAddress answers with.
 *
 * Knows the rule of names, versions and stream flags, and works it out here a second time,
 * from the names instead of the sorted table. Knows nothing of what the functions do.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "cunit_main.h"

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_FOUND = 500 };
enum { FOUND = 0, NO_SYMBOL = 1, VERSION_TOO_LOW = 2 };

static const struct row {
	const char *symbol, *base, *variant;
	int version;
} rows[] = {
#define SYM(symbol, base, version, variant) { #symbol, #base, #variant, version },
#include "symbols.def"
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct lookup {
	const char *base;
	int version;
	unsigned flags;
} cudart_lookups[] = {
#define LOOKUP(base, version, flags) { base, version, flags },
#include "tests/cudart_lookups.def"
};
enum { LOOKUPS = sizeof(cudart_lookups) / sizeof(cudart_lookups[0]) };

static void *driver;
static int (*get_v1)(const char *, void **, int, unsigned long long);
static int (*get)(const char *, void **, int, unsigned long long, int *);

/* By dlsym on the driver itself, so that nothing preloaded stands in between. */
static int open_driver(void)
{
	driver = dlopen("libcuda.so.1", RTLD_NOW);
	if (!driver) {
		fprintf(stderr, "test_resolve: %s\n", dlerror());
		return -1;
	}
	*(void **)&get_v1 = dlsym(driver, "cuGetProcAddress");
	*(void **)&get = dlsym(driver, "cuGetProcAddress_v2");
	return get && get_v1 ? 0 : -1;
}

static int close_driver(void)
{
	return dlclose(driver);
}

static int is_plain(const struct row *row)
{
	return strcmp(row->variant, "plain") == 0;
}

/*
 * The same rule from the names: the k-th version of a base is called base, base_v2,
 * base_v3 and so on, so the answer is the one whose name is longest among those that are
 * not too new. (No base has ten versions.)
 */
static const char *expected(const char *base, int version, unsigned flags, int *status)
{
	const char *best = NULL;
	int known = 0, twins = 0;

	for (int i = 0; i < ROWS; i++)
		if (strcmp(rows[i].base, base) == 0) {
			known = 1;
			twins |= !is_plain(&rows[i]);
		}
	for (int i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];

		if (strcmp(row->base, base) != 0 || row->version > version ||
		    is_plain(row) == (flags == 2 && twins))
			continue;
		if (!best || strlen(row->symbol) > strlen(best) ||
		    strcmp(row->symbol, best) > 0)
			best = row->symbol;
	}
	*status = best ? FOUND : known ? VERSION_TOO_LOW : NO_SYMBOL;
	return best;
}

static void every_exported_name_is_found_by_dlsym_at_an_address_of_its_own(void)
{
	static void *seen[ROWS];

	for (int i = 0; i < ROWS; i++) {
		seen[i] = dlsym(driver, rows[i].symbol);
		if (!seen[i])
			fprintf(stderr, "%s is not exported\n", rows[i].symbol);
		CU_ASSERT_PTR_NOT_NULL(seen[i]);
		for (int j = 0; j < i; j++)
			if (seen[i] == seen[j]) {
				fprintf(stderr, "%s is %s\n", rows[i].symbol,
					rows[j].symbol);
				CU_FAIL("two names share an address");
			}
	}
}

static void the_table_is_sorted_and_its_variants_match_the_names(void)
{
	for (int i = 0; i < ROWS; i++) {
		size_t length = strlen(rows[i].symbol);
		const char *tail = length > 5 ? rows[i].symbol + length - 5 : "";
		const char *variant = strcmp(tail, "_ptds") == 0   ? "ptds"
				      : strcmp(tail, "_ptsz") == 0 ? "ptsz"
								   : "plain";

		CU_ASSERT_STRING_EQUAL(rows[i].variant, variant);
		CU_ASSERT_EQUAL(
			strncmp(rows[i].symbol, rows[i].base, strlen(rows[i].base)), 0);
		if (i == 0)
			continue;
		int order = strcmp(rows[i - 1].base, rows[i].base);

		CU_ASSERT(order < 0 ||
			  (order == 0 && rows[i - 1].version <= rows[i].version));
	}
}

/* Every version at which an answer can change, and the one before it. */
static int interesting_versions(int *versions)
{
	int count = 0;

	for (int i = 0; i < ROWS; i++) {
		int j = 0;

		while (j < count && versions[j] != rows[i].version)
			j++;
		if (j == count)
			versions[count++] = rows[i].version;
	}
	for (int i = count - 1; i >= 0; i--)
		versions[count++] = versions[i] - 10;
	versions[count++] = 0;
	return count;
}

static void check(const char *base, int version, unsigned flags)
{
	int status = -1, wanted_status, result;
	const char *name = expected(base, version, flags, &wanted_status);
	void *address = &status, *wanted = name ? dlsym(driver, name) : NULL;

	result = get(base, &address, version, flags, &status);
	if (result == (name ? SUCCESS : NOT_FOUND) && address == wanted &&
	    status == wanted_status)
		return;
	fprintf(stderr, "%s@%d/%u: result %d, status %d, wanted %s\n", base, version,
		flags, result, status, name ? name : "nothing");
	CU_FAIL("a lookup broke the rule");
}

static void all_names_versions_and_flags_follow_the_rule(void)
{
	int versions[2 * ROWS + 1];
	int count = interesting_versions(versions), lookups = 0;

	for (int i = 0; i < ROWS; i++) {
		if (i > 0 && strcmp(rows[i].base, rows[i - 1].base) == 0)
			continue;
		for (int v = 0; v < count; v++)
			for (unsigned flags = 0; flags <= 2; flags++, lookups++)
				check(rows[i].base, versions[v], flags);
	}
	printf("      %d lookups\n", lookups);
	CU_ASSERT(lookups > 50000);
}

static void the_runtimes_440_lookups_resolve_to_439_different_functions(void)
{
	static void *seen[LOOKUPS];
	int distinct = 0;

	CU_ASSERT_EQUAL(LOOKUPS, 440);
	for (int i = 0; i < LOOKUPS; i++) {
		const struct lookup *l = &cudart_lookups[i];
		int result = get(l->base, &seen[i], l->version, l->flags, NULL);
		int j = 0;

		if (i == 0) { /* the empty name, which must be refused without harm */
			CU_ASSERT_EQUAL(result, NOT_FOUND);
			CU_ASSERT_PTR_NULL(seen[i]);
			continue;
		}
		if (result != SUCCESS)
			fprintf(stderr, "%s@%d/%u: %d\n", l->base, l->version, l->flags,
				result);
		CU_ASSERT_EQUAL(result, SUCCESS);
		while (j < i && seen[j] != seen[i])
			j++;
		distinct += j == i;
	}
	CU_ASSERT_EQUAL(distinct, 439);
}

static void a_lookup_is_for_a_base_not_for_an_exported_name(void)
{
	void *address = &address;
	int status = -1;

	CU_ASSERT_EQUAL(get("cuMemAlloc_v2", &address, 13000, 0, &status), NOT_FOUND);
	CU_ASSERT_PTR_NULL(address);
	CU_ASSERT_EQUAL(status, NO_SYMBOL);
	CU_ASSERT_EQUAL(get("cuMemAllo", NULL, 13000, 0, &status), NOT_FOUND);
	CU_ASSERT_EQUAL(get("zz", NULL, 13000, 0, &status), NOT_FOUND);
}

static void a_per_thread_lookup_never_falls_back_to_a_plain_function(void)
{
	void *address = &address;
	int status = -1;

	CU_ASSERT_EQUAL(get("cuMemcpyHtoD", &address, 3020, 2, &status), NOT_FOUND);
	CU_ASSERT_PTR_NULL(address);
	CU_ASSERT_EQUAL(status, VERSION_TOO_LOW);
	CU_ASSERT_EQUAL(get("cuMemcpyHtoD", &address, 7000, 2, &status), SUCCESS);
	CU_ASSERT_PTR_EQUAL(address, dlsym(driver, "cuMemcpyHtoD_v2_ptds"));
	CU_ASSERT_EQUAL(get("cuMemAlloc", &address, 3020, 2, &status), SUCCESS);
	CU_ASSERT_PTR_EQUAL(address, dlsym(driver, "cuMemAlloc_v2"));
}

static void the_first_form_finds_the_same_and_finds_itself(void)
{
	void *address = NULL;

	CU_ASSERT_EQUAL(get_v1("cuCtxCreate", &address, 3020, 0), SUCCESS);
	CU_ASSERT_PTR_EQUAL(address, dlsym(driver, "cuCtxCreate_v2"));
	CU_ASSERT_EQUAL(get_v1("cuGetProcAddress", &address, 11030, 0), SUCCESS);
	CU_ASSERT_PTR_EQUAL(address, *(void **)&get_v1);
	CU_ASSERT_EQUAL(get_v1("cuGetProcAddress", &address, 12000, 0), SUCCESS);
	CU_ASSERT_PTR_EQUAL(address, *(void **)&get);
	CU_ASSERT_EQUAL(get_v1("cuNoSuchFunction", &address, 12000, 0), NOT_FOUND);
	CU_ASSERT_PTR_NULL(address);
}

static void arguments_that_make_no_sense_are_refused(void)
{
	void *address = NULL;
	int status;

	CU_ASSERT_EQUAL(get(NULL, &address, 13000, 0, &status), INVALID_VALUE);
	CU_ASSERT_EQUAL(get("cuInit", &address, 13000, 3, &status), INVALID_VALUE);
	CU_ASSERT_EQUAL(get("cuInit", &address, 13000, 1ull << 40, &status),
			INVALID_VALUE);
	CU_ASSERT_EQUAL(get("cuInit", &address, 999990, 0, &status), INVALID_VALUE);
	CU_ASSERT_EQUAL(get("cuInit", NULL, 13000, 0, NULL), SUCCESS);
	CU_ASSERT_EQUAL(get("cuInit", &address, -1, 0, &status), NOT_FOUND);
	CU_ASSERT_EQUAL(status, VERSION_TOO_LOW);
}

static void there_are_no_export_tables(void)
{
	static const unsigned char id[16];
	int (*get_table)(const void **, const void *);
	const void *table = &table;

	*(void **)&get_table = dlsym(driver, "cuGetExportTable");
	CU_ASSERT_EQUAL(get_table(&table, id), NOT_FOUND);
	CU_ASSERT_PTR_NULL(table);
	CU_ASSERT_EQUAL(get_table(NULL, id), INVALID_VALUE);
	CU_ASSERT_EQUAL(get_table(&table, NULL), INVALID_VALUE);
}

const struct unit_suite unit_suite = {
	.name = "cuGetProcAddress",
	.init = open_driver,
	.cleanup = close_driver,
	.tests = {
		UNIT_TEST(every_exported_name_is_found_by_dlsym_at_an_address_of_its_own),
		UNIT_TEST(the_table_is_sorted_and_its_variants_match_the_names),
		UNIT_TEST(all_names_versions_and_flags_follow_the_rule),
		UNIT_TEST(the_runtimes_440_lookups_resolve_to_439_different_functions),
		UNIT_TEST(a_lookup_is_for_a_base_not_for_an_exported_name),
		UNIT_TEST(a_per_thread_lookup_never_falls_back_to_a_plain_function),
		UNIT_TEST(the_first_form_finds_the_same_and_finds_itself),
		UNIT_TEST(arguments_that_make_no_sense_are_refused),
		UNIT_TEST(there_are_no_export_tables),
	},
};
