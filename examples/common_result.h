/*
 * common_result.h - what a load achieved, as text for people or one line of JSON.
 *
 * Knows: which figures there are and what they are called.
 * Refuses to know: how they came about.
 */
#ifndef EX_COMMON_RESULT_H
#define EX_COMMON_RESULT_H

#include <stdbool.h>
#include <stdint.h>

struct ex_result {
	const char *mode, *stopped_by; /* words for people */
	const char *failure;	       /* a clause, NULL when all was right */
	uint64_t launches;	       /* made, and finished in the end */
	uint64_t in_time;	       /* finished when the loop stopped */
	uint64_t kernels_per_launch, iterations, alloc_bytes;
	uint64_t counted; /* steps, if counting */
	double kernel_us; /* of one kernel alone on the device; NAN: not known */
	double seconds;	  /* until the loop stopped */
	double drain_s;	  /* from then until the device was done */
	double gpu_s; /* between events: first launch to last, or the sum of brackets */
	double *latency_us; /* one for each launch, or NULL; sorted by ex_result_print */
	bool counting;
};

/* Prints to standard output, and the failure, if any, to standard error. */
void ex_result_print(struct ex_result *result, bool json);

#endif
