/*
 * common_input.h - a fuzzer's input as a stream of numbers: zeros once it is used up.
 */
#ifndef TESTS_FUZZ_COMMON_INPUT_H
#define TESTS_FUZZ_COMMON_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *data;
	size_t size;
};

/* Copies the next bytes, filled up with zeros; returns how many were there. */
static inline size_t input_bytes(struct input *in, void *to, size_t bytes)
{
	size_t got = bytes < in->size ? bytes : in->size;

	memset(to, 0, bytes);
	if (got > 0)
		memcpy(to, in->data, got);
	in->data += got;
	in->size -= got;
	return got;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t value;

	input_bytes(in, &value, sizeof(value));
	return value;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t value;

	input_bytes(in, &value, sizeof(value));
	return value;
}

/* A number that is small, large or anything. */
static inline uint64_t input_number(struct input *in)
{
	uint64_t value;

	switch (input_u8(in) % 4) {
	case 0:
		return input_u8(in);
	case 1:
		return input_u16(in);
	case 2:
		return UINT64_MAX - input_u8(in);
	default:
		input_bytes(in, &value, sizeof(value));
		return value;
	}
}

#endif
