/*
 * link.c - the linker: inputs are collected, and put together into one image that can be
 * loaded or kept in a file and loaded another day.
 *
 * Knows: the form of that image, a container of its inputs, and how device code is found in
 * the objects and archives of a host compiler. Refuses to know: symbols; nothing is
 * resolved, and what is missing is not missed.
 */
#include "driver/code.h"

#include <stdlib.h>
#include <string.h>

#define WHY_BYTES 256

/* An image: this header, then `parts` times { struct part, bytes, zeros up to 8 bytes }. */
struct container {
	char magic[8];
	uint64_t bytes; /* of everything */
	uint32_t version, parts;
};

struct part {
	uint64_t bytes;
};

static const char magic[8] = { 0x7f, 'S', 'I', 'M', 'L', 'I', 'N', 'K' };
#define VERSION 1u

/* CUlinkState */
struct link {
	struct sim_object object;
	unsigned char *image; /* the container as it grows */
	size_t bytes;
	uint32_t parts;
	bool complete;
	unsigned options_count; /* of cuLinkCreate: where the logs go */
	CUjit_option *options;
	void **values;
};

static size_t pad(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

/* ---- reading ---- */

bool sim_link_is_container(const void *data, size_t limit)
{
	const char *text = data;

	/* Byte by byte: what is not an image may be a shorter string. */
	for (size_t i = 0; i < sizeof(magic); i++)
		if (i >= limit || text[i] != magic[i])
			return false;
	return limit >= sizeof(struct container);
}

bool sim_link_part(const void *data, size_t limit, size_t *cursor, const void **part,
		   size_t *part_bytes, bool *damaged)
{
	struct container head;
	struct part next;

	memcpy(&head, data, sizeof(head));
	if (*cursor == 0)
		*cursor = sizeof(head);
	*damaged = head.version != VERSION || head.parts == 0 || head.bytes > limit ||
		   head.bytes < *cursor;
	if (*damaged || head.bytes == *cursor)
		return false;
	*damaged = true;
	if (head.bytes - *cursor < sizeof(next))
		return false;
	memcpy(&next, (const char *)data + *cursor, sizeof(next));
	*cursor += sizeof(next);
	if (next.bytes > head.bytes - *cursor || pad(next.bytes) > head.bytes - *cursor)
		return false;
	*part = (const char *)data + *cursor;
	*part_bytes = next.bytes;
	*cursor += pad(next.bytes);
	*damaged = false;
	return true;
}

/* ---- writing ---- */

static CUresult append(struct link *link, const void *data, size_t bytes)
{
	const struct part part = { bytes };
	size_t room = link->bytes + sizeof(part) + pad(bytes);
	unsigned char *grown = room > bytes ? realloc(link->image, room) : NULL;

	if (grown == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memset(grown + link->bytes, 0, room - link->bytes);
	memcpy(grown + link->bytes, &part, sizeof(part));
	memcpy(grown + link->bytes + sizeof(part), data, bytes);
	link->image = grown;
	link->bytes = room;
	link->parts++;
	return CUDA_SUCCESS;
}

/* What another linker made goes in part by part. */
static CUresult append_parts(struct link *link, const void *data, size_t bytes)
{
	size_t cursor = 0, part_bytes;
	const void *part;
	bool damaged;
	CUresult res = CUDA_SUCCESS;

	while (res == CUDA_SUCCESS &&
	       sim_link_part(data, bytes, &cursor, &part, &part_bytes, &damaged))
		res = append(link, part, part_bytes);
	return res;
}

/* One piece of code, taken if it can be loaded. */
static CUresult add_code(struct link *link, const void *data, size_t bytes, char *why,
			 size_t why_bytes)
{
	struct sim_code *code;
	CUresult res = sim_code_read(data, bytes, &code, why, why_bytes);

	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_code_lock);
	sim_code_unref(code);
	pthread_mutex_unlock(&sim_code_lock);
	if (sim_link_is_container(data, bytes))
		return append_parts(link, data, bytes);
	return append(link, data, bytes);
}

/* The fat binaries in an object file or an archive of such: they are found by their magic
 * number, whichever section or member they stand in. */
static CUresult add_objects(struct link *link, const unsigned char *data, size_t bytes)
{
	static const unsigned char fatbin[4] = { 0x50, 0xed, 0x55, 0xba };
	const unsigned char *at = data, *end = data + bytes;
	char why[WHY_BYTES];

	while ((at = memmem(at, (size_t)(end - at), fatbin, sizeof(fatbin))) != NULL) {
		uint16_t header_bytes = 0;
		uint64_t body_bytes = 0;
		size_t left = (size_t)(end - at);
		CUresult res;

		if (left >= 16) {
			memcpy(&header_bytes, at + 6, sizeof(header_bytes));
			memcpy(&body_bytes, at + 8, sizeof(body_bytes));
		}
		if (header_bytes < 16 || body_bytes > left ||
		    header_bytes > left - body_bytes) {
			at++;
			continue;
		}
		res = add_code(link, at, header_bytes + (size_t)body_bytes, why,
			       sizeof(why));
		if (res == CUDA_ERROR_OUT_OF_MEMORY)
			return res;
		at += res == CUDA_SUCCESS ? header_bytes + (size_t)body_bytes : 1;
	}
	return CUDA_SUCCESS;
}

static CUresult add(struct link *link, CUjitInputType type, const void *data,
		    size_t bytes)
{
	char why[WHY_BYTES] = "";
	CUresult res;

	if (data == NULL || bytes == 0 || link->complete)
		return CUDA_ERROR_INVALID_VALUE;
	switch (type) {
	case CU_JIT_INPUT_CUBIN:
	case CU_JIT_INPUT_PTX:
	case CU_JIT_INPUT_FATBINARY:
		res = add_code(link, data, bytes, why, sizeof(why));
		break;
	case CU_JIT_INPUT_OBJECT:
	case CU_JIT_INPUT_LIBRARY:
		res = add_objects(link, data, bytes);
		break;
	default: /* NVVM: code of compilers before CUDA 12, which nobody here reads */
		return type == CU_JIT_INPUT_NVVM ? CUDA_ERROR_NOT_SUPPORTED
						 : CUDA_ERROR_INVALID_VALUE;
	}
	if (res != CUDA_SUCCESS)
		sim_jit_answer(link->options_count, link->options, link->values, why);
	return res;
}

/* ---- entry points ---- */

static CUresult get(CUlinkState handle, struct link **link)
{
	*link = (struct link *)handle;
	return sim_object_check(handle, SIM_T_LINK) ? CUDA_SUCCESS
						    : CUDA_ERROR_INVALID_HANDLE;
}

static CUresult create(unsigned count, CUjit_option *options, void **values,
		       CUlinkState *state)
{
	struct sim_context *ctx;
	struct link *link;
	CUresult res = sim_jit_check(count, options, values);

	if (res == CUDA_SUCCESS)
		res = state ? sim_need_context(&ctx) : CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	link = sim_object_new(SIM_T_LINK, sizeof(*link));
	if (link == NULL)
		return CUDA_ERROR_OUT_OF_MEMORY;
	link->bytes = sizeof(struct container);
	link->image = calloc(1, link->bytes);
	link->options = calloc(count + 1, sizeof(*options));
	if (link->image == NULL || link->options == NULL) {
		free(link->image);
		free(link->options);
		sim_object_delete(link);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (count != 0)
		memcpy(link->options, options, count * sizeof(*options));
	link->options_count = count;
	link->values = values; /* the caller keeps it until cuLinkDestroy */
	*state = (CUlinkState)link;
	return CUDA_SUCCESS;
}

static CUresult add_data(CUlinkState state, CUjitInputType type, const void *data,
			 size_t size, unsigned count, CUjit_option *options,
			 void **values)
{
	struct link *link;
	CUresult res = get(state, &link);

	if (res == CUDA_SUCCESS)
		res = sim_jit_check(count, options, values);
	return res ? res : add(link, type, data, size);
}

static CUresult add_file(CUlinkState state, CUjitInputType type, const char *path,
			 unsigned count, CUjit_option *options, void **values)
{
	struct link *link;
	void *data;
	size_t bytes;
	CUresult res = get(state, &link);

	if (res == CUDA_SUCCESS)
		res = path ? sim_jit_check(count, options, values)
			   : CUDA_ERROR_INVALID_VALUE;
	if (res == CUDA_SUCCESS)
		res = sim_code_file(path, &data, &bytes);
	if (res != CUDA_SUCCESS)
		return res;
	res = add(link, type, data, bytes);
	free(data);
	return res;
}

SIM_EXPORT CUresult cuLinkCreate(unsigned int numOptions, CUjit_option *options,
				 void **optionValues, CUlinkState *stateOut)
{
	CUresult res = sim_enter(SIM_FN_cuLinkCreate);

	return res ? res : create(numOptions, options, optionValues, stateOut);
}

SIM_EXPORT CUresult cuLinkCreate_v2(unsigned int numOptions, CUjit_option *options,
				    void **optionValues, CUlinkState *stateOut)
{
	CUresult res = sim_enter(SIM_FN_cuLinkCreate_v2);

	return res ? res : create(numOptions, options, optionValues, stateOut);
}

SIM_EXPORT CUresult cuLinkAddData(CUlinkState state, CUjitInputType type, void *data,
				  size_t size, const char *name, unsigned int numOptions,
				  CUjit_option *options, void **optionValues)
{
	CUresult res = sim_enter(SIM_FN_cuLinkAddData);

	(void)name;
	return res ? res
		   : add_data(state, type, data, size, numOptions, options, optionValues);
}

SIM_EXPORT CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data,
				     size_t size, const char *name,
				     unsigned int numOptions, CUjit_option *options,
				     void **optionValues)
{
	CUresult res = sim_enter(SIM_FN_cuLinkAddData_v2);

	(void)name;
	return res ? res
		   : add_data(state, type, data, size, numOptions, options, optionValues);
}

SIM_EXPORT CUresult cuLinkAddFile(CUlinkState state, CUjitInputType type,
				  const char *path, unsigned int numOptions,
				  CUjit_option *options, void **optionValues)
{
	CUresult res = sim_enter(SIM_FN_cuLinkAddFile);

	return res ? res : add_file(state, type, path, numOptions, options, optionValues);
}

SIM_EXPORT CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type,
				     const char *path, unsigned int numOptions,
				     CUjit_option *options, void **optionValues)
{
	CUresult res = sim_enter(SIM_FN_cuLinkAddFile_v2);

	return res ? res : add_file(state, type, path, numOptions, options, optionValues);
}

SIM_EXPORT CUresult cuLinkComplete(CUlinkState state, void **cubinOut, size_t *sizeOut)
{
	CUresult res = sim_enter(SIM_FN_cuLinkComplete);
	struct container head;
	struct link *link;

	if (res == CUDA_SUCCESS)
		res = get(state, &link);
	if (res != CUDA_SUCCESS)
		return res;
	if (cubinOut == NULL || link->parts == 0)
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(head.magic, magic, sizeof(magic));
	head.bytes = link->bytes;
	head.version = VERSION;
	head.parts = link->parts;
	memcpy(link->image, &head, sizeof(head));
	link->complete = true;
	sim_jit_answer(link->options_count, link->options, link->values, NULL);
	*cubinOut = link->image;
	if (sizeOut != NULL)
		*sizeOut = link->bytes;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuLinkDestroy(CUlinkState state)
{
	CUresult res = sim_enter(SIM_FN_cuLinkDestroy);
	struct link *link;

	if (res == CUDA_SUCCESS)
		res = get(state, &link);
	if (res != CUDA_SUCCESS)
		return res;
	free(link->image);
	free(link->options);
	sim_object_delete(link);
	return CUDA_SUCCESS;
}
