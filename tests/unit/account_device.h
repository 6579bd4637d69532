/*
 * account_device.h - a device, a program and a meter small enough for tests of the account.
 *
 * The device runs the launches of a few streams, side by side or one at a time, in slices
 * that it shares with other tenants, and keeps the truth: for how long it ran any of ours.
 * The meter does what the gate does: it predicts, measures some launches at random, learns
 * and charges. Times are exact but for the resolution of events.
 *
 * Knows the policy under test by its headers only. All state is in struct device; functions
 * are static, as each test is one file.
 */
#ifndef TESTS_UNIT_ACCOUNT_DEVICE_H
#define TESTS_UNIT_ACCOUNT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "policy/account.h"
#include "policy/cost.h"

enum { STREAMS_MAX = 8, SIGNATURES_MAX = 4, OTHERS_MAX = 8, PENDING_MAX = 64 };

#define US(x) ((uint64_t)((x)*1e3))
#define MS(x) ((uint64_t)((x)*1e6))

struct random {
	uint64_t state;
};

static inline uint64_t draw(struct random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline double draw_part(struct random *random)
{
	return (double)(draw(random) >> 11) / 9007199254740992.0;
}

static inline uint64_t draw_below(struct random *random, uint64_t bound)
{
	return bound ? draw(random) % bound : 0;
}

/* A launch of the program: what it is and how long it runs, and when it comes at the
 * earliest after the one before it on its stream. */
struct work {
	uint64_t run_ns, pause_ns;
	unsigned signature;
};

struct device;
/* The program: the number-th launch of a stream. */
typedef struct work (*program_fn)(struct device *device, unsigned stream,
				  uint64_t number);

/* Another tenant: work_ns of work every period_ns; period 0: without end. */
struct other {
	uint64_t work_ns, period_ns;
	uint64_t left_ns, next_ns;
};

/* A bracket that has completed, and that the meter has not looked at yet. */
struct pending {
	struct gsh_account_piece piece;
	unsigned signature;
};

struct stream {
	struct pending pending[PENDING_MAX];
	unsigned pending_count;
	struct work work;
	uint64_t number, arrives_ns, left_ns, begin_ns;
	/* Of the meter. */
	uint64_t last_end_ns, batch_ns, predicted_ns;
	bool sampled;
};

struct device {
	/* What the test wants. */
	program_fn program;
	unsigned streams;
	bool one_at_a_time; /* launches of different streams exclude each other */
	uint64_t slice_ns, switch_ns;
	unsigned others;
	struct other other[OTHERS_MAX];
	uint64_t
		credit_ns; /* about so much goes unmeasured; 0: every launch is measured */
	unsigned every;	   /* or: one of so many, at random; 0: by credit */
	uint64_t fuzz_ns;  /* of event times, both ways */
	unsigned
		late; /* brackets are settled stream by stream, one in so many times; 0: at once */
	void *program_state;
	struct random random;

	/* Kept by the device. */
	uint64_t now_ns, truth_ns, slice_left_ns;
	struct stream stream[STREAMS_MAX];
	unsigned holder; /* of one at a time: which stream; STREAMS_MAX: none */

	/* Kept by the meter. */
	struct gsh_account account;
	struct gsh_cost cost[SIGNATURES_MAX];
	int64_t credit_left_ns;
	uint64_t charged_ns, shown_ns, samples, launches;
};

/* ---- the meter ---- */

static inline bool measures(struct device *device, uint64_t predicted_ns)
{
	if (device->every)
		return draw_below(&device->random, device->every) == 0;
	device->credit_left_ns -= (int64_t)predicted_ns;
	if (device->credit_left_ns >= 0)
		return false;
	device->credit_left_ns = (int64_t)(device->credit_ns / 2 +
					   draw_below(&device->random,
						      device->credit_ns));
	return true;
}

static inline void launched(struct device *device, struct stream *stream)
{
	const struct gsh_cost *cost = &device->cost[stream->work.signature];

	stream->predicted_ns = gsh_cost_predict(cost);
	/* What is not known yet is always measured. */
	stream->sampled = cost->cost_class == GPUSHIM_COST_UNKNOWN ||
			  measures(device, stream->predicted_ns);
	if (!stream->sampled)
		stream->batch_ns += stream->predicted_ns;
	device->launches++;
}

static inline uint64_t event_ns(struct device *device, uint64_t ns)
{
	return ns + draw_below(&device->random, 2 * device->fuzz_ns + 1) -
	       device->fuzz_ns;
}

static inline void settle(struct device *device, struct stream *stream,
			  struct pending *pending)
{
	struct gsh_cost *cost = &device->cost[pending->signature];
	struct gsh_account_piece *piece = &pending->piece;
	uint64_t seen_ns = piece->end_ns > piece->begin_ns
				   ? piece->end_ns - piece->begin_ns
				   : 0;
	uint64_t gap_ns;

	piece->last_end_ns = stream->last_end_ns;
	piece->low_ns = cost->low_ns;
	piece->steady = cost->cost_class == GPUSHIM_COST_LEARNED;
	gap_ns = piece->begin_ns > piece->last_end_ns
			 ? piece->begin_ns - piece->last_end_ns
			 : 0;
	device->shown_ns += seen_ns +
			    (piece->batch_ns < gap_ns ? piece->batch_ns : gap_ns);
	device->charged_ns += gsh_account_charge(&device->account, piece);
	gsh_cost_observe(cost, seen_ns);
	device->samples++;
	stream->last_end_ns = piece->end_ns;
}

static inline void settle_stream(struct device *device, struct stream *stream)
{
	for (unsigned i = 0; i < stream->pending_count; i++)
		settle(device, stream, &stream->pending[i]);
	stream->pending_count = 0;
}

static inline void completed(struct device *device, struct stream *stream)
{
	if (!stream->sampled)
		return;
	stream->pending[stream->pending_count++] = (struct pending){
		.piece = { .begin_ns = event_ns(device, stream->begin_ns),
			   .end_ns = event_ns(device, device->now_ns),
			   .batch_ns = stream->batch_ns,
			   .predicted_ns = stream->predicted_ns },
		.signature = stream->work.signature,
	};
	stream->batch_ns = 0;
	if (device->late == 0 || stream->pending_count == PENDING_MAX)
		settle_stream(device, stream);
	else if (draw_below(&device->random, device->late) == 0)
		settle_stream(
			device,
			&device->stream[draw_below(&device->random, device->streams)]);
}

/* ---- the device ---- */

static inline bool waits(const struct other *other)
{
	return other->period_ns == 0 || other->left_ns > 0;
}

static inline void new_work(struct device *device)
{
	for (unsigned i = 0; i < device->others; i++)
		for (struct other *other = &device->other[i];
		     other->period_ns && other->next_ns <= device->now_ns;
		     other->next_ns += other->period_ns)
			other->left_ns += other->work_ns;
}

/* The others have their slices, if they want them; then it is our turn again. */
static inline void others_run(struct device *device)
{
	bool any = false;

	new_work(device);
	for (unsigned i = 0; i < device->others; i++) {
		struct other *other = &device->other[i];
		uint64_t ran_ns = device->slice_ns;

		if (!waits(other))
			continue;
		if (other->period_ns) {
			if (ran_ns > other->left_ns)
				ran_ns = other->left_ns;
			other->left_ns -= ran_ns;
		}
		device->now_ns += device->switch_ns + ran_ns;
		new_work(device);
		any = true;
	}
	device->now_ns += any ? device->switch_ns : 0;
	device->slice_left_ns = device->slice_ns;
}

/* Nothing of ours to run until then: others work, and may have to finish a slice first. */
static inline void idle(struct device *device, uint64_t until_ns)
{
	bool any = false;

	while (device->now_ns < until_ns) {
		uint64_t span_ns = until_ns - device->now_ns;

		if (span_ns > device->slice_ns && device->slice_ns)
			span_ns = device->slice_ns;
		device->now_ns += span_ns;
		new_work(device);
		any = false;
		for (unsigned i = 0; i < device->others; i++) {
			struct other *other = &device->other[i];

			any |= waits(other);
			other->left_ns -= span_ns < other->left_ns ? span_ns
								   : other->left_ns;
		}
	}
	if (any)
		device->now_ns += draw_below(&device->random, device->slice_ns) +
				  device->switch_ns;
	device->slice_left_ns = device->slice_ns;
}

/* Our context has the device for so long, whatever comes in between. */
static inline void run_ns(struct device *device, uint64_t ns)
{
	device->truth_ns += ns;
	while (ns > 0) {
		uint64_t span_ns = ns;

		if (device->others) {
			if (device->slice_left_ns == 0)
				others_run(device);
			if (span_ns > device->slice_left_ns)
				span_ns = device->slice_left_ns;
			device->slice_left_ns -= span_ns;
		}
		device->now_ns += span_ns;
		ns -= span_ns;
	}
}

static inline void next_launch(struct device *device, unsigned index)
{
	struct stream *stream = &device->stream[index];

	stream->work = device->program(device, index, stream->number++);
	stream->arrives_ns = device->now_ns + stream->work.pause_ns;
	stream->left_ns = stream->work.run_ns;
	stream->begin_ns = stream->arrives_ns;
	launched(device, stream);
}

/* Who of those that have come has come first; STREAMS_MAX: nobody. */
static inline unsigned first_come(const struct device *device)
{
	unsigned first = STREAMS_MAX;

	for (unsigned i = 0; i < device->streams; i++)
		if (device->stream[i].arrives_ns <= device->now_ns &&
		    (first == STREAMS_MAX ||
		     device->stream[i].arrives_ns < device->stream[first].arrives_ns))
			first = i;
	return first;
}

static inline bool runs(const struct device *device, unsigned index)
{
	return device->stream[index].arrives_ns <= device->now_ns &&
	       (!device->one_at_a_time || index == device->holder);
}

/* To the next completion or arrival. */
static inline void step(struct device *device)
{
	uint64_t next_ns = UINT64_MAX, span_ns = UINT64_MAX;
	bool running[STREAMS_MAX] = { false }, any = false;

	if (device->holder == STREAMS_MAX)
		device->holder = first_come(device);
	for (unsigned i = 0; i < device->streams; i++) {
		const struct stream *stream = &device->stream[i];

		running[i] = runs(device, i);
		any |= running[i];
		if (running[i] && stream->left_ns < span_ns)
			span_ns = stream->left_ns;
		if (stream->arrives_ns > device->now_ns && stream->arrives_ns < next_ns)
			next_ns = stream->arrives_ns;
	}
	if (!any) {
		idle(device, next_ns);
		return;
	}
	if (next_ns - device->now_ns < span_ns)
		span_ns = next_ns - device->now_ns;
	run_ns(device, span_ns);
	for (unsigned i = 0; i < device->streams; i++) {
		if (!running[i])
			continue;
		device->stream[i].left_ns -= span_ns;
		if (device->stream[i].left_ns > 0)
			continue;
		completed(device, &device->stream[i]);
		next_launch(device, i);
		device->holder = STREAMS_MAX;
	}
}

/* ---- for tests ---- */

static inline void start(struct device *device)
{
	/* Not at zero: the clock of a context has its first event well after its start. */
	device->now_ns = MS(1000);
	device->holder = STREAMS_MAX;
	device->streams = device->streams ? device->streams : 1;
	device->slice_left_ns = device->slice_ns;
	for (unsigned i = 0; i < device->others; i++)
		device->other[i].next_ns = device->now_ns;
	for (unsigned i = 0; i < device->streams; i++)
		next_launch(device, i);
}

/* Until so much was really run since start or the last call, with books that start there. */
static inline void run_for(struct device *device, uint64_t truth_ns)
{
	device->truth_ns = device->charged_ns = device->shown_ns = 0;
	device->samples = device->launches = 0;
	while (device->truth_ns < truth_ns)
		step(device);
}

/* Charged per truth. */
static inline double ratio(const struct device *device)
{
	return (double)device->charged_ns / (double)device->truth_ns;
}

#endif
