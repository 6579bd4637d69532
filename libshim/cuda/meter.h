/*
 * meter.h - what this process launches and what that takes of a device's time.
 *
 * Behind gate.h. The tables: contexts, streams, signatures and what was learned of them,
 * event brackets that have not completed, and the lanes of threads. All of it lies in one
 * mapping of fixed size: what was used longest ago makes room; without a bracket, a lane, a
 * context or a stream a launch under a limit is waited for (sample.c, unlisted.c), and without
 * a limit it passes.
 *
 * Locks: meter->lock guards everything but lanes, counters and what is marked atomic. It is
 * held while the driver is asked about events, never while a launch waits or the driver
 * launches.
 */
#ifndef GSH_CUDA_METER_H
#define GSH_CUDA_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "cuda/gate.h"
#include "cuda/hook.h"
#include "policy/account.h"
#include "policy/cost.h"

enum {
	GSH_METER_CONTEXTS = 256,
	GSH_METER_STREAMS = 1024,
	GSH_METER_BRACKETS = 1024,
	GSH_METER_SETS = 512, /* of signatures */
	GSH_METER_WAYS = 8,
	GSH_METER_LANES = 2048,
	GSH_METER_EVENTS = 256, /* free ones kept for each context */
	GSH_LANE_CACHE = 64,
	GSH_LANE_STREAMS = 8,
	/* Index of no stream, no bracket. */
	GSH_METER_NONE = UINT16_MAX,
};

/* Work between two samples of a thread: 1 ms as predicted of steady launches on one stream,
 * 100 us of variable ones, 20 us or 100 us where streams overlap; and launches: on average
 * 256. */
#define GSH_METER_STEADY_NS UINT64_C(1000000)
#define GSH_METER_VARIABLE_NS UINT64_C(100000)
#define GSH_METER_MIXED_NS UINT64_C(20000)
#define GSH_METER_LAUNCHES 256u

/*
 * Predicted work of a process in flight. Little at first and after a prediction was far too
 * low; as much as fills slices and bridges those of others once predictions come true.
 */
#define GSH_METER_WINDOW_MIN_NS UINT64_C(1000000)
#define GSH_METER_WINDOW_MAX_NS UINT64_C(16000000)

/* Launches of unknown cost that turned out short for each more that may be in flight at once. */
#define GSH_METER_SHORT_ONES 8u

/* Thousandths of a time, without overflow. */
static inline uint64_t gsh_scaled(uint64_t ns, uint32_t permille)
{
	return ns / 1000 * permille + ns % 1000 * permille / 1000;
}

struct gsh_signature {
	uint64_t code; /* 0 and used_at 0: free */
	uint64_t shape[4];
	uint32_t kind;
	uint32_t row;	   /* device */
	uint32_t epoch;	   /* atomic; changes when lanes must look again */
	uint64_t used_at;  /* of meter->uses: for replacing the least recently used */
	uint64_t launches; /* atomic; a lane's last few are missing */
	uint64_t shown_launches;
	uint32_t doubtful; /* see meter.c */
	struct gsh_cost cost;
	char name[56];
};

struct gsh_bracket {
	CUevent begin, end;
	struct gsh_signature *signature;
	/* CLOCK_MONOTONIC: before the first event was recorded, before and after the launch. */
	uint64_t recorded_ns, launching_ns, launched_ns;
	uint64_t cost_ns;  /* predicted, of the launch; */
	uint64_t batch_ns; /* of the unmeasured ones since the stream's last bracket */
	uint32_t scale_permille; /* with which both were charged */
	uint32_t epoch;		 /* of the signature */
	uint32_t life;		 /* of the context */
	uint16_t context, stream, lane;
	uint16_t next; /* of its stream, by launch; of the free ones */
	bool paid;     /* was charged to the bucket */
	bool unknown;  /* nothing was known of its signature; see hold.c */
};

struct gsh_stream {
	uint64_t handle;
	uint64_t batch_ns; /* atomic; unmeasured launches since the last bracket */
	uint64_t last_end_ns;
	uint32_t context;
	uint16_t lane;	      /* of CU_STREAM_PER_THREAD: whose it is */
	uint16_t first, last; /* brackets, in order */
	uint16_t next_hashed, next_active, previous_active;
	bool retired; /* destroyed; its brackets are still in flight */
};

struct gsh_meter_context {
	uint64_t handle; /* 0: free */
	int row;
	uint32_t life;	 /* changes when the record becomes another context's */
	uint32_t errors; /* of questions about events, in a row */
	bool broken;	 /* too many: measured no more */
	bool blind;	 /* it has no events that tell time: see sample.c */
	CUevent base;
	uint64_t base_ns;
	uint64_t completed_ns; /* CLOCK_MONOTONIC when something last had */
	/* Least time of the context's clock over CLOCK_MONOTONIC at which a recorded event was
	 * seen to be reached; of these seconds and of those before. */
	int64_t offset_ns, last_offset_ns;
	uint64_t offset_since_ns;
	struct gsh_account account;
	uint32_t free_count;
	CUevent free[GSH_METER_EVENTS];
};

/* A signature as a lane remembers it. One cache line. */
struct gsh_lane_signature {
	uint64_t code;
	uint64_t shape[4];
	struct gsh_signature *signature;
	uint32_t epoch;
	uint16_t kind;
	uint8_t cost_class, row;
	uint64_t launches; /* not yet added to the signature's */
};

/* Only its thread writes it, but for what is marked. */
struct gsh_lane {
	uint64_t left_ns; /* credit drawn, as predicted time */
	uint32_t until;	  /* launches until one is sampled */
	uint32_t row;
	uint64_t stream_handle; /* 0: look again */
	struct gsh_stream *stream;
	/* Whose turn it was when left_ns was drawn: that it changes ends the fast path. NULL:
	 * nothing was drawn yet. */
	const uint32_t *turn_word;
	uint32_t turn_seen;
	struct {
		uint64_t handle;
		struct gsh_stream *stream;
	} streams[GSH_LANE_STREAMS];
	uint64_t
		batch_ns; /* of unmeasured launches on that stream, not yet added to it */
	uint64_t classes[3];	 /* atomic; launches, by enum gpushim_cost_class */
	uint64_t drawn_ns;	 /* in all: short-lived threads draw little at a time */
	uint32_t scale_permille; /* with which left_ns was charged */
	uint32_t dense;		 /* launches still to be sampled one by one */
	uint32_t dense_rest;	 /* brackets until that may happen again; doubles */
	uint32_t dense_next;
	uint32_t suspect; /* atomic; set by who settles: unmeasured launches took long */
	uint32_t tid;	  /* atomic; 0: free */
	uint32_t random;
	uint16_t index;
	bool paid;	   /* left_ns was taken from the bucket */
	uint64_t shown[3]; /* classes as last added to the ledger, by who publishes */
	struct gsh_lane_signature signatures[GSH_LANE_CACHE];
};

/* Whose turn it is has changed since the lane drew its credit. */
static inline bool gsh_lane_turn_over(const struct gsh_lane *lane)
{
	return lane->turn_word && gsh_load_relaxed(lane->turn_word) != lane->turn_seen;
}

/* What a process has used of a device, kept beside its row in the ledger. */
struct gsh_meter_row {
	uint64_t in_flight_ns;	 /* atomic; under the lock */
	uint64_t window_ns;	 /* atomic; how much of it may be: see hold.c */
	uint64_t turn_window_ns; /* atomic; the same during a turn; 0: it is none */
	uint32_t turn; /* atomic; enum gpushim_turn_state, as last seen at the gate */
	uint64_t gpu_ns, samples, lost, completions;
	uint64_t waited_ns, delayed, released; /* atomic */
	uint32_t waiters;		       /* atomic */
	uint64_t
		blind_since_ns; /* atomic; of the last blind launch not waited out; 0: none */
	uint32_t blind_passes; /* atomic; how many of those: see sample.c */
	uint32_t crowd_passes; /* atomic; since something last completed: see hold.c */
	uint32_t unknown;      /* brackets of unknown cost in flight */
	/* Atomic; short ones of late: that many in GSH_METER_SHORT_ONES of the tenant's may be when
	 * one more is launched. See hold.c. */
	uint32_t daring;
	uint64_t classes[3]; /* launches, by enum gpushim_cost_class */
	bool used;
	bool idle_rung; /* the agent was told that nothing is in flight; watch.c's */
	bool rung;	/* credit has come back that siblings may wait for */
};

enum {
	GSH_ATTENTION_IDLE = 1,	   /* the helper sleeps: wake it */
	GSH_ATTENTION_CAPTURE = 2, /* one for each open capture */
};

struct gsh_meter {
	/* Not 0: every launch takes the slow way. Atomic; GSH_ATTENTION_*. */
	uint32_t attention;
	uint64_t
		nonce; /* of a child after fork another, though it may lie at the same place */
	uint32_t work; /* futex of the helper; atomic */
	uint32_t
		helper; /* atomic; 0 none yet, 1 being started, 2 runs, 3 none possible */
	uint32_t lanes_used;
	uint64_t full_ns; /* atomic; when no lane was free, of late; 0: there is one */
	struct gsh_lock lock;
	uint32_t in_flight; /* brackets; under the lock */
	uint32_t mixed;	    /* atomic; not 0: brackets of late were of several streams */
	uint16_t last_stream;
	uint64_t uses;
	uint16_t free_bracket, free_stream,
		active;	      /* heads of lists; active: streams with brackets */
	uint16_t next_stream; /* to be looked at when one must make room */
	bool prepared;
	uint16_t hashed[256]; /* streams by handle */
	struct gsh_meter_row rows[GPUSHIM_DEVICES_MAX];
	struct gsh_meter_context contexts[GSH_METER_CONTEXTS];
	struct gsh_stream streams[GSH_METER_STREAMS];
	struct gsh_bracket brackets[GSH_METER_BRACKETS];
	struct gsh_signature signatures[GSH_METER_SETS][GSH_METER_WAYS];
	struct gsh_lane lanes[GSH_METER_LANES];
};

/* Of this process, made when it is first asked for; NULL: no memory. ACTIVE mode only. */
struct gsh_meter *gsh_meter(void);

/* ---- tables (meter_tables.c); under the lock ---- */

struct gsh_meter_context *gsh_meter_context(struct gsh_meter *meter, uint64_t handle);
struct gsh_stream *gsh_meter_stream(struct gsh_meter *meter, uint64_t handle,
				    uint32_t context, uint16_t lane);
struct gsh_signature *gsh_meter_signature(struct gsh_meter *meter,
					  const struct gsh_launch *launch, uint32_t row);
/* The one there is, or NULL. */
struct gsh_stream *gsh_meter_find_stream(struct gsh_meter *meter, uint64_t handle,
					 uint32_t context, uint16_t lane);
struct gsh_signature *gsh_meter_known(struct gsh_meter *meter,
				      const struct gsh_launch *launch, uint32_t row);
uint16_t gsh_meter_take_bracket(struct gsh_meter *meter);
void gsh_meter_give_bracket(struct gsh_meter *meter, uint16_t bracket);
/* Appends to the brackets of its stream; takes the first of a stream. */
void gsh_meter_append(struct gsh_meter *meter, uint16_t bracket);
uint16_t gsh_meter_pop(struct gsh_meter *meter, struct gsh_stream *stream);
/* Its handle may be another's from now on; brackets in flight still complete. */
void gsh_meter_retire(struct gsh_meter *meter, struct gsh_stream *stream);
/* Its events and streams are gone or going. */
void gsh_meter_forget_context(struct gsh_meter *meter, uint32_t number);

/* ---- brackets (meter.c) ---- */

/* Two events of the context, which is current. Under the lock. */
bool gsh_meter_take_events(struct gsh_meter_context *context, CUevent *begin,
			   CUevent *end);
void gsh_meter_give_event(struct gsh_meter_context *context, CUevent event);

/*
 * A launch of unknown cost that was let through at a device (row) can be seen in flight now, or
 * will never be: the next may follow. See passes_first() in hold.c. Any thread.
 */
void gsh_meter_unmark(int number);

/* Takes the launched bracket over: it will be settled when it has completed. */
void gsh_meter_launched(struct gsh_meter *meter, uint16_t number);

/*
 * Settles what has completed, of all streams of the context that is current for the calling
 * thread (context is its number), or of all contexts, each made current (GSH_METER_NONE).
 * Returns whether anything was still in flight.
 */
bool gsh_meter_collect(struct gsh_meter *meter, uint32_t context);
/* The same unless somebody else is at it, or at the tables. */
void gsh_meter_collect_if_free(struct gsh_meter *meter, uint32_t context);

/* Adds what a lane has launched since the last time to the row it launches on. Under the lock.
 * (publish.c) */
void gsh_meter_gather(struct gsh_meter *meter, struct gsh_lane *lane);

/* For people: what the driver calls the function, which it is asked for. Under the lock. */
void gsh_meter_name(struct gsh_signature *signature);

/*
 * Of one that was never measured: predicts what siblings, or processes before this one, found
 * out about such launches. Under the lock. (publish.c)
 */
void gsh_meter_guess(struct gsh_signature *signature);

/* Writes what is known of it into the ledger, unless that is there. Under the lock. */
void gsh_meter_show_cost(struct gsh_signature *signature, uint64_t now_ns);

/* Gives up the brackets of a stream: they will never complete. Under the lock. */
void gsh_meter_drop(struct gsh_meter *meter, struct gsh_stream *stream);

#endif
