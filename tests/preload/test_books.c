/*
 * test_books.c - the tenant's books against the device's, after every step of long random
 * sequences over all paths by which memory is taken and given back, failing ones included.
 *
 * What is charged is never less than what the device holds for the process. For memory with
 * a handle both are equal at all times; for pools and graphs they are equal when all work is
 * done, and what is refused would not have fitted, but for one granule of caution. When all
 * is given back nothing stays charged.
 */
#include "cunit_main.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common_tenant.h"
#include "gpushim/reader.h"
#include "simgpu.h"

#define MIB ((uint64_t)1 << 20)
#define GRANULE (32 * MIB)
#define QUOTA (256 * MIB)
#define PAGE (2 * MIB) /* of cuMemCreate */

enum { STEPS = 1200, THINGS = 72, CONTEXTS = 3, THREADS = 4, THREAD_STEPS = 2500 };

CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device);
CUresult CUDAAPI cuMemAllocAsync_ptsz(CUdeviceptr *dptr, size_t bytes, CUstream stream);
CUresult CUDAAPI cuMemFreeAsync_ptsz(CUdeviceptr dptr, CUstream stream);
CUresult CUDAAPI cuStreamSynchronize_ptsz(CUstream stream);

/* ---- what there is ---- */

enum kind {
	NOTHING,
	POINTER, /* plain, pitched, managed */
	ARRAY,
	MIPMAP,
	HANDLE,	 /* other: references */
	MAPPING, /* other: its bytes */
	POOL,
	PIECE, /* other: its pool, 0: the default one, ORPHAN: one that was destroyed */
	STREAM,
	EXEC,  /* other: the address it leaves allocated, or 0 */
	GIVEN, /* an address that a graph left allocated */
};

enum { ORPHAN = 1 };

struct thing {
	enum kind kind;
	uint64_t handle, other;
	CUcontext context; /* that it dies with */
};

struct worker {
	uint32_t seed;
	bool single; /* nobody else is at work: the books can be compared at each step */
	bool exports, faults;
	struct thing things[THINGS];
	CUcontext contexts[CONTEXTS]; /* [0] is primary */
	CUcontext current;
	/* Of the last call that asked for memory: at most; 0: none. */
	uint64_t asked_bytes;
	CUresult result;
	unsigned granted, refused;
};

static uint32_t dice(struct worker *w, uint32_t sides)
{
	w->seed = w->seed * 1664525 + 1013904223;
	return (w->seed >> 8) % sides;
}

static uint64_t any_bytes(struct worker *w)
{
	static const uint64_t most[] = { 4096, 1 * MIB, 3 * MIB, 40 * MIB, 100 * MIB };
	uint64_t bytes = most[dice(w, 5)];

	return 1 + dice(w, 1 << 20) * bytes / (1 << 20);
}

static struct thing *room(struct worker *w)
{
	for (int i = 0; i < THINGS; i++)
		if (w->things[i].kind == NOTHING)
			return &w->things[i];
	return NULL;
}

/* One of a kind; NULL if there is none. */
static struct thing *any(struct worker *w, enum kind kind)
{
	unsigned start = dice(w, THINGS);

	for (unsigned i = 0; i < THINGS; i++)
		if (w->things[(start + i) % THINGS].kind == kind)
			return &w->things[(start + i) % THINGS];
	return NULL;
}

static CUstream any_stream(struct worker *w)
{
	struct thing *stream = dice(w, 4) ? any(w, STREAM) : NULL;

	return stream ? (CUstream)(uintptr_t)stream->handle : NULL;
}

static void keep(struct worker *w, CUresult result, enum kind kind, uint64_t handle,
		 uint64_t other)
{
	struct thing *thing = room(w);

	w->result = result;
	w->granted += result == CUDA_SUCCESS;
	w->refused += result == CUDA_ERROR_OUT_OF_MEMORY;
	if (result == CUDA_SUCCESS)
		*thing = (struct thing){ kind, handle, other, w->current };
}

static bool gone(struct thing *thing, CUresult result)
{
	if (result == CUDA_SUCCESS)
		thing->kind = NOTHING;
	return result == CUDA_SUCCESS;
}

/* ---- plain memory and arrays ---- */

static void take_plain(struct worker *w)
{
	CUdeviceptr p = 0;
	CUresult result;
	size_t pitch;

	w->asked_bytes = any_bytes(w);
	switch (dice(w, 4)) {
	case 0:
		result = cuMemAllocManaged(&p, w->asked_bytes, CU_MEM_ATTACH_GLOBAL);
		break;
	case 1:
		w->asked_bytes = w->asked_bytes / 512 * 512 + 512;
		result = cuMemAllocPitch(&p, &pitch, 500, w->asked_bytes / 512, 4);
		break;
	default:
		result = cuMemAlloc(&p, w->asked_bytes);
	}
	keep(w, result, POINTER, p, 0);
}

static void take_array(struct worker *w)
{
	static const CUarray_format formats[] = { CU_AD_FORMAT_UNSIGNED_INT8,
						  CU_AD_FORMAT_HALF, CU_AD_FORMAT_FLOAT,
						  CU_AD_FORMAT_SIGNED_INT16 };
	CUDA_ARRAY3D_DESCRIPTOR d = { .Width = 1 + dice(w, 700),
				      .Height = dice(w, 3) ? 1 + dice(w, 700) : 0,
				      .Format = formats[dice(w, 4)],
				      .NumChannels = 1u << dice(w, 3) };
	CUDA_ARRAY_DESCRIPTOR flat;
	CUmipmappedArray mipmap = NULL;
	CUarray array = NULL;
	CUresult result;

	switch (dice(w, 4)) {
	case 0:
		d.Depth = dice(w, 20);
		break;
	case 1:
		d.Depth = 1 + dice(w, 6);
		d.Flags = CUDA_ARRAY3D_LAYERED;
		break;
	case 2:
		d.Height = d.Width;
		d.Depth = 6;
		d.Flags = CUDA_ARRAY3D_CUBEMAP;
		break;
	default:
		break;
	}
	w->asked_bytes = (d.Width * (d.Height ? d.Height : 1) * (d.Depth ? d.Depth : 1)) *
			 16 * 2; /* at most: not judged to the byte */
	if (dice(w, 3) == 0) {
		result = cuMipmappedArrayCreate(&mipmap, &d, dice(w, 14));
		keep(w, result, MIPMAP, (uintptr_t)mipmap, 0);
	} else if (d.Depth || dice(w, 2)) {
		result = cuArray3DCreate(&array, &d);
		keep(w, result, ARRAY, (uintptr_t)array, 0);
	} else {
		flat = (CUDA_ARRAY_DESCRIPTOR){ d.Width, d.Height, d.Format,
						d.NumChannels };
		result = cuArrayCreate(&array, &flat);
		keep(w, result, ARRAY, (uintptr_t)array, 0);
	}
}

static void free_plain(struct worker *w)
{
	struct thing *thing = any(w, (enum kind)(POINTER + dice(w, 3)));

	if (!thing)
		return;
	if (thing->kind == ARRAY)
		gone(thing, cuArrayDestroy((CUarray)(uintptr_t)thing->handle));
	else if (thing->kind == MIPMAP)
		gone(thing,
		     cuMipmappedArrayDestroy((CUmipmappedArray)(uintptr_t)thing->handle));
	else if (dice(w, 6) == 0)
		gone(thing, cuMemFreeAsync(thing->handle, any_stream(w)));
	else
		gone(thing, cuMemFree(thing->handle));
}

/* ---- physical memory ---- */

static void create_handle(struct worker *w)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = w->exports
						? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
						: CU_MEM_HANDLE_TYPE_NONE,
		.location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
	};
	CUmemGenericAllocationHandle handle = 0;
	CUresult result;

	w->asked_bytes = PAGE * (1 + dice(w, 20));
	result = cuMemCreate(&handle, w->asked_bytes, &prop, 0);
	keep(w, result, HANDLE, handle, w->asked_bytes);
}

/* Maps all of it, in a place of its own. */
static void map_handle(struct worker *w)
{
	struct thing *thing = any(w, HANDLE);
	CUdeviceptr at = 0;
	CUresult result;

	if (!thing || cuMemAddressReserve(&at, thing->other, 0, 0, 0) != CUDA_SUCCESS)
		return;
	result = cuMemMap(at, thing->other, 0, thing->handle, 0);
	if (result != CUDA_SUCCESS)
		cuMemAddressFree(at, thing->other);
	keep(w, result, MAPPING, at, thing->other);
}

static void retain_handle(struct worker *w)
{
	struct thing *thing = any(w, MAPPING);
	CUmemGenericAllocationHandle handle = 0;
	CUresult result;

	if (!thing)
		return;
	result = cuMemRetainAllocationHandle(&handle, (void *)thing->handle);
	keep(w, result, HANDLE, handle, thing->other);
}

static void export_handle(struct worker *w)
{
	struct thing *thing = w->exports ? any(w, HANDLE) : NULL;
	CUmemGenericAllocationHandle handle = 0;
	CUresult result;
	int fd = -1;

	if (!thing ||
	    cuMemExportToShareableHandle(&fd, thing->handle,
					 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
					 0) != CUDA_SUCCESS)
		return;
	if (dice(w, 2)) {
		result = cuMemImportFromShareableHandle(
			&handle, (void *)(intptr_t)fd,
			CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
		keep(w, result, HANDLE, handle, thing->other);
	}
	close(fd);
}

static void drop_handle(struct worker *w)
{
	struct thing *thing = any(w, dice(w, 2) ? HANDLE : MAPPING);

	if (thing && thing->kind == HANDLE)
		gone(thing, cuMemRelease(thing->handle));
	else if (thing && gone(thing, cuMemUnmap(thing->handle, thing->other)))
		cuMemAddressFree(thing->handle, thing->other);
}

/* ---- pools ---- */

static void make_pool(struct worker *w)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 },
				       .maxSize = dice(w, 3) ? 0 : 48 * MIB };
	cuuint64_t keep_bytes = dice(w, 2) ? UINT64_MAX : dice(w, 80) * MIB;
	CUmemoryPool pool = NULL;
	CUresult result = cuMemPoolCreate(&pool, &props);

	keep(w, result, POOL, (uintptr_t)pool, 0);
	if (result == CUDA_SUCCESS && dice(w, 2))
		cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
				      &keep_bytes);
}

static void take_piece(struct worker *w)
{
	struct thing *pool = dice(w, 3) ? any(w, POOL) : NULL;
	uint64_t bytes = any_bytes(w);
	CUdeviceptr p = 0;
	CUresult result;

	/* Pools of a largest size refuse by themselves: not judged. */
	w->asked_bytes = pool ? 0 : (bytes + GRANULE - 1) / GRANULE * GRANULE;
	if (pool)
		result = cuMemAllocFromPoolAsync(
			&p, bytes, (CUmemoryPool)(uintptr_t)pool->handle, any_stream(w));
	else if (dice(w, 4) == 0)
		result = cuMemAllocAsync_ptsz(&p, bytes, NULL);
	else
		result = cuMemAllocAsync(&p, bytes, any_stream(w));
	keep(w, result, PIECE, p, pool ? pool->handle : 0);
}

static void free_piece(struct worker *w)
{
	struct thing *piece = any(w, dice(w, 8) ? PIECE : GIVEN);

	if (!piece)
		return;
	switch (dice(w, 5)) {
	case 0:
		gone(piece, cuMemFree(piece->handle));
		break;
	case 1:
		gone(piece, cuMemFreeAsync_ptsz(piece->handle, NULL));
		break;
	default:
		gone(piece, cuMemFreeAsync(piece->handle, any_stream(w)));
	}
}

static void end_pool(struct worker *w)
{
	struct thing *pool = any(w, POOL);

	if (pool && dice(w, 2))
		cuMemPoolTrimTo((CUmemoryPool)(uintptr_t)pool->handle, dice(w, 64) * MIB);
	else if (pool &&
		 gone(pool, cuMemPoolDestroy((CUmemoryPool)(uintptr_t)pool->handle)))
		for (int i = 0; i < THINGS; i++)
			if (w->things[i].kind == PIECE &&
			    w->things[i].other == pool->handle)
				w->things[i].other = ORPHAN;
}

/* ---- streams ---- */

static void CUDA_CB a_moment(void *data)
{
	(void)data;
	usleep(100);
}

static void work_on_streams(struct worker *w)
{
	CUstream stream = NULL;
	struct thing *thing;
	CUresult result;
	CUevent event;

	switch (dice(w, 8)) {
	case 0:
	case 1:
		result = cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
		keep(w, result, STREAM, (uintptr_t)stream, 0);
		break;
	case 2:
		thing = any(w, STREAM);
		if (thing)
			gone(thing, cuStreamDestroy((CUstream)(uintptr_t)thing->handle));
		break;
	case 3:
	case 4:
		cuLaunchHostFunc(any_stream(w), a_moment, NULL);
		break;
	case 5:
		cuStreamSynchronize(any_stream(w));
		cuStreamQuery(any_stream(w));
		break;
	case 6:
		cuStreamSynchronize_ptsz(NULL);
		break;
	default:
		if (cuEventCreate(&event, 0) != CUDA_SUCCESS)
			break;
		/* Which fails for a stream of another context. */
		cuEventRecord(event, any_stream(w));
		cuEventSynchronize(event);
		cuEventQuery(event);
		cuEventDestroy(event);
	}
}

/* ---- graphs ---- */

static void make_graph(struct worker *w)
{
	CUDA_MEM_ALLOC_NODE_PARAMS alloc = {
		.poolProps = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			       .location = { CU_MEM_LOCATION_TYPE_DEVICE, 0 } },
	};
	CUDA_GRAPH_INSTANTIATE_PARAMS params = { 0 };
	unsigned nodes = 1 + dice(w, 4);
	CUgraphExec exec = NULL;
	CUgraphNode node, end;
	CUdeviceptr left = 0;
	CUresult result;
	CUgraph graph;

	if (cuGraphCreate(&graph, 0) != CUDA_SUCCESS)
		return;
	for (unsigned i = 0; i < nodes; i++) {
		alloc.bytesize = any_bytes(w) / 2 + 1;
		if (cuGraphAddMemAllocNode(&node, graph, NULL, 0, &alloc) != CUDA_SUCCESS)
			break;
		if (!left && dice(w, 4) == 0)
			left = alloc.dptr;
		else
			cuGraphAddMemFreeNode(&end, graph, &node, 1, alloc.dptr);
	}
	if (dice(w, 3) == 0)
		params.flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD;
	if (dice(w, 3) == 0)
		params.flags |= CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
	result = cuGraphInstantiateWithParams(&exec, graph, &params);
	keep(w, result, EXEC, (uintptr_t)exec, left);
	cuGraphDestroy(graph);
}

static void use_graph(struct worker *w)
{
	struct thing *exec = any(w, EXEC), *given;
	CUresult result;

	if (!exec)
		return;
	switch (dice(w, 6)) {
	case 0:
		gone(exec, cuGraphExecDestroy((CUgraphExec)(uintptr_t)exec->handle));
		break;
	case 1:
		w->result = cuGraphUpload((CUgraphExec)(uintptr_t)exec->handle,
					  any_stream(w));
		break;
	default:
		given = room(w);
		result = cuGraphLaunch((CUgraphExec)(uintptr_t)exec->handle,
				       any_stream(w));
		w->granted += result == CUDA_SUCCESS;
		w->refused += result == CUDA_ERROR_OUT_OF_MEMORY;
		if (result == CUDA_SUCCESS && exec->other)
			*given = (struct thing){ GIVEN, exec->other, 0, w->current };
	}
}

/* ---- contexts ---- */

static void forget_context(struct worker *w, CUcontext context)
{
	for (int i = 0; i < THINGS; i++)
		if (w->things[i].context == context &&
		    (w->things[i].kind <= MIPMAP || w->things[i].kind == STREAM))
			w->things[i].kind = NOTHING;
}

static void change_context(struct worker *w)
{
	unsigned i = w->single ? dice(w, CONTEXTS) : 1 + dice(w, CONTEXTS - 1);

	if (i > 0 && dice(w, 3) == 0) {
		if (!w->contexts[i]) {
			if (cuCtxCreate_v2(&w->contexts[i], 0, 0) != CUDA_SUCCESS)
				w->contexts[i] = NULL;
		} else if (cuCtxDestroy(w->contexts[i]) == CUDA_SUCCESS) {
			forget_context(w, w->contexts[i]);
			w->contexts[i] = NULL;
		}
	} else if (i == 0 && dice(w, 4) == 0) {
		if ((dice(w, 2) ? cuDevicePrimaryCtxReset(0)
				: cuDevicePrimaryCtxRelease(0)) == CUDA_SUCCESS) {
			unsigned flags;
			int active = 1;

			cuDevicePrimaryCtxGetState(0, &flags, &active);
			if (!active)
				forget_context(w, w->contexts[0]);
			cuDevicePrimaryCtxRetain(&w->contexts[0], 0);
		}
	}
	if (!w->contexts[i])
		i = 0;
	w->current = w->contexts[i];
	cuCtxSetCurrent(w->current);
}

/* ---- senseless calls ---- */

static void ask_senselessly(struct worker *w)
{
	struct thing *thing = any(w, (enum kind)(POINTER + dice(w, GIVEN)));
	const uint64_t handle = thing ? thing->handle + 8 : 0x1234;
	const CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
					   .location = { CU_MEM_LOCATION_TYPE_DEVICE,
							 7 } };
	CUmemGenericAllocationHandle h;
	CUdeviceptr p;
	size_t pitch;

	switch (dice(w, 10)) {
	case 0:
		check(cuMemFree(handle) != CUDA_SUCCESS);
		break;
	case 1:
		check(cuMemFreeAsync(handle, NULL) != CUDA_SUCCESS);
		break;
	case 2:
		check(cuMemAlloc(&p, 0) != CUDA_SUCCESS);
		break;
	case 3:
		check(cuMemAlloc(NULL, 10) != CUDA_SUCCESS);
		break;
	case 4:
		check(cuMemAllocPitch(&p, &pitch, 0, 10, 4) != CUDA_SUCCESS);
		check(cuMemAllocPitch(&p, &pitch, 1 << 20, 1, 3) != CUDA_SUCCESS);
		break;
	case 5:
		check(cuMemCreate(&h, PAGE, &prop, 0) != CUDA_SUCCESS);
		check(cuMemCreate(&h, PAGE, NULL, 0) != CUDA_SUCCESS);
		break;
	case 6:
		if (!thing || thing->kind != MAPPING)
			check(cuMemUnmap(handle & ~(PAGE - 1), PAGE) != CUDA_SUCCESS);
		else if (thing->other > PAGE) /* only all of it can be unmapped */
			check(cuMemUnmap(thing->handle, PAGE) != CUDA_SUCCESS);
		break;
	case 7:
		check(cuMemRelease(handle) != CUDA_SUCCESS);
		break;
	case 8:
		check(cuMemAllocAsync(&p, 0, NULL) != CUDA_SUCCESS);
		check(cuMemAllocAsync(NULL, 8, NULL) != CUDA_SUCCESS);
		break;
	default:
		check(cuMemAllocManaged(&p, 4096, 77) != CUDA_SUCCESS);
	}
}

/* ---- the books ---- */

static struct simgpu_monitor *monitor;
static struct gpushim_reader *reader;
static struct gpushim_snapshot *snapshot;
static struct gpushim_usage charged;
static struct simgpu_bytes held;

static bool open_books(void)
{
	const char *why = "";

	monitor = simgpu_open(NULL, 0, &why);
	snapshot = malloc(sizeof(*snapshot));
	return check(monitor != NULL && snapshot != NULL) &&
	       check(gpushim_reader_open(&reader, getenv("GPUSHIM_DIR"), "default") == 0);
}

static void close_books(void)
{
	gpushim_reader_close(reader);
	simgpu_close(monitor);
	free(snapshot);
}

static bool read_books(void)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);
	const struct simgpu_client *client = truth ? simgpu_find(truth, getpid()) : NULL;

	check(client != NULL);
	if (client)
		held = client->memory[0];
	simgpu_free(truth);
	if (!client || !check(gpushim_reader_snapshot(reader, snapshot) == 0))
		return false;
	memset(&charged, 0, sizeof(charged));
	if (snapshot->usages_count > 0)
		charged = snapshot->usages[0];
	return check(snapshot->usages_count <= 1);
}

static bool equal(uint64_t a, uint64_t b, const char *what)
{
	if (a != b)
		fprintf(stderr, "%s: charged %llu, held %llu\n", what,
			(unsigned long long)a, (unsigned long long)b);
	return check(a == b);
}

/* A destroyed pool cannot be asked: it is charged in full until its last piece is freed. */
static bool has_orphans(const struct worker *w)
{
	for (int i = 0; i < THINGS; i++)
		if (w->things[i].kind == PIECE && w->things[i].other == ORPHAN)
			return true;
	return false;
}

/* quiet: all work is done. */
static bool books_agree(const struct worker *w, bool quiet)
{
	const uint64_t *kinds = charged.kind_bytes;
	bool agree = read_books();
	uint64_t exported = charged.exported_bytes;

	agree = agree && equal(kinds[GPUSHIM_KIND_LINEAR], held.plain, "linear") &&
		equal(kinds[GPUSHIM_KIND_MANAGED], held.managed, "managed") &&
		equal(kinds[GPUSHIM_KIND_ARRAY], held.array, "arrays");
	if (agree && exported == 0)
		agree = equal(kinds[GPUSHIM_KIND_VMM], held.vmm, "physical");
	agree = agree && check(kinds[GPUSHIM_KIND_VMM] >= held.vmm) &&
		check(kinds[GPUSHIM_KIND_VMM] <= held.vmm + exported) &&
		check(kinds[GPUSHIM_KIND_POOL] >= held.pool) &&
		check(kinds[GPUSHIM_KIND_GRAPH] >= held.graph) &&
		check(charged.pending_bytes == 0);
	if (agree && quiet)
		agree = (has_orphans(w) ||
			 equal(kinds[GPUSHIM_KIND_POOL], held.pool, "pools")) &&
			equal(kinds[GPUSHIM_KIND_GRAPH], held.graph, "graphs");
	return agree;
}

/* Waits for all there is. */
static void synchronise(struct worker *w)
{
	for (int i = 0; i < CONTEXTS; i++)
		if (w->contexts[i]) {
			cuCtxSetCurrent(w->contexts[i]);
			cuCtxSynchronize();
		}
	cuCtxSetCurrent(w->current);
}

/* ---- sequences ---- */

typedef void (*action)(struct worker *w);

static const action actions[] = {
	take_plain,	 take_plain,	  take_array,	   free_plain,	    free_plain,
	free_plain,	 create_handle,	  map_handle,	   retain_handle,   export_handle,
	drop_handle,	 drop_handle,	  drop_handle,	   make_pool,	    take_piece,
	take_piece,	 take_piece,	  free_piece,	   free_piece,	    end_pool,
	work_on_streams, work_on_streams, work_on_streams, make_graph,	    use_graph,
	use_graph,	 use_graph,	  change_context,  ask_senselessly,
};

static bool step(struct worker *w)
{
	unsigned which = dice(w, sizeof(actions) / sizeof(actions[0]));
	uint64_t before = charged.charged_bytes;
	bool agree;

	/* Each may need two places. */
	for (int i = 0, empty = 0; i < THINGS && empty < 2; i++) {
		empty += w->things[i].kind == NOTHING;
		if (i == THINGS - 1 && empty < 2)
			return true;
	}
	if (dice(w, 40) == 0)
		cuDeviceGraphMemTrim(0);
	if (dice(w, 40) == 0)
		synchronise(w);
	w->asked_bytes = 0;
	w->result = CUDA_SUCCESS;
	actions[which](w);
	if (!w->single)
		return true;
	agree = books_agree(w, false);
	if (agree && w->asked_bytes && w->result == CUDA_ERROR_OUT_OF_MEMORY &&
	    !w->faults)
		agree = check(charged.charged_bytes + w->asked_bytes > QUOTA);
	if (!agree)
		fprintf(stderr, "action %u asked %llu result %d, charged %llu before\n",
			which, (unsigned long long)w->asked_bytes, (int)w->result,
			(unsigned long long)before);
	return agree;
}

static void drop_all_of(struct worker *w, enum kind kind,
			CUresult (*drop)(struct thing *))
{
	struct thing *thing;

	while ((thing = any(w, kind))) {
		/* Under faults a call may fail, but not for ever. */
		for (int tries = 0; tries < 4 && drop(thing) != CUDA_SUCCESS; tries++)
			;
		thing->kind = NOTHING;
	}
}

static CUresult drop_thing(struct thing *thing)
{
	switch (thing->kind) {
	case ARRAY:
		return cuArrayDestroy((CUarray)(uintptr_t)thing->handle);
	case MIPMAP:
		return cuMipmappedArrayDestroy(
			(CUmipmappedArray)(uintptr_t)thing->handle);
	case HANDLE:
		return cuMemRelease(thing->handle);
	case MAPPING:
		return cuMemUnmap(thing->handle, thing->other);
	case POOL:
		return cuMemPoolDestroy((CUmemoryPool)(uintptr_t)thing->handle);
	case STREAM:
		return cuStreamDestroy((CUstream)(uintptr_t)thing->handle);
	case EXEC:
		return cuGraphExecDestroy((CUgraphExec)(uintptr_t)thing->handle);
	default:
		return cuMemFree(thing->handle);
	}
}

/* Gives everything back, in an order that differs from one to the next. */
static void drop_all(struct worker *w)
{
	unsigned first = dice(w, GIVEN);

	for (unsigned i = 0; i < GIVEN; i++)
		drop_all_of(w, (enum kind)(1 + (first + i) % GIVEN), drop_thing);
}

static void begin(struct worker *w, uint32_t seed)
{
	*w = (struct worker){ .seed = seed };
	check_result(cuCtxGetCurrent(&w->contexts[0]), CUDA_SUCCESS);
	w->current = w->contexts[0];
}

static void ends_empty(struct worker *w)
{
	CUmemoryPool pool;

	synchronise(w);
	check_result(cuDeviceGetDefaultMemPool(&pool, 0), CUDA_SUCCESS);
	cuMemPoolTrimTo(pool, 0);
	cuDeviceGraphMemTrim(0);
	books_agree(w, true);
	check(held.requested == 0 && held.requested_peak <= QUOTA);
	check(charged.charged_bytes == (w->exports ? charged.exported_bytes : 0));
}

static void run_alone(uint32_t seed, bool exports, bool faults)
{
	struct worker w;
	unsigned i = 0;

	tenant_context();
	begin(&w, seed);
	w.single = true;
	w.exports = exports;
	w.faults = faults;
	if (!open_books())
		return;
	while (i < STEPS && step(&w)) {
		if (++i % 100 == 0) {
			synchronise(&w);
			/* A fault may have made this no wait, or left the books unread. */
			if (!books_agree(&w, !faults))
				break;
		}
	}
	if (!check(i == STEPS))
		fprintf(stderr, "seed %u, step %u\n", seed, i);
	drop_all(&w);
	ends_empty(&w);
	check(w.granted > STEPS / 20 && (exports || w.refused > 0));
	close_books();
}

static uint32_t given_seed(void)
{
	const char *text = getenv("SEED");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 1;
}

TENANT_BODY(one_thread)
{
	run_alone(given_seed(), false, false);
}

TENANT_BODY(one_thread_that_exports)
{
	run_alone(given_seed(), true, false);
}

TENANT_BODY(one_thread_among_faults)
{
	run_alone(given_seed(), false, true);
}

static bool sequences(const char *body, const char *faults)
{
	char variable[32];
	bool passed = true;

	for (unsigned seed = 1; seed <= unit_rounds(4); seed++) {
		snprintf(variable, sizeof(variable), "SEED=%u", seed * 7919);
		passed &= tenant_passes(body, "GPUSHIM_MEMORY=256MiB", variable, faults,
					NULL);
		passed &= tenant_device_requested_peak() <= QUOTA;
		passed &= tenant_device_requested_peak() > QUOTA / 2;
		tenant_forget();
	}
	return passed;
}

static void the_books_agree_with_the_device_at_every_step(void)
{
	CU_ASSERT(sequences("one_thread", "SIMGPU_FAULTS"));
}

static void exported_memory_is_all_that_is_charged_beyond_what_is_held(void)
{
	CU_ASSERT(sequences("one_thread_that_exports", "SIMGPU_FAULTS"));
}

static void calls_that_fail_in_the_driver_leave_the_books_right(void)
{
	CU_ASSERT(sequences(
		"one_thread_among_faults",
		"SIMGPU_FAULTS="
		"cuMemAlloc@5=2;cuMemAlloc@31=46;cuMemFree@7=1;cuMemFree@20=1;"
		"cuMemAllocPitch@3=2;cuMemAllocManaged@2=2;cuArrayDestroy@3=1;"
		"cuArrayCreate@2=2;cuArray3DCreate@4=2;"
		"cuMipmappedArrayCreate@3=2;cuMemCreate@4=2;cuMemRelease@5=1;"
		"cuMemMap@3=1;cuMemUnmap@2=1;cuMemRetainAllocationHandle@2=1;"
		"cuMemAllocAsync@6=2;cuMemAllocFromPoolAsync@5=2;"
		"cuMemFreeAsync@4=1;cuMemPoolDestroy@2=1;cuMemPoolTrimTo@3=1;"
		"cuMemPoolGetAttribute@9=1;cuMemPoolGetAttribute@40=1;"
		"cuMemPoolGetAttribute@41=1;cuDeviceGetGraphMemAttribute@8=1;"
		"cuGraphLaunch@4=1;cuGraphUpload@2=1;cuCtxDestroy@2=1;"
		"cuGraphInstantiateWithParams@3=1;cuCtxSynchronize@3=1;"
		"cuDeviceGraphMemTrim@2=1;cuStreamDestroy@2=1;cuMemPoolCreate@2=2"));
}

/* ---- many threads ---- */

static void *work(void *data)
{
	struct worker *w = data;

	cuCtxSetCurrent(w->current);
	for (int i = 0; i < THREAD_STEPS; i++)
		step(w);
	drop_all(w);
	synchronise(w);
	for (int i = 1; i < CONTEXTS; i++)
		if (w->contexts[i])
			check_result(cuCtxDestroy(w->contexts[i]), CUDA_SUCCESS);
	return NULL;
}

TENANT_BODY(four_threads)
{
	static struct worker workers[THREADS], self;
	pthread_t threads[THREADS];
	unsigned granted = 0;

	tenant_context();
	begin(&self, 1);
	if (!open_books())
		return;
	for (unsigned i = 0; i < THREADS; i++) {
		begin(&workers[i], given_seed() + i);
		check(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		granted += workers[i].granted;
	}
	check(granted > THREADS * THREAD_STEPS / 20);
	ends_empty(&self);
	close_books();
}

static void four_threads_never_hold_more_and_give_all_of_it_back(void)
{
	CU_ASSERT(sequences("four_threads", "SIMGPU_FAULTS"));
}

const struct unit_suite unit_suite = {
	.name = "the tenant's books and the device's",
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(the_books_agree_with_the_device_at_every_step),
		UNIT_TEST(exported_memory_is_all_that_is_charged_beyond_what_is_held),
		UNIT_TEST(calls_that_fail_in_the_driver_leave_the_books_right),
		UNIT_TEST(four_threads_never_hold_more_and_give_all_of_it_back),
	},
};
