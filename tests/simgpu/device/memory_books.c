/*
 * memory_books.c - who holds how many bytes of what.
 */
#include "device/memory_private.h"

/* The part of a client's books that a kind belongs to. */
static uint64_t *kind_part(struct simgpu_bytes *bytes, const struct sim_phys *phys)
{
	if (phys->host_memory)
		return &bytes->host;
	if (phys->vmm)
		return &bytes->vmm;
	switch (phys->kind) {
	case SIM_MEM_ARRAY:
		return &bytes->array;
	case SIM_MEM_MANAGED:
		return &bytes->managed;
	case SIM_MEM_HOST:
		return &bytes->host;
	case SIM_MEM_POOL:
		return &bytes->pool;
	case SIM_MEM_GRAPH:
		return &bytes->graph;
	case SIM_MEM_CODE:
		return &bytes->code;
	default:
		return &bytes->plain;
	}
}

/* Whether programs asked for it: global variables come with code instead. */
static uint64_t asked_bytes(const struct sim_phys *phys)
{
	return phys->host_memory || phys->kind == SIM_MEM_CODE ? 0 : phys->requested;
}

static void block_link(struct sim_phys *phys)
{
	struct sim_space_map *space = sim_client_space(phys->owner);

	phys->prev = NULL;
	phys->next = space->blocks;
	if (space->blocks != NULL)
		space->blocks->prev = phys;
	space->blocks = phys;
}

static void block_unlink(struct sim_phys *phys)
{
	if (phys->prev != NULL)
		phys->prev->next = phys->next;
	else
		sim_client_space(phys->owner)->blocks = phys->next;
	if (phys->next != NULL)
		phys->next->prev = phys->prev;
}

void sim_memory_charge(struct sim_memory *memory, struct sim_phys *phys)
{
	struct sim_device_memory *device = &memory->device[phys->device];

	if (phys->owner != NULL) {
		struct simgpu_bytes *bytes =
			&sim_client_books(phys->owner)->memory[phys->device];

		block_link(phys);
		*kind_part(bytes, phys) += phys->requested;
		bytes->allocations += phys->kind != SIM_MEM_CODE;
		if (!phys->host_memory) {
			bytes->requested += asked_bytes(phys);
			bytes->used += phys->used;
		}
		if (bytes->requested > bytes->requested_peak)
			bytes->requested_peak = bytes->requested;
	}
	if (phys->host_memory)
		return;
	device->requested += asked_bytes(phys);
	if (device->requested > device->requested_peak)
		device->requested_peak = device->requested;
	device->used += phys->used;
}

void sim_memory_refund(struct sim_memory *memory, struct sim_phys *phys)
{
	struct sim_device_memory *device = &memory->device[phys->device];

	if (phys->owner != NULL) {
		struct simgpu_bytes *bytes =
			&sim_client_books(phys->owner)->memory[phys->device];

		block_unlink(phys);
		*kind_part(bytes, phys) -= phys->requested;
		bytes->allocations -= phys->kind != SIM_MEM_CODE;
		if (!phys->host_memory) {
			bytes->requested -= asked_bytes(phys);
			bytes->used -= phys->used;
		}
	}
	if (phys->host_memory)
		return;
	device->requested -= asked_bytes(phys);
	device->used -= phys->used;
}

void sim_phys_pass(struct sim_memory *memory, struct sim_phys *phys,
		   struct sim_client *client)
{
	sim_memory_refund(memory, phys);
	phys->owner = client;
	sim_memory_charge(memory, phys);
}

bool sim_memory_may_pin(const struct sim_memory *memory, struct sim_client *client,
			uint64_t bytes)
{
	uint64_t left = memory->host_bytes;
	unsigned d;

	if (left == 0)
		return true;
	for (d = 0; d < SIM_MAX_HELLO_DEVICES; d++) {
		uint64_t pinned = sim_client_books(client)->memory[d].host;

		left -= pinned < left ? pinned : left;
	}
	return bytes <= left;
}

bool sim_memory_fits(const struct sim_memory *memory, unsigned device,
		     struct sim_client *client, uint64_t bytes)
{
	const struct sim_device_memory *dev = &memory->device[device];
	uint64_t used = sim_client_books(client)->memory[device].used;

	if (bytes > dev->total || dev->used > dev->total - bytes)
		return false;
	if (dev->client_limit != 0 &&
	    (bytes > dev->client_limit || used > dev->client_limit - bytes))
		return false;
	return true;
}

bool sim_memory_take(struct sim_memory *memory, unsigned device,
		     struct sim_client *client, uint64_t bytes, uint64_t *part)
{
	if (!sim_memory_fits(memory, device, client, bytes))
		return false;
	memory->device[device].used += bytes;
	sim_client_books(client)->memory[device].used += bytes;
	*part += bytes;
	return true;
}

void sim_memory_give(struct sim_memory *memory, unsigned device,
		     struct sim_client *client, uint64_t bytes, uint64_t *part)
{
	memory->device[device].used -= bytes;
	sim_client_books(client)->memory[device].used -= bytes;
	*part -= bytes;
}
