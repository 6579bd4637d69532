/*
 * admit.h - the slow way through the gate: looking up what is launched, waiting for credit,
 * and recording events around it.
 */
#ifndef GSH_CUDA_ADMIT_H
#define GSH_CUDA_ADMIT_H

#include <stdint.h>

#include "cuda/gate.h"
#include "cuda/meter.h"

enum gsh_found {
	GSH_FOUND_NOTHING, /* neither held nor charged: it is captured, or will fail */
	GSH_FOUND_ROOM,	   /* a record of each kind */
	GSH_FOUND_NO_ROOM, /* for one of its lane, context or stream: see unlisted.c */
};

/* What was found out about a launch. */
struct gsh_admission {
	enum gsh_found found;
	struct gsh_meter *meter;
	struct gsh_lane *lane; /* of the thread; NULL: none, or not looked for */
	struct gsh_signature *signature;
	struct gsh_stream *stream;
	uint32_t epoch, cost_class;
	uint32_t row;
	uint32_t context; /* number of the stream's context */
	uint32_t
		current; /* of the calling thread's; GSH_METER_NONE: it has none, or no record */
	uint32_t scale_permille;
	bool capturing; /* some other stream of the process is */
};

/*
 * meter, its nonce, lane: what the calling thread had last, or NULL. CUDA_SUCCESS, or what the
 * launch is to return. (look.c)
 */
int gsh_admit_look(const struct gsh_launch *launch, struct gsh_admission *admission,
		   const struct gsh_meter *meter, uint64_t nonce, struct gsh_lane *lane);

/* What the launch is predicted to take, by what this process or another has seen. */
uint64_t gsh_admit_predict(const struct gsh_admission *admission);

/* Gives predicted time back that the lane has paid for, if it has paid. */
void gsh_admit_refund(const struct gsh_lane *lane, uint64_t cost_ns);

/* Gives back what a lane has drawn and not used. Its thread, or nobody's any more. */
void gsh_admit_give_back(struct gsh_lane *lane);

/* Frees the lanes of threads that have ended. Any thread. (look.c) */
void gsh_look_for_ended(struct gsh_meter *meter);

/* Whether a stream captures; also the legacy stream while another does. (look.c) */
bool gsh_look_captures(uint64_t stream);

/* Waits for credit and draws some more for the lane; begins a bracket, if it is its turn. */
int gsh_admit(const struct gsh_launch *launch, const struct gsh_admission *admission,
	      struct gsh_pass *pass);

/*
 * The same without a lane, or without records of its context or stream: it is not measured,
 * and under a limit it is waited for. (unlisted.c)
 */
int gsh_admit_unlisted(const struct gsh_launch *launch,
		       const struct gsh_admission *admission, struct gsh_pass *pass);
/* The driver refused it. */
void gsh_admit_take_back(const struct gsh_pass *pass);

/* After a blind launch: waits for its stream, and charges the time that took. (sample.c) */
void gsh_admit_wait(const struct gsh_pass *pass);

/* After a sampled launch: records the second event. (sample.c) */
void gsh_admit_launched(struct gsh_pass *pass, int res);

#endif
