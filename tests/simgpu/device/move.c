/*
 * move.c - copies, memsets and single words, in device memory and in memory of clients.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device/server.h"

/* One call moves less than 2 GiB, whatever is asked for. */
#define HOST_BYTES_MAX (1ull << 30)

static bool host_read(struct sim_client *client, uint64_t addr, void *to, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)(uintptr_t)addr, bytes };

	return client->direct &&
	       process_vm_readv(client->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

static bool host_write(struct sim_client *client, uint64_t addr, void *from, size_t bytes)
{
	struct iovec local = { from, bytes }, remote = { (void *)(uintptr_t)addr, bytes };

	return client->direct &&
	       process_vm_writev(client->pid, &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

/* Moves bytes between any two places; false if one of them is not there. */
static bool move(struct sim_client *client, uint32_t dst_space, uint64_t dst,
		 uint32_t src_space, uint64_t src, uint64_t bytes)
{
	static unsigned char bounce[64 << 10];

	while (bytes > 0) {
		unsigned char *to = bounce, *from = bounce;
		uint64_t step = bytes, contiguous;
		bool ok = true;

		if (dst_space == SIM_SPACE_DEVICE) {
			to = sim_memory_at(client, dst, 2, &contiguous);
			if (to == NULL)
				return false;
			step = step < contiguous ? step : contiguous;
		}
		if (src_space == SIM_SPACE_DEVICE) {
			from = sim_memory_at(client, src, 1, &contiguous);
			if (from == NULL)
				return false;
			step = step < contiguous ? step : contiguous;
		}
		if (to == bounce && from == bounce)
			step = step < sizeof(bounce) ? step : sizeof(bounce);
		else if ((to == bounce || from == bounce) && step > HOST_BYTES_MAX)
			step = HOST_BYTES_MAX;
		if (src_space == SIM_SPACE_HOST)
			ok = host_read(client, src, to, step);
		if (ok && dst_space == SIM_SPACE_HOST)
			ok = host_write(client, dst, from, step);
		if (!ok)
			return false;
		if (to != bounce && from != bounce)
			memmove(to, from, step);
		dst += step;
		src += step;
		bytes -= step;
	}
	return true;
}

bool sim_move_copy(struct sim_work *work)
{
	const struct sim_rec_copy *rec = &work->rec.copy;
	uint64_t y, z;

	for (z = 0; z < rec->depth; z++)
		for (y = 0; y < rec->height; y++)
			if (!move(work->client, rec->dst.space,
				  rec->dst.addr + z * rec->dst.slice + y * rec->dst.pitch,
				  rec->src.space,
				  rec->src.addr + z * rec->src.slice + y * rec->src.pitch,
				  rec->width_bytes))
				return false;
	work->client->books.copies++;
	work->client->books.copy_bytes += rec->width_bytes * rec->height * rec->depth;
	return true;
}

#define FILL_BYTES (32u << 10)

static void fill(unsigned char *to, uint64_t at, uint64_t bytes,
		 const unsigned char *value, unsigned element_bytes)
{
	uint64_t done, i;

	if (element_bytes == 1) {
		memset(to, value[0], bytes);
		return;
	}
	/* `at` is the offset in the row: mappings may end inside an element. */
	done = bytes < element_bytes ? bytes : element_bytes;
	for (i = 0; i < done; i++)
		to[i] = value[(at + i) % element_bytes];
	/* Doubled, then in pieces that stay in the cache. */
	while (done < bytes) {
		uint64_t step = done < FILL_BYTES ? done : FILL_BYTES;

		if (step > bytes - done)
			step = bytes - done;
		memcpy(to + done, to, step);
		done += step;
	}
}

/* Zeroes a range of at least WIPE_BYTES by giving its pages back: gigabytes at once, and
 * memory that is only zero costs the machine none. Not for memory shared with the client,
 * whose pages belong to a file. */
#define WIPE_BYTES (1ull << 20)

static bool wipe(const struct sim_map *map, unsigned char *to, uint64_t bytes)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t start = ((uintptr_t)to + page - 1) & ~(page - 1);
	const uintptr_t end = ((uintptr_t)to + bytes) & ~(page - 1);

	if (bytes < WIPE_BYTES || map->phys->kind == SIM_MEM_MANAGED ||
	    map->phys->kind == SIM_MEM_HOST)
		return false;
	if (madvise((void *)start, end - start, MADV_DONTNEED) != 0)
		return false;
	memset(to, 0, start - (uintptr_t)to);
	memset((unsigned char *)end, 0, (uintptr_t)to + bytes - end);
	return true;
}

bool sim_move_set(struct sim_work *work)
{
	static const unsigned char zero[4];
	const struct sim_rec_memset *rec = &work->rec.memset;
	const uint64_t row_bytes = rec->width * rec->element_bytes;
	unsigned char value[4];
	uint64_t y;
	bool zeroes;

	memcpy(value, &rec->value, sizeof(value));
	zeroes = memcmp(value, zero, rec->element_bytes) == 0;
	for (y = 0; y < rec->height; y++) {
		uint64_t at = 0;

		while (at < row_bytes) {
			const uint64_t va = rec->dst + y * rec->pitch + at;
			uint64_t step;
			unsigned char *to = sim_memory_at(work->client, va, 2, &step);

			if (to == NULL)
				return false;
			if (step > row_bytes - at)
				step = row_bytes - at;
			if (!zeroes || !wipe(sim_memory_find(work->client, va), to, step))
				fill(to, at, step, value, rec->element_bytes);
			at += step;
		}
	}
	return true;
}

uint32_t sim_move_space(const struct sim_client *client, uint64_t addr)
{
	return addr - client->space.base < client->space.bytes ? SIM_SPACE_DEVICE
							       : SIM_SPACE_HOST;
}

bool sim_move_write(struct sim_work *work)
{
	struct sim_rec_value *rec = &work->rec.value;
	uint64_t contiguous;
	unsigned char *to;

	if (sim_move_space(work->client, rec->addr) == SIM_SPACE_HOST)
		return host_write(work->client, rec->addr, &rec->value, rec->bytes);
	to = sim_memory_at(work->client, rec->addr, 2, &contiguous);
	if (to == NULL || contiguous < rec->bytes)
		return false;
	memcpy(to, &rec->value, rec->bytes);
	return true;
}

bool sim_move_holds(struct sim_work *work)
{
	const struct sim_rec_value *rec = &work->rec.value;
	const uint64_t mask = rec->bytes == 4 ? UINT32_MAX : UINT64_MAX;
	const uint64_t wanted = rec->value & mask;
	uint64_t value = 0, contiguous;

	if (sim_move_space(work->client, rec->addr) == SIM_SPACE_HOST) {
		if (!host_read(work->client, rec->addr, &value, rec->bytes))
			goto illegal;
	} else {
		const unsigned char *from = sim_memory_at(work->client, rec->addr, 1,
							  &contiguous);

		if (from == NULL || contiguous < rec->bytes)
			goto illegal;
		memcpy(&value, from, rec->bytes);
	}
	switch (rec->compare) {
	case SIM_CMP_GEQ: /* cyclic, as the manual of cuStreamWaitValue says */
		return rec->bytes == 4 ? (int32_t)(uint32_t)(value - wanted) >= 0
				       : (int64_t)(value - wanted) >= 0;
	case SIM_CMP_EQ:
		return value == wanted;
	case SIM_CMP_AND:
		return (value & wanted) != 0;
	default:
		return (~(value | wanted) & mask) != 0;
	}
illegal:
	sim_client_fail(work->client, SIM_ILLEGAL_ADDRESS);
	return true;
}

/* Tells everybody who knows the event that its last record is complete. */
