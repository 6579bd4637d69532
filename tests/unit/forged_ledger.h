/*
 * forged_ledger.h - ledgers written by hand, byte for byte as gpushim/ledger.h says in prose.
 *
 * For tests of who reads ledgers. The numbers are those of version 1 and not the code's own.
 * What cannot be written ends the program.
 */
#ifndef TESTS_UNIT_FORGED_LEDGER_H
#define TESTS_UNIT_FORGED_LEDGER_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gpushim/ledger.h"

#define FORGED_LEDGER_BYTES 3348480

struct forged_ledger {
	int fd; /* its locks are those of the slots; -1: none, at first as well */
};

static inline void forged_write(const struct forged_ledger *forged, const void *bytes,
				size_t count, uint64_t offset)
{
	if (pwrite(forged->fd, bytes, count, (off_t)offset) != (ssize_t)count) {
		perror("a ledger by hand");
		abort();
	}
}

/* All that held slots of it dies. */
static inline void forged_close(struct forged_ledger *forged)
{
	if (forged->fd >= 0)
		close(forged->fd);
	forged->fd = -1;
}

/* A ledger at path, made anew, in which nobody is. */
static inline void forged_make(struct forged_ledger *forged, const char *path,
			       const char *tenant)
{
	struct gpushim_ledger_header header;

	memset(&header, 0, sizeof(header));
	memcpy(&header.magic, "GSHLEDGR", 8);
	header.version = 1;
	header.header_bytes = 4096;
	header.bytes = FORGED_LEDGER_BYTES;
	header.slots = 512;
	header.slot_bytes = 256;
	header.devices_max = 16;
	header.cell_bytes = 128;
	header.slots_offset = 4096;
	header.cells_offset = 135168;
	header.buckets_offset = 1183744;
	header.uses_offset = 1202176;
	header.costs_offset = 2250752;
	header.bucket_bytes = 1152;
	header.use_bytes = 128;
	header.cost_bytes = 192;
	header.costs_max = 256;
	header.walls_offset = 2299904;
	header.wall_bytes = 65536;
	header.created_unix_ns = 1234;
	snprintf(header.tenant, sizeof(header.tenant), "%s", tenant);
	header.ready = 1;
	forged_close(forged);
	unlink(path);
	forged->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (forged->fd < 0 || ftruncate(forged->fd, FORGED_LEDGER_BYTES) < 0) {
		perror(path);
		abort();
	}
	forged_write(forged, &header, sizeof(header), 0);
}

static inline void forged_slots_used(const struct forged_ledger *forged, uint32_t used)
{
	forged_write(forged, &used, sizeof(used), 128);
}

static inline void forged_device(const struct forged_ledger *forged, uint32_t row,
				 const struct gpushim_ledger_device *device)
{
	forged_write(forged, device, sizeof(*device), 192 + row * UINT64_C(128));
}

static inline void forged_slot(const struct forged_ledger *forged, uint32_t slot,
			       const struct gpushim_ledger_slot *row)
{
	forged_write(forged, row, sizeof(*row), 4096 + slot * UINT64_C(256));
}

static inline void forged_cell(const struct forged_ledger *forged, uint32_t device,
			       uint32_t slot, const struct gpushim_ledger_cell *cell)
{
	forged_write(forged, cell, sizeof(*cell),
		     135168 + (device * UINT64_C(512) + slot) * 128);
}

static inline void forged_bucket(const struct forged_ledger *forged, uint32_t device,
				 const struct gpushim_ledger_bucket *bucket)
{
	forged_write(forged, bucket, sizeof(*bucket), 1183744 + device * UINT64_C(1152));
}

static inline void forged_use(const struct forged_ledger *forged, uint32_t device,
			      uint32_t slot, const struct gpushim_ledger_use *use)
{
	forged_write(forged, use, sizeof(*use),
		     1202176 + (device * UINT64_C(512) + slot) * 128);
}

static inline void forged_cost(const struct forged_ledger *forged, uint32_t row,
			       const struct gpushim_ledger_cost *cost)
{
	forged_write(forged, cost, sizeof(*cost), 2250752 + row * UINT64_C(192));
}

/* As the processes of so many slots from first on would. */
static inline void forged_lock(const struct forged_ledger *forged, uint32_t first,
			       uint32_t count)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	lock.l_start = (off_t)(4096 + first * UINT64_C(256));
	lock.l_len = (off_t)(count * UINT64_C(256));
	if (fcntl(forged->fd, F_OFD_SETLK, &lock) < 0) {
		perror("a lock on a ledger");
		abort();
	}
}

/* CLOCK_MONOTONIC, by which ledgers tell time. */
static inline uint64_t forged_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* As if used_permille of the device's time had been used since seconds ago, steadily. */
static inline void forged_looks(struct gpushim_ledger_bucket *bucket, uint64_t now_ns,
				uint64_t seconds, uint64_t used_permille)
{
	uint64_t first_ns = now_ns - seconds * 1000000000;
	uint64_t at_ns = (first_ns / 200000000 + 1) * 200000000;

	bucket->used_ns = seconds * 1000000 * used_permille;
	for (; at_ns <= now_ns; at_ns += 200000000) {
		struct gpushim_ledger_look *look = &bucket->looks[at_ns / 200000000 % 64];

		look->at_ns = at_ns;
		look->used_ns = (at_ns - first_ns) / 1000 * used_permille;
	}
}

#endif
