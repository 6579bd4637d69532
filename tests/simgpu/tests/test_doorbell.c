/*
 * test_doorbell.c - a client that is held up between the clock and the doorbell of a
 * submission: the device waits for it a while, so that the books stay in order, and then goes
 * on without it, so that its neighbours do not pay.
 *
 * Knows that the driver reads the time of a submission with clock_gettime(), of which this
 * program has its own.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common_worker.h"

/* Below the 50 ms for which the device waits, and beyond. */
enum { SHORT_MS = 5, LONG_MS = 200, ENDURED_MS = 40, ATTEMPTS = 10 };

/* What the processes share. */
static struct {
	unsigned rounds; /* of the neighbour */
	int stop;	 /* to the neighbour */
	int delay_ms;	 /* of the next submission */
	uint64_t held_up_ns;
	unsigned rounds_meanwhile;
} * shared;

/* Set in the process that submits late, for one reading of the clock. */
static int armed;

static uint64_t now_ns(void)
{
	struct timespec now;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static unsigned rounds(void)
{
	return __atomic_load_n(&shared->rounds, __ATOMIC_ACQUIRE);
}

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
	int res = (int)syscall(SYS_clock_gettime, clock_id, tp);

	if (armed) {
		const struct timespec delay = { shared->delay_ms / 1000,
						shared->delay_ms % 1000 * 1000000 };
		uint64_t since_ns = now_ns();
		unsigned before = rounds();

		armed = 0;
		nanosleep(&delay, NULL);
		shared->rounds_meanwhile = rounds() - before;
		shared->held_up_ns = now_ns() - since_ns;
	}
	return res;
}

static void neighbour(struct worker *self)
{
	CUfunction work;

	worker_context(0);
	work = worker_kernel();
	worker_pause(self);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		worker_launch(work, 1000);
		WORKER_OK(cuCtxSynchronize());
		__atomic_add_fetch(&shared->rounds, 1, __ATOMIC_RELEASE);
	}
}

static void submit_late(struct worker *self)
{
	CUfunction work;

	worker_context(0);
	work = worker_kernel();
	worker_launch(work, 1000);
	WORKER_OK(cuCtxSynchronize());
	for (worker_pause(self); shared->delay_ms != 0; worker_pause(self)) {
		armed = 1;
		worker_launch(work, 1000);
		WORKER_OK(cuCtxSynchronize());
	}
}

static struct simgpu_monitor *monitor;
static struct worker busy, late;

static void begin(void)
{
	const char *why = "";
	unsigned looks = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(shared != MAP_FAILED);
	monitor = simgpu_open(NULL, 1, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(monitor);
	busy = worker_start(neighbour);
	late = worker_start(submit_late);
	worker_await(&busy);
	worker_await(&late);
	worker_go(&busy);
	while (rounds() < 10 && look_again(&looks))
		;
}

static void end(void)
{
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	shared->delay_ms = 0;
	worker_go(&late);
	CU_ASSERT_EQUAL(worker_end(&late), 0);
	CU_ASSERT_EQUAL(worker_end(&busy), 0);
	simgpu_close(monitor);
	munmap(shared, sizeof(*shared));
}

static uint64_t late_submissions(void)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);
	uint64_t count = truth ? truth->devices[0].late : 0;

	CU_ASSERT_PTR_NOT_NULL(truth);
	simgpu_free(truth);
	return count;
}

/* Has the worker be late by that much; returns how many submissions the device missed. */
static uint64_t held_up(int delay_ms)
{
	uint64_t before = late_submissions();

	shared->delay_ms = delay_ms;
	worker_go(&late);
	worker_await(&late);
	return late_submissions() - before;
}

static void a_short_delay_is_waited_for(void)
{
	int in_order = 0;

	/* A machine that is busy may make any delay a long one, or hold up the neighbour. */
	for (int i = 0; i < ATTEMPTS && !in_order; i++)
		in_order = held_up(SHORT_MS) == 0 &&
			   shared->held_up_ns < ENDURED_MS * 1000000ull;
	CU_ASSERT(in_order);
}

static void a_long_delay_holds_nobody_up_and_is_told(void)
{
	bool told = false, went_on = false;

	/* On a machine that is busy neither the device nor the neighbour may get to it. */
	for (int i = 0; i < ATTEMPTS && !(told && went_on); i++) {
		told = held_up(LONG_MS) >= 1;
		went_on = shared->rounds_meanwhile >= 1;
	}
	CU_ASSERT(told);
	CU_ASSERT(went_on);
}

const struct unit_suite unit_suite = {
	.name = "doorbells",
	.setup = begin,
	.teardown = end,
	.tests = {
		UNIT_TEST(a_short_delay_is_waited_for),
		UNIT_TEST(a_long_delay_holds_nobody_up_and_is_told),
	},
};
