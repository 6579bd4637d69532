/*
 * Processes that multiply and end: whatever they do, the tenant is charged for what the device
 * holds for it, no process twice, and no memory not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_publish.h"
#include "common_tenant.h"
#include "cunit_main.h"

#define QUOTA "GPUSHIM_MEMORY=64MiB"

static const uint64_t MIB = UINT64_C(1) << 20;

/* What the ledger charges is what the device holds. */
static void charged_is(uint64_t bytes)
{
	CU_ASSERT_EQUAL(tenant_device_requested(), bytes);
	CU_ASSERT_EQUAL(tenant_charged(tenant_dir(), "default"), bytes);
}

static unsigned processes(void)
{
	const struct gpushim_snapshot *snapshot = tenant_snapshot(tenant_dir(),
								  "default");

	return snapshot ? snapshot->processes_count : UINT_MAX;
}

/* ---- neighbours ---- */

static CUdeviceptr take(size_t mebibytes, CUresult expected)
{
	CUdeviceptr memory = 0;

	check_result(cuMemAlloc(&memory, mebibytes << 20), expected);
	return memory;
}

TENANT_BODY(takes_all)
{
	tenant_context();
	take(64, CUDA_SUCCESS);
	take(1, CUDA_ERROR_OUT_OF_MEMORY);
}

TENANT_BODY(finds_room_for_24)
{
	tenant_context();
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	take(24, CUDA_SUCCESS);
}

/* All 64 MiB, the neighbours' being gone. */
static void all_is_free_again(void)
{
	CU_ASSERT(tenant_passes("takes_all", QUOTA, NULL));
}

static void only_24_are_left(void)
{
	CU_ASSERT(tenant_passes("finds_room_for_24", QUOTA, NULL));
}

static bool child_passed(pid_t pid)
{
	int status = 1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return check(status == 0);
}

/* ---- children that outlive their parents ---- */

/* Tells the test who the calling process is: it becomes its child when the parent ends. */
static void report_self(void)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/child", getenv("GPUSHIM_DIR"));
	snprintf(text, sizeof(text), "%d", (int)getpid());
	tenant_write(path, text);
}

static void reported_child_ends(void)
{
	char path[PATH_MAX];
	int pid = 0, status = 1;
	FILE *file;

	snprintf(path, sizeof(path), "%s/child", tenant_dir());
	file = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT(fscanf(file, "%d", &pid) == 1);
	fclose(file);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	CU_ASSERT_EQUAL(status, 0);
}

/* It has ended, and its status is still there for tenant_ends(). */
static void has_ended(pid_t pid)
{
	siginfo_t info;

	CU_ASSERT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
}

TENANT_BODY(has_a_child_that_outlives_it)
{
	tenant_context();
	take(40, CUDA_SUCCESS);
	/* As data loaders do: the child keeps all descriptors and never calls CUDA. */
	if (fork() == 0) {
		report_self();
		tenant_meet();
		_exit(0);
	}
}

TENANT_BODY(is_outlived_and_killed)
{
	tenant_context();
	take(40, CUDA_SUCCESS);
	if (fork() == 0) {
		report_self();
		tenant_meet();
		_exit(0);
	}
	raise(SIGKILL);
}

static void outlived(const char *body, bool killed)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, QUOTA, NULL);
	CU_ASSERT(tenant_met(pid));
	has_ended(pid);
	charged_is(40 * MIB);
	CU_ASSERT_EQUAL(processes(), 1);
	only_24_are_left();
	tenant_go(pid);
	if (killed)
		tenant_discard(pid);
	else
		CU_ASSERT(tenant_ends(pid));
	reported_child_ends();
	all_is_free_again();
	charged_is(0);
}

static void memory_that_a_child_keeps_stays_charged(void)
{
	outlived("has_a_child_that_outlives_it", false);
}

static void memory_that_a_child_of_a_killed_process_keeps_stays_charged(void)
{
	outlived("is_outlived_and_killed", true);
}

TENANT_BODY(has_a_program_that_outlives_it)
{
	char *arguments[] = { (char *)(uintptr_t) "cat", NULL };
	int started[2];
	char byte;

	tenant_context();
	take(40, CUDA_SUCCESS);
	check(pipe2(started, O_CLOEXEC) == 0);
	if (fork() == 0) {
		report_self();
		/* Until the test closes its end of the line. */
		dup2(198, 0);
		execvp("cat", arguments);
		_exit(1);
	}
	/* Another program has none of our descriptors, and none of the driver's. */
	close(started[1]);
	check(read(started[0], &byte, 1) == 0);
}

static void a_program_started_from_a_process_keeps_nothing(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_a_program_that_outlives_it", QUOTA, NULL);
	has_ended(pid);
	all_is_free_again();
	charged_is(0);
	CU_ASSERT(tenant_ends(pid));
	reported_child_ends();
}

/* ---- children with the parent's context ---- */

static void try_cuda_as_a_child(void)
{
	CUdeviceptr memory;
	size_t left, total;

	/* As the driver has it, a child has no CUDA once its parent had. */
	check(cuMemAlloc(&memory, 1 << 20) != CUDA_SUCCESS);
	check(cuMemGetInfo(&left, &total) != CUDA_SUCCESS);
	check(cuInit(0) != CUDA_SUCCESS);
	check(cuMemAlloc(&memory, 1 << 20) != CUDA_SUCCESS);
}

TENANT_BODY(has_children_that_call_cuda)
{
	CUdeviceptr memory;

	tenant_context();
	memory = take(40, CUDA_SUCCESS);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			try_cuda_as_a_child();
			/* Not the parent's to lose. */
			check(cuMemFree(memory) != CUDA_SUCCESS);
			exit(0);
		}
		child_passed(pid);
	}
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
	check_result(cuMemFree(memory), CUDA_SUCCESS);
	take(64, CUDA_SUCCESS);
	tenant_meet();
}

static void children_that_call_cuda_neither_take_nor_give(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_children_that_call_cuda", QUOTA, NULL);
	if (tenant_met(pid)) {
		charged_is(40 * MIB);
		tenant_go(pid);
	}
	if (tenant_met(pid)) {
		charged_is(64 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
	all_is_free_again();
}

/* ---- children before any CUDA ---- */

TENANT_BODY(has_children_with_cuda_of_their_own)
{
	pid_t children[4];

	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			tenant_context();
			take(10, CUDA_SUCCESS);
			tenant_meet();
			exit(0);
		}
	}
	tenant_context();
	take(10, CUDA_SUCCESS);
	tenant_meet();
	for (int i = 0; i < 4; i++)
		child_passed(children[i]);
	take(54, CUDA_SUCCESS);
	take(1, CUDA_ERROR_OUT_OF_MEMORY);
}

static void children_forked_before_have_accounts_of_their_own(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_children_with_cuda_of_their_own", QUOTA, NULL);
	for (int i = 0; i < 5; i++)
		CU_ASSERT(tenant_met(pid));
	charged_is(50 * MIB);
	CU_ASSERT_EQUAL(processes(), 5);
	for (int i = 0; i < 5; i++)
		tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
	all_is_free_again();
}

/* ---- other ways to start programs ---- */

static void spawn(const char *program)
{
	char *arguments[] = { (char *)(uintptr_t)program, NULL };
	pid_t pid;

	if (check(posix_spawnp(&pid, program, NULL, NULL, arguments, environ) == 0))
		child_passed(pid);
	pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): under test */
	if (pid == 0) {
		execvp(program, arguments);
		_exit(1);
	}
	child_passed(pid);
	check(system(program) == 0);
}

TENANT_BODY(starts_programs)
{
	CUdeviceptr memory;

	tenant_context();
	memory = take(40, CUDA_SUCCESS);
	for (int i = 0; i < 5; i++)
		spawn("true");
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	take(24, CUDA_SUCCESS);
	tenant_meet();
	check_result(cuMemFree(memory), CUDA_SUCCESS);
	tenant_meet();
}

static void spawned_programs_change_nothing(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("starts_programs", QUOTA, NULL);
	if (tenant_met(pid)) {
		charged_is(64 * MIB);
		CU_ASSERT_EQUAL(processes(), 1);
		tenant_go(pid);
	}
	if (tenant_met(pid)) {
		charged_is(24 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

TENANT_BODY(becomes_another_program)
{
	char *arguments[] = { (char *)(uintptr_t) "body", (char *)(uintptr_t) "--body",
			      (char *)(uintptr_t) "takes_all", NULL };

	tenant_context();
	take(40, CUDA_SUCCESS);
	/* Its memory goes with it, so the same process may have all of the quota now. */
	execv("/proc/self/exe", arguments);
	check(false);
}

static void a_process_that_becomes_another_program_starts_anew(void)
{
	CU_ASSERT(tenant_passes("becomes_another_program", QUOTA, NULL));
	all_is_free_again();
}

/* ---- ends ---- */

TENANT_BODY(exits_at_once)
{
	tenant_context();
	take(40, CUDA_SUCCESS);
	_exit(0);
}

static void an_exit_without_cleaning_up_leaves_no_charge(void)
{
	for (int i = 0; i < 5; i++)
		CU_ASSERT(tenant_passes("exits_at_once", QUOTA, NULL));
	all_is_free_again();
	charged_is(0);
}

static void *take_in_thread(void *memory)
{
	*(CUdeviceptr *)memory = 0;
	tenant_context();
	*(CUdeviceptr *)memory = take(40, CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(has_threads_that_end)
{
	CUdeviceptr memory;
	pthread_t thread;

	check(pthread_create(&thread, NULL, take_in_thread, &memory) == 0);
	pthread_join(thread, NULL);
	tenant_context();
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
	/* The thread that asked has gone; what it got has not. */
	check_result(cuMemFree(memory), CUDA_SUCCESS);
	take(64, CUDA_SUCCESS);
}

static void what_a_thread_took_is_there_after_its_end(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("has_threads_that_end", QUOTA, NULL);
	if (tenant_met(pid)) {
		charged_is(40 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
}

/* ---- programs that close what they did not open ---- */

/* The numbers under which the ledger is open in this process. */
static int next_ledger_fd(int after)
{
	char path[64], target[PATH_MAX];
	int found = INT_MAX;
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");

	while (dir && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);
		ssize_t bytes;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		bytes = readlink(path, target, sizeof(target) - 1);
		if (bytes < 7 || fd <= after || fd >= found)
			continue;
		target[bytes] = '\0';
		if (strcmp(target + bytes - 7, "/ledger") == 0)
			found = fd;
	}
	if (dir)
		closedir(dir);
	return found == INT_MAX ? -1 : found;
}

static int close_ledger(void)
{
	int count = 0;

	for (int fd = next_ledger_fd(2); fd >= 0; fd = next_ledger_fd(fd)) {
		close(fd);
		count++;
	}
	return count;
}

TENANT_BODY(closes_the_ledger)
{
	CUdeviceptr memory;

	tenant_context();
	memory = take(40, CUDA_SUCCESS);
	check(close_ledger() > 0);
	tenant_meet();
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	take(24, CUDA_SUCCESS);
	check_result(cuMemFree(memory), CUDA_SUCCESS);
	tenant_meet();
}

TENANT_BODY(puts_another_file_in_its_place)
{
	CUdeviceptr memory;
	int fd;

	tenant_context();
	memory = take(40, CUDA_SUCCESS);
	fd = next_ledger_fd(2);
	check(fd > 0);
	check(dup2(2, fd) == fd);
	tenant_meet();
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	take(24, CUDA_SUCCESS);
	check_result(cuMemFree(memory), CUDA_SUCCESS);
	/* And what was put there is untouched. */
	check(fcntl(fd, F_GETFD) >= 0);
	tenant_meet();
}

static void closes_and_keeps(const char *body)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start(body, QUOTA, NULL);
	if (tenant_met(pid)) {
		charged_is(40 * MIB);
		/* Would be 64 if its slot counted as dead. */
		only_24_are_left();
		tenant_go(pid);
	}
	if (tenant_met(pid)) {
		charged_is(24 * MIB);
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
	all_is_free_again();
}

static void a_process_that_closes_the_ledger_keeps_its_slot(void)
{
	closes_and_keeps("closes_the_ledger");
}

static void a_process_that_reuses_the_number_of_the_ledger_keeps_its_slot(void)
{
	closes_and_keeps("puts_another_file_in_its_place");
}

TENANT_BODY(closes_everything)
{
	CUdeviceptr memory;

	tenant_context();
	take(40, CUDA_SUCCESS);
	/* closefrom(3), but for the line to the test. */
	check(syscall(SYS_close_range, 3, 197, 0) == 0);
	check(syscall(SYS_close_range, 199, ~0U, 0) == 0);
	tenant_meet();
	/* What the driver makes of that is its own affair; nothing may crash. */
	cuMemAlloc(&memory, 1 << 20);
	tenant_meet();
	_exit(0);
}

static void a_process_that_closes_everything_harms_nobody(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("closes_everything", QUOTA, NULL);
	if (tenant_met(pid)) {
		/* It lives, and may still have the memory on a device that is mapped. */
		only_24_are_left();
		tenant_go(pid);
	}
	if (tenant_met(pid))
		tenant_go(pid);
	CU_ASSERT(tenant_ends(pid));
	all_is_free_again();
	charged_is(0);
}

/* ---- many ---- */

TENANT_BODY(forks_without_end)
{
	enum { CHILDREN = 60 };
	CUdeviceptr memory;

	tenant_context();
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid;

		memory = take(40, CUDA_SUCCESS);
		pid = fork();
		if (pid == 0) {
			if (i % 3 == 0)
				try_cuda_as_a_child();
			if (i % 3 == 1 && fork() == 0)
				_exit(0);
			if (i % 5 == 0)
				raise(SIGKILL);
			_exit(0);
		}
		take(30, CUDA_ERROR_OUT_OF_MEMORY);
		check_result(cuMemFree(memory), CUDA_SUCCESS);
		check(waitpid(pid, NULL, 0) == pid);
	}
	take(40, CUDA_SUCCESS);
	tenant_meet();
}

static void a_storm_of_forks_leaves_the_charge_right(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("forks_without_end", QUOTA, NULL);
	if (tenant_met(pid)) {
		charged_is(40 * MIB);
		CU_ASSERT_EQUAL(processes(), 1);
		only_24_are_left();
		tenant_go(pid);
	}
	CU_ASSERT(tenant_ends(pid));
	all_is_free_again();
}

static int adopt_orphans(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

const struct unit_suite unit_suite = {
	.name = "fork, exec and exit",
	.init = adopt_orphans,
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(memory_that_a_child_keeps_stays_charged),
		UNIT_TEST(memory_that_a_child_of_a_killed_process_keeps_stays_charged),
		UNIT_TEST(a_program_started_from_a_process_keeps_nothing),
		UNIT_TEST(children_that_call_cuda_neither_take_nor_give),
		UNIT_TEST(children_forked_before_have_accounts_of_their_own),
		UNIT_TEST(spawned_programs_change_nothing),
		UNIT_TEST(a_process_that_becomes_another_program_starts_anew),
		UNIT_TEST(an_exit_without_cleaning_up_leaves_no_charge),
		UNIT_TEST(what_a_thread_took_is_there_after_its_end),
		UNIT_TEST(a_process_that_closes_the_ledger_keeps_its_slot),
		UNIT_TEST(a_process_that_reuses_the_number_of_the_ledger_keeps_its_slot),
		UNIT_TEST(a_process_that_closes_everything_harms_nobody),
		UNIT_TEST(a_storm_of_forks_leaves_the_charge_right),
	},
};
