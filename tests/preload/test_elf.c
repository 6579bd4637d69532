/*
 * test_elf.c - reading ELF tables finds what the C library finds, for every kind of object
 * and symbol. Runs without the shim, whose dlsym would not be the C library's.
 */
#include "cunit_main.h"

#include <dlfcn.h>

#include "base/elf.h"
#include "common_client.h"
#include "common_tenant.h"

static const char *const driver_names[] = {
#define SYM(symbol, base, version, variant) #symbol,
#include "symbols.def"
};

static void the_drivers_functions_are_found(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW);

	for (size_t i = 0; i < sizeof(driver_names) / sizeof(driver_names[0]); i++)
		CU_ASSERT(gsh_elf_find("libcuda.so.1", driver_names[i]) ==
			  (uintptr_t)dlsym(driver, driver_names[i]));
	CU_ASSERT_EQUAL(gsh_elf_find("libcuda.so.1", "cuNoSuchFunction"), 0);
	CU_ASSERT_EQUAL(gsh_elf_find("libcuda.so.1", ""), 0);
	dlclose(driver);
}

static void the_c_librarys_functions_are_found_indirect_ones_too(void)
{
	/* strlen and memcpy are chosen for the processor; several names have versions. */
	static const char *const names[] = { "dlsym",  "dlopen",  "malloc", "strlen",
					     "memcpy", "environ", "printf", "getpid" };
	void *libc = dlopen("libc.so.6", RTLD_NOW);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uintptr_t address = gsh_elf_find("libc.so.6", names[i]);

		/* Of memcpy there are two, and which of them comes first is not said. */
		CU_ASSERT(address == (uintptr_t)dlsym(libc, names[i]) ||
			  address == (uintptr_t)dlvsym(libc, names[i], "GLIBC_2.2.5"));
	}
	dlclose(libc);
}

static uintptr_t found;

static int visit_sysv(const struct gsh_elf *object, void *data)
{
	if (!object->sysv_hash || object->gnu_hash ||
	    !gsh_elf_symbol(object, "sysv_function"))
		return 0;
	found = gsh_elf_symbol(object, data);
	return 7;
}

static void objects_with_the_old_hash_table_are_read(void)
{
	void *plugin = dlopen(client_part("plugin_sysv"), RTLD_NOW);
	static char names[][16] = { "sysv_function", "sysv_variable", "sysv_indirect" };

	CU_ASSERT_PTR_NOT_NULL_FATAL(plugin);
	for (int i = 0; i < 3; i++) {
		found = 0;
		CU_ASSERT_EQUAL(gsh_elf_each(visit_sysv, names[i]), 7);
		CU_ASSERT(found && found == (uintptr_t)dlsym(plugin, names[i]));
	}
	dlclose(plugin);
	CU_ASSERT_EQUAL(gsh_elf_each(visit_sysv, names[0]), 0);
}

static int visit_holder(const struct gsh_elf *object, void *data)
{
	if (!gsh_elf_contains(object, data))
		return 0;
	found = object->start;
	return 1;
}

static void an_object_is_found_by_what_it_contains(void)
{
	Dl_info info;

	CU_ASSERT_EQUAL(gsh_elf_each(visit_holder, &found), 1);
	CU_ASSERT(dladdr(&found, &info) && (uintptr_t)info.dli_fbase == found);
	CU_ASSERT_EQUAL(gsh_elf_each(visit_holder, &info), 0); /* on the stack */
	CU_ASSERT_EQUAL(gsh_elf_find("libno-such-library.so", "x"), 0);
}

const struct unit_suite unit_suite = {
	.name = "ELF tables",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(the_drivers_functions_are_found),
		UNIT_TEST(the_c_librarys_functions_are_found_indirect_ones_too),
		UNIT_TEST(objects_with_the_old_hash_table_are_read),
		UNIT_TEST(an_object_is_found_by_what_it_contains),
	},
};
