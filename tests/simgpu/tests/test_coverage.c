/*
 * test_coverage.c - which of the driver's functions the simulated one has, printed; that
 * each of the others says so instead of pretending; and that none works before cuInit.
 *
 * Knows names, and the results of functions that are not there or have to wait for cuInit,
 * which this process never calls.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cunit_main.h"

enum { NOT_INITIALIZED = 3, NOT_SUPPORTED = 801 };
/* A source file that no longer gets linked would turn its functions into stubs. */
enum { IMPLEMENTED_AT_LEAST = 527 };

static const char *const names[] = {
#define SYM(symbol, base, version, variant) #symbol,
#include "symbols.def"
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void *driver;
static int (*state)(const char *symbol);

static int open_driver(void)
{
	driver = dlopen("libcuda.so.1", RTLD_NOW);
	if (!driver) {
		fprintf(stderr, "test_coverage: %s\n", dlerror());
		return -1;
	}
	*(void **)&state = dlsym(driver, "simgpu_symbol_state");
	return state ? 0 : -1;
}

static int close_driver(void)
{
	return dlclose(driver);
}

static void print_names(int wanted)
{
	int column = 0;

	for (int i = 0; i < NAMES; i++) {
		int length = (int)strlen(names[i]);

		if (state(names[i]) != wanted)
			continue;
		if (column == 0 || column + 1 + length > 90) {
			printf("%s       ", column ? "\n" : "");
			column = 7;
		}
		printf(" %s", names[i]);
		column += 1 + length;
	}
	if (column)
		putchar('\n');
}

static void every_symbol_is_implemented_or_counted_as_not_supported(void)
{
	int counts[2] = { 0, 0 };

	for (int i = 0; i < NAMES; i++) {
		int s = state(names[i]);

		CU_ASSERT(s == 0 || s == 1);
		if (s == 0 || s == 1)
			counts[s]++;
	}
	CU_ASSERT_EQUAL(NAMES, 673);
	CU_ASSERT_EQUAL(counts[0] + counts[1], 673);
	CU_ASSERT(counts[1] >= IMPLEMENTED_AT_LEAST);
	printf("      of %d symbols: %d implemented, %d NOT_SUPPORTED, none silently "
	       "successful\n",
	       NAMES, counts[1], counts[0]);
	if (counts[0]) {
		printf("      NOT_SUPPORTED:\n");
		print_names(0);
	}
}

static void every_function_that_is_not_there_says_so(void)
{
	for (int i = 0; i < NAMES; i++) {
		int (*function)(void);
		int result;

		if (state(names[i]) != 0)
			continue;
		*(void **)&function = dlsym(driver, names[i]);
		if (!function) {
			CU_FAIL("a name is not exported");
			continue;
		}
		result = function();
		if (result != NOT_SUPPORTED)
			fprintf(stderr, "%s returned %d\n", names[i], result);
		CU_ASSERT_EQUAL(result, NOT_SUPPORTED);
	}
}

/* The manual lets these be called at any time. */
static int works_before_init(const char *name)
{
	static const char *const early[] = { "cuInit",		 "cuDriverGetVersion",
					     "cuGetErrorName",	 "cuGetErrorString",
					     "cuGetProcAddress", "cuGetProcAddress_v2",
					     "cuGetExportTable" };

	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
		if (strcmp(name, early[i]) == 0)
			return 1;
	return 0;
}

static void every_other_function_waits_for_init(void)
{
	for (int i = 0; i < NAMES; i++) {
		/* As many arguments as the longest has, all of them 0. */
		int (*function)(long, long, long, long, long, long, long, long, long,
				long, long, long);
		int result;

		if (state(names[i]) != 1 || works_before_init(names[i]))
			continue;
		*(void **)&function = dlsym(driver, names[i]);
		if (!function) {
			CU_FAIL("a name is not exported");
			continue;
		}
		result = function(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
		if (result != NOT_INITIALIZED)
			fprintf(stderr, "%s returned %d\n", names[i], result);
		CU_ASSERT_EQUAL(result, NOT_INITIALIZED);
	}
}

static void names_the_driver_does_not_have_are_unknown(void)
{
	CU_ASSERT_EQUAL(state("cuNoSuchFunction"), -1);
	CU_ASSERT_EQUAL(state(""), -1);
	CU_ASSERT_EQUAL(state(NULL), -1);
	CU_ASSERT_EQUAL(state("cuGetProcAddress_v2"), 1);
}

static int is_listed(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return 1;
	return 0;
}

/* The file that the driver was loaded from, whole; NULL if it cannot be read. */
static unsigned char *read_library(void)
{
	Dl_info info;
	unsigned char *data = NULL;
	FILE *file;
	long size;

	if (!dladdr(*(void **)&state, &info) || !(file = fopen(info.dli_fname, "rb")))
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0) {
		rewind(file);
		data = malloc((size_t)size);
		if (data && fread(data, (size_t)size, 1, file) != 1) {
			free(data);
			data = NULL;
		}
	}
	fclose(file);
	return data;
}

static void the_library_exports_the_673_names_and_no_other_of_cuda(void)
{
	unsigned char *data = read_library();
	int listed = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(data);

	const ElfW(Ehdr) *header = (const void *)data;
	const ElfW(Shdr) *sections = (const void *)(data + header->e_shoff);

	for (int i = 0; i < header->e_shnum; i++) {
		const ElfW(Sym) *symbols = (const void *)(data + sections[i].sh_offset);
		const char *strings;

		if (sections[i].sh_type != SHT_DYNSYM)
			continue;
		strings = (const char *)data + sections[sections[i].sh_link].sh_offset;
		for (size_t k = 1; k < sections[i].sh_size / sizeof(*symbols); k++) {
			const char *name = strings + symbols[k].st_name;

			if (symbols[k].st_shndx == SHN_UNDEF ||
			    strncmp(name, "cu", 2) != 0)
				continue;
			if (!is_listed(name))
				fprintf(stderr, "%s is exported\n", name);
			CU_ASSERT(is_listed(name));
			listed++;
		}
	}
	free(data);
	CU_ASSERT_EQUAL(listed, 673);
}

const struct unit_suite unit_suite = {
	.name = "coverage of the driver API",
	.init = open_driver,
	.cleanup = close_driver,
	.tests = {
		UNIT_TEST(every_symbol_is_implemented_or_counted_as_not_supported),
		UNIT_TEST(every_function_that_is_not_there_says_so),
		UNIT_TEST(every_other_function_waits_for_init),
		UNIT_TEST(names_the_driver_does_not_have_are_unknown),
		UNIT_TEST(the_library_exports_the_673_names_and_no_other_of_cuda),
	},
};
