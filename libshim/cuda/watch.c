/*
 * watch.c - the helper thread.
 *
 * Knows when it has something to do. A guest may not depend on a threads library: whatever
 * pthread_create the program brought is used, and without one launches are settled by later
 * launches alone.
 */
#include "cuda/watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/elf.h"
#include "cuda/admit.h"
#include "cuda/process.h"
#include "ledger/turn.h"

/* Between two looks at events in flight; and where others wait for what is in flight. */
#define TICK_NS 8000000L
#define TURN_TICK_NS 1000000L
/* Looks without anything new, until it sleeps. */
enum { QUIET_TICKS = 8 };
/* Ticks between two writings of the table of costs. */
enum { COSTS_TICKS = 60 };
/* And between two looks for threads that have ended. */
enum { ENDED_TICKS = 120 };

enum { HELPER_NONE, HELPER_STARTING, HELPER_RUNS, HELPER_IMPOSSIBLE };

/* ---- the thread ---- */

/* What the lanes have launched, in all. */
static uint64_t launches(const struct gsh_meter *meter)
{
	uint32_t count = gsh_load_relaxed(&meter->lanes_used);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		for (int class = 0; class < 3; class ++)
			sum += gsh_load_relaxed(&meter->lanes[i].classes[class]);
	return sum;
}

static void rest(bool turns)
{
	struct timespec tick = { .tv_nsec = turns ? TURN_TICK_NS : TICK_NS };

	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &tick, NULL);
}

/*
 * Where an agent hands out turns it hears when nothing is in flight any more: during one's turn it
 * may give that to another, after it another's can begin. Returns whether turns are handed out.
 */
static bool tell_agent(struct gsh_meter *meter)
{
	bool turns = false, ring = false;

	gsh_lock(&meter->lock);
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		struct gsh_meter_row *row = &meter->rows[i];
		uint32_t turn = gsh_load_relaxed(&row->turn);
		bool idle = !gsh_load_relaxed(&row->in_flight_ns);

		if (turn != GPUSHIM_TURN_WAIT && turn != GPUSHIM_TURN_MINE)
			continue;
		turns = true;
		ring |= idle && !row->idle_rung;
		row->idle_rung = idle;
	}
	gsh_unlock(&meter->lock);
	if (ring)
		gsh_turn_ring(&gsh_process->tenant);
	return turns;
}

/*
 * Sleeps until somebody launches. The flag comes first, then a last look: who launches after
 * that sees the flag, and who launched before it is seen.
 */
static void sleep_until_work(struct gsh_meter *meter, uint64_t seen)
{
	uint32_t work = gsh_load_acquire(&meter->work);

	__atomic_fetch_or(&meter->attention, GSH_ATTENTION_IDLE, __ATOMIC_SEQ_CST);
	if (launches(meter) == seen && !gsh_load_seq_cst(&meter->in_flight))
		syscall(SYS_futex, &meter->work, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, work,
			NULL, NULL, 0);
	__atomic_fetch_and(&meter->attention, ~(uint32_t)GSH_ATTENTION_IDLE,
			   __ATOMIC_SEQ_CST);
}

static void *watch(void *argument)
{
	struct gsh_meter *meter = argument;
	uint64_t seen = 0, now;
	unsigned quiet = 0, ticks = 0;
	bool turns;

	syscall(SYS_prctl, PR_SET_NAME, "gpushim", 0, 0, 0);
	for (;;) {
		bool left = gsh_meter_collect(meter, GSH_METER_NONE);

		now = launches(meter);
		quiet = left || now != seen ? 0 : quiet + 1;
		seen = now;
		turns = tell_agent(meter);
		if (++ticks % ENDED_TICKS == 0)
			gsh_look_for_ended(meter);
		gsh_meter_publish(meter,
				  quiet == QUIET_TICKS || ticks % COSTS_TICKS == 0);
		if (quiet >= QUIET_TICKS) {
			sleep_until_work(meter, seen);
			/* Whoever woke it may not have launched yet. */
			quiet = 0;
		} else {
			rest(turns);
		}
	}
	return NULL;
}

/* ---- starting it ---- */

struct wanted {
	const char *name;
	uintptr_t address;
};

/* Of the C library, wherever it keeps it; never of this library, which exports dlopen too. */
static int find(const struct gsh_elf *object, void *data)
{
	struct wanted *wanted = data;

	if (gsh_elf_contains(object, &gsh_process))
		return 0;
	wanted->address = gsh_elf_symbol(object, wanted->name);
	return wanted->address != 0;
}

static uintptr_t function(const char *name)
{
	struct wanted wanted = { name, 0 };

	gsh_elf_each(find, &wanted);
	return wanted.address;
}

/* A program may close the driver while the helper is in it. */
static void keep_driver(void)
{
	void *(*open)(const char *,
		      int) = (void *(*)(const char *, int))function("dlopen");

	if (open)
		open("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static uintptr_t find_create(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	/* A sanitizer must see threads start. Such builds are for tests, which have it. */
	return (uintptr_t)pthread_create;
#else
	return function("pthread_create");
#endif
}

static bool start(struct gsh_meter *meter)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
		      void *) = (int (*)(pthread_t *, const pthread_attr_t *,
					 void *(*)(void *), void *))find_create();
	/* Not those that C libraries send to all threads: 32 to 34. */
	uint64_t all = ~(UINT64_C(7) << 31), before;
	pthread_t thread;
	bool started;

	if (!create)
		return false;
	keep_driver();
	/* Signals are the program's. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
	started = create(&thread, NULL, watch, meter) == 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	return started;
}

void gsh_watch_wake(struct gsh_meter *meter)
{
	uint32_t none = HELPER_NONE;
	int saved;

	if (gsh_unlikely(gsh_load_relaxed(&meter->helper) == HELPER_NONE) &&
	    gsh_cas_acq_rel(&meter->helper, &none, HELPER_STARTING)) {
		saved = errno;
		gsh_store_relaxed(&meter->helper,
				  start(meter) ? HELPER_RUNS : HELPER_IMPOSSIBLE);
		errno = saved;
	}
	if (gsh_likely(!(gsh_load_relaxed(&meter->attention) & GSH_ATTENTION_IDLE)))
		return;
	saved = errno;
	gsh_add_acq_rel(&meter->work, 1);
	__atomic_fetch_and(&meter->attention, ~(uint32_t)GSH_ATTENTION_IDLE,
			   __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &meter->work, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL,
		0);
	errno = saved;
}
