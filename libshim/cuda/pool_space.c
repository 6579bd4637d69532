/* What is certain to be free in a pool; see pool_space.h. */
#include "cuda/pool_space.h"

/* Allocations begin and end at multiples of this. Were it wrong, the driver would sometimes
 * take more than was expected, which is noticed. */
#define STEP_BYTES UINT64_C(512)

/* ---- places ---- */

static void remove_place(struct gsh_space *space, uint32_t i)
{
	space->places[i] = space->places[--space->places_used];
}

static void add_place(struct gsh_space *space, struct gsh_place place)
{
	uint32_t smallest = 0;

	if (place.bytes == 0)
		return;
	if (space->places_used < GSH_SPACE_PLACES) {
		space->places[space->places_used++] = place;
		return;
	}
	for (uint32_t i = 1; i < GSH_SPACE_PLACES; i++)
		if (space->places[i].bytes < space->places[smallest].bytes)
			smallest = i;
	if (space->places[smallest].bytes < place.bytes)
		space->places[smallest] = place;
}

/* Where the next allocation behind it may begin. */
static uint64_t end_of(uint64_t address, uint64_t bytes)
{
	return (address + bytes + STEP_BYTES - 1) & ~(STEP_BYTES - 1);
}

/* End of the place that contains address; address itself if none does. */
static uint64_t end_of_place_at(const struct gsh_space *space, uint64_t address)
{
	for (uint32_t i = 0; i < space->places_used; i++)
		if (address - space->places[i].address < space->places[i].bytes)
			return space->places[i].address + space->places[i].bytes;
	return address;
}

bool gsh_space_contains(const struct gsh_space *space, uint64_t address, uint64_t bytes)
{
	const uint64_t end = address + bytes;
	uint64_t at = address, next;

	while (at < end) {
		next = end_of_place_at(space, at);
		if (next == at)
			return false;
		at = next;
	}
	return true;
}

void gsh_space_rest(struct gsh_space *space, uint64_t address, uint64_t bytes,
		    uint64_t grown_bytes)
{
	const uint64_t end = end_of(address, bytes);

	if (end < address + grown_bytes)
		add_place(space, (struct gsh_place){ .address = end,
						     .bytes = address + grown_bytes - end,
						     .number = 1 });
}

void gsh_space_taken(struct gsh_space *space, uint64_t address, uint64_t bytes)
{
	const uint64_t end = end_of(address, bytes);

	for (uint32_t i = 0; i < space->places_used;) {
		const struct gsh_place place = space->places[i];
		struct gsh_place rest = place;

		if (address >= place.address + place.bytes || place.address >= end) {
			i++;
			continue;
		}
		/* The last place comes here, and is looked at next. */
		remove_place(space, i);
		if (end < place.address + place.bytes) {
			rest.address = end;
			rest.bytes = place.address + place.bytes - end;
			add_place(space, rest);
		}
		if (place.address < address) {
			rest.address = place.address;
			rest.bytes = (address - place.address) & ~(STEP_BYTES - 1);
			add_place(space, rest);
		}
	}
}

/* Whether all frees on streams other than this one are over and were waited for. */
static bool is_quiet(const struct gsh_space *space, uint64_t stream)
{
	return space->freeing == 0 && space->others_used == 0 &&
	       (space->freers_used == 0 ||
		(space->freers_used == 1 && space->freers[0].stream == stream));
}

bool gsh_space_fits(const struct gsh_space *space, uint64_t bytes, uint64_t stream)
{
	if (!is_quiet(space, stream))
		return false;
	for (uint32_t i = 0; i < space->places_used; i++)
		if (space->places[i].bytes >= bytes &&
		    (space->places[i].stream == 0 || space->places[i].stream == stream))
			return true;
	return false;
}

void gsh_space_forget(struct gsh_space *space)
{
	space->places_used = 0;
}

/* ---- frees ---- */

void gsh_space_free_begins(struct gsh_space *space, uint64_t address, uint64_t bytes)
{
	space->freeing++;
	/* Until it is over, the address stands for the stream: it is freed once at a time. */
	add_place(space, (struct gsh_place){ .address = address,
					     .bytes = end_of(address, bytes) - address,
					     .stream = address });
}

/* A stream that nobody can be asked about any more, but its context. */
static void add_other(struct gsh_space *space, const struct gsh_freer *freer)
{
	struct gsh_freer *other;

	for (uint32_t i = 0; i < space->others_used; i++) {
		other = &space->others[i];
		if (other->context != freer->context)
			continue;
		if (other->number < freer->number)
			other->number = freer->number;
		return;
	}
	if (space->others_used == GSH_SPACE_CONTEXTS) {
		other = &space->others[GSH_SPACE_CONTEXTS - 1];
		other->context = 0;
	} else {
		other = &space->others[space->others_used++];
		other->context = freer->context;
	}
	other->number = freer->number;
}

static void add_freer(struct gsh_space *space, const struct gsh_freer *freer)
{
	for (uint32_t i = 0; i < space->freers_used; i++)
		if (space->freers[i].stream == freer->stream) {
			space->freers[i] = *freer;
			return;
		}
	if (space->freers_used < GSH_SPACE_STREAMS)
		space->freers[space->freers_used++] = *freer;
	else
		add_other(space, freer);
}

void gsh_space_freed(struct gsh_space *space, uint64_t address,
		     const struct gsh_freer *freer)
{
	space->freeing--;
	for (uint32_t i = 0; i < space->places_used;) {
		struct gsh_place *place = &space->places[i];

		if (place->number != 0 || place->stream != address) {
			i++;
		} else if (freer->number == 0) {
			remove_place(space, i);
		} else {
			place->stream = freer->stream;
			place->context = freer->context;
			place->number = freer->number;
			i++;
		}
	}
	if (freer->number && freer->stream)
		add_freer(space, freer);
}

/* ---- waiting ---- */

/* Whether waiting for a stream, or for a context, is waiting for this free. */
static bool is_over(const struct gsh_freer *freer, uint64_t stream, uint64_t context,
		    uint64_t number)
{
	return freer->number <= number && ((stream && freer->stream == stream) ||
					   (context && freer->context == context));
}

static void remove_over(struct gsh_freer *freers, uint32_t *used, uint64_t stream,
			uint64_t context, uint64_t number)
{
	for (uint32_t i = 0; i < *used;)
		if (is_over(&freers[i], stream, context, number))
			freers[i] = freers[--*used];
		else
			i++;
}

void gsh_space_synchronised(struct gsh_space *space, uint64_t stream, uint64_t context,
			    uint64_t number)
{
	for (uint32_t i = 0; i < space->places_used; i++) {
		struct gsh_place *place = &space->places[i];
		const struct gsh_freer freer = { .stream = place->stream,
						 .context = place->context,
						 .number = place->number };

		if (place->number && is_over(&freer, stream, context, number))
			place->stream = 0;
	}
	remove_over(space->freers, &space->freers_used, stream, context, number);
	remove_over(space->others, &space->others_used, 0, context, number);
}

void gsh_space_stream_goes(struct gsh_space *space, uint64_t stream)
{
	for (uint32_t i = 0; i < space->places_used; i++)
		if (space->places[i].number && space->places[i].stream == stream)
			space->places[i].stream = GSH_STREAM_GONE;
	for (uint32_t i = 0; i < space->freers_used; i++)
		if (space->freers[i].stream == stream) {
			add_other(space, &space->freers[i]);
			space->freers[i] = space->freers[--space->freers_used];
			return;
		}
}

bool gsh_space_settled(const struct gsh_space *space)
{
	return space->freers_used == 0 && space->others_used == 0;
}
