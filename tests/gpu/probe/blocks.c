/*
 * blocks.c - section "blocks": what cuMemAlloc of a size takes from the device, and where
 * the addresses lie.
 *
 * Knows: cuMemGetInfo before and after. Refuses to know the driver's allocator.
 */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024ull
#define MIB (1ull << 20)

enum { MOST = 256 };

struct seen {
	int64_t first_bytes; /* taken from the device by the first */
	double each_bytes;   /* by one of many, on average */
	double step_bytes;   /* between neighbouring addresses, the commonest */
	int64_t left_bytes;  /* missing after all were freed */
	size_t n;
};

static struct seen try_size(uint64_t bytes)
{
	CUdeviceptr at[MOST];
	double steps[MOST];
	struct seen seen = { 0 };
	uint64_t room = options.limit_bytes / 4 / (bytes < 4 * MIB ? 4 * MIB : 2 * bytes);
	size_t most = bytes >= MIB && room < MOST ? (size_t)room : MOST;
	int64_t before = free_bytes();

	while (seen.n < most && cu.cuMemAlloc_v2(&at[seen.n], bytes) == CUDA_SUCCESS) {
		if (seen.n++ == 0)
			seen.first_bytes = before - free_bytes();
	}
	seen.each_bytes = (double)(before - free_bytes()) / (double)seen.n;
	for (size_t i = 1; i < seen.n; i++)
		steps[i - 1] = (double)(at[i] > at[i - 1] ? at[i] - at[i - 1]
							  : at[i - 1] - at[i]);
	seen.step_bytes = quantile(steps, seen.n - 1, 0.5);
	for (size_t i = 0; i < seen.n; i++)
		MUST(cu.cuMemFree_v2(at[i]));
	seen.left_bytes = before - free_bytes();
	return seen;
}

void section_blocks(void)
{
	static const uint64_t sizes[] = { 1,	    512,	 513,	  4 * KIB,
					  64 * KIB, 512 * KIB,	 MIB - 1, MIB,
					  MIB + 1,  2 * MIB - 1, 2 * MIB, 2 * MIB + 1,
					  3 * MIB,  33 * MIB };
	CUmemAllocationProp properties;
	size_t least = 0, advised = 0;
	uint64_t own = 0;
	struct gpu gpu;

	gpu_open(&gpu);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct seen seen = try_size(sizes[i]);
		char key[40];

		snprintf(key, sizeof key, "%llu", (unsigned long long)sizes[i]);
		note_text(
			key,
			"first %lld, each of %zu %.0f, address step %.0f, left after free %lld",
			(long long)seen.first_bytes, seen.n, seen.each_bytes,
			seen.step_bytes, (long long)seen.left_bytes);
		if (i == 0) {
			note("step_of_1_byte", seen.step_bytes);
			fact_number(
				"blocks.chunk",
				"What the first small block of a context takes from the device",
				(double)seen.first_bytes, "bytes");
			fact_number("blocks.small_step",
				    "Distance between blocks of one byte",
				    seen.step_bytes, "bytes");
		}
		/* The smallest size that shares no chunk: each costs a multiple of the page. */
		if (own == 0 && sizes[i] <= 2 * MIB && seen.each_bytes >= 2.0 * MIB)
			own = sizes[i];
	}
	if (own != 0)
		fact_number("blocks.own_pages",
			    "Smallest tried size whose blocks each take at least 2 MiB",
			    (double)own, "bytes");
	else
		fact_text("blocks.own_pages",
			  "Smallest tried size whose blocks each take at least 2 MiB",
			  "none up to 2 MiB");
	memset(&properties, 0, sizeof properties);
	properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
	properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	properties.location.id = gpu.device;
	MUST(cu.cuMemGetAllocationGranularity(&least, &properties,
					      CU_MEM_ALLOC_GRANULARITY_MINIMUM));
	MUST(cu.cuMemGetAllocationGranularity(&advised, &properties,
					      CU_MEM_ALLOC_GRANULARITY_RECOMMENDED));
	note("recommended", (double)advised);
	fact_number("blocks.vmm_granularity", "Granularity of cuMemCreate, minimum",
		    (double)least, "bytes");
}
