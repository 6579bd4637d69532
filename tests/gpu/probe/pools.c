/*
 * pools.c - section "pools": what stream-ordered pools and graphs hold, and when they give
 * it back.
 *
 * Knows: the reserved bytes by the attributes, and what the device says is free.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>

static struct gpu gpu;
static CUstream stream;
static int64_t free_at_start;

#define MIB (1ull << 20)

static uint64_t pool_value(CUmemoryPool pool, CUmemPool_attribute attribute)
{
	cuuint64_t bytes = 0;

	MUST(cu.cuMemPoolGetAttribute(pool, attribute, &bytes));
	return bytes;
}

static uint64_t reserved(CUmemoryPool pool)
{
	return pool_value(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
}

/* One step of a story: reserved, used, and what the device has less than at the start. */
static void step(CUmemoryPool pool, const char *name)
{
	note_text(name, "reserved %llu, used %llu, device %lld",
		  (unsigned long long)reserved(pool),
		  (unsigned long long)pool_value(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT),
		  (long long)(free_at_start - free_bytes()));
}

static CUmemoryPool new_pool(uint64_t threshold)
{
	CUmemPoolProps properties;
	CUmemoryPool pool;
	cuuint64_t value = threshold;

	memset(&properties, 0, sizeof properties);
	properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	properties.location.id = gpu.device;
	MUST(cu.cuMemPoolCreate(&pool, &properties));
	MUST(cu.cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &value));
	return pool;
}

static CUdeviceptr take(CUmemoryPool pool, uint64_t bytes)
{
	CUdeviceptr at;

	MUST(cu.cuMemAllocFromPoolAsync(&at, bytes, pool, stream));
	return at;
}

static void granule(void)
{
	static const uint64_t sizes[] = { 1,	       4096,	 MIB,	   2 * MIB,
					  2 * MIB + 1, 20 * MIB, 32 * MIB, 33 * MIB,
					  65 * MIB,    100 * MIB };
	uint64_t first = 0;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		CUmemoryPool pool = new_pool(0);
		char key[40];
		CUdeviceptr at = take(pool, sizes[i]);

		snprintf(key, sizeof key, "%llu", (unsigned long long)sizes[i]);
		note(key, (double)reserved(pool));
		if (i == 0)
			first = reserved(pool);
		MUST(cu.cuMemFreeAsync(at, stream));
		MUST(cu.cuStreamSynchronize(stream));
		MUST(cu.cuMemPoolDestroy(pool));
	}
	fact_number("pools.granule",
		    "What a fresh pool reserves for one byte (others: evidence)",
		    (double)first, "bytes");
	/* Growth by many small ones. */
	{
		CUmemoryPool pool = new_pool(0);
		CUdeviceptr at[48];
		uint64_t last = 0;
		double steps[48];
		size_t n = 0;

		for (size_t i = 0; i < 48; i++) {
			at[i] = take(pool, 3 * MIB / 2);
			if (reserved(pool) != last && last != 0)
				steps[n++] = (double)(reserved(pool) - last);
			last = reserved(pool);
		}
		note_samples("steps", steps, n);
		note("reserved_for_48_times_1.5_MiB", (double)last);
		for (size_t i = 0; i < 48; i++)
			MUST(cu.cuMemFreeAsync(at[i], stream));
		MUST(cu.cuStreamSynchronize(stream));
		fact_number("pools.growth",
			    "Step in which a pool grows under small allocations",
			    quantile(steps, n, 0.5), "bytes");
		MUST(cu.cuMemPoolDestroy(pool));
	}
}

/* How reserved bytes fall after a free: by which of these calls. */
static void giving_back(void)
{
	static const char *const ways[] = { "cuMemFreeAsync alone", "cuStreamQuery",
					    "cuStreamSynchronize",  "cuEventSynchronize",
					    "cuCtxSynchronize",	    "cuMemPoolTrimTo" };
	char by[300] = "";

	for (int way = 0; way < 6; way++) {
		CUmemoryPool pool = new_pool(0);
		CUdeviceptr at = take(pool, 20 * MIB);
		uint64_t before, after;
		CUevent event;

		MUST(cu.cuStreamSynchronize(stream));
		MUST(cu.cuEventCreate(&event, CU_EVENT_DEFAULT));
		before = reserved(pool);
		MUST(cu.cuMemFreeAsync(at, stream));
		MUST(cu.cuEventRecord(event, stream));
		sleep_ms(20); /* the free is done; asking would be one of the ways */
		if (way == 1)
			MUST(cu.cuStreamQuery(stream));
		else if (way == 2)
			MUST(cu.cuStreamSynchronize(stream));
		else if (way == 3)
			MUST(cu.cuEventSynchronize(event));
		else if (way == 4)
			MUST(cu.cuCtxSynchronize());
		else if (way == 5)
			MUST(cu.cuMemPoolTrimTo(pool, 0));
		after = reserved(pool);
		note_text(ways[way], "%llu to %llu", (unsigned long long)before,
			  (unsigned long long)after);
		if (after < before)
			snprintf(by + strlen(by), sizeof by - strlen(by), "%s%s",
				 by[0] != '\0' ? ", " : "", ways[way]);
		MUST(cu.cuStreamSynchronize(stream));
		MUST(cu.cuMemPoolDestroy(pool));
		cu.cuEventDestroy_v2(event);
	}
	fact_text("pools.given_back_by", "Reserved bytes fall, at threshold 0, by", "%s",
		  by[0] != '\0' ? by : "none of them");
}

static void story(void)
{
	CUmemoryPool pool;
	CUdeviceptr at, second;
	int64_t after;

	free_at_start = free_bytes();
	pool = new_pool(UINT64_MAX);
	step(pool, "1 created");
	at = take(pool, 40 * MIB);
	step(pool, "2 40 MiB taken");
	second = take(pool, MIB);
	step(pool, "3 1 MiB taken");
	MUST(cu.cuMemFreeAsync(at, stream));
	step(pool, "4 40 MiB freed");
	MUST(cu.cuCtxSynchronize());
	step(pool, "5 synchronised, threshold of no end");
	MUST(cu.cuMemPoolTrimTo(pool, 0));
	step(pool, "6 trimmed, 1 MiB in use");
	note("7 destroyed, 1 MiB in use", cu.cuMemPoolDestroy(pool));
	note("8 device then", (double)(free_at_start - free_bytes()));
	MUST(cu.cuMemFreeAsync(second, stream));
	MUST(cu.cuCtxSynchronize());
	after = free_at_start - free_bytes();
	note("9 the 1 MiB freed and synchronised: device", (double)after);
	fact_number("pools.left_after_destroy",
		    "What the device misses after a pool's life (steps in the evidence)",
		    (double)after, "bytes");
}

/* --- graphs -------------------------------------------------------------------------- */

static uint64_t graph_reserved(void)
{
	cuuint64_t bytes = 0;

	MUST(cu.cuDeviceGetGraphMemAttribute(
		gpu.device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &bytes));
	return bytes;
}

static void graph_step(const char *name)
{
	note_text(name, "reserved %llu, device %lld",
		  (unsigned long long)graph_reserved(),
		  (long long)(free_at_start - free_bytes()));
}

static void graphs(void)
{
	CUDA_MEM_ALLOC_NODE_PARAMS parameters;
	CUgraphExec executable;
	CUgraphNode take_node, free_node;
	CUgraph graph;
	uint64_t launched, synchronised, trimmed;

	MUST(cu.cuCtxSynchronize());
	free_at_start = free_bytes();
	memset(&parameters, 0, sizeof parameters);
	parameters.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
	parameters.poolProps.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
	parameters.poolProps.location.id = gpu.device;
	parameters.bytesize = 40 * MIB;
	MUST(cu.cuGraphCreate(&graph, 0));
	MUST(cu.cuGraphAddMemAllocNode(&take_node, graph, NULL, 0, &parameters));
	MUST(cu.cuGraphAddMemFreeNode(&free_node, graph, &take_node, 1, parameters.dptr));
	graph_step("1 defined, 40 MiB");
	MUST(cu.cuGraphInstantiateWithFlags(&executable, graph, 0));
	graph_step("2 instantiated");
	MUST(cu.cuGraphUpload(executable, stream));
	MUST(cu.cuStreamSynchronize(stream));
	graph_step("3 uploaded");
	MUST(cu.cuGraphLaunch(executable, stream));
	launched = graph_reserved();
	graph_step("4 launched");
	MUST(cu.cuStreamSynchronize(stream));
	synchronised = graph_reserved();
	graph_step("5 synchronised");
	MUST(cu.cuDeviceGraphMemTrim(gpu.device));
	graph_step("6 trimmed while instantiated");
	MUST(cu.cuGraphLaunch(executable, stream));
	MUST(cu.cuStreamSynchronize(stream));
	graph_step("7 launched again");
	MUST(cu.cuGraphExecDestroy(executable));
	graph_step("8 executable destroyed");
	MUST(cu.cuGraphDestroy(graph));
	graph_step("9 graph destroyed");
	MUST(cu.cuDeviceGraphMemTrim(gpu.device));
	trimmed = graph_reserved();
	graph_step("10 trimmed");
	note("after_launch", (double)launched);
	note("after_synchronisation", (double)synchronised);
	fact_number(
		"pools.graph_after_trim",
		"Reserved by graphs after launch, destroy and trim (steps in the evidence)",
		(double)trimmed, "bytes");
	fact_number("pools.graph_kept",
		    "Reserved by graphs after the launch of 40 MiB was synchronised",
		    (double)synchronised, "bytes");
}

static void default_pool(void)
{
	CUmemoryPool pool;
	cuuint64_t threshold;

	MUST(cu.cuDeviceGetDefaultMemPool(&pool, gpu.device));
	MUST(cu.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
				      &threshold));
	note("reserved_at_start", (double)reserved(pool));
	fact_number("pools.default_threshold", "Release threshold of the default pool",
		    (double)threshold, "bytes");
}

void section_pools(void)
{
	gpu_open(&gpu);
	MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	default_pool();
	granule();
	giving_back();
	story();
	graphs();
}
