/*
 * image_fatbin.c - picks one piece of code from a fat binary and has it read.
 *
 * The layout is documented nowhere; this is what fat binaries written by nvcc 13.0 in each
 * of its compression modes look like. Numbers are little-endian.
 */
#include "image_build.h"

#include <stdlib.h>
#include <string.h>

enum {
	HEADER_BYTES = 16, /* magic u32, version u16, header size u16, payload u64 */
	ENTRY_BYTES = 64,  /* smallest header of an entry; it tells its own size */
	KIND_PTX = 1,
	KIND_ELF = 2,
	FLAG_LZ4 = 0x2000,
	FLAG_ZSTD = 0x8000,
	UNPACKED_MAX_BYTES = 256 << 20,
};

/* In the order of preference: what needs least first. */
enum rank {
	RANK_ELF,
	RANK_PTX,
	RANK_ELF_LZ4,
	RANK_PTX_LZ4,
	RANK_ELF_ZSTD,
	RANK_PTX_ZSTD,
	RANK_NONE,
};

struct fatbin_entry {
	const unsigned char *data;
	size_t data_bytes;     /* as stored */
	size_t unpacked_bytes; /* where it is packed */
	enum rank rank;
};

static uint64_t load(const unsigned char *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

/* Reads the entry at `at` and returns where the next one is; NULL if it does not fit. */
static const unsigned char *read_entry(const unsigned char *at, const unsigned char *end,
				       struct fatbin_entry *entry)
{
	size_t left = (size_t)(end - at), header, stored, packed;
	unsigned kind;
	uint64_t flags;

	if (left < ENTRY_BYTES)
		return NULL;
	kind = (unsigned)load(at, 2);
	header = load(at + 4, 4);
	stored = load(at + 8, 8);
	packed = load(at + 16, 4);
	flags = load(at + 40, 8);
	if (header < ENTRY_BYTES || header > left || stored > left - header)
		return NULL;
	entry->data = at + header;
	entry->unpacked_bytes = load(at + 56, 8);
	entry->data_bytes = stored;
	entry->rank = kind == KIND_ELF ? RANK_ELF : RANK_PTX;
	if (kind != KIND_ELF && kind != KIND_PTX) {
		entry->rank = RANK_NONE;
	} else if (flags & (FLAG_LZ4 | FLAG_ZSTD)) {
		entry->rank += flags & FLAG_LZ4 ? RANK_ELF_LZ4 : RANK_ELF_ZSTD;
		if (packed > stored)
			return NULL;
		entry->data_bytes = packed;
	}
	return at + header + stored;
}

static int read_code(struct image_build *build, enum rank rank, const unsigned char *code,
		     size_t size)
{
	if (rank % 2 == RANK_PTX)
		return image_read_ptx(build, (const char *)code,
				      strnlen((const char *)code, size));
	return image_read_cubin(build, code, size);
}

static int read_packed(struct image_build *build, const struct fatbin_entry *entry)
{
	unsigned char *code;
	long written;
	int result;

	if (entry->unpacked_bytes == 0 || entry->unpacked_bytes > UNPACKED_MAX_BYTES)
		return image_fail(build, SIM_IMAGE_INVALID,
				  "the fat binary claims %zu bytes of unpacked code",
				  entry->unpacked_bytes);
	code = malloc(entry->unpacked_bytes);
	if (!code)
		return SIM_IMAGE_OUT_OF_MEMORY;
	written = (entry->rank < RANK_ELF_ZSTD ? image_unpack_lz4 : image_unpack_zstd)(
		entry->data, entry->data_bytes, code, entry->unpacked_bytes);
	if (written == -2)
		result = image_fail(
			build, SIM_IMAGE_NO_BINARY,
			"the fat binary is packed with Zstandard, and libzstd.so.1 "
			"cannot be loaded: install libzstd1, or build the program "
			"with nvcc -no-compress");
	else if (written < 0)
		result = image_fail(build, SIM_IMAGE_INVALID,
				    "the packed code in the fat binary is damaged");
	else
		result = read_code(build, entry->rank, code, (size_t)written);
	free(code);
	return result;
}

int image_read_fatbin(struct image_build *build, const unsigned char *fat, size_t limit)
{
	struct fatbin_entry best = { .rank = RANK_NONE }, entry;
	const unsigned char *at, *end;
	size_t header, payload;

	if (limit < HEADER_BYTES || load(fat, 4) != 0xba55ed50)
		return image_fail(build, SIM_IMAGE_INVALID,
				  "the fat binary has no header");
	header = load(fat + 6, 2);
	payload = load(fat + 8, 8);
	if (header < HEADER_BYTES || header > limit || payload > limit - header)
		return image_fail(build, SIM_IMAGE_INVALID,
				  "the fat binary claims %zu bytes, more than there are",
				  payload);
	for (at = fat + header, end = at + payload; at < end;) {
		at = read_entry(at, end, &entry);
		if (!at)
			return image_fail(
				build, SIM_IMAGE_INVALID,
				"an entry of the fat binary reaches past its end");
		if (entry.rank < best.rank)
			best = entry;
	}
	if (best.rank == RANK_NONE)
		return image_fail(build, SIM_IMAGE_NO_BINARY,
				  "the fat binary holds neither cubin nor PTX");
	if (best.rank >= RANK_ELF_LZ4)
		return read_packed(build, &best);
	return read_code(build, best.rank, best.data, best.data_bytes);
}
