/*
 * zero_blocks.h - blocks of the zero-cost arena, as zero.c (slots) and zero_blocks.c (runs of
 * whole blocks) share them.
 *
 * Everything is under sim_zero_lock, but what a thread that holds a live address may read of
 * that address' block without it: state, class, ctx and device.
 */
#ifndef SIM_ZERO_BLOCKS_H
#define SIM_ZERO_BLOCKS_H

#include "driver/zero.h"

enum sim_block_state {
	SIM_BLOCK_FREE,
	SIM_BLOCK_SLOTS,
	SIM_BLOCK_RUN,
	SIM_BLOCK_CONTINUED
};

struct sim_block {
	struct sim_context *ctx; /* SLOTS: whose */
	uint64_t birth;		 /* epoch in which it was cut into slots */
	uint32_t prev, next;	 /* blocks of the class with free slots: index + 1 */
	uint32_t run;		 /* how many blocks, in the first of them */
	uint16_t free;		 /* slots free, cached ones excluded */
	_Atomic uint8_t state;	 /* enum sim_block_state */
	uint8_t class;
	int8_t device; /* -1: not counted */
};

extern pthread_mutex_t sim_zero_lock;
extern struct sim_block *sim_blocks; /* NULL until sim_blocks_ready() */
extern uint32_t sim_blocks_end;	     /* none has ever been used from here on */

/* Maps the arena and all tables, once. False when that failed. Any thread. */
bool sim_blocks_ready(void);
/* Pages of zeroes on demand, or NULL. */
void *sim_blocks_map(size_t bytes);

/* Takes a free run of blocks at a multiple of `align` blocks, or returns false. */
bool sim_blocks_claim(uint32_t count, uint32_t align, int device,
		      enum sim_block_state state, uint32_t *at);
/* Gives the run that begins there back. */
void sim_blocks_release(uint32_t at);

/* zero.c: the tables of slots, made with those of blocks; false without memory. */
bool sim_slots_init(uint32_t nblocks);
/* Returns what the calling thread has cached. */
void sim_slots_flush(void);

#endif
