/*
 * test_process.c - a forked child is told from its parent also where the kernel cannot wipe
 * memory on fork (Linux before 4.14; some sandboxes): there by its process id.
 *
 * A filter on system calls stands in for such a kernel.
 */
#include "cunit_main.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_tenant.h"
#include "gpushim/reader.h"

#define MIB ((size_t)1 << 20)
#define QUOTA "GPUSHIM_MEMORY=64MiB"

/* From now on madvise(MADV_WIPEONFORK) is an advice that the kernel does not know. */
static void take_wiping_away(void)
{
	static struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_WIPEONFORK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(rules) / sizeof(rules[0]), rules };
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	check(madvise(page, 4096, MADV_WIPEONFORK) == -1 && errno == EINVAL);
	munmap(page, 4096);
}

static void fork_and_use_cuda_in_the_child(void)
{
	CUdeviceptr memory;
	int status = -1;
	pid_t pid;

	tenant_context();
	check_result(cuMemAlloc_v2(&memory, 40 * MIB), CUDA_SUCCESS);
	pid = fork();
	if (pid == 0) {
		/* As the driver has it, a child has no CUDA once its parent had. */
		check(cuInit(0) != CUDA_SUCCESS);
		check(cuMemAlloc_v2(&memory, MIB) != CUDA_SUCCESS);
		check(cuMemFree_v2(memory) != CUDA_SUCCESS);
		tenant_meet();
		exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check_result(cuMemAlloc_v2(&memory, 25 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&memory, 24 * MIB), CUDA_SUCCESS);
}

TENANT_BODY(forks_without_wiping)
{
	take_wiping_away();
	fork_and_use_cuda_in_the_child();
}

TENANT_BODY(forks)
{
	fork_and_use_cuda_in_the_child();
}

/* While the child is alive: it has a slot of its own with nothing in it. */
static void parent_and_child_have_a_slot_each(const char *body)
{
	struct gpushim_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct gpushim_reader *reader = NULL;
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, QUOTA, NULL);
	CU_ASSERT(tenant_met(pid));
	CU_ASSERT_EQUAL(gpushim_reader_open(&reader, tenant_dir(), "default"), 0);
	if (reader && snapshot) {
		CU_ASSERT_EQUAL(gpushim_reader_snapshot(reader, snapshot), 0);
		CU_ASSERT_EQUAL(snapshot->processes_count, 2);
		CU_ASSERT_EQUAL(snapshot->devices[0].charged_bytes, 40 * MIB);
	}
	tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
	gpushim_reader_close(reader);
	free(snapshot);
}

static void a_child_has_an_account_of_its_own(void)
{
	parent_and_child_have_a_slot_each("forks");
}

static void a_child_has_an_account_of_its_own_where_fork_does_not_wipe(void)
{
	parent_and_child_have_a_slot_each("forks_without_wiping");
}

const struct unit_suite unit_suite = {
	.name = "process and fork",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_child_has_an_account_of_its_own),
		UNIT_TEST(a_child_has_an_account_of_its_own_where_fork_does_not_wipe),
	},
};
