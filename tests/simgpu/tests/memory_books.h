/*
 * memory_books.h - what the tests of the memory families share: device truth about this
 * process, patterns, and a context per test.
 */
#ifndef MEMORY_BOOKS_H
#define MEMORY_BOOKS_H

#include "code_kernels.h"

#include <string.h>
#include <unistd.h>

#include "common_gpu.h"
#include "simgpu.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define PAGE (2ull << 20) /* what the device deals in */

/* Books of this process on a device, and those of the device. */
static inline struct simgpu_bytes books_of(unsigned device, struct simgpu_device *whole)
{
	struct simgpu_bytes none = { 0 };
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, NULL);
	struct simgpu_truth *all = monitor ? simgpu_truth(monitor) : NULL;
	const struct simgpu_client *me = all ? simgpu_find(all, (int)getpid()) : NULL;
	struct simgpu_bytes bytes = me ? me->memory[device] : none;

	CU_ASSERT_PTR_NOT_NULL(me);
	if (whole)
		*whole = all ? all->devices[device] : (struct simgpu_device){ 0 };
	simgpu_free(all);
	if (monitor)
		simgpu_close(monitor);
	return bytes;
}

static inline struct simgpu_bytes books(void)
{
	return books_of(0, NULL);
}

/* A pattern that tells bytes and seeds apart. */
static inline void pattern(void *out, size_t bytes, unsigned seed)
{
	unsigned char *at = out;

	for (size_t i = 0; i < bytes; i++)
		at[i] = (unsigned char)((i * 131 + (i >> 8) * 7 + seed * 29) & 0xff);
}

static inline int is_pattern(const void *in, size_t bytes, unsigned seed)
{
	const unsigned char *at = in;

	for (size_t i = 0; i < bytes; i++)
		if (at[i] != (unsigned char)((i * 131 + (i >> 8) * 7 + seed * 29) & 0xff))
			return 0;
	return 1;
}

#endif
