/* Other processes that use the GPU while a test watches; see common_worker.h. */
#include "common_worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cunit_main.h"

enum { PATIENCE_MS = 20000 };

struct worker worker_start(void (*body)(struct worker *self))
{
	struct worker worker = { 0, -1, -1 };
	int down[2], up[2];

	fflush(stdout);
	if (pipe(down) != 0 || pipe(up) != 0) {
		CU_FAIL("a pipe could not be made");
		return worker;
	}
	worker.pid = fork();
	if (worker.pid == 0) {
		struct worker self = { getpid(), down[0], up[1] };

		close(down[1]);
		close(up[0]);
		body(&self);
		fflush(stdout);
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	worker.in = up[0];
	worker.out = down[1];
	if (worker.pid < 0)
		CU_FAIL("a worker could not be started");
	return worker;
}

bool worker_await(struct worker *worker)
{
	char word;

	if (read(worker->in, &word, 1) == 1)
		return true;
	CU_FAIL("the worker ended early");
	return false;
}

void worker_go(struct worker *worker)
{
	/* A worker that has died is noticed by worker_end(). */
	signal(SIGPIPE, SIG_IGN);
	if (write(worker->out, "g", 1) != 1)
		CU_FAIL("the worker is no longer there");
}

int worker_end(struct worker *worker)
{
	int status = -1;

	if (worker->pid <= 0 || waitpid(worker->pid, &status, 0) != worker->pid)
		return -1;
	close(worker->in);
	close(worker->out);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void worker_kill(struct worker *worker)
{
	if (worker->pid > 0)
		kill(worker->pid, SIGKILL);
	worker_end(worker);
}

/* ---- the worker's side ---- */

void worker_pause(struct worker *self)
{
	char word;

	/* A test that is gone needs no worker. */
	if (write(self->out, "r", 1) != 1 || read(self->in, &word, 1) != 1)
		_exit(2);
}

void worker_check(CUresult got, CUresult expected, const char *text, const char *file,
		  int line)
{
	if (got == expected)
		return;
	printf("      %s:%d: in a worker: %s is %d, not %d\n", file, line, text, (int)got,
	       (int)expected);
	fflush(stdout);
	_exit(1);
}

CUcontext worker_context(int device)
{
	CUcontext ctx;

	WORKER_OK(cuInit(0));
	WORKER_OK(cuCtxCreate(&ctx, NULL, 0, device));
	return ctx;
}

CUfunction worker_kernel(void)
{
	static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
				  ".visible .entry gpushim_work(.param .u64 iterations, "
				  ".param .u64 sink) { ret; }\n";
	CUmodule module;
	CUfunction work;

	WORKER_OK(cuModuleLoadData(&module, ptx));
	WORKER_OK(cuModuleGetFunction(&work, module, "gpushim_work"));
	return work;
}

void worker_launch(CUfunction work, uint64_t iterations)
{
	CUdeviceptr sink = 0;
	void *params[] = { &iterations, &sink };

	WORKER_OK(cuLaunchKernel(work, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
}

/* ---- looking ---- */

bool look_again(unsigned *looks)
{
	const struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
	return ++*looks < unit_patience_ms(PATIENCE_MS);
}

struct simgpu_truth *truth_when(struct simgpu_monitor *monitor,
				bool (*holds)(const struct simgpu_truth *truth,
					      void *arg),
				void *arg)
{
	unsigned looks = 0;

	do {
		struct simgpu_truth *truth = simgpu_truth(monitor);

		if (!truth)
			break;
		if (holds(truth, arg))
			return truth;
		simgpu_free(truth);
	} while (look_again(&looks));
	CU_FAIL("the books never said what they should");
	return NULL;
}

static bool is_gone(const struct simgpu_truth *truth, void *arg)
{
	const struct simgpu_client *client = simgpu_find(truth, *(pid_t *)arg);

	return client && client->gone;
}

struct simgpu_truth *truth_when_gone(struct simgpu_monitor *monitor, pid_t pid)
{
	return truth_when(monitor, is_gone, &pid);
}
