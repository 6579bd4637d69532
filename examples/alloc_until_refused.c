/*
 * alloc_until_refused.c - takes memory by each way the driver offers until it is refused.
 *
 * Knows: one take/give pair per way, and what must hold after a refusal: the code is
 * CUDA_ERROR_OUT_OF_MEMORY, the context still works, and everything given back is free again.
 * Refuses to know: how much ought to fit. It prints bytes; a test compares them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

enum { SCRATCH_WORDS = 1024, ARRAY_WIDTH = 4096, TEXEL_BYTES = 16, MIP_LEVELS = 4 };

/* What the driver may keep for itself after the first use of a way (a block of small
 * allocations, say) without it counting as lost. */
static const uint64_t slack_bytes = UINT64_C(4) << 20;

struct piece {
	uint64_t bytes; /* in: wanted; out: taken, where the driver decides */
	CUdeviceptr ptr;
	CUarray array;
	CUmipmappedArray mipmap;
	void *host;
};

struct path {
	const char *name;
	CUdevice_attribute needs;	       /* 0: nothing */
	CUresult (*take)(struct piece *piece); /* leaves nothing behind when it fails */
	CUresult (*give)(struct piece *piece);
	CUresult (*settle)(void); /* NULL, or: makes given memory really free */
};

static struct ex_gpu gpu;
static uint64_t chunk_bytes = UINT64_C(64) << 20, fine_bytes, limit_bytes;
static const char *only;
static bool touch, neighbours;

/* --- the ways ------------------------------------------------------------------------ */

static CUresult take_plain(struct piece *piece)
{
	return cuMemAlloc(&piece->ptr, piece->bytes);
}

static CUresult give_plain(struct piece *piece)
{
	return cuMemFree(piece->ptr);
}

static CUresult take_pitch(struct piece *piece)
{
	/* Not a multiple of any alignment, so that the pitch is wider than the row. */
	size_t width = 65000, height = piece->bytes / 65536, pitch = 0;
	CUresult result;

	if (!height) {
		width = piece->bytes;
		height = 1;
	}
	result = cuMemAllocPitch(&piece->ptr, &pitch, width, height, 4);
	piece->bytes = pitch * height;
	return result;
}

static CUresult take_managed(struct piece *piece)
{
	return cuMemAllocManaged(&piece->ptr, piece->bytes, CU_MEM_ATTACH_GLOBAL);
}

/* The shape of an array of about that many bytes; its true size goes into piece->bytes. */
static CUDA_ARRAY3D_DESCRIPTOR shape(struct piece *piece, unsigned levels)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = { .Width = ARRAY_WIDTH,
					 .Format = CU_AD_FORMAT_FLOAT,
					 .NumChannels = 4 };
	unsigned level;

	if (piece->bytes < ARRAY_WIDTH * TEXEL_BYTES)
		desc.Width = piece->bytes / TEXEL_BYTES ? piece->bytes / TEXEL_BYTES : 1;
	desc.Height = piece->bytes / (desc.Width * TEXEL_BYTES);
	if (!desc.Height)
		desc.Height = 1;
	for (level = 0, piece->bytes = 0; level < levels; level++) {
		size_t width = desc.Width >> level, height = desc.Height >> level;

		piece->bytes += (width ? width : 1) * (height ? height : 1) * TEXEL_BYTES;
	}
	return desc;
}

static CUresult take_array(struct piece *piece)
{
	CUDA_ARRAY3D_DESCRIPTOR solid = shape(piece, 1);
	CUDA_ARRAY_DESCRIPTOR desc = { .Width = solid.Width,
				       .Height = solid.Height,
				       .Format = solid.Format,
				       .NumChannels = solid.NumChannels };

	return cuArrayCreate(&piece->array, &desc);
}

static CUresult give_array(struct piece *piece)
{
	return cuArrayDestroy(piece->array);
}

static CUresult take_mipmap(struct piece *piece)
{
	CUDA_ARRAY3D_DESCRIPTOR desc = shape(piece, MIP_LEVELS);

	return cuMipmappedArrayCreate(&piece->mipmap, &desc, MIP_LEVELS);
}

static CUresult give_mipmap(struct piece *piece)
{
	return cuMipmappedArrayDestroy(piece->mipmap);
}

static CUresult give_vmm(struct piece *piece)
{
	CUresult unmapped = cuMemUnmap(piece->ptr, piece->bytes);
	CUresult freed = cuMemAddressFree(piece->ptr, piece->bytes);

	return unmapped != CUDA_SUCCESS ? unmapped : freed;
}

static CUresult take_vmm(struct piece *piece)
{
	CUmemAllocationProp prop = { .type = CU_MEM_ALLOCATION_TYPE_PINNED,
				     .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE,
						   .id = gpu.device } };
	CUmemAccessDesc access = { .location = prop.location,
				   .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE };
	CUmemGenericAllocationHandle handle;
	size_t granule;
	CUresult result;

	result = cuMemGetAllocationGranularity(&granule, &prop,
					       CU_MEM_ALLOC_GRANULARITY_MINIMUM);
	if (result != CUDA_SUCCESS)
		return result;
	piece->bytes = (piece->bytes + granule - 1) / granule * granule;
	result = cuMemCreate(&handle, piece->bytes, &prop, 0);
	if (result != CUDA_SUCCESS)
		return result;
	result = cuMemAddressReserve(&piece->ptr, piece->bytes, 0, 0, 0);
	if (result == CUDA_SUCCESS) {
		result = cuMemMap(piece->ptr, piece->bytes, 0, handle, 0);
		if (result != CUDA_SUCCESS) {
			cuMemAddressFree(piece->ptr, piece->bytes);
		} else {
			result = cuMemSetAccess(piece->ptr, piece->bytes, &access, 1);
			if (result != CUDA_SUCCESS)
				give_vmm(piece);
		}
	}
	/* From here on the mapping alone keeps the memory. */
	EX_TRY(cuMemRelease(handle));
	return result;
}

static CUresult take_pool(struct piece *piece)
{
	return cuMemAllocAsync(&piece->ptr, piece->bytes, NULL);
}

static CUresult give_pool(struct piece *piece)
{
	return cuMemFreeAsync(piece->ptr, NULL);
}

static CUresult settle_pool(void)
{
	CUmemoryPool pool;
	CUresult result = cuStreamSynchronize(NULL);

	if (result == CUDA_SUCCESS)
		result = cuDeviceGetMemPool(&pool, gpu.device);
	return result == CUDA_SUCCESS ? cuMemPoolTrimTo(pool, 0) : result;
}

static CUresult take_host(struct piece *piece)
{
	return cuMemHostAlloc(&piece->host, piece->bytes, 0);
}

static CUresult give_host(struct piece *piece)
{
	return cuMemFreeHost(piece->host);
}

static const struct path paths[] = {
	{ "plain", 0, take_plain, give_plain, NULL },
	{ "pitch", 0, take_pitch, give_plain, NULL },
	{ "managed", CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, take_managed, give_plain, NULL },
	{ "array", 0, take_array, give_array, NULL },
	{ "mipmap", 0, take_mipmap, give_mipmap, NULL },
	{ "vmm", CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, take_vmm,
	  give_vmm, NULL },
	{ "pool", CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, take_pool, give_pool,
	  settle_pool },
	{ "host", 0, take_host, give_host, NULL },
};

enum { PATHS = sizeof(paths) / sizeof(paths[0]) };

/* --- the course of one way ----------------------------------------------------------- */

struct pieces {
	struct piece *list;
	uint64_t count, bytes;
};

/* Where to stop when nobody refuses: pinned host memory would starve the machine, and
 * managed memory may be larger than the device. */
static uint64_t limit_for(const struct path *path)
{
	if (limit_bytes)
		return limit_bytes;
	if (path->take == take_host)
		return UINT64_C(256) << 20;
	return path->take == take_managed ? 2 * ex_total_bytes() : UINT64_MAX;
}

/* Takes until refused or at the limit. Returns what stopped it. */
static CUresult take_all(const struct path *path, struct pieces *pieces)
{
	uint64_t limit = limit_for(path), want = chunk_bytes, room = 0;
	CUresult result = CUDA_SUCCESS;

	while (pieces->bytes < limit) {
		struct piece piece = { 0 };

		piece.bytes = want < limit - pieces->bytes ? want : limit - pieces->bytes;
		if (pieces->count == room) {
			room = room ? room * 2 : 64;
			pieces->list = realloc(pieces->list, room * sizeof(piece));
			if (!pieces->list)
				ex_fail("There is no host memory left to note %" PRIu64
					" allocations: choose a larger --chunk.",
					room);
		}
		result = path->take(&piece);
		if (result == CUDA_SUCCESS) {
			if (touch && piece.ptr)
				EX_TRY(cuMemsetD8(piece.ptr, 0x5a, piece.bytes));
			pieces->list[pieces->count++] = piece;
			pieces->bytes += piece.bytes;
		} else if (result == CUDA_ERROR_OUT_OF_MEMORY && want / 2 >= fine_bytes &&
			   fine_bytes) {
			want /= 2;
		} else {
			break;
		}
	}
	return pieces->bytes >= limit ? CUDA_SUCCESS : result;
}

static void settle(const struct path *path)
{
	if (path->settle)
		ex_try(path->settle(), "giving memory back", __FILE__, __LINE__);
}

static void give_first(const struct path *path, struct pieces *pieces)
{
	struct piece piece = pieces->list[0];

	pieces->list[0] = pieces->list[--pieces->count];
	ex_try(path->give(&piece), "giving memory back", __FILE__, __LINE__);
}

/* A launch and a memset must work while the device is full, and once a piece is given back a
 * small allocation must. Returns what does not, NULL if all does. */
static const char *broken(const struct path *path, struct pieces *pieces,
			  CUdeviceptr scratch)
{
	CUdeviceptr small;

	ex_fill(&gpu, scratch, 0x600d600d, SCRATCH_WORDS, NULL);
	if (ex_count_wrong(scratch, 0x600d600d, SCRATCH_WORDS))
		return "a kernel";
	EX_TRY(cuMemsetD8(scratch, 0xa5, SCRATCH_WORDS * 4));
	if (ex_count_wrong(scratch, 0xa5a5a5a5, SCRATCH_WORDS))
		return "a memset";
	if (!pieces->count)
		return NULL;
	give_first(path, pieces);
	settle(path);
	if (cuMemAlloc(&small, 4096) != CUDA_SUCCESS)
		return "a small allocation";
	EX_TRY(cuMemFree(small));
	return NULL;
}

/* Prints one line; returns whether all that must hold held. */
static bool run(const struct path *path, CUdeviceptr scratch)
{
	struct pieces pieces = { 0 };
	uint64_t before, after, count, bytes;
	const char *failure;
	CUresult stop;
	char text[32];
	bool good = true;

	if (path->needs && !ex_attribute(&gpu, path->needs)) {
		printf("%s: skipped, the device does not support it\n", path->name);
		return true;
	}
	before = ex_free_bytes();
	stop = take_all(path, &pieces);
	count = pieces.count;
	bytes = pieces.bytes;
	if (stop == CUDA_ERROR_NOT_SUPPORTED && !count) {
		free(pieces.list);
		printf("%s: skipped, the driver answers %s\n", path->name,
		       ex_code_name(stop));
		return true;
	}
	failure = broken(path, &pieces, scratch);
	while (pieces.count)
		give_first(path, &pieces);
	settle(path);
	free(pieces.list);
	after = ex_free_bytes();

	printf("%s: %" PRIu64 " bytes (%s) in %" PRIu64 " allocations, then %s",
	       path->name, bytes, ex_bytes(text, bytes), count,
	       stop == CUDA_SUCCESS ? "stopped at the limit" : ex_code_name(stop));
	if (stop != CUDA_SUCCESS && stop != CUDA_ERROR_OUT_OF_MEMORY) {
		printf(", WRONG: the code for full memory is CUDA_ERROR_OUT_OF_MEMORY");
		good = false;
	}
	if (failure) {
		printf("; WRONG: %s did not work afterwards", failure);
		good = false;
	} else {
		printf("; the context works");
	}
	if (after >= before) {
		printf("; all memory came back\n");
	} else {
		bool lost = before - after > slack_bytes && !neighbours;

		printf("; %s%" PRIu64 " bytes did not come back\n", lost ? "WRONG: " : "",
		       before - after);
		good = good && !lost;
	}
	return good;
}

int main(int argc, char **argv)
{
	const struct ex_option options[] = {
		{ "chunk", EX_BYTES, &chunk_bytes, 1, "SIZE", "size of one allocation" },
		{ "fine", EX_BYTES, &fine_bytes, 1, "SIZE",
		  "when refused, halve the size down to this one" },
		{ "limit", EX_BYTES, &limit_bytes, 1, "SIZE",
		  "stop here even if not refused (host: 256 MiB)" },
		{ "path", EX_TEXT, &only, 0, "NAME",
		  "one of: plain pitch managed array mipmap vmm pool host" },
		{ "touch", EX_FLAG, &touch, 0, NULL, "also write to every byte" },
		{ "neighbours", EX_FLAG, &neighbours, 0, NULL,
		  "others use the device: its free memory proves nothing" },
		{ 0 }
	};
	int device = ex_options(
		argc, argv,
		"Takes device memory by each way until the driver refuses, then "
		"checks that\nthe context still works and gives everything back.",
		options);
	CUdeviceptr scratch;
	bool good = true;
	unsigned i, matched = 0;

	for (i = 0; i < PATHS; i++)
		matched += !only || !strcmp(only, paths[i].name);
	if (!matched)
		ex_usage("--path %s: there is no such path.", only);
	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	/* What the context loads at first use must not look like memory that is lost. */
	EX_TRY(cuMemAlloc(&scratch, SCRATCH_WORDS * 4));
	ex_fill(&gpu, scratch, 0, SCRATCH_WORDS, NULL);
	EX_TRY(cuMemsetD8(scratch, 0, SCRATCH_WORDS * 4));
	EX_TRY(cuCtxSynchronize());
	for (i = 0; i < PATHS; i++) {
		if (only && strcmp(only, paths[i].name))
			continue;
		good = run(&paths[i], scratch) && good;
		fflush(stdout);
	}
	EX_TRY(cuMemFree(scratch));
	ex_close(&gpu);
	return good ? EX_EXIT_OK : EX_EXIT_FAILED;
}
