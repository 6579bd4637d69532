/*
 * growth.h - memory of which the driver decides during a call how much it takes: what a pool
 * or the graphs of a device have *reserved*.
 *
 * Before a call one knows at most how much it may add, its *need*; afterwards the driver
 * tells how much there is in all. The charge always covers what is reserved and what calls
 * under way may still add:
 *
 *	begin		charge += need, granted by the ledger
 *	end		charge = what the driver says + the needs of calls still under way
 *
 * A call that is known to be served from what is reserved is *covered*: it begins without a
 * charge of its own. Its need counts as under way all the same, so that the charge does not
 * sink below what it takes if its memory goes back to the device meanwhile; and calls that
 * begin beside it and might be served in its place are charged its need besides their own.
 *
 * Knows the arithmetic. Refuses to know pools, graphs, and how to make room.
 * ACTIVE mode only. Any thread.
 */
#ifndef GSH_CUDA_GROWTH_H
#define GSH_CUDA_GROWTH_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/charge.h"

struct gsh_growth {
	/* Guards all below but row and kind. Held while the driver is asked how much is
	 * reserved, and while a charge is corrected upwards: else the answers of two threads
	 * could change places. */
	struct gsh_lock lock;
	int32_t row;	    /* of the ledger; < 0: what it takes is not charged */
	uint32_t kind;	    /* enum gpushim_kind */
	uint32_t calls;	    /* under way, or asking the ledger */
	uint64_t begun;	    /* calls that ever began, and */
	uint64_t finished;  /* finished */
	uint64_t charged;   /* in the ledger */
	uint64_t under_way; /* sum of the needs of calls under way */
	uint64_t covered;   /* part of under_way: of covered calls */
	uint64_t reserved;  /* as the driver said last */
	uint64_t exported;  /* of charged: marked in the ledger as shared with others */
	bool is_exported;
};

struct gsh_growth_call {
	uint64_t need, number;
	bool covered, alone;
};

/*
 * Begins a call, charging its need without making room for it. CUDA_SUCCESS, OUT_OF_MEMORY,
 * NOT_PERMITTED; only after success does it have to be finished.
 */
CUresult gsh_growth_try(struct gsh_growth *growth, uint64_t need,
			struct gsh_growth_call *call);

/* What goes on: more is charged than is needed while calls or frees are not over. */
struct gsh_activity {
	uint64_t steps; /* calls begun and finished; another sum: something has changed */
	bool calls;	/* some are under way */
	bool frees;	/* some wait for their streams */
};

/* ---- under the lock ---- */

void gsh_growth_look(const struct gsh_growth *growth, struct gsh_activity *activity);

/* Begins a covered call. */
void gsh_growth_cover(struct gsh_growth *growth, uint64_t need,
		      struct gsh_growth_call *call);
/* A call is over, whatever its result. True if there was no other from its beginning on. */
bool gsh_growth_finish(struct gsh_growth *growth, const struct gsh_growth_call *call);

enum gsh_growth_verdict {
	GSH_GROWTH_FINE,
	GSH_GROWTH_MORE, /* the driver took more than anybody expected; the quota had room */
	GSH_GROWTH_OVER, /* and the quota has no room: charged all the same */
};
/* What the driver says is reserved now. Until it does, needs of calls stay charged. */
enum gsh_growth_verdict gsh_growth_correct(struct gsh_growth *growth, uint64_t reserved);

/* What is charged is shared with other processes from now on. */
void gsh_growth_export(struct gsh_growth *growth);
/* All is gone. */
void gsh_growth_clear(struct gsh_growth *growth);

#endif
