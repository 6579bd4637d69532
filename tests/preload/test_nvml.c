/*
 * NVML inside a tenant: memory and processes are the tenant's, as CUDA shows them; outside of
 * one, and where there is no account, nothing is altered.
 */
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_publish.h"
#include "common_tenant.h"
#include "cuda/nvml_abi.h"
#include "cunit_main.h"

#define QUOTA "GPUSHIM_MEMORY=64MiB"

static const uint64_t MIB = UINT64_C(1) << 20;
static const uint64_t DEVICE_BYTES = UINT64_C(2) << 30;

/* ---- NVML as programs find it ---- */

static struct {
	void *library;
	struct nvmlDevice_st *device;
	enum gsh_nvml_return (*init)(void);
	enum gsh_nvml_return (*shutdown)(void);
	enum gsh_nvml_return (*handle)(unsigned, struct nvmlDevice_st **);
#define NVML(symbol, parameters) enum gsh_nvml_return(*symbol) parameters;
#include "cuda/nvml.def"
} nvml;

static void open_nvml(unsigned index)
{
	nvml.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!nvml.library) {
		fprintf(stderr, "no NVML: %s\n", dlerror());
		_exit(1);
	}
	*(void **)&nvml.init = dlsym(nvml.library, "nvmlInit_v2");
	*(void **)&nvml.shutdown = dlsym(nvml.library, "nvmlShutdown");
	*(void **)&nvml.handle = dlsym(nvml.library, "nvmlDeviceGetHandleByIndex_v2");
#define NVML(symbol, parameters) *(void **)&nvml.symbol = dlsym(nvml.library, #symbol);
#include "cuda/nvml.def"
	check_result(nvml.init(), GSH_NVML_SUCCESS);
	check_result(nvml.handle(index, &nvml.device), GSH_NVML_SUCCESS);
}

static void close_nvml(void)
{
	check_result(nvml.shutdown(), GSH_NVML_SUCCESS);
	dlclose(nvml.library);
}

static void shows(uint64_t total, uint64_t used, uint64_t left)
{
	struct gsh_nvml_memory_v2 new = {
		.version = GSH_NVML_VERSION(struct gsh_nvml_memory_v2, 2),
	};
	struct gsh_nvml_memory old = { 0 };

	check_result(nvml.nvmlDeviceGetMemoryInfo(nvml.device, &old), GSH_NVML_SUCCESS);
	check(old.total == total);
	check(old.used == used);
	check(old.free == left);
	check_result(nvml.nvmlDeviceGetMemoryInfo_v2(nvml.device, &new),
		     GSH_NVML_SUCCESS);
	check(new.total == total);
	check(new.used == used);
	check(new.free == left);
	check(new.used + new.free + new.reserved == new.total);
}

/* The list of any form as pairs of pid and bytes; how many there are. */
static unsigned processes(unsigned form, unsigned *pids, uint64_t *bytes)
{
	struct gsh_nvml_process_v1 first[16];
	struct gsh_nvml_process later[16];
	struct gsh_nvml_process_detail detailed[16];
	struct gsh_nvml_process_details details = {
		.version = GSH_NVML_VERSION(struct gsh_nvml_process_details, 1),
		.mode = GSH_NVML_COMPUTE,
		.count = 16,
		.list = detailed,
	};
	unsigned count = 16;

	switch (form) {
	case 1:
		check_result(nvml.nvmlDeviceGetComputeRunningProcesses(nvml.device,
								       &count, first),
			     GSH_NVML_SUCCESS);
		break;
	case 2:
		check_result(nvml.nvmlDeviceGetComputeRunningProcesses_v2(nvml.device,
									  &count, later),
			     GSH_NVML_SUCCESS);
		break;
	case 3:
		check_result(nvml.nvmlDeviceGetComputeRunningProcesses_v3(nvml.device,
									  &count, later),
			     GSH_NVML_SUCCESS);
		break;
	default:
		check_result(
			nvml.nvmlDeviceGetRunningProcessDetailList(nvml.device, &details),
			GSH_NVML_SUCCESS);
		count = details.count;
		break;
	}
	check(count <= 16);
	for (unsigned i = 0; i < count && i < 16; i++) {
		pids[i] = form == 1  ? first[i].pid
			  : form < 4 ? later[i].pid
				     : detailed[i].pid;
		bytes[i] = form == 1  ? first[i].used_bytes
			   : form < 4 ? later[i].used_bytes
				      : detailed[i].used_bytes;
	}
	return count;
}

static void lists_only_this_process(uint64_t expected)
{
	for (unsigned form = 1; form <= 4; form++) {
		unsigned pids[16] = { 0 };
		uint64_t bytes[16] = { 0 };

		check(processes(form, pids, bytes) == 1);
		check(pids[0] == (unsigned)getpid());
		check(bytes[0] == expected);
	}
}

static CUdeviceptr take(size_t mebibytes)
{
	CUdeviceptr memory = 0;

	check_result(cuMemAlloc(&memory, mebibytes << 20), CUDA_SUCCESS);
	return memory;
}

/* Otherwise the test is skipped. */
static bool can_mount(void)
{
	if (tenant_can_mount())
		return true;
	unit_skip("This user cannot have mounts of its own: run it as root.");
	return false;
}

/* ---- memory ---- */

TENANT_BODY(sees_its_quota)
{
	CUdeviceptr memory;

	/* As frameworks do: NVML is asked before there is any context. */
	open_nvml(0);
	shows(64 * MIB, 0, 64 * MIB);
	tenant_context();
	memory = take(40);
	shows(64 * MIB, 40 * MIB, 24 * MIB);
	lists_only_this_process(40 * MIB);
	check_result(cuMemFree(memory), CUDA_SUCCESS);
	shows(64 * MIB, 0, 64 * MIB);
	close_nvml();
	/* It may be loaded elsewhere the next time. */
	open_nvml(0);
	shows(64 * MIB, 0, 64 * MIB);
	close_nvml();
}

static void nvml_shows_the_quota_and_what_is_left(void)
{
	CU_ASSERT(tenant_passes("sees_its_quota", QUOTA, NULL));
}

TENANT_BODY(sees_contexts_as_used)
{
	open_nvml(0);
	tenant_context();
	take(40);
	shows(64 * MIB, 48 * MIB, 16 * MIB);
	lists_only_this_process(48 * MIB);
	close_nvml();
}

static void what_contexts_count_is_used(void)
{
	CU_ASSERT(tenant_passes("sees_contexts_as_used", QUOTA,
				"GPUSHIM_CONTEXT_MEMORY=8MiB", NULL));
}

TENANT_BODY(sees_the_device)
{
	open_nvml(0);
	tenant_context();
	take(40);
	shows(DEVICE_BYTES, 40 * MIB, 24 * MIB);
	close_nvml();
}

static void the_device_can_be_shown_in_place_of_the_quota(void)
{
	CU_ASSERT(tenant_passes("sees_the_device", QUOTA, "GPUSHIM_VIEW=device", NULL));
}

TENANT_BODY(takes_most_of_the_device)
{
	tenant_context();
	take(1000);
	tenant_meet();
}

TENANT_BODY(sees_no_more_than_the_device_has)
{
	struct gsh_nvml_memory_v2 memory = {
		.version = GSH_NVML_VERSION(struct gsh_nvml_memory_v2, 2),
	};
	size_t left, total;

	open_nvml(0);
	tenant_context();
	check_result(cuMemGetInfo(&left, &total), CUDA_SUCCESS);
	check_result(nvml.nvmlDeviceGetMemoryInfo_v2(nvml.device, &memory),
		     GSH_NVML_SUCCESS);
	check(memory.total == 1500 * MIB);
	check(memory.free < 1048 * MIB);
	check(memory.free == left);
	check(memory.used == 0);
	check(memory.used + memory.free + memory.reserved == memory.total);
	close_nvml();
}

static void what_other_tenants_have_is_not_free(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("takes_most_of_the_device", "GPUSHIM_TENANT=other",
			   "GPUSHIM_MEMORY=1000MiB", NULL);
	CU_ASSERT(tenant_met(pid));
	CU_ASSERT(tenant_passes("sees_no_more_than_the_device_has",
				"GPUSHIM_MEMORY=1500MiB", NULL));
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

TENANT_BODY(sees_the_limits_of_both_devices)
{
	open_nvml(0);
	shows(32 * MIB, 0, 32 * MIB);
	close_nvml();
	open_nvml(1);
	shows(48 * MIB, 0, 48 * MIB);
	/* CUDA calls this one device 0. */
	tenant_context();
	take(40);
	shows(48 * MIB, 40 * MIB, 8 * MIB);
	close_nvml();
	open_nvml(0);
	shows(32 * MIB, 0, 32 * MIB);
	close_nvml();
}

static void devices_are_matched_whatever_cuda_numbers_them(void)
{
	CU_ASSERT(tenant_passes(
		"sees_the_limits_of_both_devices", "CUDA_DEVICE_MEMORY_LIMIT_0=32m",
		"CUDA_DEVICE_MEMORY_LIMIT_1=48m", "CUDA_VISIBLE_DEVICES=1", NULL));
}

/* ---- arguments ---- */

TENANT_BODY(asks_wrongly)
{
	struct gsh_nvml_memory_v2 memory = { .version = 1 };
	struct gsh_nvml_process_details details = { .version = 1,
						    .mode = GSH_NVML_COMPUTE };
	struct gsh_nvml_process list[2];
	unsigned count;

	open_nvml(0);
	tenant_context();
	take(1);
	check_result(nvml.nvmlDeviceGetMemoryInfo(nvml.device, NULL),
		     GSH_NVML_INVALID_ARGUMENT);
	check(nvml.nvmlDeviceGetMemoryInfo(NULL, NULL) != GSH_NVML_SUCCESS);
	check_result(nvml.nvmlDeviceGetMemoryInfo_v2(nvml.device, NULL),
		     GSH_NVML_INVALID_ARGUMENT);
	/* What the real function says to a version that it does not know. */
	check(nvml.nvmlDeviceGetMemoryInfo_v2(nvml.device, &memory) != GSH_NVML_SUCCESS);
	check(nvml.nvmlDeviceGetRunningProcessDetailList(nvml.device, &details) !=
	      GSH_NVML_SUCCESS);
	check(nvml.nvmlDeviceGetRunningProcessDetailList(nvml.device, NULL) !=
	      GSH_NVML_SUCCESS);
	check_result(
		nvml.nvmlDeviceGetComputeRunningProcesses_v3(nvml.device, NULL, list),
		GSH_NVML_INVALID_ARGUMENT);
	count = 2;
	check_result(
		nvml.nvmlDeviceGetComputeRunningProcesses_v3(nvml.device, &count, NULL),
		GSH_NVML_INVALID_ARGUMENT);
	count = 0;
	check_result(
		nvml.nvmlDeviceGetComputeRunningProcesses_v3(nvml.device, &count, NULL),
		GSH_NVML_INSUFFICIENT_SIZE);
	check(count == 1);
	count = 2;
	check_result(
		nvml.nvmlDeviceGetGraphicsRunningProcesses_v3(nvml.device, &count, list),
		GSH_NVML_SUCCESS);
	check(count == 0);
	count = 2;
	check_result(nvml.nvmlDeviceGetMPSComputeRunningProcesses_v3(nvml.device, &count,
								     list),
		     GSH_NVML_SUCCESS);
	check(count == 0);
	nvml.shutdown();
	check(nvml.nvmlDeviceGetMemoryInfo(nvml.device, &(struct gsh_nvml_memory){ 0 }) !=
	      GSH_NVML_SUCCESS);
}

static void wrong_arguments_are_answered_as_nvml_answers_them(void)
{
	CU_ASSERT(tenant_passes("asks_wrongly", QUOTA, NULL));
	CU_ASSERT(tenant_passes_bare("asks_wrongly", NULL));
}

/* ---- processes ---- */

TENANT_BODY(takes_ten)
{
	tenant_context();
	take(10);
	tenant_meet();
}

/* SIBLINGS says how many are expected beside this process, with 10 MiB each. */
TENANT_BODY(sees_its_siblings)
{
	unsigned expected = (unsigned)atoi(getenv("SIBLINGS"));

	tenant_context();
	take(5);
	open_nvml(0);
	for (unsigned form = 1; form <= 4; form++) {
		unsigned pids[16] = { 0 }, mine = 0, count;
		uint64_t bytes[16] = { 0 };

		count = processes(form, pids, bytes);
		check(count == expected + 1);
		for (unsigned i = 0; i < count; i++) {
			bool is_me = pids[i] == (unsigned)getpid();

			mine += is_me;
			check(bytes[i] == (is_me ? 5 * MIB : 10 * MIB));
		}
		check(mine == 1);
	}
	close_nvml();
}

static void only_processes_of_the_tenant_are_listed(void)
{
	pid_t sibling, stranger;

	tenant_dir();
	sibling = tenant_start("takes_ten", QUOTA, NULL);
	stranger = tenant_start("takes_ten", QUOTA, "GPUSHIM_TENANT=other", NULL);
	CU_ASSERT(tenant_met(sibling) && tenant_met(stranger));
	setenv("SIBLINGS", "1", 1);
	CU_ASSERT(tenant_passes("sees_its_siblings", QUOTA, NULL));
	tenant_go(stranger);
	CU_ASSERT(tenant_ends(stranger));
	tenant_go(sibling);
	CU_ASSERT(tenant_ends(sibling));
}

TENANT_BODY(watches_a_sibling_die)
{
	unsigned pids[16];
	uint64_t bytes[16];

	tenant_context();
	take(5);
	open_nvml(0);
	check(processes(3, pids, bytes) == 2);
	tenant_meet();
	check(processes(3, pids, bytes) == 1);
	check(pids[0] == (unsigned)getpid());
	shows(64 * MIB, 5 * MIB, 59 * MIB);
	close_nvml();
}

static void who_has_been_killed_is_listed_no_more(void)
{
	pid_t sibling, watcher;

	tenant_dir();
	sibling = tenant_start("takes_ten", QUOTA, NULL);
	CU_ASSERT(tenant_met(sibling));
	watcher = tenant_start("watches_a_sibling_die", QUOTA, NULL);
	CU_ASSERT(tenant_met(watcher));
	tenant_discard(sibling);
	tenant_go(watcher);
	CU_ASSERT(tenant_ends(watcher));
}

TENANT_BODY(takes_ten_as_process_one)
{
	int status = 1;
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0) {
		perror("a PID name space");
		return;
	}
	pid = fork();
	if (pid == 0) {
		check(getpid() == 1);
		tenant_context();
		take(10);
		tenant_meet();
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
}

static void processes_of_other_pid_name_spaces_are_not_listed(void)
{
	pid_t pid;

	if (!can_mount())
		return;
	tenant_dir();
	pid = tenant_start("takes_ten_as_process_one", QUOTA, NULL);
	CU_ASSERT(tenant_met(pid));
	/* Its number would be somebody else's here; its memory counts all the same. */
	setenv("SIBLINGS", "0", 1);
	CU_ASSERT(tenant_passes("sees_its_siblings", QUOTA, NULL));
	CU_ASSERT_EQUAL(tenant_charged(tenant_dir(), "default"), 10 * MIB);
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

/* ---- without an account ---- */

TENANT_BODY(sees_everything_unaltered)
{
	struct gsh_nvml_memory memory;
	unsigned pids[16];
	uint64_t bytes[16];

	if (getenv("PRIVATE_MOUNTS"))
		tenant_private_mounts();
	open_nvml(0);
	check_result(nvml.nvmlDeviceGetMemoryInfo(nvml.device, &memory),
		     GSH_NVML_SUCCESS);
	check(memory.total == DEVICE_BYTES);
	check(memory.used > 10 * MIB);
	for (unsigned form = 1; form <= 4; form++)
		check(processes(form, pids, bytes) == 1);
	close_nvml();
}

static void without_limits_nothing_is_altered(void)
{
	pid_t pid;

	if (!can_mount())
		return;
	tenant_dir();
	pid = tenant_start("takes_ten", QUOTA, NULL);
	CU_ASSERT(tenant_met(pid));
	CU_ASSERT(tenant_passes("sees_everything_unaltered", "GPUSHIM_DIR",
				"PRIVATE_MOUNTS=1", NULL));
	CU_ASSERT_STRING_EQUAL(tenant_stderr(), "");
	CU_ASSERT(tenant_passes_bare("sees_everything_unaltered", NULL));
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

static void who_is_closed_may_still_look(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("takes_ten", QUOTA, NULL);
	CU_ASSERT(tenant_met(pid));
	CU_ASSERT(
		tenant_passes("sees_everything_unaltered", "GPUSHIM_MEMORY=lots", NULL));
	CU_ASSERT_PTR_NOT_NULL(strstr(tenant_stderr(), "GPUSHIM_MEMORY=lots"));
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
}

/* ---- how programs find it ---- */

TENANT_BODY(finds_only_what_there_is)
{
	void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
	void *other = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

	check(library && other);
	/* Ours in place of NVML's, and nothing in place of nothing. */
	check(dlsym(library, "nvmlDeviceGetMemoryInfo") ==
	      dlsym(RTLD_DEFAULT, "nvmlDeviceGetMemoryInfo"));
	check(dlsym(library, "nvmlDeviceGetMemoryInfo_v9") == NULL);
	check(dlerror() != NULL);
	check(dlsym(other, "nvmlDeviceGetMemoryInfo") == NULL);
	check(dlsym(library, "nvmlDeviceGetName") != NULL);
}

static void look_ups_find_hooks_only_for_what_nvml_has(void)
{
	CU_ASSERT(tenant_passes("finds_only_what_there_is", QUOTA, NULL));
}

static int choose_device(void)
{
	return setenv("SIMGPU_MEMORY", "2GiB", 1) | setenv("SIMGPU_DEVICES", "2", 1);
}

const struct unit_suite unit_suite = {
	.name = "NVML inside a tenant",
	.init = choose_device,
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(nvml_shows_the_quota_and_what_is_left),
		UNIT_TEST(what_contexts_count_is_used),
		UNIT_TEST(the_device_can_be_shown_in_place_of_the_quota),
		UNIT_TEST(what_other_tenants_have_is_not_free),
		UNIT_TEST(devices_are_matched_whatever_cuda_numbers_them),
		UNIT_TEST(wrong_arguments_are_answered_as_nvml_answers_them),
		UNIT_TEST(only_processes_of_the_tenant_are_listed),
		UNIT_TEST(who_has_been_killed_is_listed_no_more),
		UNIT_TEST(processes_of_other_pid_name_spaces_are_not_listed),
		UNIT_TEST(without_limits_nothing_is_altered),
		UNIT_TEST(who_is_closed_may_still_look),
		UNIT_TEST(look_ups_find_hooks_only_for_what_nvml_has),
	},
};
