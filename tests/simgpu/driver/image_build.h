/*
 * image_build.h - what the readers of PTX, cubin and fat binaries share while they fill a
 * struct sim_image. For image*.c alone.
 */
#ifndef SIMGPU_DRIVER_IMAGE_BUILD_H
#define SIMGPU_DRIVER_IMAGE_BUILD_H

#include "image.h"

#include <stdint.h>

/* One reading in progress. */
struct image_build {
	struct sim_image *image;
	size_t init_bytes; /* of all variables so far, against text that asks for terabytes */
	char *why;
	size_t why_bytes;
};

enum { IMAGE_INIT_MAX_BYTES = 256 << 20 };

/* The readers. `size` is exact; each returns a SIM_IMAGE_ code and says why. */
int image_read_ptx(struct image_build *build, const char *text, size_t size);
int image_read_cubin(struct image_build *build, const unsigned char *elf, size_t limit);
int image_read_fatbin(struct image_build *build, const unsigned char *fat, size_t limit);

/* Writes the sentence unless there is one already; returns `code`. */
int image_fail(struct image_build *build, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Each appends a zeroed element with a copy of the name; NULL when memory is short. The
 * pointer is good until the next call. */
struct sim_image_entry *image_add_entry(struct image_build *build, const char *name,
					size_t length);
struct sim_image_global *image_add_global(struct image_build *build, const char *name,
					  size_t length);
struct sim_image_ref *image_add_ref(struct image_build *build, const char *name,
				    size_t length);
/* 0, or -1 when memory is short. */
int image_add_param(struct sim_image_entry *entry, unsigned offset_bytes,
		    unsigned size_bytes);

/* At least `index + 1` elements of the array, in steps of powers of two; NULL when memory
 * is short, and the array is as it was. `index` grows by one from call to call. */
void *image_grow(void *array, size_t index, size_t element_bytes);

/*
 * Unpacks one LZ4 block. Returns the number of bytes written, or -1 for data that is not
 * valid or does not fit.
 */
long image_unpack_lz4(const unsigned char *in, size_t in_bytes, unsigned char *out,
		      size_t out_bytes);
/* The same for Zstandard; -2 when libzstd.so.1 cannot be loaded. */
long image_unpack_zstd(const unsigned char *in, size_t in_bytes, unsigned char *out,
		       size_t out_bytes);

#endif
