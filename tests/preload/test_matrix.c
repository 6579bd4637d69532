/*
 * test_matrix.c - every way in which programs find the driver is seen by the shim, once.
 *
 * The client (parts/work.h) takes 40, 25 and 24 MiB under a quota of 64: "0 2 0" says that
 * the shim counted each request once; that the driver saw two of the three calls says that
 * what was granted reached it once, and what was refused did not. The same client without
 * the shim is the control: it gets all three. What is known to pass by the shim is asserted
 * too.
 */
#include "cunit_main.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_client.h"
#include "common_tenant.h"

#define QUOTA "GPUSHIM_MEMORY=64MiB"
#define CALLS "SIMGPU_LOG=calls"

static const char held[] = "40 MiB: 0, 25 MiB: 2, 24 MiB: 0\n";
static const char free_for_all[] = "40 MiB: 0, 25 MiB: 0, 24 MiB: 0\n";

static bool run(struct client *client, const char *output, int allocations)
{
	static struct client_run result;

	client_run(client, &result);
	return client_check(
		&result, result.status == 0 && strcmp(result.out, output) == 0 &&
				 client_calls(&result, "cuInit") == 1 &&
				 client_calls(&result, "cuMemAlloc_v2") == allocations);
}

/* Seen exactly once with the shim, and the same client free without it. */
static void is_caught(struct client client)
{
	if (!client_plain())
		return;
	client.variables[0] = QUOTA;
	client.variables[1] = CALLS;
	CU_ASSERT(run(&client, held, 2));
	client.bare = true;
	CU_ASSERT(run(&client, free_for_all, 3));
}

static void passes_by(struct client client)
{
	if (!client_plain())
		return;
	client.variables[0] = QUOTA;
	client.variables[1] = CALLS;
	CU_ASSERT(run(&client, free_for_all, 3));
}

/* ---- programs that are linked to the driver ---- */

TENANT_BODY(linked_by_the_test_program)
{
	CUdeviceptr address;

	tenant_context();
	check_result(cuMemAlloc_v2(&address, (size_t)40 << 20), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&address, (size_t)25 << 20), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&address, (size_t)24 << 20), CUDA_SUCCESS);
}

static void a_linked_program_is_caught(void)
{
	CU_ASSERT(tenant_passes("linked_by_the_test_program", QUOTA, NULL));
	is_caught((struct client){ .arguments = { "client_linked" } });
}

/* ---- programs that open it ---- */

static void dlopen_by_soname_and_dlsym_is_caught(void)
{
	is_caught((struct client){ .arguments = { "client", "dlopen", "libcuda.so.1" } });
}

static void a_global_handle_is_caught(void)
{
	is_caught((struct client){
		.arguments = { "client", "dlopen", "libcuda.so.1", "global" } });
}

static void a_driver_opened_with_deepbind_is_caught(void)
{
	is_caught((struct client){
		.arguments = { "client", "dlopen", "libcuda.so.1", "deepbind" } });
}

static void dlopen_by_the_name_without_a_version_is_caught(void)
{
	is_caught((struct client){ .arguments = { "client", "dlopen", "libcuda.so" } });
}

static void dlopen_by_absolute_path_is_caught(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/sim/libcuda.so.1", getenv("BUILD"));
	is_caught((struct client){ .arguments = { "client", "dlopen", path } });
}

static void cuGetProcAddress_found_by_dlsym_is_caught(void)
{
	is_caught(
		(struct client){ .arguments = { "client", "resolver", "libcuda.so.1" } });
}

static void look_ups_in_the_global_scope_are_caught(void)
{
	is_caught(
		(struct client){ .arguments = { "client", "default", "libcuda.so.1" } });
	is_caught((struct client){ .arguments = { "client", "next", "libcuda.so.1" } });
}

/* ---- plug-ins ---- */

static void a_local_plugin_linked_to_the_driver_is_caught(void)
{
	is_caught((struct client){
		.arguments = { "client", "plugin", client_part("plugin_linked") } });
}

static void a_local_plugin_that_uses_dlsym_is_caught(void)
{
	is_caught((struct client){
		.arguments = { "client", "plugin", client_part("plugin_dlsym") } });
}

static void a_deepbind_plugin_linked_to_the_driver_is_caught(void)
{
	is_caught((struct client){ .arguments = { "client", "plugin",
						  client_part("plugin_linked"),
						  "deepbind" } });
}

static void a_deepbind_plugin_that_uses_dlsym_is_caught(void)
{
	is_caught((struct client){ .arguments = { "client", "plugin",
						  client_part("plugin_dlsym"),
						  "deepbind" } });
}

static void deepbind_that_is_kept_on_request_passes_by(void)
{
	passes_by((struct client){
		.arguments = { "client", "plugin", client_part("plugin_linked"),
			       "deepbind" },
		.variables = { NULL, NULL, "GPUSHIM_DEEPBIND=keep" } });
}

/* ---- those who look for the real dlsym ---- */

static void a_dlsym_fetched_by_its_version_is_caught(void)
{
#if defined(__aarch64__)
	const char *oldest = "GLIBC_2.17";
#else
	const char *oldest = "GLIBC_2.2.5";
#endif

	is_caught((struct client){
		.arguments = { "client", "dlvsym", "libcuda.so.1", oldest } });
	is_caught((struct client){
		.arguments = { "client", "dlvsym", "libcuda.so.1", "GLIBC_2.34" } });
}

static void a_dlsym_fetched_from_the_c_library_is_caught(void)
{
	is_caught((struct client){
		.arguments = { "client", "libc", "libcuda.so.1", "libc.so.6" } });
}

static void a_second_library_that_replaces_dlsym_first_is_no_way_out(void)
{
	is_caught((struct client){ .arguments = { "client", "dlopen", "libcuda.so.1" },
				   .before = "plugin_hooker" });
}

static void a_second_library_that_replaces_dlsym_last_is_no_way_out(void)
{
	is_caught((struct client){ .arguments = { "client", "dlopen", "libcuda.so.1" },
				   .after = "plugin_hooker" });
}

static void the_first_of_two_that_replace_dlsym_sees_the_calls(void)
{
	static struct client_run result;

	if (!client_plain())
		return;
	client_run(&(struct client){ .arguments = { "client", "dlopen", "libcuda.so.1" },
				     .before = "plugin_hooker",
				     .variables = { QUOTA, "HOOKER_SAYS=1" } },
		   &result);
	CU_ASSERT(client_check(&result, strstr(result.err, "hooker: cuInit") != NULL));
}

/* ---- interpreters ---- */

static void python_ctypes_is_caught(void)
{
	static const char script[] =
		"import ctypes as c\n"
		"d = c.CDLL('libcuda.so.1')\n"
		"h = c.c_void_p()\n"
		"assert d.cuInit(0) == 0\n"
		"assert d.cuDevicePrimaryCtxRetain(c.byref(h), 0) == 0\n"
		"assert d.cuCtxSetCurrent(h) == 0\n"
		"a = c.c_uint64()\n"
		"f = lambda n: d.cuMemAlloc_v2(c.byref(a), c.c_size_t(n << 20))\n"
		"print('40 MiB: %d, 25 MiB: %d, 24 MiB: %d' % (f(40), f(25), f(24)))\n";

	if (access("/usr/bin/python3", X_OK) != 0) {
		unit_skip("There is no /usr/bin/python3.");
		return;
	}
	is_caught((struct client){ .arguments = { "/usr/bin/python3", "-c", script } });
}

/* ---- two drivers in one process ---- */

/*
 * A front that looks the functions up in the driver behind it, with the same soname: calls
 * pass the shim on their way to the front, and not again behind it.
 */
static void behind_a_front(const char *way)
{
	char front[PATH_MAX], driver[PATH_MAX];

	snprintf(front, sizeof(front), "%s/libcuda.so.1", tenant_dir());
	snprintf(driver, sizeof(driver), "OUTER_DRIVER=%s/sim/libcuda.so.1",
		 getenv("BUILD"));
	CU_ASSERT_EQUAL(symlink(client_part("plugin_outer"), front), 0);
	is_caught((struct client){ .arguments = { "client", way, front },
				   .variables = { NULL, NULL, driver } });
	unlink(front);
}

static void a_driver_in_two_layers_is_counted_once(void)
{
	behind_a_front("dlopen");
}

static void addresses_that_are_no_exports_are_told_by_the_version_rule(void)
{
	behind_a_front("resolver");
}

/* Documented ways past. */
static void a_driver_in_a_name_space_of_its_own_passes_by(void)
{
	passes_by(
		(struct client){ .arguments = { "client", "dlmopen", "libcuda.so.1" } });
	passes_by((struct client){ .arguments = { "client", "dlmopen-plugin",
						  client_part("plugin_linked") } });
}

const struct unit_suite unit_suite = {
	.name = "interposition",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_linked_program_is_caught),
		UNIT_TEST(dlopen_by_soname_and_dlsym_is_caught),
		UNIT_TEST(a_global_handle_is_caught),
		UNIT_TEST(a_driver_opened_with_deepbind_is_caught),
		UNIT_TEST(dlopen_by_the_name_without_a_version_is_caught),
		UNIT_TEST(dlopen_by_absolute_path_is_caught),
		UNIT_TEST(cuGetProcAddress_found_by_dlsym_is_caught),
		UNIT_TEST(look_ups_in_the_global_scope_are_caught),
		UNIT_TEST(a_local_plugin_linked_to_the_driver_is_caught),
		UNIT_TEST(a_local_plugin_that_uses_dlsym_is_caught),
		UNIT_TEST(a_deepbind_plugin_linked_to_the_driver_is_caught),
		UNIT_TEST(a_deepbind_plugin_that_uses_dlsym_is_caught),
		UNIT_TEST(deepbind_that_is_kept_on_request_passes_by),
		UNIT_TEST(a_dlsym_fetched_by_its_version_is_caught),
		UNIT_TEST(a_dlsym_fetched_from_the_c_library_is_caught),
		UNIT_TEST(a_second_library_that_replaces_dlsym_first_is_no_way_out),
		UNIT_TEST(a_second_library_that_replaces_dlsym_last_is_no_way_out),
		UNIT_TEST(the_first_of_two_that_replace_dlsym_sees_the_calls),
		UNIT_TEST(python_ctypes_is_caught),
		UNIT_TEST(a_driver_in_two_layers_is_counted_once),
		UNIT_TEST(addresses_that_are_no_exports_are_told_by_the_version_rule),
		UNIT_TEST(a_driver_in_a_name_space_of_its_own_passes_by),
	},
};
