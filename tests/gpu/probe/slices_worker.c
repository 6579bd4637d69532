/*
 * slices_worker.c - the other processes of section "slices": they spin, and see their pauses.
 *
 * Knows: what slices.h orders. Refuses to know how many others there are.
 */
#include "slices.h"

#include <stdlib.h>
#include <string.h>

enum { RUNGS = 6000 };
#define RUNG_US 100.0
#define PAUSE_LEAST_NS 50000.0
#define CLOCK_PAUSE_NS 15000

static struct gpu gpu;
static double per_us;
static CUevent rungs[RUNGS + 1];

static void ladder(struct answer *answer, uint64_t ns)
{
	size_t n = (size_t)((double)ns / (RUNG_US * 1000));
	static double steps[RUNGS], pauses[RUNGS];
	double length = 0, in_pauses = 0, since = 0;
	size_t count = 0;

	if (n > RUNGS)
		n = RUNGS;
	MUST(cu.cuEventRecord(rungs[0], NULL));
	for (size_t i = 1; i <= n; i++) {
		MUST(gpu_work(&gpu, (uint64_t)(per_us * RUNG_US), NULL));
		MUST(cu.cuEventRecord(rungs[i], NULL));
	}
	MUST(cu.cuCtxSynchronize());
	for (size_t i = 0; i < n; i++) {
		float ms;
		MUST(cu.cuEventElapsedTime(&ms, rungs[i], rungs[i + 1]));
		steps[i] = (double)ms * 1e6;
	}
	{
		static double sorted[RUNGS];
		memcpy(sorted, steps, n * sizeof *steps);
		answer->rung_ns = quantile(sorted, n, 0.5);
	}
	/* From the first pause to the last: before and after, the others had no work. */
	for (size_t i = 0; i < n; i++) {
		double pause = steps[i] - answer->rung_ns;

		since += steps[i];
		if (pause < PAUSE_LEAST_NS)
			continue;
		if (count == 0) {
			since = 0;
		} else {
			length = since;
			in_pauses += pause;
		}
		pauses[count++] = pause;
	}
	answer->pauses = (long)count;
	if (count > 1) {
		answer->pause_ns = in_pauses / (double)(count - 1);
		answer->run_ns = (length - in_pauses) / (double)(count - 1);
		answer->pause_median_ns = quantile(pauses, count, 0.5);
	}
}

static void brackets(struct answer *answer)
{
	for (int k = 0; k < BRACKETS; k++) {
		double seen[15];

		for (int i = 0; i < 15; i++) {
			float ms;
			MUST(cu.cuEventRecord(rungs[0], NULL));
			MUST(gpu_work(&gpu, (uint64_t)(per_us * bracket_us[k]), NULL));
			MUST(cu.cuEventRecord(rungs[1], NULL));
			MUST(cu.cuCtxSynchronize());
			MUST(cu.cuEventElapsedTime(&ms, rungs[0], rungs[1]));
			seen[i] = (double)ms * 1000 / bracket_us[k];
		}
		answer->inflation[k] = mean(seen, 15);
	}
}

/* Keeps at least a batch queued until ns have passed; in a second context too if wanted.
 * Says a byte once everything is queued for the first time. */
static void burn(uint64_t ns, bool twice, int out)
{
	static struct gpu second;
	const struct gpu *both[2] = { &gpu, &second };
	CUevent done[2][2];
	bool told = false;
	uint64_t end;

	if (twice && second.context == NULL) {
		MUST(cu.cuCtxCreate_v2(&second.context, 0, options.device));
		second.device = gpu.device;
		gpu_kernels(&second);
	}
	for (int c = 0; c < (twice ? 2 : 1); c++) {
		MUST(cu.cuCtxSetCurrent(both[c]->context));
		for (int i = 0; i < 2; i++) {
			MUST(cu.cuEventCreate(&done[c][i], CU_EVENT_DEFAULT));
			MUST(cu.cuEventRecord(done[c][i], NULL));
		}
	}
	end = now_ns() + ns;
	for (int round = 0; now_ns() < end; round ^= 1) {
		for (int c = 0; c < (twice ? 2 : 1); c++) {
			MUST(cu.cuCtxSetCurrent(both[c]->context));
			/* The batch before the last: the last one is still queued. */
			MUST(cu.cuEventSynchronize(done[c][round]));
			for (int i = 0; i < 8; i++)
				MUST(gpu_work(both[c], (uint64_t)(per_us * 1000), NULL));
			MUST(cu.cuEventRecord(done[c][round], NULL));
		}
		if (!told)
			say_go(out);
		told = true;
	}
	for (int c = 0; c < (twice ? 2 : 1); c++) {
		MUST(cu.cuCtxSetCurrent(both[c]->context));
		MUST(cu.cuCtxSynchronize());
	}
	MUST(cu.cuCtxSetCurrent(gpu.context));
}

void slices_worker(int in, int out, void *argument)
{
	static struct answer answer;
	struct order order;

	(void)argument;
	hear_go(in); /* one after another: each calibrates alone */
	gpu_open(&gpu);
	per_us = gpu_calibrate(&gpu);
	for (size_t i = 0; i <= RUNGS; i++)
		MUST(cu.cuEventCreate(&rungs[i], CU_EVENT_DEFAULT));
	say_go(out);
	while (hear(in, &order, sizeof order)) {
		memset(&answer, 0, sizeof answer);
		if (order.kind == ORDER_LADDER) {
			ladder(&answer, order.ns);
		} else if (order.kind == ORDER_CLOCK) {
			uint64_t *pairs, ends[3];
			answer.pauses = gpu_gaps(&gpu, order.ns, CLOCK_PAUSE_NS, &pairs,
						 ends);
			answer.first = ends[0];
			answer.last = ends[1];
			if (answer.pauses > 0)
				memcpy(answer.pairs, pairs,
				       (size_t)answer.pauses * 2 * sizeof *pairs);
			free(pairs);
		} else if (order.kind == ORDER_BRACKETS) {
			brackets(&answer);
		} else {
			burn(order.ns, order.kind == ORDER_TWO_CONTEXTS, out);
		}
		say(out, &answer, sizeof answer);
	}
}
