/*
 * engine_private.h - what the files of the engine share.
 *
 * Knows the engine's own state: its queues, its devices and who calls whom
 * (engine.c: events and operations; engine_round.c: the SMs, the copy engines and their
 * books; engine_queue.c: lists, the heap of future submissions, dependencies).
 * Nobody else includes it.
 */
#ifndef SIM_ENGINE_PRIVATE_H
#define SIM_ENGINE_PRIVATE_H

#include "engine.h"

/* Queues of the engine, across contexts. An operation stands in at most one. */
enum {
	SIM_QUEUE_NONE,
	SIM_QUEUE_FUTURE,  /* dependencies met, waits for submit_ns */
	SIM_QUEUE_ARRIVED, /* becomes runnable at this instant */
	SIM_QUEUE_POLLED,  /* a WAIT that has started */
	SIM_QUEUE_ENDED	   /* has ended at this instant, its effect is still to come */
};

struct sim_op_list {
	struct sim_op *head, *tail;
};

enum { SIM_COPY_IN, SIM_COPY_OUT, SIM_COPY_ENGINES };

struct sim_copy_engine {
	struct sim_op *head, *tail; /* the first one runs if its state says so */
};

struct sim_device {
	struct sim_device_stats stats;
	enum sim_device_state state;
	struct sim_ctx *resident; /* has or had the SMs last */
	struct sim_ctx *target;	  /* of the switch under way; NULL if removed since */
	struct sim_ctx *cursor; /* the round goes on behind this one; NULL: no contexts */
	unsigned nactive;	/* contexts with runnable or running kernels */
	bool fresh;		/* nobody has had the SMs yet */
	bool dirty;		/* has to decide anew at this instant */
	uint64_t books_ns;	/* accounted up to here */
	uint64_t slice_end_ns;	/* while busy; renewed only when somebody asks */
	uint64_t switch_end_ns; /* while switching */
	uint64_t next_ns;	/* next end, slice end or switch end, unless dirty */
	struct sim_copy_engine copy[SIM_COPY_ENGINES];
};

struct sim_engine {
	struct sim_engine_config config;
	struct sim_engine_calls calls;
	uint64_t now_ns;
	uint64_t order, serial; /* last ones given out */
	uint64_t nops;		/* submitted and not done */
	uint64_t nprogress;	/* running ones that want progress() */
	uint64_t nspins;	/* SPINs that have started */
	unsigned npolled;	/* length of polled */
	bool inside;		/* an advance or a removal is under way */
	bool stopped;		/* the advance under way, by enough() */
	struct sim_op *future;	/* heap by submit_ns, then serial */
	struct sim_op_list arrived, polled, ended;
	struct sim_device device[SIM_MAX_DEVICES];
};

static inline uint64_t sim_add_sat(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static inline bool sim_op_on_sms(const struct sim_op *op)
{
	return op->kind == SIM_OP_KERNEL || op->kind == SIM_OP_SPIN ||
	       op->kind == SIM_OP_CLOCK;
}

static inline bool sim_op_is_copy(const struct sim_op *op)
{
	return op->kind == SIM_OP_COPY_IN || op->kind == SIM_OP_COPY_OUT;
}

static inline struct sim_device *sim_op_device(struct sim_engine *engine,
					       const struct sim_op *op)
{
	return &engine->device[op->ctx->device];
}

/* --- engine_queue.c ----------------------------------------------------------------- */

/* A context's list, by prev and next; unordered, O(1). */
void sim_list_push(struct sim_op **head, struct sim_op *op);
void sim_list_unlink(struct sim_op **head, struct sim_op *op);

/* Puts op, which stands in no queue, at the end of one (any but FUTURE) or, by submit_ns,
 * into FUTURE. Takes it out of whichever it stands in, if any. */
void sim_queue_put(struct sim_engine *engine, struct sim_op *op, int queue);
void sim_queue_remove(struct sim_engine *engine, struct sim_op *op);

/* Undoes what op waits for. */
void sim_op_forget_deps(struct sim_op *op);
/* Releases who waits for op: those that lack nothing else go to ARRIVED or FUTURE. */
void sim_op_release(struct sim_engine *engine, struct sim_op *op);
/* Queues a BLOCKED operation without dependencies. */
void sim_op_enqueue(struct sim_engine *engine, struct sim_op *op);

/* --- engine_round.c ----------------------------------------------------------------- */

/* Brings the device's books up to engine->now_ns; calls progress(). */
void sim_device_account(struct sim_engine *engine, struct sim_device *device);
/* If something of the device ends at now_ns: puts those operations into ENDED, marks the
 * device dirty and returns true. */
bool sim_device_collect(struct sim_engine *engine, struct sim_device *device);
/* Lets the device decide who runs from now_ns on, and starts it. */
void sim_device_schedule(struct sim_engine *engine, struct sim_device *device);
/* A kernel or a copy becomes runnable; one that is runnable or running goes away. */
void sim_device_insert(struct sim_engine *engine, struct sim_op *op);
void sim_device_detach(struct sim_engine *engine, struct sim_op *op);
/* Asks the SPINs that run; those that are ready go to ENDED. */
void sim_device_poll(struct sim_engine *engine, struct sim_device *device);
/* SPINs that are being asked. */
unsigned sim_device_polling(const struct sim_device *device);
/* A context without operations joins as the last of the round, or leaves it. */
void sim_device_join(struct sim_device *device, struct sim_ctx *ctx);
void sim_device_leave(struct sim_device *device, struct sim_ctx *ctx);

#endif
