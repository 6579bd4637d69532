/*
 * engine.h - what runs on the simulated devices, when, and for how long.
 *
 * Knows: contexts, operations with dependencies, time slices, concurrent kernels, copy
 * engines, and the books of device time. It is a discrete-event simulation: time is an
 * argument, nothing here reads a clock, does I/O or touches device memory; effects happen
 * through callbacks. Refuses to know: processes, sockets, streams (a stream is a chain of
 * dependencies), addresses.
 *
 * Threads: none. The device process calls everything from its one thread; callbacks must
 * not call sim_engine_advance(), sim_engine_free() or sim_ctx_remove(), but may add
 * contexts and submit, complete, depend and abandon operations.
 *
 * Model (also stated, with its limits, in tests/simgpu/README.md):
 *  - One context has the SMs at a time. While more than one context of a device has
 *    runnable kernels they take round-robin turns of slice_ns; giving the SMs to a
 *    context other than the one that had them last costs switch_ns, during which nothing
 *    runs. A context without runnable kernels gives up the SMs at once if another has
 *    some. Kernels are preempted at slice ends and go on later. A lone context is not
 *    disturbed: its slice is renewed as often as it ends. A device that falls idle
 *    remembers who had it, and only that context goes on without a switch (with a fresh
 *    slice). The first context that ever runs on a device pays no switch. A switch once
 *    begun takes its time even if its target is removed meanwhile.
 *  - Runnable kernels of the resident context start by priority (lower number first),
 *    then by the order in which they became runnable, while any part of the SMs is free
 *    and their number is below max_concurrent. Running kernels get the SMs in the order
 *    of their start, each up to its demand; one that gets less does its work that much
 *    slower, and gets more as others end. So a kernel that fills the device starts beside
 *    one that waits on a single SM, as its blocks would on a card. A running kernel is
 *    never stopped for another of the same context. Caches and bandwidth are not shared.
 *  - Each device has two copy engines (to the device, from the device), each serving one
 *    copy at a time in the order in which they became runnable, beside kernels and
 *    whichever context is resident.
 *  - At one instant everything that ends does so first, then operations become runnable
 *    (dependents of what ended, then those whose submission time has come, by that
 *    time), then the devices decide who runs. A kernel that ends just as its slice does
 *    has ended.
 *  - Books: at every instant a device is in exactly one of idle, switching, busy (the
 *    resident context has at least one kernel running, spinning ones included), so
 *    idle_ns + switch_ns + busy_ns == now_ns - since_ns exactly, and busy_ns is the sum
 *    of gpu_ns over its contexts (removed ones included).
 */
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NEVER UINT64_MAX
#define SIM_MAX_DEVICES 16
#define SIM_DEMAND_FULL 1000 /* permille of the SMs */

enum sim_op_kind {
	/* Takes no time: event record, marker, memory write, graph join. */
	SIM_OP_INSTANT,
	/* work_ns on the SMs, preemptible. */
	SIM_OP_KERNEL,
	/* On the SMs until ready() says so; work_ns is ignored. */
	SIM_OP_SPIN,
	/* On the SMs until work_ns of device clock have passed since its start, whoever
	 * was resident meanwhile; ends only while resident. */
	SIM_OP_CLOCK,
	/* work_ns on the copy engine towards the device, or from it. */
	SIM_OP_COPY_IN,
	SIM_OP_COPY_OUT,
	/* Until ready() says so, occupying nothing (stream wait value). */
	SIM_OP_WAIT,
	/* Until sim_op_complete(): a host function, a running graph. */
	SIM_OP_EXTERNAL
};

enum sim_op_state {
	SIM_OP_NEW,	 /* initialised, not submitted */
	SIM_OP_BLOCKED,	 /* waits for dependencies or for its submission time */
	SIM_OP_RUNNABLE, /* waits for the SMs or for a copy engine */
	SIM_OP_RUNNING,
	SIM_OP_DONE
};

struct sim_ctx;
struct sim_engine;
struct sim_op;

/* "to waits for from"; the engine's. */
struct sim_edge {
	struct sim_op *from, *to;
	struct sim_edge *succ_prev, *succ_next; /* other edges of from */
	struct sim_edge *pred_prev, *pred_next; /* other edges of to */
};

/* An operation. The caller owns the storage (usually embeds it) and must keep it until
 * done() or dropped() was called for it. Fields marked [in] are set by the caller between
 * sim_op_init() and sim_op_submit(); the others belong to the engine, readable by all. */
struct sim_op {
	enum sim_op_kind kind; /* [in] */
	enum sim_op_state state;
	struct sim_ctx *ctx;	 /* [in] never NULL */
	uint64_t submit_ns;	 /* [in] not before this instant (doorbell time) */
	uint64_t work_ns;	 /* [in] */
	uint32_t demand;	 /* [in] permille of the SMs, 1..SIM_DEMAND_FULL */
	int32_t priority;	 /* [in] lower runs first */
	bool progress;		 /* [in] wants progress() while it executes */
	uint64_t executed_ns;	 /* work done so far, as time at full speed */
	uint64_t runnable_ns;	 /* when dependencies and submission time were met */
	uint64_t start_ns;	 /* first instant on the engine */
	uint64_t end_ns;	 /* completion */
	uint64_t order;		 /* order of becoming runnable */
	uint32_t ndeps;		 /* dependencies not yet done */
	uint32_t granted;	 /* permille of the SMs it has while running */
	uint32_t executed_parts; /* of a nanosecond of work, in 1/demand */
	/* The rest is the engine's. */
	uint64_t serial;			/* order of submission */
	struct sim_edge *succ_head, *succ_tail; /* who waits for this one */
	struct sim_edge *pred_head;		/* what this one waits for */
	struct sim_edge first_edge; /* serves the first dependency without allocation */
	struct sim_op *prev, *next; /* list of its present state */
	int queue;		    /* which queue of the engine it stands in */
	struct sim_op *queue_prev, *queue_next, *queue_child;
};

struct sim_ctx_stats {
	uint64_t gpu_ns;    /* resident with at least one kernel running */
	uint64_t kernel_ns; /* sum over kernels of work done (overlap counts twice) */
	uint64_t copy_in_ns, copy_out_ns;
	uint64_t kernels; /* completed KERNEL, SPIN and CLOCK operations */
	uint64_t copies;  /* completed copies */
	uint64_t slices;  /* times it was given the SMs, going on not counted */
};

/* A context: one member of a device's round. The caller owns the storage and keeps it
 * until sim_ctx_remove() or sim_engine_free(). */
struct sim_ctx {
	unsigned device;			 /* [in] */
	void *user;				 /* [in] the caller's */
	struct sim_ctx_stats stats;		 /* up to the engine's now_ns */
	struct sim_ctx *round_prev, *round_next; /* engine's */
	/* The rest is the engine's. */
	struct sim_op *runnable_head, *runnable_tail; /* by priority, then order */
	struct sim_op *running_head, *running_tail;   /* by start; also while preempted */
	struct sim_op *blocked_head; /* BLOCKED, WAIT and EXTERNAL operations */
	uint32_t nrunning, granted;  /* permille of the SMs in use while resident */
	uint64_t nops;		     /* submitted and not done */
};

struct sim_engine_config {
	unsigned devices;  /* 1..SIM_MAX_DEVICES */
	uint64_t slice_ns; /* > 0 */
	uint64_t switch_ns;
	unsigned max_concurrent; /* kernels of one context at once, >= 1 */
};

struct sim_engine_calls {
	/* None but enough() may be NULL.
	 *
	 * The operation has just ended at now_ns, before its dependents may start: move
	 * the bytes, write the timestamp. For COPY, KERNEL, INSTANT, SPIN, CLOCK, WAIT.
	 */
	void (*effect)(void *arg, struct sim_op *op, uint64_t now_ns);
	/* Whether the condition of a SPIN or WAIT holds. Asked when it starts, after
	 * every effect and at the end of every sim_engine_advance(); of a SPIN only
	 * while its context is resident, and when it becomes so again. */
	bool (*ready)(void *arg, struct sim_op *op);
	/* op->executed_ns of an operation with progress set has grown. Called before any
	 * effect of a later instant, before its own, and at the end of every advance. */
	void (*progress)(void *arg, struct sim_op *op);
	/* An EXTERNAL operation's dependencies are met: begin it. */
	void (*begin)(void *arg, struct sim_op *op, uint64_t now_ns);
	/* The operation is complete and forgotten by the engine; its storage may go. */
	void (*done)(void *arg, struct sim_op *op, uint64_t now_ns);
	/* The operation was thrown away with its context; no effect took place. */
	void (*dropped)(void *arg, struct sim_op *op);
	/* Asked between any two operations that end or become runnable: whether the
	 * advance shall stop there, in the middle of an instant even. */
	bool (*enough)(void *arg);
	void *arg;
};

enum sim_device_state { SIM_DEVICE_IDLE, SIM_DEVICE_SWITCHING, SIM_DEVICE_BUSY };

struct sim_device_stats {
	uint64_t since_ns; /* when the books were opened */
	uint64_t busy_ns, switch_ns, idle_ns;
	uint64_t switches; /* switches begun */
	uint64_t copy_in_ns, copy_out_ns;
	uint64_t late; /* operations whose submit_ns was already past when submitted */
	uint64_t late_max_ns; /* by how much at most */
};

/* Creates an engine whose devices are idle at now_ns. Copies both structures.
 * Returns NULL when out of memory, when the configuration is out of range or when a
 * callback is missing. */
struct sim_engine *sim_engine_new(const struct sim_engine_config *config,
				  const struct sim_engine_calls *calls, uint64_t now_ns);

/* Removes all contexts, whose operations are dropped, and frees the engine. NULL is
 * allowed. */
void sim_engine_free(struct sim_engine *engine);

/* Adds a context (fields marked [in] set, rest ignored) to its device's round. */
void sim_ctx_add(struct sim_engine *engine, struct sim_ctx *ctx);

/* Drops all operations of the context, also running ones, and takes it out of the round
 * at the engine's present time. Its books stay in ctx->stats. Dependents of dropped
 * operations in other contexts are released as if they had completed. Operations of the
 * context that are NEW and have dependencies or dependents must be abandoned by the
 * caller. */
void sim_ctx_remove(struct sim_engine *engine, struct sim_ctx *ctx);

/* Prepares an operation: zeroes it, sets kind and context, full demand. */
void sim_op_init(struct sim_op *op, enum sim_op_kind kind, struct sim_ctx *ctx);

/* op starts only after `on` has completed. op must be NEW; `on` must have been submitted
 * or be submitted later; a dependency on a DONE operation is ignored. The two may belong
 * to different contexts and devices. From here on op's storage is known to the engine:
 * it must be submitted or abandoned. Returns 0, or -ENOMEM (not for the first
 * dependency of an operation). */
int sim_op_depend(struct sim_op *op, struct sim_op *on);

/* Forgets a NEW operation that will not be submitted: its dependencies are undone, its
 * dependents released as if it had completed. No callback; the storage may be freed. */
void sim_op_abandon(struct sim_engine *engine, struct sim_op *op);

/* Hands the operation to the engine. submit_ns in the simulated past counts as now (and
 * as late); before the present one, late ones keep their order by submit_ns. Nothing
 * starts and no callback runs before the advance that is under way, or the next one,
 * gets there. */
void sim_op_submit(struct sim_engine *engine, struct sim_op *op);

/* Completes an EXTERNAL operation that has begun, at the engine's present time; done() is
 * called by the advance that is under way or by the next one. May be called from begin().
 * Without effect on an operation that has not begun or has been completed already. */
void sim_op_complete(struct sim_engine *engine, struct sim_op *op);

/* Simulates all devices, in one order of events, up to and including until_ns. until_ns
 * in the past is ignored; sim_engine_now() may be given to let work at the present
 * instant happen. Books and stats are exact for sim_engine_now() afterwards. Returns
 * false if enough() stopped it: then the next advance goes on there, and what happens is
 * the same. */
bool sim_engine_advance(struct sim_engine *engine, uint64_t until_ns);

/* The time up to which everything has been simulated. */
uint64_t sim_engine_now(const struct sim_engine *engine);

/* The next instant at which anything changes by itself (an end, a slice end if another
 * context waits, a submission time), or SIM_NEVER. Conditions of SPIN and WAIT are not
 * foreseen: sim_engine_polling() counts those that are being asked. */
uint64_t sim_engine_next(const struct sim_engine *engine);
unsigned sim_engine_polling(const struct sim_engine *engine);

/* True if nothing is submitted that has not been done, on any device. */
bool sim_engine_idle(const struct sim_engine *engine);

const struct sim_device_stats *sim_engine_stats(const struct sim_engine *engine,
						unsigned device);
/* When the running slice of a device ends if another context waits for it, SIM_NEVER if none
 * runs. The one that has the SMs may give them up before. */
uint64_t sim_engine_slice_end(const struct sim_engine *engine, unsigned device);
/* An operation that a BLOCKED one waits for (the one it was made to depend on last), or
 * NULL. */
struct sim_op *sim_op_waits_for(const struct sim_op *op);
/* The context that has or had the SMs last (NULL: none or removed; during a switch the
 * one that is left), and what the device is doing. state may be NULL. */
struct sim_ctx *sim_engine_resident(const struct sim_engine *engine, unsigned device,
				    enum sim_device_state *state);

#endif
