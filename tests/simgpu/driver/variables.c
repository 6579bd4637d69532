/*
 * variables.c - the memory of modules' variables.
 *
 * Knows: that a module has one block for all of them, charged as code and no allocation of
 * the application's, with managed ones apart; and how they get their initial values. Refuses
 * to know: names (code.c), and when modules come and go (module.c).
 */
#include <stdlib.h>
#include <string.h>

#include "driver/code.h"
#include "driver/copy.h"
#include "driver/ranges.h"
#include "driver/stream.h"

#define ALIGN_BYTES 256u	     /* of every variable: what cuMemAlloc promises too */
#define ONE_COPY_BYTES (1u << 20)    /* up to here a block is written as a whole */
#define TOO_LARGE_BYTES (1ull << 48) /* for any device; sums of it still fit 64 bits */

static uint64_t room_of(const struct sim_image_global *variable)
{
	if (variable->managed)
		return 0;
	if (variable->size_bytes > TOO_LARGE_BYTES)
		return TOO_LARGE_BYTES;
	return (variable->size_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* No more than TOO_LARGE_BYTES, whatever the variables add up to. */
static uint64_t block_bytes(const struct sim_code *code)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < code->globals_count && bytes < TOO_LARGE_BYTES; i++)
		bytes += room_of(code->globals[i]);
	return bytes < TOO_LARGE_BYTES ? bytes : TOO_LARGE_BYTES;
}

/* ---- places ---- */

static CUresult make_block(struct sim_module *module, uint64_t bytes)
{
	const uint64_t a[6] = { module->ctx->id, bytes, 1 };
	uint64_t v[6];
	CUresult res;

	if (sim.zero_cost)
		return sim_mem_alloc(module->ctx, module->ctx->device, bytes,
				     SIM_MEM_PLAIN, ALIGN_BYTES, &module->data, NULL);
	res = sim_rpc(SIM_RPC_CODE_LOAD, a, v, -1, NULL);
	if (res == CUDA_SUCCESS) {
		module->data_id = v[0];
		module->data = v[1];
	}
	return res;
}

/* Copies and memsets look up what an address belongs to. In zero-cost mode sim_mem_alloc()
 * has entered the whole block. */
static CUresult announce(struct sim_module *module, CUdeviceptr at, uint64_t bytes)
{
	const struct sim_alloc range = {
		.base = at,
		.bytes = bytes,
		.origin = SIM_FROM_DRIVER,
		.kind = SIM_MEM_PLAIN,
		.device = module->ctx->device,
		.ctx = module->ctx,
		.access = SIM_ACCESS_READ | SIM_ACCESS_WRITE,
		.preferred = SIM_NOWHERE,
		.prefetched = SIM_NOWHERE,
	};

	if (sim.zero_cost || sim_ranges_add(&range) == 0)
		return CUDA_SUCCESS;
	return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Managed variables get memory of their own, the others their places in the block. */
static CUresult place(struct sim_module *module)
{
	const struct sim_code *code = module->code;
	CUdeviceptr at = module->data;
	CUresult res = CUDA_SUCCESS;

	for (unsigned i = 0; i < code->globals_count && res == CUDA_SUCCESS; i++) {
		const struct sim_image_global *variable = code->globals[i];

		if (variable->size_bytes == 0)
			continue;
		module->globals[i] = variable->managed ? 0 : at;
		at += room_of(variable);
		if (variable->managed)
			res = sim_mem_alloc(module->ctx, module->ctx->device,
					    variable->size_bytes, SIM_MEM_MANAGED,
					    ALIGN_BYTES, &module->globals[i], NULL);
	}
	return res;
}

static CUresult announce_all(struct sim_module *module)
{
	const struct sim_code *code = module->code;
	CUresult res = CUDA_SUCCESS;

	for (unsigned i = 0; i < code->globals_count && res == CUDA_SUCCESS; i++)
		if (room_of(code->globals[i]) != 0)
			res = announce(module, module->globals[i],
				       code->globals[i]->size_bytes);
	return res;
}

/* ---- values ---- */

static CUresult copy_in(struct sim_stream *stream, CUdeviceptr to, const void *from,
			uint64_t bytes)
{
	struct sim_rec_copy copy;

	sim_copy_linear(&copy, to, (uint64_t)(uintptr_t)from, bytes);
	return sim_copy(stream, &copy, true);
}

/* One copy, since a module with thousands of variables would wait for thousands. */
static CUresult write_whole(struct sim_module *module, struct sim_stream *stream,
			    uint64_t bytes)
{
	const struct sim_code *code = module->code;
	unsigned char *buffer = calloc(1, bytes);
	CUresult res;

	if (buffer == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (unsigned i = 0; i < code->globals_count; i++)
		if (code->globals[i]->init_bytes != 0 && !code->globals[i]->managed)
			memcpy(buffer + (module->globals[i] - module->data),
			       code->globals[i]->init, code->globals[i]->init_bytes);
	res = copy_in(stream, module->data, buffer, bytes);
	free(buffer);
	return res;
}

static CUresult write_parts(struct sim_module *module, struct sim_stream *stream,
			    uint64_t bytes)
{
	const struct sim_code *code = module->code;
	const struct sim_rec_memset zero = {
		.dst = module->data, .width = bytes, .height = 1, .element_bytes = 1
	};
	CUresult res = sim_memset(stream, &zero, false);

	for (unsigned i = 0; i < code->globals_count && res == CUDA_SUCCESS; i++)
		if (code->globals[i]->init_bytes != 0 && !code->globals[i]->managed)
			res = copy_in(stream, module->globals[i], code->globals[i]->init,
				      code->globals[i]->init_bytes);
	return res ? res : sim_stream_drain(stream);
}

/* On a stream of its own: loading a module neither waits for kernels that run nor disturbs
 * a capture. */
static CUresult write_block(struct sim_module *module, uint64_t bytes)
{
	struct sim_stream *stream;
	CUresult res = sim_stream_borrow(module->ctx, &stream);

	if (res != CUDA_SUCCESS)
		return res;
	res = bytes <= ONE_COPY_BYTES ? write_whole(module, stream, bytes)
				      : write_parts(module, stream, bytes);
	sim_stream_return(stream);
	return res;
}

/* Managed memory is mapped here as well. */
static void write_managed(const struct sim_image_global *variable, CUdeviceptr at)
{
	memset((void *)(uintptr_t)at, 0, variable->size_bytes);
	if (variable->init_bytes != 0)
		memcpy((void *)(uintptr_t)at, variable->init, variable->init_bytes);
}

CUresult sim_variables_make(struct sim_module *module)
{
	const struct sim_code *code = module->code;
	uint64_t bytes = block_bytes(code);
	CUresult res = bytes ? make_block(module, bytes) : CUDA_SUCCESS;

	if (res == CUDA_SUCCESS)
		res = place(module);
	/* One range while it is written as a whole, then one for each variable. */
	if (res == CUDA_SUCCESS && bytes != 0)
		res = announce(module, module->data, bytes);
	if (res == CUDA_SUCCESS && bytes != 0) {
		res = write_block(module, bytes);
		if (!sim.zero_cost)
			sim_ranges_remove(module->data, SIM_FROM_DRIVER, NULL);
	}
	if (res == CUDA_SUCCESS)
		res = announce_all(module);
	for (unsigned i = 0; i < code->globals_count && res == CUDA_SUCCESS; i++)
		if (code->globals[i]->managed && code->globals[i]->size_bytes != 0)
			write_managed(code->globals[i], module->globals[i]);
	return res;
}

void sim_variables_free(struct sim_module *module)
{
	const struct sim_code *code = module->code;
	const uint64_t a[6] = { module->data_id };

	for (unsigned i = 0; module->globals && i < code->globals_count; i++) {
		if (module->globals[i] == 0 || code->globals[i]->size_bytes == 0)
			continue;
		if (code->globals[i]->managed)
			sim_mem_free(module->globals[i]);
		else if (!sim.zero_cost)
			sim_ranges_remove(module->globals[i], SIM_FROM_DRIVER, NULL);
	}
	if (module->data_id != 0)
		sim_rpc(SIM_RPC_CODE_UNLOAD, a, NULL, -1, NULL);
	else if (module->data != 0)
		sim_mem_free(module->data);
}
