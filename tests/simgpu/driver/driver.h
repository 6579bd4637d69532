/*
 * driver.h - what the files of the simulated libcuda share.
 *
 * Knows: the state of this process (one connection, one channel), the objects behind CUDA's
 * handles, how an entry point begins, and how work is submitted and waited for. Refuses to
 * know: any single API family; those live in files of their own.
 *
 * How an entry point reads:
 *
 *	SIM_EXPORT CUresult cuMemFoo(CUdeviceptr ptr)
 *	{
 *		CUresult res = sim_enter(SIM_FN_cuMemFoo);
 *
 *		if (res != CUDA_SUCCESS)
 *			return res;
 *		...
 *	}
 *
 * One sim_enter() per call of the application, in the exported function itself; exported
 * functions never call exported functions (faults, call costs and logs would count twice).
 *
 * Threads: everything here may be called from any thread. Locks: sim.lock (objects' lists,
 * rarely taken) before sim.submit_lock (ring) before sim.rpc_lock (socket); none is held
 * while waiting for the device to complete work.
 */
#ifndef SIM_DRIVER_H
#define SIM_DRIVER_H

/* All versions of an entry point are ours to define: no renaming macros. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto.h"

#define SIM_EXPORT __attribute__((visibility("default")))
#define SIM_MAX_LOCAL_DEVICES SIM_MAX_HELLO_DEVICES

/* SIM_FN_<symbol> numbers every exported driver function. */
enum sim_fn {
#define SYM(symbol, base, version, variant) SIM_FN_##symbol,
#include "symbols.def"
	SIM_FN_COUNT
};

/* ---- objects behind handles (object.c) ----
 * Every object starts with struct sim_object and lives in a slab of its type whose memory is
 * never unmapped, so a handle of an application (any bits) can be checked without being
 * followed: sim_object_check() answers whether it is a live object of that type. */
enum sim_type {
	SIM_T_CONTEXT = 1,
	SIM_T_STREAM,
	SIM_T_EVENT,
	SIM_T_MODULE,
	SIM_T_LIBRARY,
	SIM_T_FUNCTION, /* CUfunction and CUkernel */
	SIM_T_ARRAY,
	SIM_T_MIPMAP,
	SIM_T_TEXTURE, /* texture and surface references */
	SIM_T_TEXOBJ,  /* texture and surface objects */
	SIM_T_POOL,
	SIM_T_GRAPH,
	SIM_T_NODE,
	SIM_T_EXEC,
	SIM_T_LINK,
	SIM_T_USER,
	SIM_T_OTHER, /* small things: file-private kinds told apart by .subtype */
	SIM_TYPES
};

struct sim_object {
	_Atomic uint32_t live; /* the type while alive, else 0 */
	uint32_t subtype;
	struct sim_object *next_free;
	void *_Atomic owner; /* sim_object_own() */
};

/* Returns a zeroed live object, or NULL when out of memory. `bytes` must be the same for
 * every call with one type. */
void *sim_object_new(enum sim_type type, size_t bytes);
/* Says whose the object is, once all of it is filled in: when the owner (a context) goes,
 * sim_object_each_of() finds it in any thread. Without this it belongs to nobody. */
void sim_object_own(void *object, void *owner);
/* Takes the object back; its handle is invalid from now on. */
void sim_object_delete(void *object);
/* Whether any bit pattern is a live object of the type. Never faults. */
bool sim_object_check(const void *handle, enum sim_type type);

/* ---- this process ---- */

struct sim_context; /* struct CUctx_st */

struct sim_state {
	_Atomic uint32_t slow;	 /* non-zero: sim_enter() has more to do than return */
	_Atomic uint32_t ready;	 /* cuInit has succeeded in this process */
	_Atomic uint32_t forked; /* this is a child of a process that had initialised */
	bool zero_cost; /* SIMGPU_ZERO_COST=1: no device, everything is done at once */
	bool direct;	/* the device can read this process's memory */
	struct sim_channel *chan; /* NULL in zero-cost mode */
	int sock, kick_fd;
	uint32_t client_id;
	uintptr_t arena_base; /* addresses of all simulated memory lie here */
	size_t arena_bytes;
	struct sim_hello hello;
	pthread_mutex_t lock, submit_lock, rpc_lock;
	struct sim_context
		*primary[SIM_MAX_LOCAL_DEVICES]; /* created lazily, never freed */
};

extern struct sim_state sim;

/* init.c: the slow half of sim_enter(): not initialised, forked, sticky error, lost device,
 * injected faults, SIMGPU_CALL_NS, SIMGPU_LOG. */
CUresult sim_enter_slow(enum sim_fn fn);

static inline CUresult sim_enter(enum sim_fn fn)
{
	if (__builtin_expect(atomic_load_explicit(&sim.slow, memory_order_relaxed) == 0,
			     1))
		return CUDA_SUCCESS;
	return sim_enter_slow(fn);
}
/* The same for the few calls that are allowed before cuInit (cuInit, cuDriverGetVersion,
 * cuGetErrorName ...): faults and costs only. */
CUresult sim_enter_uninitialised(enum sim_fn fn);

/* faults.c: parsed from SIMGPU_FAULTS at first use. Returns the injected result or
 * CUDA_SUCCESS; sleeps for slow calls; may make the client sticky. */
CUresult sim_fault_call(enum sim_fn fn);
bool sim_fault_any(void);

/* ---- the device process (client.c) ---- */

/* One synchronous request. `fd_in` -1: none; *fd_out (may be NULL) receives a descriptor or
 * -1. Returns the reply's CUresult; CUDA_ERROR_DEVICE_UNAVAILABLE when the device process
 * has gone. v (may be NULL) receives six values. */
CUresult sim_rpc(enum sim_request_op op, const uint64_t a[6], uint64_t v[6], int fd_in,
		 int *fd_out);

/* Monotonic nanoseconds: the device clock. */
uint64_t sim_now_ns(void);

/* Wakes the device process if it sleeps without a deadline / in any case. */
void sim_kick_if_wanted(void);
void sim_kick(void);

/* ---- contexts (context.c) ---- */

struct sim_stream;

struct sim_context {
	struct sim_object object;
	uint32_t id;	    /* the device's */
	uint64_t unique_id; /* cuCtxGetId */
	unsigned device;
	unsigned flags, api_version;
	bool primary;
	unsigned primary_refs; /* under sim.lock */
	unsigned generation; /* incremented when a primary context is reset or re-made */
	bool active;	     /* false: a primary context nobody retains */
	unsigned attach_count;
	size_t limits[16]; /* by CUlimit, 0: default */
	int cache_config, shared_config;
	struct sim_stream *legacy;  /* default stream, slot made with the context */
	struct sim_stream *streams; /* all of its streams, legacy first; under sim.lock */
	pthread_key_t per_thread;   /* CU_STREAM_PER_THREAD of each thread */
	bool has_per_thread;
};

/* The context current to the calling thread, or NULL. */
struct sim_context *sim_current(void);
/* Checks that there is a usable current context. CUDA_ERROR_INVALID_CONTEXT (201) if none,
 * CUDA_ERROR_CONTEXT_IS_DESTROYED (709) if it has gone. */
CUresult sim_need_context(struct sim_context **ctx);
/* A handle given by the application. */
CUresult sim_context_get(CUcontext handle, struct sim_context **ctx);

/* Families that keep things per context register to be told when it dies, before the device
 * is asked to free it (called without locks held). At most 16 registrations. */
void sim_context_on_destroy(void (*hook)(struct sim_context *ctx));

/* ---- streams (stream.c) ---- */

struct sim_capture; /* capture.c */

struct sim_stream {
	struct sim_object object;
	struct sim_context *ctx;
	uint32_t slot;
	uint32_t flags; /* CUstream_flags, plus SIM_SF_LEGACY / SIM_SF_PER_THREAD below */
	uint32_t sim_flags; /* SIM_SF_* */
	int priority;
	uint64_t unique_id;
	uint64_t
		submitted; /* last sequence; under sim.submit_lock, read with relaxed order
	                       by the thread that waits for its own work */
	bool gone; /* destroyed, alone or with its context; under sim.submit_lock */
	bool lent; /* to a call that is under way: it alone frees the object; under sim.lock */
	_Atomic(struct sim_capture *) capture; /* non-NULL while capturing */
	struct sim_stream *next;	       /* in its context */
};

/* Translates a handle of the application: NULL and CU_STREAM_LEGACY mean the current
 * context's legacy stream, CU_STREAM_PER_THREAD the calling thread's. With per_thread
 * (functions named _ptsz and _ptds) NULL means the latter. CUDA_ERROR_INVALID_HANDLE,
 * _INVALID_CONTEXT, _CONTEXT_IS_DESTROYED. */
CUresult sim_stream_get(CUstream handle, bool per_thread, struct sim_stream **stream);

/* Submits one record: header, payload and tail are copied into the ring. Blocks while the
 * stream's launch queue or the ring is full. *seq (may be NULL) receives its sequence.
 * In zero-cost mode it returns at once. Never captures: callers check stream->capture
 * first (see capture.h). */
CUresult sim_submit(struct sim_stream *stream, enum sim_record_kind kind,
		    const void *payload, size_t payload_bytes, const void *tail,
		    size_t tail_bytes, uint64_t *seq);

/* Whether, and waits until, sequence seq of the stream's slot has completed. Returns the
 * sticky error if the client became sticky meanwhile. */
bool sim_stream_done(const struct sim_stream *stream, uint64_t seq);
CUresult sim_stream_wait(struct sim_stream *stream, uint64_t seq);
/* Waits for all work submitted to the stream / to all streams of the context so far. */
CUresult sim_stream_drain(struct sim_stream *stream);
CUresult sim_context_drain(struct sim_context *ctx);
/* Families that act at synchronisation points (pools trim, see the release threshold)
 * register here; called after a successful synchronisation of the context. */
void sim_context_on_sync(void (*hook)(struct sim_context *ctx));

/* ---- events (event.c) ---- */

struct sim_event {
	struct sim_object object;
	struct sim_context *ctx;
	uint32_t slot;
	unsigned flags; /* CUevent_flags */
	bool imported;	/* an IPC alias: completion is seen in the event's slot only */
	bool captured;	/* last recorded in a capture */
	void *capture_node;   /* capture.c: the record's capture and dependencies */
	uint64_t gen;	      /* records so far */
	uint32_t stream_slot; /* last recorded there, which may outlive the stream */
	uint64_t stream_seq;
	bool recorded;
};

/* ---- modules (module.c) ---- */

struct sim_image;

struct sim_function {
	struct sim_object object;
	struct sim_context *ctx; /* NULL: a context-independent CUkernel */
	void *module;		 /* struct sim_module */
	const char *name;
	enum sim_builtin builtin;
	unsigned nparams, param_bytes;
	const struct sim_image_param *params; /* offsets and sizes, in the image */
	unsigned max_threads, static_shared_bytes, registers, local_bytes;
	int attributes[16]; /* set by cuFuncSetAttribute, by CUfunction_attribute; -1 */
	uint64_t identity;
	bool loaded; /* its code has been charged (lazy loading) */
};

/* ---- memory (memory.c) ---- */

/* Whether the address lies in the arena, i.e. was handed out by the simulated device. */
static inline bool sim_is_device_address(uint64_t addr)
{
	return addr - sim.arena_base < sim.arena_bytes;
}

/* Allocates / frees through the device process, mapping host and managed memory here.
 * ctx may be NULL for kinds that survive contexts. */
CUresult sim_mem_alloc(struct sim_context *ctx, unsigned device, uint64_t bytes,
		       enum sim_mem_kind kind, uint64_t align, CUdeviceptr *addr,
		       uint64_t *reserved_bytes);
CUresult sim_mem_free(CUdeviceptr addr);

/* What an address belongs to: the device's word. CUDA_ERROR_INVALID_VALUE if nothing. */
struct sim_range {
	uint64_t base, bytes;
	enum sim_mem_kind kind;
	unsigned device;
	uint32_t ctx;
	uint64_t id;
};
CUresult sim_mem_range(uint64_t addr, struct sim_range *range);

/* Fills one side of a copy from an address: space by the arena. */
static inline enum sim_space sim_space_of(uint64_t addr)
{
	return sim_is_device_address(addr) ? SIM_SPACE_DEVICE : SIM_SPACE_HOST;
}

/* copy.c: a checked copy between any two address ranges on a stream, with CUDA's rules for
 * pageable host memory (async copies from it return once staged, copies to it are
 * synchronous). `sync`: return when done. Captures when the stream captures. */
CUresult sim_copy(struct sim_stream *stream, const struct sim_rec_copy *copy, bool sync);

#endif
