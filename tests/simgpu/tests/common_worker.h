/*
 * common_worker.h - other processes that use the GPU while a test watches.
 *
 * Knows: how a test and its workers take turns. A worker is a fork of the test, so the test
 * itself must not have used CUDA. Refuses to know: what the worker does.
 *
 *	static void hold_memory(struct worker *self)
 *	{
 *		... cuMemAlloc() ...
 *		worker_pause(self);	the test looks
 *		... cuMemFree() ...
 *	}
 *
 *	struct worker worker = worker_start(hold_memory);
 *	worker_await(&worker);		until its worker_pause()
 *	... look ...
 *	worker_go(&worker);
 *	CU_ASSERT_EQUAL(worker_end(&worker), 0);
 */
#ifndef COMMON_WORKER_H
#define COMMON_WORKER_H

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "simgpu.h"

struct worker {
	pid_t pid;
	int in, out; /* of either side */
};

/* Starts a process that runs body and ends with status 0. */
struct worker worker_start(void (*body)(struct worker *self));
/* The test's side. False (and a failure of the test) when the worker ended before. */
bool worker_await(struct worker *worker);
void worker_go(struct worker *worker);
/* Waits for its end. Returns its exit status, or 128 + signal. */
int worker_end(struct worker *worker);
/* Kills it with SIGKILL and waits. */
void worker_kill(struct worker *worker);

/* The worker's side: tells the test, and waits for its word. */
void worker_pause(struct worker *self);
/* Ends the worker with status 1 and a message if a call did not return what it should. */
#define WORKER_IS(call, expected) \
	worker_check((call), (expected), #call, __FILE__, __LINE__)
#define WORKER_OK(call) WORKER_IS(call, CUDA_SUCCESS)
void worker_check(CUresult got, CUresult expected, const char *text, const char *file,
		  int line);
/* A context on the device, made current. */
CUcontext worker_context(int device);
/* gpushim_work of one thread, in the current context. */
CUfunction worker_kernel(void);
void worker_launch(CUfunction work, uint64_t iterations);

/* Takes the books again and again until `holds` says so of them; NULL (and a failure of the
 * test) when that takes longer than patience. To be freed by simgpu_free(). */
struct simgpu_truth *truth_when(struct simgpu_monitor *monitor,
				bool (*holds)(const struct simgpu_truth *truth,
					      void *arg),
				void *arg);
/* The same: until the process's client is gone. */
struct simgpu_truth *truth_when_gone(struct simgpu_monitor *monitor, pid_t pid);
/* A millisecond's rest between two looks. False once patience is at its end; *looks counts
 * and starts at 0. */
bool look_again(unsigned *looks);

#endif
