/* Shared by the benchmarks; see common_bench.h. */
#include "common_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../../examples/kernels.h"

/* ---- results ---- */

enum { ROWS_MAX = 64 };

static struct row {
	char id[32], what[64];
	const char *unit;
	double figure, bare, target;
	bool most;
} rows[ROWS_MAX];
static unsigned nrows;
static const char *bench_name;

void bench_begin(const char *name, const char *title)
{
	bench_name = name;
	printf("%s\n\n%-20s %-44s %10s %10s %10s  %s\n", title, "id", "what", "figure",
	       "bare", "above bare", "target");
}

static bool met(const struct row *row)
{
	double value = isnan(row->bare) ? row->figure : row->figure - row->bare;

	return row->most ? value <= row->target : value >= row->target;
}

static void print_number(double number)
{
	if (isnan(number))
		printf(" %10s", "-");
	else
		printf(" %10.*f", fabs(number) < 1000 ? 2 : 0, number);
}

void bench_row(const char *id, const char *what, const char *unit, double figure,
	       double bare, double target, bool most)
{
	struct row *row = &rows[nrows < ROWS_MAX ? nrows++ : ROWS_MAX - 1];
	char text[64];

	*row = (struct row){ .unit = unit,
			     .figure = figure,
			     .bare = bare,
			     .target = target,
			     .most = most };
	snprintf(row->id, sizeof(row->id), "%s", id);
	snprintf(row->what, sizeof(row->what), "%s", what);
	snprintf(text, sizeof(text), "%s, %s", what, unit);
	printf("%-20s %-44s", id, text);
	print_number(figure);
	print_number(bare);
	print_number(figure - bare);
	if (!isnan(target))
		printf("  %s %g: %s", most ? "<=" : ">=", target,
		       met(row) ? "met" : "MISSED");
	putchar('\n');
	fflush(stdout);
}

static void json_number(FILE *file, const char *name, double number)
{
	if (isnan(number))
		fprintf(file, ", \"%s\": null", name);
	else
		fprintf(file, ", \"%s\": %.6g", name, number);
}

int bench_end(void)
{
	const char *build = getenv("BUILD");
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/bench", build ? build : "build");
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/bench/%s.json", build ? build : "build",
		 bench_name);
	file = fopen(path, "w");
	if (!file) {
		fprintf(stderr,
			"%s cannot be written; name the build directory in BUILD\n",
			path);
		return 1;
	}
	fprintf(file, "{\n\t\"benchmark\": \"%s\",\n\t\"rows\": [\n", bench_name);
	for (unsigned i = 0; i < nrows; i++) {
		fprintf(file, "\t\t{ \"id\": \"%s\", \"what\": \"%s\", \"unit\": \"%s\"",
			rows[i].id, rows[i].what, rows[i].unit);
		json_number(file, "figure", rows[i].figure);
		json_number(file, "bare", rows[i].bare);
		json_number(file, "target", rows[i].target);
		fprintf(file, ", \"met\": %s }%s\n",
			isnan(rows[i].target) ? "null"
			: met(&rows[i])	      ? "true"
					      : "false",
			i + 1 < nrows ? "," : "");
	}
	fprintf(file, "\t]\n}\n");
	printf("\nwritten to %s\n", path);
	return fclose(file) == 0 ? 0 : 1;
}

/* ---- time ---- */

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *figures, unsigned n)
{
	qsort(figures, n, sizeof(*figures), ascending);
	return n % 2 ? figures[n / 2] : (figures[n / 2 - 1] + figures[n / 2]) / 2;
}

/* ---- CUDA ---- */

void bench_try(CUresult result, const char *call, const char *file, int line)
{
	if (result == CUDA_SUCCESS)
		return;
	fprintf(stderr, "%s:%d: %s failed with error %d\n", file, line, call,
		(int)result);
	exit(1);
}

void bench_gpu_open(struct bench_gpu *gpu)
{
	CUdevice device;

	BENCH_TRY(cuInit(0));
	BENCH_TRY(cuDeviceGet(&device, 0));
	BENCH_TRY(cuCtxCreate(&gpu->context, NULL, 0, device));
	BENCH_TRY(cuModuleLoadData(&gpu->module, ex_kernels_ptx));
	BENCH_TRY(cuModuleGetFunction(&gpu->work, gpu->module, "gpushim_work"));
}

void bench_work(const struct bench_gpu *gpu, CUstream stream, uint64_t steps)
{
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };

	BENCH_TRY(cuLaunchKernel(gpu->work, 264, 1, 1, 1024, 1, 1, 0, stream, parameters,
				 NULL));
}

/* ---- the device ---- */

struct simgpu_monitor *bench_monitor(void)
{
	const char *why = "";
	struct simgpu_monitor *monitor = simgpu_open(NULL, 1, &why);

	if (!monitor) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	return monitor;
}

struct simgpu_truth *bench_truth(struct simgpu_monitor *monitor)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);

	if (!truth) {
		fprintf(stderr, "the simulated device has gone\n");
		exit(1);
	}
	return truth;
}
