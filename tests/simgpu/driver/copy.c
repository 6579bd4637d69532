/*
 * copy.c - how a copy runs: checked, staged where the memory is pageable, waited for where
 * CUDA says so.
 *
 * Knows: the rules of "API synchronization behavior" in the CUDA Driver API manual. Refuses
 * to know: CUDA's copy structures (copy_shape.c) and the entry points (copy_entry.c).
 *
 * Pageable memory. If the device process can reach this process's memory (sim.direct),
 * copies of more than SIM_STAGING_BYTES are done by address and waited for; smaller copies
 * to the device are read into a staging buffer and return. (A driver stages large ones too,
 * so that they return a little before the copy is done.) If it cannot, all pageable memory
 * goes through staging buffers, and registered memory counts as pageable.
 */
#include "driver/copy.h"

#include <string.h>

#include "driver/capture.h"
#include "driver/ranges.h"

enum place { NOWHERE, DEVICE, MANAGED, PINNED, PAGEABLE };

struct side {
	enum place place;
	bool sync_memops;
};

static bool on_host(enum place place)
{
	return place == PINNED || place == PAGEABLE;
}

/* Bytes from the first to the last that one side touches. False if they wrap. */
static bool extent(const struct sim_rec_copy *copy, uint64_t pitch, uint64_t slice,
		   uint64_t *bytes)
{
	uint64_t rows, slices;

	return !__builtin_mul_overflow(copy->height - 1, pitch, &rows) &&
	       !__builtin_mul_overflow(copy->depth - 1, slice, &slices) &&
	       !__builtin_add_overflow(rows, slices, bytes) &&
	       !__builtin_add_overflow(*bytes, copy->width_bytes, bytes);
}

static struct side look(uint64_t addr, uint64_t bytes, unsigned access)
{
	struct sim_alloc alloc;
	struct side side = { NOWHERE, false };

	if (addr < 4096 || addr + bytes < addr)
		return side;
	if (!sim_ranges_cover(addr, bytes, access, &alloc)) {
		/* Ordinary memory may lie partly in a registered range. */
		if (!sim_is_device_address(addr))
			side.place = PAGEABLE;
		return side;
	}
	side.sync_memops = alloc.sync_memops;
	if (alloc.origin == SIM_FROM_REGISTER)
		side.place = sim.direct || sim.zero_cost ? PINNED : PAGEABLE;
	else if (alloc.kind == SIM_MEM_HOST)
		side.place = PINNED;
	else if (alloc.kind == SIM_MEM_MANAGED)
		side.place = MANAGED;
	else
		side.place = DEVICE;
	return side;
}

static CUresult check(const struct sim_rec_copy *copy, struct side *dst, struct side *src)
{
	uint64_t dst_bytes, src_bytes;

	if (!extent(copy, copy->dst.pitch, copy->dst.slice, &dst_bytes) ||
	    !extent(copy, copy->src.pitch, copy->src.slice, &src_bytes))
		return CUDA_ERROR_INVALID_VALUE;
	*dst = look(copy->dst.addr, dst_bytes, SIM_ACCESS_WRITE);
	*src = look(copy->src.addr, src_bytes, SIM_ACCESS_READ);
	return dst->place == NOWHERE || src->place == NOWHERE ? CUDA_ERROR_INVALID_VALUE
							      : CUDA_SUCCESS;
}

static bool is_empty(const struct sim_rec_copy *copy)
{
	return copy->width_bytes == 0 || copy->height == 0 || copy->depth == 0;
}

CUresult sim_copy_check(const struct sim_rec_copy *copy)
{
	struct side dst, src;

	return is_empty(copy) ? CUDA_SUCCESS : check(copy, &dst, &src);
}

void sim_copy_linear(struct sim_rec_copy *copy, uint64_t dst, uint64_t src,
		     uint64_t bytes)
{
	*copy = (struct sim_rec_copy){
		.dst = { .addr = dst, .space = sim_space_of(dst) },
		.src = { .addr = src, .space = sim_space_of(src) },
		.width_bytes = bytes,
		.height = 1,
		.depth = 1,
	};
}

/* ---- by the hand of this process ---- */

static void copy_here(const struct sim_rec_copy *copy)
{
	for (uint64_t z = 0; z < copy->depth; z++)
		for (uint64_t y = 0; y < copy->height; y++)
			memmove((void *)(copy->dst.addr + z * copy->dst.slice +
					 y * copy->dst.pitch),
				(const void *)(copy->src.addr + z * copy->src.slice +
					       y * copy->src.pitch),
				copy->width_bytes);
}

/* Waits for everything before this point of the stream, also what the legacy stream waits
 * for. */
static CUresult reach(struct sim_stream *stream)
{
	uint64_t seq;
	CUresult res = sim_submit(stream, SIM_REC_MARKER, NULL, 0, NULL, 0, &seq);

	return res == CUDA_SUCCESS ? sim_stream_wait(stream, seq) : res;
}

static CUresult submit_and_wait(struct sim_stream *stream,
				const struct sim_rec_copy *copy)
{
	uint64_t seq;
	CUresult res = sim_submit(stream, SIM_REC_COPY, copy, sizeof(*copy), NULL, 0,
				  &seq);

	return res == CUDA_SUCCESS ? sim_stream_wait(stream, seq) : res;
}

/* ---- through staging buffers ---- */

/* A part of a copy that fits a buffer: rows of one slice, or a part of one row. */
struct piece {
	uint64_t x, y, z, width, rows;
};

static bool next_piece(const struct sim_rec_copy *copy, struct piece *piece)
{
	piece->x += piece->width;
	if (piece->x >= copy->width_bytes) {
		piece->x = 0;
		piece->y += piece->rows;
	}
	if (piece->y >= copy->height) {
		piece->y = 0;
		piece->z++;
	}
	if (piece->z >= copy->depth)
		return false;
	piece->width = copy->width_bytes - piece->x;
	piece->rows = 1;
	if (piece->width > SIM_STAGING_BYTES)
		piece->width = SIM_STAGING_BYTES;
	else if (piece->x == 0)
		piece->rows = SIM_STAGING_BYTES / piece->width;
	if (piece->rows > copy->height - piece->y)
		piece->rows = copy->height - piece->y;
	return true;
}

/* The record of a piece, with one side exchanged for a packed buffer. */
static struct sim_rec_copy piece_copy(const struct sim_rec_copy *copy,
				      const struct piece *piece)
{
	struct sim_rec_copy part = *copy;

	part.dst.addr += piece->z * copy->dst.slice + piece->y * copy->dst.pitch +
			 piece->x;
	part.src.addr += piece->z * copy->src.slice + piece->y * copy->src.pitch +
			 piece->x;
	part.width_bytes = piece->width;
	part.height = piece->rows;
	part.depth = 1;
	return part;
}

static void use_as_dst(struct sim_rec_copy *part, uint64_t addr)
{
	part->dst.addr = addr;
	part->dst.pitch = part->width_bytes;
	part->dst.space = SIM_SPACE_DEVICE;
}

static void use_as_src(struct sim_rec_copy *part, uint64_t addr)
{
	part->src.addr = addr;
	part->src.pitch = part->width_bytes;
	part->src.space = SIM_SPACE_DEVICE;
}

/* Returns when the source has been read; *seq is the last part's. */
static CUresult stage_in(struct sim_stream *stream, const struct sim_rec_copy *copy,
			 uint64_t *seq)
{
	struct piece piece = { .x = copy->width_bytes }; /* before the first */
	CUresult res = CUDA_SUCCESS;

	while (res == CUDA_SUCCESS && next_piece(copy, &piece)) {
		struct sim_rec_copy in = piece_copy(copy, &piece), out = in;
		struct sim_staging *buffer = sim_staging_take(true, &res);

		if (!buffer)
			return res;
		use_as_dst(&in, sim_staging_address(buffer));
		use_as_src(&out, sim_staging_address(buffer));
		copy_here(&in);
		*seq = 0;
		res = sim_submit(stream, SIM_REC_COPY, &out, sizeof(out), NULL, 0, seq);
		sim_staging_put(buffer, stream, *seq);
	}
	return res;
}

static CUresult stage_out(struct sim_stream *stream, const struct sim_rec_copy *copy)
{
	struct piece piece = { .x = copy->width_bytes }; /* before the first */
	CUresult res = CUDA_SUCCESS;

	while (res == CUDA_SUCCESS && next_piece(copy, &piece)) {
		struct sim_rec_copy in = piece_copy(copy, &piece), out = in;
		struct sim_staging *buffer = sim_staging_take(true, &res);

		if (!buffer)
			return res;
		use_as_dst(&in, sim_staging_address(buffer));
		use_as_src(&out, sim_staging_address(buffer));
		res = submit_and_wait(stream, &in);
		if (res == CUDA_SUCCESS)
			copy_here(&out);
		sim_staging_put(buffer, stream, 0);
	}
	return res;
}

static CUresult from_pageable(struct sim_stream *stream, const struct sim_rec_copy *copy,
			      bool sync)
{
	uint64_t seq = 0;
	CUresult res;

	/* No product wraps: the extents that hold it do not. */
	if (sim.direct &&
	    (sync || copy->width_bytes > SIM_STAGING_BYTES ||
	     copy->width_bytes * copy->height > SIM_STAGING_BYTES ||
	     copy->width_bytes * copy->height * copy->depth > SIM_STAGING_BYTES))
		return submit_and_wait(stream, copy);
	res = stage_in(stream, copy, &seq);
	if (res == CUDA_SUCCESS && sync)
		res = sim_stream_wait(stream, seq);
	return res;
}

static CUresult run(struct sim_stream *stream, const struct sim_rec_copy *copy,
		    const struct side *dst, const struct side *src, bool sync)
{
	uint64_t seq;
	CUresult res;

	if (on_host(dst->place) && on_host(src->place)) {
		res = reach(stream);
		if (res == CUDA_SUCCESS)
			copy_here(copy);
		return res;
	}
	if (src->place == PAGEABLE)
		return from_pageable(stream, copy, sync);
	if (dst->place == PAGEABLE)
		return sim.direct ? submit_and_wait(stream, copy)
				  : stage_out(stream, copy);
	/* Between device memory nobody waits, unless the memory says so. */
	if (dst->place == DEVICE && src->place == DEVICE && !dst->sync_memops &&
	    !src->sync_memops)
		sync = false;
	res = sim_submit(stream, SIM_REC_COPY, copy, sizeof(*copy), NULL, 0, &seq);
	if (res == CUDA_SUCCESS && sync)
		res = sim_stream_wait(stream, seq);
	return res;
}

CUresult sim_copy(struct sim_stream *stream, const struct sim_rec_copy *copy, bool sync)
{
	struct side dst, src;
	CUresult res = sync ? sim_capture_guard() : CUDA_SUCCESS;

	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS || is_empty(copy))
		return res;
	res = check(copy, &dst, &src);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_acquire))
		return sync ? sim_capture_prohibited(stream)
			    : sim_capture_copy(stream, copy);
	if (sim.zero_cost) {
		copy_here(copy);
		return CUDA_SUCCESS;
	}
	return run(stream, copy, &dst, &src, sync);
}
