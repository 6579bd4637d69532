/*
 * kill.c - section "kill": when the device has the memory of an ended process back, and what
 * a forked child changes.
 *
 * Knows: an observer (this process) that reads cuMemGetInfo. "Back" is: all but a MiB of
 * what was free before the victim came.
 */
#include "probe.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD (256ull << 20)
#define MIB (1 << 20)

enum kind { EXITS, KILLED, KILLED_AT_WORK, WITH_CHILD, WITH_EXECED_CHILD, KINDS };

/* Holds memory, says the pid of its child (0: none), and waits. */
static void victim(int in, int out, void *argument)
{
	enum kind kind = *(enum kind *)argument;
	CUdeviceptr at;
	struct gpu gpu;
	pid_t child = 0;
	int gone[2];
	char byte;

	hear_go(in);
	gpu_open(&gpu);
	MUST(cu.cuMemAlloc_v2(&at, HELD));
	MUST(cu.cuMemsetD8_v2(at, 1, HELD));
	MUST(cu.cuCtxSynchronize());
	if (kind == WITH_CHILD || kind == WITH_EXECED_CHILD) {
		/* An exec closes the pipe. */
		if (pipe2(gone, O_CLOEXEC) != 0 || (child = fork()) < 0)
			stop("no process");
		if (child == 0) {
			if (kind == WITH_EXECED_CHILD)
				execlp("sleep", "sleep", "30", (char *)NULL);
			for (;;)
				pause();
		}
		close(gone[1]);
		if (kind == WITH_EXECED_CHILD)
			hear(gone[0], &byte, 1);
	}
	if (kind == KILLED_AT_WORK)
		MUST(gpu_spin(&gpu, 1500000000, NULL));
	say(out, &child, sizeof child);
	hear_go(in);
	_exit(0);
}

/* Milliseconds until all but a MiB of `free_before` is back, or NaN after `limit_ms`. */
static double until_back(int64_t free_before, unsigned limit_ms)
{
	uint64_t start = now_ns();

	while (now_ns() - start < limit_ms * 1000000ull) {
		if (free_bytes() >= free_before - MIB)
			return (double)(now_ns() - start) / 1e6;
		sleep_ms(1);
	}
	return NAN;
}

static struct worker victims[KINDS];
static int64_t free_before;

static pid_t raise_victim(enum kind kind)
{
	pid_t child;

	free_before = free_bytes();
	say_go(victims[kind].to);
	if (!hear(victims[kind].from, &child, sizeof child))
		stop("the victim could not start");
	note("held_by_victim", (double)(free_before - free_bytes()));
	return child;
}

static void simple(enum kind kind, const char *id, const char *question,
		   unsigned limit_ms)
{
	uint64_t start;
	double reaped;

	raise_victim(kind);
	start = now_ns();
	if (kind == EXITS)
		say_go(victims[kind].to);
	else
		kill(victims[kind].pid, SIGKILL);
	waitpid(victims[kind].pid, NULL, 0);
	reaped = (double)(now_ns() - start) / 1e6;
	note("process_reaped_after_ms", reaped);
	fact_number(id, question, reaped + until_back(free_before, limit_ms), "ms");
}

static void with_child(enum kind kind, const char *id, const char *question,
		       const char *id_after, const char *question_after)
{
	pid_t child = raise_victim(kind);
	double early;

	kill(victims[kind].pid, SIGKILL);
	waitpid(victims[kind].pid, NULL, 0);
	early = until_back(free_before, 1000);
	note("back_after_ms", early);
	note("still_held_after_1_s",
	     isnan(early) ? (double)(free_before - free_bytes()) : 0);
	fact_yes(id, question, !isnan(early));
	kill(child, SIGKILL);
	if (isnan(early))
		fact_number(id_after, question_after, until_back(free_before, 3000),
			    "ms");
	else
		fact_text(id_after, question_after, "was back before");
}

void section_kill(void)
{
	static enum kind kinds[KINDS];
	struct gpu gpu;

	for (int i = 0; i < KINDS; i++) {
		kinds[i] = (enum kind)i;
		victims[i] = worker_start(victim, &kinds[i]);
	}
	gpu_open(&gpu);
	simple(EXITS, "kill.exit", "Memory is back after exit without freeing", 5000);
	simple(KILLED, "kill.idle", "Memory is back after SIGKILL of an idle process",
	       5000);
	simple(KILLED_AT_WORK, "kill.at_work",
	       "Memory is back after SIGKILL while a kernel of 1.5 s runs", 5000);
	with_child(WITH_CHILD, "kill.child",
		   "A killed process's memory is back while its forked child lives",
		   "kill.child_gone", "and after the child is killed too, after");
	with_child(WITH_EXECED_CHILD, "kill.execed_child",
		   "The same with a child that has called exec", "kill.execed_child_gone",
		   "and after that child is killed too, after");
}
