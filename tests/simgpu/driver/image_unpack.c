/*
 * image_unpack.c - the two packings of fat binary entries: LZ4 blocks, as nvcc wrote them
 * up to CUDA 12.3 and still does with -compress-mode=speed, and Zstandard.
 *
 * LZ4 is decoded here, since the block format is a page long. Zstandard is not: libzstd is
 * loaded when the first such entry is met, and whoever meets none does not need it.
 */
#include "image_build.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

/* A length of 15 in the token goes on in bytes, of which all but the last are 255. */
static int long_length(const unsigned char **in, const unsigned char *end, size_t *length)
{
	unsigned char byte;

	if (*length != 15)
		return 0;
	do {
		if (*in == end || *length > LONG_MAX - 255)
			return -1;
		byte = *(*in)++;
		*length += byte;
	} while (byte == 255);
	return 0;
}

/* Sequences of: token, literals, offset, match; the last one ends after its literals.
 * (LZ4 Block Format Description.) */
long image_unpack_lz4(const unsigned char *in, size_t in_bytes, unsigned char *out,
		      size_t out_bytes)
{
	const unsigned char *end = in + in_bytes;
	size_t written = 0;

	while (in < end) {
		unsigned token = *in++;
		size_t literals = token >> 4, match = token & 15, distance;

		if (long_length(&in, end, &literals) != 0 ||
		    literals > (size_t)(end - in) || literals > out_bytes - written)
			return -1;
		memcpy(out + written, in, literals);
		in += literals;
		written += literals;
		if (in == end)
			break;
		if (end - in < 2)
			return -1;
		distance = in[0] | (size_t)in[1] << 8;
		in += 2;
		if (long_length(&in, end, &match) != 0)
			return -1;
		match += 4;
		if (distance == 0 || distance > written || match > out_bytes - written)
			return -1;
		/* Byte by byte: source and destination overlap when a run is repeated. */
		for (size_t i = 0; i < match; i++, written++)
			out[written] = out[written - distance];
	}
	return (long)written;
}

long image_unpack_zstd(const unsigned char *in, size_t in_bytes, unsigned char *out,
		       size_t out_bytes)
{
	size_t (*decompress)(void *out, size_t out_bytes, const void *in,
			     size_t in_bytes);
	unsigned (*is_error)(size_t code);
	void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
	long written = -2;

	if (!library)
		return written;
	*(void **)&decompress = dlsym(library, "ZSTD_decompress");
	*(void **)&is_error = dlsym(library, "ZSTD_isError");
	if (decompress && is_error) {
		size_t result = decompress(out, out_bytes, in, in_bytes);

		written = is_error(result) ? -1 : (long)result;
	}
	dlclose(library);
	return written;
}
