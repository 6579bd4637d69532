/*
 * test_transparency.c - what a program sees of the loader is the same with the shim as
 * without it: answers, error texts, search paths, and who is there.
 *
 * Each client prints what it sees; both outputs are compared, and one fact in them asserted,
 * so that two that fail alike are no success.
 */
#include "cunit_main.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_client.h"
#include "common_tenant.h"

static struct client_run bare, shimmed;

static bool is_the_same(struct client client, const char *fact)
{
	if (!client_plain())
		return true;
	client.bare = true;
	client_run(&client, &bare);
	client.bare = false;
	client_run(&client, &shimmed);
	return client_check(&bare, bare.status == 0 && strstr(bare.out, fact)) &&
	       client_check(&shimmed, shimmed.status == 0 && bare.err[0] == '\0' &&
					      strcmp(bare.out, shimmed.out) == 0 &&
					      strcmp(bare.err, shimmed.err) == 0);
}

static void error_texts_of_failed_look_ups_are_the_c_librarys(void)
{
	CU_ASSERT(is_the_same((struct client){ .arguments = { "client_errors", "texts",
							      "libcuda.so.1" } },
			      "undefined symbol: cuMemAlloc_v9"));
}

static void a_hook_handed_out_clears_the_error_as_success_does(void)
{
	CU_ASSERT(is_the_same((struct client){ .arguments = { "client_errors", "pending",
							      "libcuda.so.1" } },
			      "next, after an error nobody read: found: no error"));
}

static void a_driver_that_is_not_loaded_stays_absent(void)
{
	CU_ASSERT(is_the_same((struct client){ .arguments = { "client_errors", "noload",
							      "libcuda.so.1" } },
			      "before: nothing"));
}

static void a_library_with_the_drivers_names_is_left_alone(void)
{
	CU_ASSERT(is_the_same(
		(struct client){ .arguments = { "client_errors", "names",
						client_part("plugin_names") } },
		"4207 4242 4343\na driver: found: no error\n4207 4242 4343\n"));
}

static void a_function_that_looks_for_its_next_namesake_finds_it(void)
{
	char preload[2 * PATH_MAX];

	/* In one variable: the shim stands before both. */
	snprintf(preload, sizeof(preload), "plugin_forward:%s",
		 client_part("plugin_end"));
	CU_ASSERT(is_the_same(
		(struct client){ .arguments = { "client_errors", "forward", "-" },
				 .after = preload },
		"1001"));
}

static void the_callers_runpath_and_origin_are_searched(void)
{
	char directory[PATH_MAX], plugin[PATH_MAX + 32], private[PATH_MAX + 32];
	char library[PATH_MAX + 64];

	snprintf(directory, sizeof(directory), "%s/runpath", tenant_dir());
	snprintf(plugin, sizeof(plugin), "%s/plugin.so", directory);
	snprintf(private, sizeof(private), "%s/private", directory);
	snprintf(library, sizeof(library), "%s/libprivate.so", private);
	CU_ASSERT(mkdir(directory, 0700) == 0 && mkdir(private, 0700) == 0);
	/* $ORIGIN is where the file is found, so a link will do. */
	CU_ASSERT(symlink(client_part("plugin_runpath"), plugin) == 0 &&
		  symlink(client_part("plugin_end"), library) == 0);
	CU_ASSERT(is_the_same(
		(struct client){ .arguments = { "client_errors", "runpath", plugin } },
		"found\n"));
}

static void looking_up_leaves_errno_alone(void)
{
	CU_ASSERT(is_the_same((struct client){ .arguments = { "client_errors", "errno",
							      "libcuda.so.1" } },
			      "4711"));
}

/* ---- drivers that come and go, or know more ---- */

static void link_front(char *front, size_t bytes, char *driver, size_t driver_bytes)
{
	snprintf(front, bytes, "%s/libcuda.so.1", tenant_dir());
	snprintf(driver, driver_bytes, "OUTER_DRIVER=%s/sim/libcuda.so.1",
		 getenv("BUILD"));
	CU_ASSERT_EQUAL(symlink(client_part("plugin_outer"), front), 0);
}

static void a_driver_that_was_loaded_again_elsewhere_is_followed(void)
{
	char front[PATH_MAX], driver[PATH_MAX];

	if (!client_plain())
		return;
	link_front(front, sizeof(front), driver, sizeof(driver));
	client_run(&(struct client){ .arguments = { "client_reload", front },
				     .variables = { driver, "GPUSHIM_MEMORY=64MiB" } },
		   &shimmed);
	CU_ASSERT(client_check(&shimmed,
			       shimmed.status == 0 &&
				       strcmp(shimmed.out,
					      "hook same, driver's own other\n"
					      "40 MiB: 0, 25 MiB: 2, 24 MiB: 0\n") == 0));
}

static void a_function_newer_than_the_table_is_handed_out_as_it_is(void)
{
	char front[PATH_MAX], driver[PATH_MAX];

	if (!client_plain())
		return;
	/* Whoever starts the device decides. */
	setenv("SIMGPU_DRIVER_VERSION", "13010", 1);
	link_front(front, sizeof(front), driver, sizeof(driver));
	client_run(&(struct client){ .arguments = { "client_newer", front },
				     .variables = { driver, "OUTER_NEWER=1" } },
		   &shimmed);
	unsetenv("SIMGPU_DRIVER_VERSION");
	CU_ASSERT(client_check(&shimmed,
			       shimmed.status == 0 &&
				       strcmp(shimmed.out,
					      "cuMemAlloc 3020 gpushim's\n"
					      "cuMemAlloc 13000 gpushim's\n"
					      "cuMemAlloc 13010 gpushim's\n"
					      "cuMemAlloc 99000 the driver's\n"
					      "cuDeviceGet 2000 the driver's\n"
					      "cuDeviceGet 13010 the driver's\n") == 0));
}

/* Programs that never touch CUDA are not touched either. */
TENANT_BODY(nothing)
{
}

static void a_program_without_cuda_opens_nothing_and_says_nothing(void)
{
	CU_ASSERT(tenant_passes("nothing", "GPUSHIM_MEMORY=not a size", NULL));
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), "");
	client_run(&(struct client){ .arguments = { "/bin/ls", tenant_dir() },
				     .variables = { "GPUSHIM_MEMORY=1GiB" } },
		   &shimmed);
	CU_ASSERT(client_check(&shimmed, shimmed.status == 0 && shimmed.err[0] == '\0' &&
						 strcmp(shimmed.out, "sim\n") == 0));
}

const struct unit_suite unit_suite = {
	.name = "transparency",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(error_texts_of_failed_look_ups_are_the_c_librarys),
		UNIT_TEST(a_hook_handed_out_clears_the_error_as_success_does),
		UNIT_TEST(a_driver_that_is_not_loaded_stays_absent),
		UNIT_TEST(a_library_with_the_drivers_names_is_left_alone),
		UNIT_TEST(a_function_that_looks_for_its_next_namesake_finds_it),
		UNIT_TEST(the_callers_runpath_and_origin_are_searched),
		UNIT_TEST(looking_up_leaves_errno_alone),
		UNIT_TEST(a_driver_that_was_loaded_again_elsewhere_is_followed),
		UNIT_TEST(a_function_newer_than_the_table_is_handed_out_as_it_is),
		UNIT_TEST(a_program_without_cuda_opens_nothing_and_says_nothing),
	},
};
