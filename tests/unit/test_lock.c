/*
 * The mutex of one word: exclusion, waiting in the kernel, waking, and fork.
 */
#include "base/lock.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cunit_main.h"

enum { THREADS = 8, ROUNDS = 50000 };

static struct gsh_lock lock;
/* Guarded by lock in the test, and by nothing in the control. */
static struct {
	uint64_t first, second;
} guarded;
static uint64_t torn; /* how often it was seen half done */

static void setup(void)
{
	memset(&lock, 0, sizeof(lock));
	memset(&guarded, 0, sizeof(guarded));
	torn = 0;
}

/* Relaxed accesses, which order nothing but are no data race in the control. */
static void change(uint32_t round)
{
	uint64_t first = gsh_load_relaxed(&guarded.first);

	if (first != gsh_load_relaxed(&guarded.second))
		gsh_add_relaxed(&torn, 1);
	gsh_store_relaxed(&guarded.first, first + 1);
	if (round % 256 == 0)
		sched_yield();
	gsh_store_relaxed(&guarded.second, first + 1);
}

static void *change_locked(void *unused)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		gsh_lock(&lock);
		change(i);
		gsh_unlock(&lock);
	}
	return unused;
}

static void *change_unlocked(void *unused)
{
	for (uint32_t i = 0; i < ROUNDS && gsh_load_relaxed(&torn) == 0; i++)
		change(i);
	return unused;
}

static void run_threads(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void one_thread_at_a_time_is_inside(void)
{
	run_threads(change_locked);
	CU_ASSERT_EQUAL(torn, 0);
	CU_ASSERT_EQUAL(guarded.first, (uint64_t)THREADS * ROUNDS);
	CU_ASSERT_EQUAL(lock.word, 0);
}

static void control_without_a_lock_it_is_torn(void)
{
	run_threads(change_unlocked);
	CU_ASSERT(torn > 0);
}

static void a_free_lock_is_taken_and_given_back(void)
{
	gsh_lock(&lock);
	CU_ASSERT_EQUAL(lock.word, 1);
	gsh_unlock(&lock);
	CU_ASSERT_EQUAL(lock.word, 0);
}

static void *wait_for_it(void *got)
{
	errno = 77;
	gsh_lock(&lock);
	gsh_store_release((uint32_t *)got, errno == 77 ? 1 : 2);
	gsh_unlock(&lock);
	return NULL;
}

/* Until somebody sleeps, or is just about to. */
static void wait_for_a_waiter(void)
{
	while (gsh_load_acquire(&lock.word) != 2)
		sched_yield();
}

static void a_waiter_sleeps_until_it_is_woken(void)
{
	struct rusage before, after;
	pthread_t thread;
	uint32_t got = 0;
	int64_t used_us;

	gsh_lock(&lock);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_for_it, &got), 0);
	wait_for_a_waiter();
	getrusage(RUSAGE_SELF, &before);
	gsh_clock_sleep_ns(50000000);
	getrusage(RUSAGE_SELF, &after);
	CU_ASSERT_EQUAL(gsh_load_acquire(&got), 0);
	errno = 77;
	gsh_unlock(&lock);
	CU_ASSERT_EQUAL(errno, 77);
	pthread_join(thread, NULL);
	/* 1 says that the waiter's errno was kept as well. */
	CU_ASSERT_EQUAL(got, 1);
	used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * INT64_C(1000000) +
		  after.ru_utime.tv_usec - before.ru_utime.tv_usec;
	/* Spinning would have used all of the 50 ms. */
	CU_ASSERT(used_us < 25000);
}

static void all_waiters_are_woken_one_after_another(void)
{
	pthread_t threads[THREADS];
	uint32_t got[THREADS] = { 0 };

	gsh_lock(&lock);
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, wait_for_it, &got[i]), 0);
	wait_for_a_waiter();
	gsh_unlock(&lock);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(got[i], 1);
	}
}

static void a_lock_in_memory_that_fork_wipes_is_free_in_the_child(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct gsh_lock *wiped = mmap(NULL, page, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t child;

	CU_ASSERT_FATAL(wiped != MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(madvise(wiped, page, MADV_WIPEONFORK), 0);
	gsh_lock(wiped);
	child = fork();
	if (child == 0) {
		/* Would wait for ever for a holder who is not in this process. */
		alarm(10);
		gsh_lock(wiped);
		gsh_unlock(wiped);
		_exit(0);
	}
	CU_ASSERT_FATAL(child > 0);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	gsh_unlock(wiped);
	munmap(wiped, page);
}

const struct unit_suite unit_suite = {
	.name = "lock",
	.setup = setup,
	.tests = {
		UNIT_TEST(a_free_lock_is_taken_and_given_back),
		UNIT_TEST(one_thread_at_a_time_is_inside),
		UNIT_TEST(control_without_a_lock_it_is_torn),
		UNIT_TEST(a_waiter_sleeps_until_it_is_woken),
		UNIT_TEST(all_waiters_are_woken_one_after_another),
		UNIT_TEST(a_lock_in_memory_that_fork_wipes_is_free_in_the_child),
	},
};
