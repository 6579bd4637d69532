/*
 * condition.c - the values of a client's graph conditional handles.
 *
 * Knows: a table from handle to value, open addressing, at most half full. Handles are the
 * client's own numbers; where they fall is keyed, so that none can be made to collide.
 * Nothing is ever taken out: a handle costs 16 bytes until its client goes.
 */
#include <stdlib.h>
#include <string.h>

#include "device/server.h"

/* The slot that has the handle, or the empty one that it would get. */
static struct sim_condition *slot_of(const struct sim_client *client,
				     struct sim_condition *slots, unsigned nslots,
				     uint64_t handle)
{
	uint64_t key, hash;
	unsigned i;

	memcpy(&key, client->server->secret, sizeof(key));
	hash = (handle ^ key) * 0x9e3779b97f4a7c15ull;
	hash = (hash ^ hash >> 32 ^ key) * 0xbf58476d1ce4e5b9ull;
	for (i = (unsigned)(hash >> 32) % nslots; slots[i].known; i = (i + 1) % nslots)
		if (slots[i].handle == handle)
			break;
	return &slots[i];
}

static bool grow(struct sim_client *client)
{
	struct sim_conditions *table = &client->conditions;
	unsigned nslots = table->nslots == 0 ? 16 : table->nslots * 2, i;
	struct sim_condition *slots = calloc(nslots, sizeof(*slots));

	if (slots == NULL)
		return false;
	for (i = 0; i < table->nslots; i++)
		if (table->slots[i].known)
			*slot_of(client, slots, nslots,
				 table->slots[i].handle) = table->slots[i];
	free(table->slots);
	table->slots = slots;
	table->nslots = nslots;
	return true;
}

uint32_t sim_condition_get(const struct sim_client *client, uint64_t handle)
{
	const struct sim_conditions *table = &client->conditions;

	if (table->nslots == 0)
		return 0;
	return slot_of(client, table->slots, table->nslots, handle)->value;
}

bool sim_condition_set(struct sim_client *client, uint64_t handle, uint32_t value)
{
	struct sim_conditions *table = &client->conditions;
	struct sim_condition *slot;

	if (table->count >= table->nslots / 2 && !grow(client))
		return false;
	slot = slot_of(client, table->slots, table->nslots, handle);
	table->count += !slot->known;
	*slot = (struct sim_condition){ .handle = handle, .value = value, .known = true };
	return true;
}
