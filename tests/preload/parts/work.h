/*
 * work.h - what every client of the matrix does with the driver once it has its entry points:
 * it takes 40 MiB, asks for 25 and then for 24, and says what it was told.
 *
 * Under a quota of 64 MiB that is "0 2 0": counted once, the 25 MiB do not fit and the 24
 * do. Counted twice, not even the 40 would; not counted, all three are granted.
 *
 * Includes no cuda.h, whose macros rename the functions that are looked up by name here.
 */
#ifndef TESTS_PRELOAD_PARTS_WORK_H
#define TESTS_PRELOAD_PARTS_WORK_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* One row for each entry point that is used: symbol, base name, version it is asked at. */
#define WORK_ENTRIES(X)                                               \
	X(cuInit, cuInit, 2000, (unsigned flags))                     \
	X(cuDeviceGet, cuDeviceGet, 2000, (int *device, int ordinal)) \
	X(cuDevicePrimaryCtxRetain, cuDevicePrimaryCtxRetain, 7000,   \
	  (void **context, int device))                               \
	X(cuCtxSetCurrent, cuCtxSetCurrent, 4000, (void *context))    \
	X(cuMemAlloc_v2, cuMemAlloc, 3020, (unsigned long long *address, size_t bytes))

struct work {
#define X(symbol, base, version, parameters) int(*symbol) parameters;
	WORK_ENTRIES(X)
#undef X
};

/* How a client finds an entry point: NULL if it cannot. */
typedef void *(*work_find)(const char *symbol, const char *base, int version);

static inline int work_fill(struct work *work, work_find find)
{
	void *found;

#define X(symbol, base, version, parameters)           \
	found = find(#symbol, #base, version);         \
	if (!found) {                                  \
		printf("%s was not found\n", #symbol); \
		return 1;                              \
	}                                              \
	memcpy(&work->symbol, &found, sizeof(found));
	WORK_ENTRIES(X)
#undef X
	return 0;
}

static inline int work_run(const struct work *work)
{
	unsigned long long address;
	void *context;
	int device, result = work->cuInit(0);

	if (result == 0)
		result = work->cuDeviceGet(&device, 0);
	if (result == 0)
		result = work->cuDevicePrimaryCtxRetain(&context, device);
	if (result == 0)
		result = work->cuCtxSetCurrent(context);
	if (result != 0) {
		printf("no context: error %d\n", result);
		return 1;
	}
	result = work->cuMemAlloc_v2(&address, (size_t)40 << 20);
	printf("40 MiB: %d", result);
	result = work->cuMemAlloc_v2(&address, (size_t)25 << 20);
	printf(", 25 MiB: %d", result);
	result = work->cuMemAlloc_v2(&address, (size_t)24 << 20);
	printf(", 24 MiB: %d\n", result);
	return 0;
}

#endif
