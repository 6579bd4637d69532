/*
 * copy_shape.c - from CUDA's 2D and 3D copy structures to copy records.
 *
 * Knows: what cuda.h says about each of their fields. Refuses to know: which addresses
 * exist (sim_copy_check()) and how copies run.
 */
#include "driver/copy.h"

#include "driver/array.h"
#include "driver/ranges.h"

#define MAX_PITCH_BYTES 0x7fffffffull /* CU_DEVICE_ATTRIBUTE_MAX_PITCH */

/* One side of any of the structures. */
struct operand {
	CUmemorytype type;
	uint64_t host, device;
	CUarray array;
	uint64_t x, y, z, pitch, height; /* bytes; rows per slice */
};

struct shape {
	uint64_t width_bytes, height, depth;
};

struct place {
	uint64_t addr, pitch, slice;
	enum sim_space space;
};

static bool fits(uint64_t from, uint64_t count, uint64_t limit)
{
	return from <= limit && count <= limit - from;
}

static CUresult place_array(const struct operand *op, const struct shape *shape,
			    struct place *place)
{
	struct sim_array *array;
	CUresult res = sim_array_get(op->array, &array);

	if (res != CUDA_SUCCESS)
		return res;
	if (array->addr == 0 || op->x % array->element_bytes ||
	    shape->width_bytes % array->element_bytes ||
	    !fits(op->x, shape->width_bytes, array->pitch) ||
	    !fits(op->y, shape->height, array->height) ||
	    !fits(op->z, shape->depth, array->depth))
		return CUDA_ERROR_INVALID_VALUE;
	place->addr = array->addr + op->z * array->slice + op->y * array->pitch + op->x;
	place->pitch = array->pitch;
	place->slice = array->slice;
	place->space = SIM_SPACE_DEVICE;
	return CUDA_SUCCESS;
}

/* Host operands are what the host can touch, device operands what the driver knows. */
static bool type_matches(CUmemorytype type, uint64_t addr)
{
	struct sim_alloc alloc;
	bool known;

	if (type == CU_MEMORYTYPE_UNIFIED)
		return true;
	known = sim_ranges_find(addr, &alloc);
	if (type == CU_MEMORYTYPE_DEVICE)
		return known;
	return known ? alloc.kind == SIM_MEM_HOST || alloc.kind == SIM_MEM_MANAGED
		     : !sim_is_device_address(addr);
}

static CUresult place_linear(const struct operand *op, const struct shape *shape,
			     struct place *place)
{
	uint64_t base = op->type == CU_MEMORYTYPE_HOST ? op->host : op->device;
	uint64_t least = op->x + shape->width_bytes;
	uint64_t pitch = op->pitch ? op->pitch : least;
	uint64_t rows = op->height ? op->height : op->y + shape->height;
	uint64_t row, offset;

	if (least < op->x || op->y + shape->height < op->y || op->pitch > MAX_PITCH_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	/* A single row has no use for a pitch, nor a single slice for a height. */
	if ((pitch < least && (shape->height > 1 || shape->depth > 1 || op->pitch)) ||
	    (rows < op->y + shape->height && shape->depth > 1))
		return CUDA_ERROR_INVALID_VALUE;
	if (base == 0)
		return CUDA_ERROR_INVALID_VALUE;
	if (__builtin_mul_overflow(op->z, rows, &row) ||
	    __builtin_add_overflow(row, op->y, &row) ||
	    __builtin_mul_overflow(row, pitch, &offset) ||
	    __builtin_add_overflow(offset, op->x, &offset) ||
	    __builtin_add_overflow(offset, base, &place->addr) ||
	    __builtin_mul_overflow(rows, pitch, &place->slice))
		return CUDA_ERROR_INVALID_VALUE;
	place->pitch = pitch;
	place->space = sim_space_of(place->addr);
	return type_matches(op->type, place->addr) ? CUDA_SUCCESS
						   : CUDA_ERROR_INVALID_VALUE;
}

static CUresult place_operand(const struct operand *op, const struct shape *shape,
			      struct place *place)
{
	switch (op->type) {
	case CU_MEMORYTYPE_ARRAY:
		return place_array(op, shape, place);
	case CU_MEMORYTYPE_HOST:
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_UNIFIED:
		return place_linear(op, shape, place);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static bool type_valid(CUmemorytype type)
{
	return type >= CU_MEMORYTYPE_HOST && type <= CU_MEMORYTYPE_UNIFIED;
}

static CUresult build(const struct operand *dst, const struct operand *src,
		      const struct shape *shape, struct sim_rec_copy *copy)
{
	struct place to, from;
	CUresult res;

	*copy = (struct sim_rec_copy){ .height = 1, .depth = 1 };
	if (!type_valid(dst->type) || !type_valid(src->type))
		return CUDA_ERROR_INVALID_VALUE;
	if (shape->width_bytes == 0 || shape->height == 0 || shape->depth == 0)
		return CUDA_SUCCESS;
	res = place_operand(dst, shape, &to);
	if (res == CUDA_SUCCESS)
		res = place_operand(src, shape, &from);
	if (res != CUDA_SUCCESS)
		return res;
	copy->dst.addr = to.addr;
	copy->dst.pitch = to.pitch;
	copy->dst.slice = to.slice;
	copy->dst.space = to.space;
	copy->src.addr = from.addr;
	copy->src.pitch = from.pitch;
	copy->src.slice = from.slice;
	copy->src.space = from.space;
	copy->width_bytes = shape->width_bytes;
	copy->height = shape->height;
	copy->depth = shape->depth;
	return CUDA_SUCCESS;
}

CUresult sim_copy_from_2d(const CUDA_MEMCPY2D *in, struct sim_rec_copy *copy)
{
	struct shape shape;
	struct operand dst, src;

	if (!in)
		return CUDA_ERROR_INVALID_VALUE;
	shape = (struct shape){ in->WidthInBytes, in->Height, 1 };
	dst = (struct operand){
		.type = in->dstMemoryType,
		.host = (uintptr_t)in->dstHost,
		.device = in->dstDevice,
		.array = in->dstArray,
		.x = in->dstXInBytes,
		.y = in->dstY,
		.pitch = in->dstPitch,
	};
	src = (struct operand){
		.type = in->srcMemoryType,
		.host = (uintptr_t)in->srcHost,
		.device = in->srcDevice,
		.array = in->srcArray,
		.x = in->srcXInBytes,
		.y = in->srcY,
		.pitch = in->srcPitch,
	};
	return build(&dst, &src, &shape, copy);
}

CUresult sim_copy_from_3d(const CUDA_MEMCPY3D *in, struct sim_rec_copy *copy)
{
	struct shape shape;
	struct operand dst, src;

	if (!in || in->srcLOD != 0 || in->dstLOD != 0 || in->reserved0 || in->reserved1)
		return CUDA_ERROR_INVALID_VALUE;
	shape = (struct shape){ in->WidthInBytes, in->Height, in->Depth };
	dst = (struct operand){
		.type = in->dstMemoryType,
		.host = (uintptr_t)in->dstHost,
		.device = in->dstDevice,
		.array = in->dstArray,
		.x = in->dstXInBytes,
		.y = in->dstY,
		.z = in->dstZ,
		.pitch = in->dstPitch,
		.height = in->dstHeight,
	};
	src = (struct operand){
		.type = in->srcMemoryType,
		.host = (uintptr_t)in->srcHost,
		.device = in->srcDevice,
		.array = in->srcArray,
		.x = in->srcXInBytes,
		.y = in->srcY,
		.z = in->srcZ,
		.pitch = in->srcPitch,
		.height = in->srcHeight,
	};
	return build(&dst, &src, &shape, copy);
}

CUresult sim_copy_from_3d_peer(const CUDA_MEMCPY3D_PEER *in, struct sim_rec_copy *copy)
{
	struct sim_context *ctx;
	CUDA_MEMCPY3D plain;
	CUresult res;

	if (!in)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_context_get(in->dstContext, &ctx);
	if (res == CUDA_SUCCESS)
		res = sim_context_get(in->srcContext, &ctx);
	if (res != CUDA_SUCCESS)
		return res;
	plain = (CUDA_MEMCPY3D){
		.srcXInBytes = in->srcXInBytes,
		.srcY = in->srcY,
		.srcZ = in->srcZ,
		.srcLOD = in->srcLOD,
		.srcMemoryType = in->srcMemoryType,
		.srcHost = in->srcHost,
		.srcDevice = in->srcDevice,
		.srcArray = in->srcArray,
		.srcPitch = in->srcPitch,
		.srcHeight = in->srcHeight,
		.dstXInBytes = in->dstXInBytes,
		.dstY = in->dstY,
		.dstZ = in->dstZ,
		.dstLOD = in->dstLOD,
		.dstMemoryType = in->dstMemoryType,
		.dstHost = in->dstHost,
		.dstDevice = in->dstDevice,
		.dstArray = in->dstArray,
		.dstPitch = in->dstPitch,
		.dstHeight = in->dstHeight,
		.WidthInBytes = in->WidthInBytes,
		.Height = in->Height,
		.Depth = in->Depth,
	};
	return sim_copy_from_3d(&plain, copy);
}
