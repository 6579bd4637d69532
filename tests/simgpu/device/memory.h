/*
 * memory.h - the bytes of the simulated devices and the addresses clients see them at.
 *
 * Knows: physical blocks (accounted on a device to the byte, kept as lazily backed host
 * memory), small-block chunks, references and mappings, one address space per client, and
 * the books of both. Refuses to know: requests, work and time.
 *
 * Accounting: a block of 1 MiB or more takes whole 2 MiB pages of its device; smaller ones
 * share 2 MiB chunks of their context at 512-byte steps. `requested` is what programs asked
 * for, `used` what the device lost by it. A block is charged to its owner until its last
 * reference and its last mapping, anywhere, have gone; if the owner goes first, another
 * holder inherits it (a small block with its own bytes, since its chunk goes).
 *
 * Threads: one.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto.h"
#include "simgpu.h"

#define SIM_PAGE_BYTES (2ull << 20)
#define SIM_SMALL_BYTES (1ull << 20) /* below this, blocks share chunks */
#define SIM_UNIT_BYTES 512ull

struct sim_client;

struct sim_chunk {
	unsigned char *host;
	uint64_t va;
	uint32_t ctx;
	unsigned device;
	struct sim_client *owner;
	unsigned free_units;
	uint64_t units[SIM_PAGE_BYTES / SIM_UNIT_BYTES / 64]; /* 1: taken */
	struct sim_chunk *next;
};

struct sim_phys {
	uint64_t id;
	unsigned device;
	enum sim_mem_kind kind;
	bool vmm, host_memory;
	bool exported; /* by address, to who presents its handle */
	uint64_t requested, used, mapped_bytes; /* the last: size of the host mapping */
	unsigned char *host; /* of malloc() if mapped_bytes is 0 and there is no chunk */
	struct sim_chunk *chunk;
	struct sim_client
		*owner; /* NULL: only an export on its way to somebody holds it */
	unsigned refs;	/* handles, exports, the allocation itself */
	unsigned maps;
	struct sim_phys *prev, *next; /* of its owner's blocks */
};

/* Part of a client's address space backed by a block. */
struct sim_map {
	uint64_t va, bytes, offset;
	struct sim_phys *phys;
	uint32_t ctx;	 /* dies with it; 0: survives */
	bool allocation; /* cuMemFree of this address frees it */
	bool imported;
	uint8_t access; /* 1 read, 2 write */
	unsigned opens; /* IPC: times it was opened */
};

struct sim_extent {
	uint64_t va, bytes;
};

/* A handle of the client to a VMM block. */
struct sim_handle {
	uint64_t value;
	struct sim_phys *phys;
	unsigned refs;
};

struct sim_space_map {
	uint64_t base, bytes, cursor;
	struct sim_map *maps; /* by address */
	unsigned nmaps, cap_maps;
	struct sim_extent *extents; /* address ranges taken, by address */
	unsigned nextents, cap_extents;
	struct sim_extent *reserved; /* those taken by VA_RESERVE, by address */
	unsigned nreserved, cap_reserved;
	struct sim_handle *handles;
	unsigned nhandles, cap_handles;
	struct sim_chunk *chunks;
	struct sim_phys *blocks; /* those it owns */
	unsigned last_map;	 /* where the last look-up ended */
};

struct sim_device_memory {
	uint64_t total, used, requested, requested_peak;
	uint64_t client_limit; /* driver-native limit per client on used bytes, 0: none */
};

struct sim_memory {
	unsigned devices;
	struct sim_device_memory device[SIM_MAX_HELLO_DEVICES];
	uint64_t host_bytes; /* that a client may pin, 0: any number */
	uint64_t next_id;
};

/* Books of a client, kept by the caller, updated here. */
struct simgpu_client *sim_client_books(struct sim_client *client);
struct sim_space_map *sim_client_space(struct sim_client *client);

void sim_space_init(struct sim_space_map *space, uint64_t base, uint64_t bytes);

/* Takes `bytes` of a device for a client without an address: contexts and code, counted in
 * *part. Returns false when the device or the client's limit has not that much. */
bool sim_memory_take(struct sim_memory *memory, unsigned device,
		     struct sim_client *client, uint64_t bytes, uint64_t *part);
void sim_memory_give(struct sim_memory *memory, unsigned device,
		     struct sim_client *client, uint64_t bytes, uint64_t *part);

/* Allocates and maps at an address of its choice. *fd receives a memfd for host and managed
 * memory, else -1. Returns a CUresult. */
int sim_memory_alloc(struct sim_memory *memory, struct sim_client *client, uint32_t ctx,
		     unsigned device, uint64_t bytes, enum sim_mem_kind kind,
		     uint64_t align, uint64_t *va, uint64_t *used, int *fd);
/* Frees the allocation that begins at va. Returns a CUresult. */
int sim_memory_free(struct sim_memory *memory, struct sim_client *client, uint64_t va,
		    enum sim_mem_kind *kind, uint64_t *bytes);
/* Frees what belongs to a context / everything of a client that is going. */
void sim_memory_free_ctx(struct sim_memory *memory, struct sim_client *client,
			 uint32_t ctx);
void sim_memory_free_client(struct sim_memory *memory, struct sim_client *client);

/* VMM. All return a CUresult. */
int sim_memory_reserve(struct sim_client *client, uint64_t bytes, uint64_t align,
		       uint64_t wish, uint64_t *va);
int sim_memory_unreserve(struct sim_client *client, uint64_t va, uint64_t bytes);
/* `graph`: kept for graphs, and counted as theirs. */
int sim_memory_create(struct sim_memory *memory, struct sim_client *client,
		      unsigned device, uint64_t bytes, bool host, bool graph,
		      uint64_t *handle);
int sim_memory_release(struct sim_memory *memory, struct sim_client *client,
		       uint64_t handle);
int sim_memory_retain(struct sim_memory *memory, struct sim_client *client,
		      uint64_t handle, uint64_t va, uint64_t *value);
/* Gives the client a handle (one more reference) to a block that was exported to it, and
 * the block itself if it has no owner any more. */
int sim_memory_adopt(struct sim_memory *memory, struct sim_client *client,
		     struct sim_phys *phys, uint64_t *handle);
int sim_memory_map(struct sim_client *client, uint64_t va, uint64_t bytes,
		   uint64_t offset, uint64_t handle);
int sim_memory_unmap(struct sim_memory *memory, struct sim_client *client, uint64_t va,
		     uint64_t bytes);
int sim_memory_access(struct sim_client *client, uint64_t va, uint64_t bytes,
		      unsigned access);
struct sim_handle *sim_memory_handle(struct sim_client *client, uint64_t value);

/* IPC: opens a block of another client as a mapping / closes it. One that is opened again in
 * the same context is mapped once and counted; without a context (0), each time anew. */
int sim_memory_open(struct sim_client *client, struct sim_phys *phys, uint32_t ctx,
		    uint64_t bytes, uint64_t *va);
int sim_memory_close(struct sim_memory *memory, struct sim_client *client, uint64_t va);

/* References to blocks held by the server (exports). */
void sim_phys_ref(struct sim_phys *phys);
void sim_phys_unref(struct sim_memory *memory, struct sim_phys *phys);

/* The mapping that holds an address, or NULL. */
struct sim_map *sim_memory_find(struct sim_client *client, uint64_t va);

/* Where the bytes at va are, and how many from there are contiguous (at least 1), or NULL
 * if nothing is mapped there with that access (1 read, 2 write, 3 both). */
unsigned char *sim_memory_at(struct sim_client *client, uint64_t va, unsigned access,
			     uint64_t *contiguous);

/* The clients that may inherit, one by one, the first after NULL: implemented by the caller.
 * NULL: no more. */
struct sim_client *sim_memory_heir(struct sim_client *going, struct sim_client *after);

#endif
