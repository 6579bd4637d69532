/*
 * meter_tables.c - the meter's tables: contexts, streams, signatures, brackets.
 *
 * Knows how each is found, taken and given up in a fixed number of places. Refuses to know
 * what is measured.
 */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#include "cuda/meter.h"
#include "cuda/pages.h"
#include "cuda/process.h"

/* So many brackets in a row on one stream, and the others count as gone. */
#define MIXED_FOR 64u

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* ---- all of it ---- */

static void prepare(struct gsh_meter *meter)
{
	for (unsigned i = 0; i < GSH_METER_BRACKETS; i++)
		meter->brackets[i].next = (uint16_t)(i + 1);
	meter->brackets[GSH_METER_BRACKETS - 1].next = GSH_METER_NONE;
	for (unsigned i = 0; i < GSH_METER_STREAMS; i++)
		meter->streams[i].next_hashed = (uint16_t)(i + 1);
	meter->streams[GSH_METER_STREAMS - 1].next_hashed = GSH_METER_NONE;
	for (unsigned i = 0; i < sizeof(meter->hashed) / sizeof(meter->hashed[0]); i++)
		meter->hashed[i] = GSH_METER_NONE;
	for (int i = 0; i < GSH_METER_CONTEXTS; i++)
		meter->contexts[i].row = -1;
	meter->active = GSH_METER_NONE;
	meter->nonce = gsh_clock_now_ns() ^ (uint64_t)getpid() << 40;
	meter->prepared = true;
}

struct gsh_meter *gsh_meter(void)
{
	struct gsh_meter *meter = gsh_pages_once((void **)&gsh_process->meter,
						 sizeof(*meter));

	if (!meter)
		return NULL;
	gsh_lock(&meter->lock);
	if (!meter->prepared)
		prepare(meter);
	gsh_unlock(&meter->lock);
	return meter;
}

/* ---- contexts ---- */

struct gsh_meter_context *gsh_meter_context(struct gsh_meter *meter, uint64_t handle)
{
	struct gsh_meter_context *free = NULL;

	for (int i = 0; i < GSH_METER_CONTEXTS; i++) {
		struct gsh_meter_context *context = &meter->contexts[i];

		if (context->handle == handle)
			return context;
		if (!context->handle && !free)
			free = context;
	}
	if (free)
		free->handle = handle;
	return free;
}

/* ---- streams ---- */

static uint16_t *bucket_of(struct gsh_meter *meter, uint64_t handle, uint32_t context,
			   uint16_t lane)
{
	return &meter->hashed[mix(mix(handle, context), lane) >> 56];
}

struct gsh_stream *gsh_meter_find_stream(struct gsh_meter *meter, uint64_t handle,
					 uint32_t context, uint16_t lane)
{
	uint16_t at = *bucket_of(meter, handle, context, lane);
	struct gsh_stream *stream;

	for (; at != GSH_METER_NONE; at = stream->next_hashed) {
		stream = &meter->streams[at];
		if (stream->handle == handle && stream->context == context &&
		    stream->lane == lane)
			return stream;
	}
	return NULL;
}

static void activate(struct gsh_meter *meter, struct gsh_stream *stream)
{
	uint16_t at = (uint16_t)(stream - meter->streams);

	stream->next_active = meter->active;
	stream->previous_active = GSH_METER_NONE;
	if (meter->active != GSH_METER_NONE)
		meter->streams[meter->active].previous_active = at;
	meter->active = at;
}

static void deactivate(struct gsh_meter *meter, struct gsh_stream *stream)
{
	if (stream->previous_active != GSH_METER_NONE)
		meter->streams[stream->previous_active].next_active = stream->next_active;
	else
		meter->active = stream->next_active;
	if (stream->next_active != GSH_METER_NONE)
		meter->streams[stream->next_active].previous_active =
			stream->previous_active;
	stream->next_active = stream->previous_active = GSH_METER_NONE;
}

static void free_stream(struct gsh_meter *meter, struct gsh_stream *stream)
{
	stream->retired = false;
	stream->next_hashed = meter->free_stream;
	meter->free_stream = (uint16_t)(stream - meter->streams);
}

void gsh_meter_retire(struct gsh_meter *meter, struct gsh_stream *stream)
{
	uint16_t *link = bucket_of(meter, stream->handle, stream->context, stream->lane);
	uint16_t at = (uint16_t)(stream - meter->streams);

	if (stream->retired)
		return;
	while (*link != at)
		link = &meter->streams[*link].next_hashed;
	*link = stream->next_hashed;
	stream->handle = 0;
	stream->retired = true;
	if (stream->first == GSH_METER_NONE)
		free_stream(meter, stream);
}

/* Makes room: one that has nothing in flight is forgotten, round and round. */
static void retire_one(struct gsh_meter *meter)
{
	for (int i = 0; i < GSH_METER_STREAMS; i++) {
		struct gsh_stream *stream = &meter->streams[meter->next_stream];

		meter->next_stream = (uint16_t)((meter->next_stream + 1) %
						GSH_METER_STREAMS);
		if (stream->handle && !stream->retired &&
		    stream->first == GSH_METER_NONE) {
			gsh_meter_retire(meter, stream);
			return;
		}
	}
}

struct gsh_stream *gsh_meter_stream(struct gsh_meter *meter, uint64_t handle,
				    uint32_t context, uint16_t lane)
{
	uint16_t *head, at;
	struct gsh_stream *stream = gsh_meter_find_stream(meter, handle, context, lane);

	if (stream)
		return stream;
	if (meter->free_stream == GSH_METER_NONE)
		retire_one(meter);
	head = bucket_of(meter, handle, context, lane);
	at = meter->free_stream;
	if (at == GSH_METER_NONE)
		return NULL;
	stream = &meter->streams[at];
	meter->free_stream = stream->next_hashed;
	/* A lane that still means the one before may add to it. */
	gsh_store_relaxed(&stream->batch_ns, (uint64_t)0);
	stream->last_end_ns = 0;
	stream->retired = false;
	stream->handle = handle;
	stream->context = context;
	stream->lane = lane;
	stream->first = stream->last = GSH_METER_NONE;
	stream->next_active = stream->previous_active = GSH_METER_NONE;
	stream->next_hashed = *head;
	*head = at;
	return stream;
}

void gsh_meter_forget_context(struct gsh_meter *meter, uint32_t number)
{
	struct gsh_meter_context *context = &meter->contexts[number];
	uint32_t life = context->life;

	for (unsigned i = 0; i < sizeof(meter->hashed) / sizeof(meter->hashed[0]); i++) {
		uint16_t at = meter->hashed[i], next;

		for (; at != GSH_METER_NONE; at = next) {
			next = meter->streams[at].next_hashed;
			if (meter->streams[at].context == number)
				gsh_meter_retire(meter, &meter->streams[at]);
		}
	}
	for (uint16_t at = meter->active, next; at != GSH_METER_NONE; at = next) {
		next = meter->streams[at].next_active;
		if (meter->streams[at].context == number)
			gsh_meter_drop(meter, &meter->streams[at]);
	}
	/* Its events die with it. */
	memset(context, 0, sizeof(*context));
	context->row = -1;
	context->life = life + 1;
}

/* ---- brackets ---- */

uint16_t gsh_meter_take_bracket(struct gsh_meter *meter)
{
	uint16_t at = meter->free_bracket;

	if (at != GSH_METER_NONE)
		meter->free_bracket = meter->brackets[at].next;
	return at;
}

void gsh_meter_give_bracket(struct gsh_meter *meter, uint16_t bracket)
{
	meter->brackets[bracket].next = meter->free_bracket;
	meter->free_bracket = bracket;
}

void gsh_meter_append(struct gsh_meter *meter, uint16_t bracket)
{
	struct gsh_stream *stream = &meter->streams[meter->brackets[bracket].stream];

	meter->brackets[bracket].next = GSH_METER_NONE;
	if (stream->first == GSH_METER_NONE) {
		stream->first = bracket;
		activate(meter, stream);
	} else {
		meter->brackets[stream->last].next = bracket;
	}
	stream->last = bracket;
	if (meter->last_stream != meter->brackets[bracket].stream)
		gsh_store_relaxed(&meter->mixed, MIXED_FOR);
	else if (meter->mixed)
		gsh_store_relaxed(&meter->mixed, meter->mixed - 1);
	meter->last_stream = meter->brackets[bracket].stream;
	gsh_store_relaxed(&meter->in_flight, meter->in_flight + 1);
}

uint16_t gsh_meter_pop(struct gsh_meter *meter, struct gsh_stream *stream)
{
	uint16_t bracket = stream->first;

	stream->first = meter->brackets[bracket].next;
	if (stream->first == GSH_METER_NONE) {
		stream->last = GSH_METER_NONE;
		deactivate(meter, stream);
		if (stream->retired)
			free_stream(meter, stream);
	}
	gsh_store_relaxed(&meter->in_flight, meter->in_flight - 1);
	return bracket;
}

/* ---- signatures ---- */

/* Lanes may still be reading the first two. */
static void forget_cost(struct gsh_cost *cost)
{
	size_t kept = offsetof(struct gsh_cost, count);

	gsh_store_relaxed(&cost->cost_ns, (uint64_t)0);
	gsh_store_relaxed(&cost->cost_class, (uint32_t)GPUSHIM_COST_UNKNOWN);
	memset((char *)cost + kept, 0, sizeof(*cost) - kept);
}

static struct gsh_signature *set_of(struct gsh_meter *meter,
				    const struct gsh_launch *launch, uint32_t row)
{
	uint64_t hash = mix(mix(launch->code, launch->kind), row);

	for (unsigned i = 0; i < 4; i++)
		hash = mix(hash, launch->shape[i]);
	return meter->signatures[hash >> 55];
}

static bool is_of(const struct gsh_signature *signature, const struct gsh_launch *launch,
		  uint32_t row)
{
	return signature->used_at && signature->code == launch->code &&
	       signature->kind == launch->kind && signature->row == row &&
	       memcmp(signature->shape, launch->shape, sizeof(launch->shape)) == 0;
}

struct gsh_signature *gsh_meter_known(struct gsh_meter *meter,
				      const struct gsh_launch *launch, uint32_t row)
{
	struct gsh_signature *set = set_of(meter, launch, row);

	for (int i = 0; i < GSH_METER_WAYS; i++)
		if (is_of(&set[i], launch, row))
			return &set[i];
	return NULL;
}

struct gsh_signature *gsh_meter_signature(struct gsh_meter *meter,
					  const struct gsh_launch *launch, uint32_t row)
{
	struct gsh_signature *set = set_of(meter, launch, row), *oldest = NULL;
	struct gsh_signature *known = gsh_meter_known(meter, launch, row);
	uint32_t epoch;

	meter->uses++;
	if (known) {
		known->used_at = meter->uses;
		return known;
	}
	for (int i = 0; i < GSH_METER_WAYS; i++)
		if (!oldest || set[i].used_at < oldest->used_at)
			oldest = &set[i];
	epoch = oldest->epoch;
	/* By it lanes and brackets in flight know that it is no longer the one they mean. */
	gsh_store_relaxed(&oldest->epoch, epoch + 1);
	oldest->code = launch->code;
	memcpy(oldest->shape, launch->shape, sizeof(launch->shape));
	oldest->kind = launch->kind;
	oldest->row = row;
	oldest->used_at = meter->uses;
	gsh_store_relaxed(&oldest->launches, (uint64_t)0);
	oldest->shown_launches = 0;
	oldest->doubtful = 0;
	forget_cost(&oldest->cost);
	oldest->name[0] = '\0';
	return oldest;
}
