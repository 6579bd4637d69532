/*
 * fuzz_image.c - code images of any content, of known size: no crash, no read past the
 * end, no leak, a sentence for every refusal, and parameters that lie in their buffer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Launches copy arguments to where the image says they lie. */
static void check_parameters(const struct sim_image_entry *entry)
{
	for (unsigned i = 0; i < entry->params_count; i++)
		if (entry->params[i].offset_bytes +
			    (uint64_t)entry->params[i].size_bytes >
		    entry->params_bytes)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t wrapper[] = { 0xb1, 0x43, 0x62, 0x46 };
	struct sim_image *image;
	char why[200];
	int result;

	/* A wrapper is a pointer, which nobody can check. */
	if (size >= sizeof(wrapper) && memcmp(data, wrapper, sizeof(wrapper)) == 0)
		return 0;
	result = sim_image_parse(data, size, &image, why, sizeof(why));
	if ((result == SIM_IMAGE_OK) != (image != NULL) ||
	    (result != SIM_IMAGE_OK && !why[0]))
		abort();
	for (size_t i = 0; image && i < image->entries_count; i++)
		check_parameters(&image->entries[i]);
	sim_image_free(image);
	return 0;
}
