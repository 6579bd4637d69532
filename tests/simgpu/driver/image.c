/*
 * image.c - tells the kinds of code images apart, and owns what was read from them.
 *
 * Knows the first bytes of each format and nothing of the rest.
 */
#include "image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_build.h"

#define FATBIN_WRAPPER_MAGIC 0x466243b1u
#define FATBIN_MAGIC 0xba55ed50u

/* What nvcc leaves in a program for its fat binary (fatbinary_section.h). */
struct fatbin_wrapper {
	uint32_t magic;
	uint32_t version;
	const void *fatbin;
	const void *file_name;
};

int image_fail(struct image_build *build, int code, const char *format, ...)
{
	va_list args;

	if (!build->why_bytes || build->why[0])
		return code;
	va_start(args, format);
	vsnprintf(build->why, build->why_bytes, format, args);
	va_end(args);
	return code;
}

void *image_grow(void *array, size_t index, size_t element_bytes)
{
	size_t room;

	if (index & (index - 1)) /* room for it was made at the last power of two */
		return array;
	room = index ? index * 2 : 1;
	if (room > SIZE_MAX / element_bytes)
		return NULL;
	return realloc(array, room * element_bytes);
}

static char *copy_name(const char *name, size_t length)
{
	char *copy = malloc(length + 1);

	if (copy) {
		memcpy(copy, name, length);
		copy[length] = '\0';
	}
	return copy;
}

/* Appends a zeroed element to image->ARRAY and gives it the name. */
#define ADD(build, array, type)                                             \
	struct sim_image *image = (build)->image;                           \
	struct type *grown = image_grow(image->array, image->array##_count, \
					sizeof(*grown));                    \
	char *copy = copy_name(name, length);                               \
                                                                            \
	if (grown)                                                          \
		image->array = grown;                                       \
	if (!grown || !copy) {                                              \
		free(copy);                                                 \
		return NULL;                                                \
	}                                                                   \
	grown += image->array##_count++;                                    \
	*grown = (struct type){ .name = copy };                             \
	return grown

struct sim_image_entry *image_add_entry(struct image_build *build, const char *name,
					size_t length)
{
	ADD(build, entries, sim_image_entry);
}

struct sim_image_global *image_add_global(struct image_build *build, const char *name,
					  size_t length)
{
	ADD(build, globals, sim_image_global);
}

struct sim_image_ref *image_add_ref(struct image_build *build, const char *name,
				    size_t length)
{
	ADD(build, refs, sim_image_ref);
}

int image_add_param(struct sim_image_entry *entry, unsigned offset_bytes,
		    unsigned size_bytes)
{
	struct sim_image_param *grown = image_grow(entry->params, entry->params_count,
						   sizeof(*grown));

	if (!grown)
		return -1;
	entry->params = grown;
	grown[entry->params_count++] = (struct sim_image_param){ offset_bytes,
								 size_bytes };
	return 0;
}

/* PTX begins with white space, a comment or its .version directive. */
static bool looks_like_text(unsigned char first)
{
	return first == '.' || first == '/' || (first >= '\t' && first <= '\r') ||
	       first == ' ';
}

static int read_any(struct image_build *build, const unsigned char *data, size_t limit)
{
	struct fatbin_wrapper wrapper;
	uint32_t magic = 0;

	if (limit == 0)
		return image_fail(build, SIM_IMAGE_INVALID, "the image is empty");
	if (looks_like_text(data[0])) {
		const char *text = (const char *)data;

		return image_read_ptx(build, text, strnlen(text, limit));
	}
	/* Byte by byte: what is not an image may be a shorter string. */
	for (unsigned i = 0; i < sizeof(magic) && i < limit && (i == 0 || data[i - 1]);
	     i++)
		magic |= (uint32_t)data[i] << (8 * i);
	if (memcmp(&magic, "\177ELF", sizeof(magic)) == 0)
		return image_read_cubin(build, data, limit);
	if (magic == FATBIN_MAGIC)
		return image_read_fatbin(build, data, limit);
	if (magic == FATBIN_WRAPPER_MAGIC && limit >= sizeof(wrapper)) {
		memcpy(&wrapper, data, sizeof(wrapper));
		if (wrapper.fatbin)
			return image_read_fatbin(build, wrapper.fatbin, SIZE_MAX);
	}
	return image_fail(
		build, SIM_IMAGE_INVALID,
		"the image is neither PTX nor cubin nor a fat binary: it begins "
		"with 0x%08x",
		magic);
}

int sim_image_parse(const void *data, size_t limit, struct sim_image **image, char *why,
		    size_t why_bytes)
{
	struct image_build build = { .why = why, .why_bytes = why ? why_bytes : 0 };
	int result;

	*image = NULL;
	if (build.why_bytes)
		why[0] = '\0';
	build.image = calloc(1, sizeof(*build.image));
	if (!build.image)
		return image_fail(&build, SIM_IMAGE_OUT_OF_MEMORY, "out of host memory");
	result = read_any(&build, data, limit);
	if (result == SIM_IMAGE_OK) {
		*image = build.image;
		return SIM_IMAGE_OK;
	}
	sim_image_free(build.image);
	return image_fail(&build, result, "out of host memory while reading the image");
}

void sim_image_free(struct sim_image *image)
{
	if (!image)
		return;
	for (size_t i = 0; i < image->entries_count; i++) {
		free(image->entries[i].name);
		free(image->entries[i].params);
	}
	for (size_t i = 0; i < image->globals_count; i++) {
		free(image->globals[i].name);
		free(image->globals[i].init);
	}
	for (size_t i = 0; i < image->refs_count; i++)
		free(image->refs[i].name);
	free(image->entries);
	free(image->globals);
	free(image->refs);
	free(image);
}

const struct sim_image_entry *sim_image_entry(const struct sim_image *image,
					      const char *name)
{
	for (size_t i = 0; i < image->entries_count; i++)
		if (strcmp(image->entries[i].name, name) == 0)
			return &image->entries[i];
	return NULL;
}

const struct sim_image_global *sim_image_global(const struct sim_image *image,
						const char *name)
{
	for (size_t i = 0; i < image->globals_count; i++)
		if (strcmp(image->globals[i].name, name) == 0)
			return &image->globals[i];
	return NULL;
}
