/*
 * bad_input.c - arguments that no correct program gives: the documented error, never a crash.
 *
 * Knows: what kind of thing each argument of each driver function is (arguments.def), so that
 * every function that takes a handle meets random bits, handles of things that are gone and
 * of things of another kind; and, in a table, the exact codes that the CUDA driver API manual
 * promises for the calls programs use most.
 *
 * Functions are called by number of arguments only: all of them fit the registers and stack
 * words of both supported machines, whatever their types.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common_stress.h"
#include "cunit_main.h"

/* ---- all functions ---- */

static const struct function {
	const char *name, *kinds;
} functions[] = {
/* clang-format off */
#define ARGUMENTS(symbol, kinds) { #symbol, kinds },
/* clang-format on */
#include "arguments.def"
};
enum {
	FUNCTIONS = sizeof(functions) / sizeof(functions[0]),
	ARGUMENTS_MAX = 16,
	ROUNDS = 10
};

typedef CUresult (*any_function)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
				 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
				 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
				 uint64_t);

enum pass { NOTHING, RANDOM_BITS, FREED, WRONG_KIND, NULL_POINTERS, PASSES };

static const char handle_kinds[] = "CSEMLFABPGNXKTtUVo";
enum { KINDS = sizeof(handle_kinds) - 1 };

static bool takes_handle(const char *kinds)
{
	return strpbrk(kinds, handle_kinds) != NULL;
}

/* What the walking child reports. */
struct report {
	volatile int at; /* the function being called */
	struct {
		bool called, stuck; /* stuck: the client was in error afterwards */
		CUresult result;
	} rows[FUNCTIONS];
};

/* ---- one thing of each kind ---- */

/* Texture references are deprecated, and still there. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct things {
	struct stress_gpu gpu;
	unsigned char *scratch; /* readable and writable, zero */
	CUdeviceptr memory;
	uint64_t live[128]; /* by kind; 0: this driver makes none */
	CUgraph graph;
};

enum { SCRATCH_BYTES = 1 << 20 };

static CUresult make_vmm(CUmemGenericAllocationHandle *handle)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE }
	};
	size_t bytes;
	CUresult res = cuMemGetAllocationGranularity(&bytes, &prop,
						     CU_MEM_ALLOC_GRANULARITY_MINIMUM);

	return res == CUDA_SUCCESS ? cuMemCreate(handle, bytes, &prop, 0) : res;
}

static CUresult make_pool(CUmemoryPool *pool)
{
	const CUmemPoolProps props = { .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
				       .location = {
					       .type = CU_MEM_LOCATION_TYPE_DEVICE } };

	return cuMemPoolCreate(pool, &props);
}

static CUresult make_array(CUarray *array)
{
	const CUDA_ARRAY_DESCRIPTOR shape = {
		.Width = 16, .Height = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1
	};

	return cuArrayCreate(array, &shape);
}

static CUresult make_mipmaps(CUmipmappedArray *array)
{
	const CUDA_ARRAY3D_DESCRIPTOR shape = {
		.Width = 16, .Height = 16, .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1
	};

	return cuMipmappedArrayCreate(array, &shape, 2);
}

static CUresult make_texture(struct things *t, CUtexObject *texture)
{
	const CUDA_RESOURCE_DESC resource = {
		.resType = CU_RESOURCE_TYPE_LINEAR,
		.res.linear = { .devPtr = t->memory,
				.format = CU_AD_FORMAT_FLOAT,
				.numChannels = 1,
				.sizeInBytes = 1024 },
	};
	const CUDA_TEXTURE_DESC description = { 0 };

	return cuTexObjectCreate(texture, &resource, &description, NULL);
}

static CUresult make_exec(struct things *t, CUgraphExec *exec)
{
	return t->graph ? cuGraphInstantiate(exec, t->graph, 0)
			: CUDA_ERROR_NOT_SUPPORTED;
}

/* The destructor of a user object. */
static void CUDA_CB forget(void *object)
{
	(void)object;
}

/* Makes a thing of that kind; 0 if this driver does not. */
static uint64_t make(struct things *t, char kind)
{
	union {
		CUcontext context;
		CUstream stream;
		CUevent event;
		CUmodule module;
		CUarray array;
		CUmipmappedArray mipmaps;
		CUmemoryPool pool;
		CUgraph graph;
		CUgraphNode node;
		CUgraphExec exec;
		CUlinkState link;
		CUtexref texture;
		CUtexObject texobject;
		CUmemGenericAllocationHandle vmm;
		CUlibrary library;
		CUuserObject user;
		uint64_t bits;
	} made = { .bits = 0 };
	CUresult res = CUDA_ERROR_NOT_SUPPORTED;

	switch (kind) {
	case 'C':
		res = cuCtxCreate(&made.context, NULL, 0, 0);
		cuCtxSetCurrent(t->gpu.context);
		break;
	case 'S':
		res = cuStreamCreate(&made.stream, 0);
		break;
	case 'E':
		res = cuEventCreate(&made.event, 0);
		break;
	case 'A':
		res = make_array(&made.array);
		break;
	case 'B':
		res = make_mipmaps(&made.mipmaps);
		break;
	case 'P':
		res = make_pool(&made.pool);
		break;
	case 'G':
		res = cuGraphCreate(&made.graph, 0);
		break;
	case 'N':
		res = t->graph ? cuGraphAddEmptyNode(&made.node, t->graph, NULL, 0) : res;
		break;
	case 'X':
		res = make_exec(t, &made.exec);
		break;
	case 'K':
		res = cuLinkCreate(0, NULL, NULL, &made.link);
		break;
	case 'T':
		res = cuTexRefCreate(&made.texture);
		break;
	case 't':
		res = make_texture(t, &made.texobject);
		break;
	case 'V':
		res = make_vmm(&made.vmm);
		break;
	case 'L':
		res = cuLibraryLoadData(&made.library, stress_kernels, NULL, NULL, 0,
					NULL, NULL, 0);
		break;
	case 'U':
		res = cuUserObjectCreate(&made.user, NULL, forget, 1,
					 CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
		break;
	default:
		break;
	}
	return res == CUDA_SUCCESS ? made.bits : 0;
}

static void unmake(char kind, uint64_t bits)
{
	void *handle = (void *)(uintptr_t)bits;

	switch (kind) {
	case 'C':
		cuCtxDestroy(handle);
		break;
	case 'S':
		cuStreamDestroy(handle);
		break;
	case 'E':
		cuEventDestroy(handle);
		break;
	case 'A':
		cuArrayDestroy(handle);
		break;
	case 'B':
		cuMipmappedArrayDestroy(handle);
		break;
	case 'P':
		cuMemPoolDestroy(handle);
		break;
	case 'G':
		cuGraphDestroy(handle);
		break;
	case 'N':
		cuGraphDestroyNode(handle);
		break;
	case 'X':
		cuGraphExecDestroy(handle);
		break;
	case 'K':
		cuLinkDestroy(handle);
		break;
	case 'T':
		cuTexRefDestroy(handle);
		break;
	case 't':
		cuTexObjectDestroy(bits);
		break;
	case 'V':
		cuMemRelease(bits);
		break;
	case 'L':
		cuLibraryUnload(handle);
		break;
	case 'U':
		cuUserObjectRelease(handle, 1);
		break;
	default:
		break;
	}
}

static int make_things(struct things *t)
{
	if (stress_gpu_open(&t->gpu) || cuMemAlloc(&t->memory, 1 << 16) != CUDA_SUCCESS)
		return 1;
	t->scratch = mmap(NULL, SCRATCH_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->scratch == MAP_FAILED)
		return 1;
	if (cuGraphCreate(&t->graph, 0) != CUDA_SUCCESS)
		t->graph = NULL;
	t->live['M'] = (uintptr_t)t->gpu.module;
	t->live['F'] = (uintptr_t)t->gpu.work;
	for (int i = 0; i < KINDS; i++)
		if (t->live[(int)handle_kinds[i]] == 0)
			t->live[(int)handle_kinds[i]] = make(t, handle_kinds[i]);
	return 0;
}

/* ---- one call ---- */

static uint64_t handle_for(struct things *t, struct stress_random *random, enum pass pass,
			   char kind)
{
	uint64_t bits;

	switch (pass) {
	case NOTHING:
		return 0;
	case FREED:
		bits = make(t, kind);
		unmake(kind, bits);
		/* Where things of a kind cannot be freed alone, an odd neighbour of one. */
		return bits ? bits : t->live[(int)kind] + 8;
	case WRONG_KIND:
		bits = t->live[(int)handle_kinds[stress_below(random, KINDS)]];
		return bits != 0 && bits != t->live[(int)kind] ? bits
							       : (uintptr_t)t->scratch;
	case NULL_POINTERS:
		return t->live[(int)kind];
	default:
		/* Any bits, but none that mean something: 0, 1 and 2 are streams. */
		bits = stress_random(random) >> stress_below(random, 60);
		return bits > 2 ? bits : (uintptr_t)t->scratch;
	}
}

static uint64_t argument(struct things *t, struct stress_random *random, enum pass pass,
			 char kind)
{
	if (strchr(handle_kinds, kind))
		return handle_for(t, random, pass, kind);
	switch (kind) {
	case 'p':
		return pass == NOTHING || pass == NULL_POINTERS
			       ? 0
			       : (uintptr_t)t->scratch + 4096 * stress_below(random, 16);
	case 'a':
		return pass == NULL_POINTERS ? t->memory
		       : pass == NOTHING     ? 0
					     : stress_random(random);
	case 'i':
		return pass == NOTHING || pass == NULL_POINTERS ? 0
								: stress_below(random, 2);
	default:
		return 0;
	}
}

static CUresult call(void *symbol, const uint64_t v[ARGUMENTS_MAX])
{
	any_function function;

	memcpy(&function, &symbol, sizeof(function));
	return function(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10],
			v[11], v[12], v[13], v[14], v[15]);
}

/* A capture that a call began would catch what comes later. */
static void end_capture(CUstream stream)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	CUgraph graph = NULL;

	if (cuStreamIsCapturing(stream, &status) != CUDA_SUCCESS ||
	    status == CU_STREAM_CAPTURE_STATUS_NONE)
		return;
	cuStreamEndCapture(stream, &graph);
	if (graph)
		cuGraphDestroy(graph);
}

static void settle(struct things *t)
{
	cuCtxSetCurrent(t->gpu.context);
	end_capture((CUstream)(uintptr_t)t->live['S']);
	end_capture(CU_STREAM_PER_THREAD);
	memset(t->scratch, 0, SCRATCH_BYTES);
}

struct walk {
	struct report *report;
	enum pass pass;
	unsigned round;
	int from;
};

static int walker(void *arg)
{
	const struct walk *w = arg;
	void *driver = dlopen("libcuda.so.1", RTLD_NOW);
	static struct things t;
	struct stress_random random = { .state = (uint64_t)w->pass << 32 |
						 w->round << 16 | (unsigned)w->from };

	w->report->at = w->from;
	if (!driver || make_things(&t))
		return 1;
	for (int i = w->from; i < FUNCTIONS; i++) {
		uint64_t values[ARGUMENTS_MAX] = { 0 };
		void *symbol = dlsym(driver, functions[i].name);

		if (!symbol || (w->pass != NOTHING && w->pass != NULL_POINTERS &&
				!takes_handle(functions[i].kinds)))
			continue;
		if (w->pass == NULL_POINTERS && !strchr(functions[i].kinds, 'p'))
			continue;
		w->report->at = i;
		alarm(10);
		for (int j = 0; functions[i].kinds[j] && j < ARGUMENTS_MAX; j++)
			values[j] = argument(&t, &random, w->pass, functions[i].kinds[j]);
		w->report->rows[i].result = call(symbol, values);
		w->report->rows[i].called = true;
		settle(&t);
		if (cuCtxSynchronize() != CUDA_SUCCESS) {
			w->report->rows[i].stuck = true;
			return 2;
		}
	}
	w->report->at = FUNCTIONS;
	return 0;
}

/* Calls all functions in this way; a child that dies or is stuck is replaced. Returns how
 * many were called, or -1 if one crashed. */
static int walk_all(enum pass pass, unsigned round, struct report *report)
{
	struct walk w = { .report = report, .pass = pass, .round = round };
	int called = 0;
	bool fine = true;

	memset(report, 0, sizeof(*report));
	while (w.from < FUNCTIONS) {
		int res = stress_wait(stress_child(walker, &w)), at = report->at;

		if (res == 0)
			break;
		if (res == 2)
			printf("      %s left the client in error\n", functions[at].name);
		else
			printf("      %s(%s) ended the process: %d\n", functions[at].name,
			       functions[at].kinds, res);
		fine = false;
		w.from = at + 1;
	}
	for (int i = 0; i < FUNCTIONS; i++)
		called += report->rows[i].called;
	return fine ? called : -1;
}

static struct report *new_report(void)
{
	void *report = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(report, MAP_FAILED);
	return report;
}

/* Results that are in cuda.h. */
static bool documented(CUresult result)
{
	const char *name;

	return cuGetErrorName(result, &name) == CUDA_SUCCESS;
}

static void judge_round(enum pass pass, unsigned round, bool must_fail)
{
	struct report *report = new_report();
	int called = walk_all(pass, round, report), wrong = 0;

	CU_ASSERT_TRUE(called > 300);
	for (int i = 0; i < FUNCTIONS; i++) {
		CUresult result = report->rows[i].result;

		if (!report->rows[i].called ||
		    (documented(result) && !(must_fail && result == CUDA_SUCCESS)))
			continue;
		printf("      %s(%s) answered %d in round %u\n", functions[i].name,
		       functions[i].kinds, (int)result, round);
		wrong++;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	munmap(report, sizeof(*report));
}

static void judge(enum pass pass, bool must_fail)
{
	for (unsigned round = 0; round < unit_rounds(ROUNDS); round++)
		judge_round(pass, round, must_fail);
}

static void nothing_but_zeros_crashes_no_function(void)
{
	judge_round(NOTHING, 0, false);
}

static void null_pointers_beside_live_handles_crash_no_function(void)
{
	judge_round(NULL_POINTERS, 0, false);
}

static void random_bits_are_no_handle_to_any_function(void)
{
	judge(RANDOM_BITS, true);
}

static void a_freed_handle_is_refused_by_every_function(void)
{
	judge(FREED, true);
}

static void a_handle_of_another_kind_is_refused_by_every_function(void)
{
	judge(WRONG_KIND, true);
}

/* ---- exact codes ---- */

/* Counts and prints what is not as the CUDA driver API manual has it. */
static int mismatches;

static void expect(CUresult got, CUresult expected, CUresult or_else, const char *text)
{
	if (got == expected || got == or_else)
		return;
	printf("      %s answered %d, not %d\n", text, (int)got, (int)expected);
	mismatches++;
}
#define EXPECT(call, code) expect((call), (code), (code), #call)
/* Where the manual allows two. */
#define EITHER(call, code, other) expect((call), (code), (other), #call)

static const size_t absurd = (size_t)1 << 60;

static void check_memory(void)
{
	CUdeviceptr p = 0, freed, q;
	size_t pitch;
	void *host;
	char buffer[64] = "";

	EXPECT(cuMemAlloc(NULL, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAlloc(&p, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAlloc(&p, absurd), CUDA_ERROR_OUT_OF_MEMORY);
	EXPECT(cuMemAlloc(&p, SIZE_MAX), CUDA_ERROR_OUT_OF_MEMORY);
	EXPECT(cuMemAllocPitch(NULL, &pitch, 64, 4, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocPitch(&p, NULL, 64, 4, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocPitch(&p, &pitch, 64, 4, 5), CUDA_ERROR_INVALID_VALUE);
	EITHER(cuMemAllocPitch(&p, &pitch, absurd, absurd, 4), CUDA_ERROR_OUT_OF_MEMORY,
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocManaged(NULL, 4, CU_MEM_ATTACH_GLOBAL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocManaged(&p, 4, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocManaged(&p, 0, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocManaged(&p, absurd, CU_MEM_ATTACH_GLOBAL),
	       CUDA_ERROR_OUT_OF_MEMORY);
	EXPECT(cuMemHostAlloc(NULL, 4, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemHostAlloc(&host, 4, ~0u), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemHostAlloc(&host, absurd, 0), CUDA_ERROR_OUT_OF_MEMORY);
	EXPECT(cuMemFreeHost(buffer), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemHostUnregister(buffer), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);

	EXPECT(cuMemAlloc(&freed, 4096), CUDA_SUCCESS);
	EXPECT(cuMemAlloc(&q, 4096), CUDA_SUCCESS);
	EXPECT(cuMemFree(freed), CUDA_SUCCESS);
	EXPECT(cuMemFree(freed), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemFree(q + 512), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemFree((uintptr_t)buffer), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemFree(0), CUDA_SUCCESS);
	EXPECT(cuMemcpyHtoD(freed, buffer, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyDtoH(buffer, freed, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyDtoD(q, freed, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyHtoD(q, NULL, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyHtoD(q, buffer, absurd), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemcpyHtoD(q + 4095, buffer, 2), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD8(freed, 0, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD8(q, 0, 4097), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD8(q, 0, SIZE_MAX), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD32(q, 0, absurd), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD32(q + 1, 0, 4), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemsetD2D8(q, 4, 0, 8, 2), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemGetAddressRange(NULL, NULL, freed), CUDA_ERROR_NOT_FOUND);
	EXPECT(cuMemFree(q), CUDA_SUCCESS);
	EXPECT(cuMemAllocAsync(NULL, 4, NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAllocAsync(&p, absurd, NULL), CUDA_ERROR_OUT_OF_MEMORY);
	EXPECT(cuMemFreeAsync(q, NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAddressReserve(&p, 0, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAddressReserve(&p, 12345, 0, 0, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemAddressFree(0, 2 << 20), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemUnmap(0, 2 << 20), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuMemRelease(0), CUDA_ERROR_INVALID_VALUE);
}

static void check_streams_and_events(const struct stress_gpu *gpu)
{
	CUcontext other;
	CUstream stream, gone;
	CUevent event, second, untimed, foreign;
	CUgraph graph;
	float ms;

	EXPECT(cuStreamCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuStreamCreate(&stream, 0xff), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	EXPECT(cuStreamCreate(&gone, 0), CUDA_SUCCESS);
	EXPECT(cuStreamDestroy(gone), CUDA_SUCCESS);
	EXPECT(cuStreamDestroy(gone), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuStreamSynchronize(gone), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuStreamQuery(gone), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuStreamWaitEvent(stream, NULL, 0), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
	EXPECT(cuStreamBeginCapture(NULL, CU_STREAM_CAPTURE_MODE_GLOBAL),
	       CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
	EXPECT(cuEventCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuEventCreate(&event, 0xff00), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuEventCreate(&event, 0), CUDA_SUCCESS);
	EXPECT(cuEventCreate(&second, 0), CUDA_SUCCESS);
	EXPECT(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
	EXPECT(cuEventRecord(NULL, stream), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuEventElapsedTime(&ms, event, second), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuEventRecord(event, stream), CUDA_SUCCESS);
	EXPECT(cuEventRecord(untimed, stream), CUDA_SUCCESS);
	EXPECT(cuStreamSynchronize(stream), CUDA_SUCCESS);
	EXPECT(cuEventElapsedTime(&ms, event, untimed), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuEventElapsedTime(NULL, event, event), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuCtxCreate(&other, NULL, 0, 0), CUDA_SUCCESS);
	EXPECT(cuEventCreate(&foreign, 0), CUDA_SUCCESS);
	EXPECT(cuCtxSetCurrent(gpu->context), CUDA_SUCCESS);
	EXPECT(cuEventRecord(foreign, stream), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuCtxDestroy(other), CUDA_SUCCESS);
	EXPECT(cuEventDestroy(event), CUDA_SUCCESS);
	EXPECT(cuEventDestroy(event), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuEventQuery(event), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuStreamDestroy(stream), CUDA_SUCCESS);
}

static void check_modules_and_launches(const struct stress_gpu *gpu)
{
	uint64_t steps = 1;
	CUdeviceptr sink = 0;
	void *parameters[] = { &steps, &sink };
	CUmodule module = NULL;
	CUfunction function = NULL;
	int value;

	EXPECT(cuModuleLoadData(&module, NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuModuleLoadData(NULL, stress_kernels), CUDA_ERROR_INVALID_VALUE);
	EITHER(cuModuleLoadData(&module, "this is no image"), CUDA_ERROR_INVALID_IMAGE,
	       CUDA_ERROR_INVALID_PTX);
	EXPECT(cuModuleLoad(&module, "/nowhere/at.all"), CUDA_ERROR_FILE_NOT_FOUND);
	EXPECT(cuModuleGetFunction(&function, gpu->module, "nobody"),
	       CUDA_ERROR_NOT_FOUND);
	EXPECT(cuModuleGetFunction(&function, gpu->module, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuModuleGetFunction(NULL, gpu->module, "gpushim_work"),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuFuncGetAttribute(&value, (CUfunction_attribute)999, gpu->work),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuModuleLoadData(&module, stress_kernels), CUDA_SUCCESS);
	EXPECT(cuModuleGetFunction(&function, module, "gpushim_work"), CUDA_SUCCESS);
	EXPECT(cuModuleUnload(module), CUDA_SUCCESS);
	EXPECT(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuLaunchKernel(NULL, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_HANDLE);
	EXPECT(cuLaunchKernel(gpu->work, 0, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(gpu->work, 1, 1, 1, 1, 0, 1, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(gpu->work, 1, 1, 1, 1025, 1, 1, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(gpu->work, 1, 1, 1, 64, 64, 64, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(gpu->work, 1, 65536, 1, 1, 1, 1, 0, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuLaunchKernel(gpu->work, 1, 1, 1, 1, 1, 1, ~0u, NULL, parameters, NULL),
	       CUDA_ERROR_INVALID_VALUE);
}

static void check_devices_and_contexts(const struct stress_gpu *gpu)
{
	CUcontext context, gone;
	CUdevice device;
	char name[64];
	size_t bytes;
	int value;

	EXPECT(cuDeviceGet(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceGet(&device, 99), CUDA_ERROR_INVALID_DEVICE);
	EXPECT(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
	EXPECT(cuDeviceGetCount(NULL), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceGetName(name, sizeof(name), 99), CUDA_ERROR_INVALID_DEVICE);
	EXPECT(cuDeviceGetName(NULL, 10, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceGetAttribute(&value, (CUdevice_attribute)9999, 0),
	       CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceTotalMem(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuDeviceTotalMem(&bytes, 99), CUDA_ERROR_INVALID_DEVICE);
	EXPECT(cuCtxCreate(NULL, NULL, 0, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuCtxCreate(&context, NULL, 0, 99), CUDA_ERROR_INVALID_DEVICE);
	EXPECT(cuCtxCreate(&context, NULL, ~0u, 0), CUDA_ERROR_INVALID_VALUE);
	EITHER(cuCtxDestroy(NULL), CUDA_ERROR_INVALID_CONTEXT, CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuCtxCreate(&gone, NULL, 0, 0), CUDA_SUCCESS);
	EXPECT(cuCtxDestroy(gone), CUDA_SUCCESS);
	EITHER(cuCtxDestroy(gone), CUDA_ERROR_INVALID_CONTEXT,
	       CUDA_ERROR_CONTEXT_IS_DESTROYED);
	EITHER(cuCtxSetCurrent(gone), CUDA_ERROR_INVALID_CONTEXT,
	       CUDA_ERROR_CONTEXT_IS_DESTROYED);
	EXPECT(cuCtxSetCurrent(NULL), CUDA_SUCCESS);
	while (cuCtxPopCurrent(&context) == CUDA_SUCCESS)
		;
	EXPECT(cuCtxPopCurrent(&context), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuMemAlloc(&(CUdeviceptr){ 0 }, 4), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuStreamCreate(&(CUstream){ 0 }, 0), CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuModuleLoadData(&(CUmodule){ 0 }, stress_kernels),
	       CUDA_ERROR_INVALID_CONTEXT);
	EXPECT(cuCtxSetCurrent(gpu->context), CUDA_SUCCESS);
	EXPECT(cuGraphCreate(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuGraphCreate(&(CUgraph){ 0 }, 1), CUDA_ERROR_INVALID_VALUE);
	EXPECT(cuArrayCreate(&(CUarray){ 0 }, &(CUDA_ARRAY_DESCRIPTOR){ .Width = 4 }),
	       CUDA_ERROR_INVALID_VALUE);
}

static int check_codes(void *arg)
{
	struct stress_gpu gpu;

	(void)arg;
	EXPECT(cuMemAlloc(&(CUdeviceptr){ 0 }, 4), CUDA_ERROR_NOT_INITIALIZED);
	EXPECT(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
	EXPECT(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	if (stress_gpu_open(&gpu))
		return 99;
	check_memory();
	check_streams_and_events(&gpu);
	check_modules_and_launches(&gpu);
	check_devices_and_contexts(&gpu);
	/* After all that the client is as good as new. */
	if (!stress_gpu_works(&gpu, 3))
		mismatches++;
	return mismatches > 90 ? 90 : mismatches;
}

static void errors_are_those_of_the_manual(void)
{
	CU_ASSERT_EQUAL(stress_wait(stress_child(check_codes, NULL)), 0);
}

static struct simgpu_monitor *monitor;

static void open_monitor(void)
{
	monitor = stress_monitor();
}

/* Whatever happened, it happened to the clients alone. */
static void close_monitor(void)
{
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
	simgpu_close(monitor);
}

const struct unit_suite unit_suite = {
	.name = "bad input",
	.setup = open_monitor,
	.teardown = close_monitor,
	.tests = {
		UNIT_TEST(errors_are_those_of_the_manual),
		UNIT_TEST(nothing_but_zeros_crashes_no_function),
		UNIT_TEST(null_pointers_beside_live_handles_crash_no_function),
		UNIT_TEST(random_bits_are_no_handle_to_any_function),
		UNIT_TEST(a_freed_handle_is_refused_by_every_function),
		UNIT_TEST(a_handle_of_another_kind_is_refused_by_every_function),
	},
};
