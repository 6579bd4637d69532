/*
 * image.h - GPU code as programs hand it to cuModuleLoadData and its kin: PTX text, cubin
 * (ELF), or a fat binary that holds either. What is in it: kernels, variables, texture and
 * surface references.
 *
 * Knows the formats, not the device: which architecture may run, what loading costs, and
 * where a variable then lives are for the caller to decide. Instructions are not looked
 * at, so that PTX with a wrong instruction is accepted. Code that only a linker can
 * complete (relocatable cubins) is read like any other.
 */
#ifndef SIMGPU_DRIVER_IMAGE_H
#define SIMGPU_DRIVER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

/* Results, with CUresult's values. */
enum {
	SIM_IMAGE_OK = 0,
	SIM_IMAGE_OUT_OF_MEMORY = 2,
	SIM_IMAGE_INVALID = 200,     /* CUDA_ERROR_INVALID_IMAGE */
	SIM_IMAGE_NO_BINARY = 209,   /* CUDA_ERROR_NO_BINARY_FOR_GPU */
	SIM_IMAGE_INVALID_PTX = 218, /* CUDA_ERROR_INVALID_PTX */
};

enum sim_image_kind {
	SIM_IMAGE_PTX,
	SIM_IMAGE_CUBIN,
};

struct sim_image_param {
	unsigned offset_bytes; /* in the kernel's parameter buffer */
	unsigned size_bytes;
};

struct sim_image_entry {
	char *name;
	struct sim_image_param *params;
	unsigned params_count;
	unsigned params_bytes; /* size of the parameter buffer */
	unsigned shared_bytes; /* static; without what the hardware reserves */
	unsigned local_bytes;  /* per thread */
	unsigned regs;	       /* 0: PTX does not say */
	unsigned max_threads;  /* per block, as compiled for; 0: not restricted */
};

struct sim_image_global {
	char *name;
	size_t size_bytes;
	unsigned align_bytes;
	bool constant; /* lies in constant memory */
	bool managed;
	/* First init_bytes of the initial contents; the rest is zero. NULL: all zero, or
	 * initialised by the address of something, which is not known before loading. */
	unsigned char *init;
	size_t init_bytes;
};

struct sim_image_ref {
	char *name;
	bool surface; /* else a texture */
};

struct sim_image {
	enum sim_image_kind kind; /* of the code that was read */
	unsigned sm;		  /* 80 for sm_80: target of PTX, architecture of cubin */
	size_t image_bytes; /* size of the code, unpacked: text length or ELF size */
	struct sim_image_entry *entries;
	size_t entries_count;
	struct sim_image_global *globals;
	size_t globals_count;
	struct sim_image_ref *refs;
	size_t refs_count;
};

/*
 * Reads the image at `data`. At most `limit` bytes are looked at: SIZE_MAX where only the
 * image itself tells its size (PTX ends at a NUL byte, or at the limit; cubin and fat
 * binary have headers). A fat binary may come with or without its wrapper. From a fat
 * binary, the first entry that needs no unpacking is taken, cubin before PTX; else one
 * packed with LZ4, else one packed with Zstandard, which needs libzstd.so.1 at run time.
 *
 * Returns SIM_IMAGE_OK and a new image that owns all it points to, or one of the codes
 * above with *image = NULL and a sentence in `why` (`why_bytes` long; may be NULL, 0).
 * Borrows `data` for the call. Any thread; bounded by the size of the image.
 */
int sim_image_parse(const void *data, size_t limit, struct sim_image **image, char *why,
		    size_t why_bytes);

/* Takes the image; NULL is allowed. */
void sim_image_free(struct sim_image *image);

/* By exact name; NULL if there is none. Borrowed from the image. */
const struct sim_image_entry *sim_image_entry(const struct sim_image *image,
					      const char *name);
const struct sim_image_global *sim_image_global(const struct sim_image *image,
						const char *name);

#endif
