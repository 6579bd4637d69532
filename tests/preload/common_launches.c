/* Launches and what the ledger counts of them; see common_launches.h. */
#include "common_launches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/kernels.h"
#include "gpushim/reader.h"

enum { DEVICES = 2, PATIENCE_S = 10 };

struct launches launches;

CUfunction launches_load(void)
{
	CUfunction fill = NULL;
	CUmodule module;

	check_result(cuModuleLoadData(&module, ex_kernels_ptx), CUDA_SUCCESS);
	check_result(cuModuleGetFunction(&fill, module, "gpushim_fill_u32"),
		     CUDA_SUCCESS);
	return fill;
}

void launches_prepare(void)
{
	tenant_context();
	launches.fill = launches_load();
	check_result(cuStreamCreate(&launches.stream, CU_STREAM_NON_BLOCKING),
		     CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&launches.to, LAUNCHES_BYTES), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&launches.from, LAUNCHES_BYTES), CUDA_SUCCESS);
}

void **launches_fill(uint32_t value)
{
	/* Of each thread its own: several launch at once. */
	static __thread uint32_t word;
	static __thread uint64_t words;
	static __thread void *parameters[3];

	word = value;
	words = LAUNCHES_WORDS;
	parameters[0] = &launches.to;
	parameters[1] = &word;
	parameters[2] = &words;
	return parameters;
}

static void set(CUdeviceptr at, uint32_t word)
{
	uint32_t words[LAUNCHES_WORDS];

	for (int i = 0; i < LAUNCHES_WORDS; i++)
		words[i] = word;
	check_result(cuMemcpyHtoD_v2(at, words, sizeof(words)), CUDA_SUCCESS);
}

void launches_begin(void)
{
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	launches.word += 0x01010101;
	set(launches.to, 0);
	set(launches.from, launches.word);
}

bool launches_hold(uint32_t word)
{
	uint32_t words[LAUNCHES_WORDS];

	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	check_result(cuMemcpyDtoH_v2(words, launches.to, sizeof(words)), CUDA_SUCCESS);
	for (int i = 0; i < LAUNCHES_WORDS; i++)
		if (words[i] != word) {
			fprintf(stderr, "word %d is %#x, not %#x\n", i, words[i], word);
			return false;
		}
	return true;
}

/* ---- the ledger ---- */

static struct gpushim_snapshot *snapshot;

static bool read_ledger(void)
{
	static struct gpushim_reader *reader;

	if (!snapshot)
		snapshot = malloc(sizeof(*snapshot));
	if (!reader && gpushim_reader_open(&reader, getenv("GPUSHIM_DIR"), "default") < 0)
		return false;
	return snapshot && gpushim_reader_snapshot(reader, snapshot) == 0;
}

static bool is_device(const struct gpushim_device *device, unsigned ordinal)
{
	CUuuid uuid;

	return cuDeviceGetUuid_v2(&uuid, (CUdevice)ordinal) == CUDA_SUCCESS &&
	       memcmp(uuid.bytes, device->uuid, sizeof(device->uuid)) == 0;
}

static uint64_t counted_now(unsigned ordinal)
{
	uint64_t sum = 0;

	if (!check(read_ledger()))
		return 0;
	for (uint32_t i = 0; i < snapshot->usages_count; i++)
		if (is_device(&snapshot->devices[snapshot->usages[i].device], ordinal))
			sum += snapshot->usages[i].time.launches;
	return sum;
}

bool launches_counted_on(unsigned device, uint64_t more)
{
	static uint64_t expected[DEVICES];
	const time_t end = time(NULL) + PATIENCE_S;
	uint64_t seen;

	if (!getenv("GPUSHIM_DIR"))
		return true;
	expected[device] += more;
	while ((seen = counted_now(device)) < expected[device] && time(NULL) < end)
		usleep(1000);
	if (seen == expected[device])
		return true;
	fprintf(stderr, "device %u: %lld launches more than expected are counted\n",
		device, (long long)(seen - expected[device]));
	expected[device] = seen;
	return false;
}

bool launches_counted(uint64_t more)
{
	return launches_counted_on(0, more);
}

uint64_t launches_measured(void)
{
	uint64_t sum = 0;

	if (getenv("GPUSHIM_DIR") && check(read_ledger()))
		for (uint32_t i = 0; i < snapshot->usages_count; i++)
			sum += snapshot->usages[i].time.samples;
	return sum;
}

/* ---- which entry points were tried ---- */

static const struct gated {
	const char *symbol, *family;
} gated[] = {
#define HOOK(symbol, base, since, flavour, family) { #symbol, #family },
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"
};
enum { HOOKS = sizeof(gated) / sizeof(gated[0]) };

static bool tried[HOOKS];

void launches_mark(const char *symbol)
{
	for (int i = 0; i < HOOKS; i++)
		tried[i] |= strcmp(gated[i].symbol, symbol) == 0;
}

bool launches_tried(const char *family)
{
	bool all = true;

	for (int i = 0; i < HOOKS; i++)
		if (strcmp(gated[i].family, family) == 0 && !tried[i]) {
			fprintf(stderr, "%s was not tried\n", gated[i].symbol);
			all = false;
		}
	return all;
}

bool launches_end(const char *symbol, CUresult result, uint64_t more)
{
	bool held = check_result(result, CUDA_SUCCESS) &&
		    check(launches_hold(launches.word)) && check(launches_counted(more));

	launches_mark(symbol);
	if (!held)
		fprintf(stderr, "that was %s\n", symbol);
	return held;
}
