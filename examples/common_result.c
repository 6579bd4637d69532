/*
 * common_result.c - see common_result.h.
 *
 * Knows: that what is not known is null in JSON and left out in text, never 0.
 * Refuses to know: any CUDA.
 */
#include "common_result.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The latency that a share q of the launches stayed within; NAN when there are none. */
static double latency_us(const struct ex_result *result, double q)
{
	if (!result->latency_us || !result->launches)
		return NAN;
	return result->latency_us[(uint64_t)ceil(q * (double)result->launches) - 1];
}

/* The part of the time passed that the finished kernels stand for; more than 1 when they
 * ran side by side. */
static double share(const struct ex_result *result)
{
	return (double)(result->in_time * result->kernels_per_launch) *
	       result->kernel_us / (result->seconds * 1e6);
}

static double rate(const struct ex_result *result)
{
	return (double)result->in_time / result->seconds;
}

static void json_count(const char *name, uint64_t value)
{
	printf(", \"%s\": %" PRIu64, name, value);
}

static void json_number(const char *name, double value)
{
	if (isfinite(value))
		printf(", \"%s\": %.9g", name, value);
	else
		printf(", \"%s\": null", name);
}

static void print_json(const struct ex_result *result)
{
	printf("{\"program\": \"%s\", \"pid\": %d, \"mode\": \"%s\"", ex_name(),
	       (int)getpid(), result->mode);
	json_count("launches", result->launches);
	json_count("launches_in_time", result->in_time);
	json_count("kernels", result->launches * result->kernels_per_launch);
	json_count("iterations", result->iterations);
	json_count("alloc_bytes", result->alloc_bytes);
	json_number("kernel_us", result->kernel_us);
	json_number("seconds", result->seconds);
	json_number("drain_seconds", result->drain_s);
	json_number("launches_per_s", rate(result));
	json_number("gpu_seconds", result->gpu_s);
	json_number("share", share(result));
	json_number("latency_p50_us", latency_us(result, 0.5));
	json_number("latency_p99_us", latency_us(result, 0.99));
	json_number("latency_max_us", latency_us(result, 1));
	if (result->counting)
		json_count("counted", result->counted);
	else
		json_number("counted", NAN);
	printf(", \"stopped_by\": \"%s\", \"right\": %s}\n", result->stopped_by,
	       result->failure ? "false" : "true");
}

static void print_text(const struct ex_result *result)
{
	printf("%s (pid %d): %" PRIu64 " launches finished in %.3f s, %.1f in a second\n",
	       result->mode, (int)getpid(), result->in_time, result->seconds,
	       rate(result));
	printf("  stopped by %s; %" PRIu64
	       " launches were still in flight and took %.3f s "
	       "more\n",
	       result->stopped_by, result->launches - result->in_time, result->drain_s);
	printf("  GPU time by events: %.6f s\n", result->gpu_s);
	if (!isnan(result->kernel_us))
		printf("  kernels of %.2f us: %.2f %% of the time passed was spent in them\n",
		       result->kernel_us, share(result) * 100);
	if (!isnan(latency_us(result, 1)))
		printf("  from launch to completion: p50 %.1f us, p99 %.1f us, most %.1f us\n",
		       latency_us(result, 0.5), latency_us(result, 0.99),
		       latency_us(result, 1));
	if (result->counting)
		printf("  steps counted in device memory: %" PRIu64 "\n",
		       result->counted);
}

void ex_result_print(struct ex_result *result, bool json)
{
	if (result->latency_us)
		qsort(result->latency_us, result->launches, sizeof(*result->latency_us),
		      by_value);
	(json ? print_json : print_text)(result);
	fflush(stdout);
	if (result->failure)
		fprintf(stderr, "%s: WRONG: %s.\n", ex_name(), result->failure);
}
