/*
 * simgpu.h - the truth about the simulated devices, for tests, benchmarks and tools.
 *
 * What the device itself says is allocated and has run, to the byte and to the nanosecond,
 * per device, client process and context. Link build/lib/libsimgpu.a. It never goes through
 * libcuda.so.1, so no preloaded library can colour the answer, and a monitor's connection
 * keeps the device (and the books of clients that have gone) alive while it is open.
 *
 * Units: bytes and nanoseconds. Clock: CLOCK_MONOTONIC. All counters are taken at one
 * instant (struct simgpu_truth.now_ns) to which the device has simulated everything.
 * Threads: a monitor may be used by one thread at a time.
 */
#ifndef SIMGPU_H
#define SIMGPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMGPU_TRUTH_VERSION 1u
#define SIMGPU_MAX_DEVICES 16

struct simgpu_device {
	uint32_t index;
	uint32_t lost;	   /* fell off the bus */
	uint32_t contexts; /* alive */
	uint32_t state;	   /* 0 idle, 1 switching, 2 busy */
	unsigned char uuid[16];
	uint64_t total_bytes;
	uint64_t used_bytes;	  /* what cuMemGetInfo's free lacks */
	uint64_t requested_bytes; /* sum over live allocations as they were asked for */
	uint64_t requested_peak_bytes; /* highest requested_bytes ever */
	uint64_t since_ns; /* idle + switching + busy == now - since, exactly */
	uint64_t idle_ns, switch_ns, busy_ns;
	uint64_t switches;
	uint64_t copy_in_ns, copy_out_ns;
	uint64_t late,
		late_max_ns; /* submissions the device saw too late, worst lateness */
	uint64_t memory_limit_bytes;  /* driver-native limit per client, 0: none */
	uint64_t accounting_since_ns; /* NVML accounting mode is on since then, 0: off */
	uint64_t accounting_cleared_ns; /* who had gone by then is no longer listed */
};

/* Books of memory: requested by the program / held by the device. */
struct simgpu_bytes {
	uint64_t
		requested; /* plain, pitch, managed, arrays, VMM, pools' and graphs' reserve */
	uint64_t requested_peak;
	uint64_t used; /* with rounding, contexts and code */
	uint64_t plain, array, managed, vmm, pool, graph; /* parts of requested */
	uint64_t context, code; /* held by the driver for contexts and loaded code */
	uint64_t host;		/* pinned host memory; not on the device */
	uint64_t allocations;	/* live */
};

/* One client: one process that has initialised CUDA (and children forked from it). */
struct simgpu_client {
	uint32_t id;	 /* never reused while the device lives */
	int32_t pid;	 /* as the device process sees it */
	uint32_t gone;	 /* 1: all its descriptors are closed; books are final */
	uint32_t sticky; /* CUresult it is stuck with, 0: none */
	char name[32];	 /* /proc/PID/comm at connection */
	uint64_t connected_ns, gone_ns;
	struct simgpu_bytes memory[SIMGPU_MAX_DEVICES];
	uint64_t
		gpu_ns[SIMGPU_MAX_DEVICES]; /* SMs held by its contexts while executing */
	uint64_t kernel_ns
		[SIMGPU_MAX_DEVICES]; /* sum over kernels; overlap counts twice */
	uint64_t copy_ns[SIMGPU_MAX_DEVICES];
	uint64_t kernels;	     /* that have run, those of graphs included */
	uint64_t copies, copy_bytes; /* of all directions, those on the SMs included */
	uint64_t graph_launches;
	uint64_t allocs, frees,
		refusals;     /* allocation requests granted, freed, refused */
	uint64_t bad_records; /* ring records the device could not accept */
};

struct simgpu_context {
	uint32_t client;
	uint32_t id;
	uint32_t device;
	uint32_t gone;
	uint64_t gpu_ns, kernel_ns, copy_in_ns, copy_out_ns;
	uint64_t kernels; /* operations on the SMs: kernels, memsets, device copies */
	uint64_t copies;  /* operations of the copy engines */
	uint64_t slices;  /* times it was given the SMs */
	uint64_t pending; /* operations submitted and not done */
};

/* What a client (0: anyone) used of a device in one sampling period, as NVML's sensors see
 * it. Only rows that are not zero exist, and only of the last 72 periods. */
struct simgpu_sample {
	uint64_t end_ns; /* the period ends here; periods meet without gaps */
	uint32_t client; /* id, 0: the device as a whole */
	uint32_t device;
	uint64_t gpu_ns; /* of the period: SMs held by it (client 0: by anyone) */
	uint64_t copy_in_ns, copy_out_ns;
	int32_t pid; /* of the client, which may be gone; 0 for the device's row */
	uint32_t pad;
};

struct simgpu_truth {
	uint32_t version; /* SIMGPU_TRUTH_VERSION */
	uint32_t ndevices, nclients, ncontexts;
	uint64_t now_ns;
	uint64_t started_ns; /* of the device process */
	uint64_t cpu_ns;     /* CPU time the device process has used */
	uint64_t forgotten;  /* clients gone so long ago that their rows were dropped */
	struct simgpu_device *devices;	 /* [ndevices] */
	struct simgpu_client *clients;	 /* [nclients], by id */
	struct simgpu_context *contexts; /* [ncontexts], by client, then id */
	uint64_t period_ns; /* of sampling; 0: this device takes no samples */
	uint32_t nsamples;  /* 0 unless simgpu_truth_samples() was asked */
	uint32_t pad;
	struct simgpu_sample *samples; /* [nsamples], oldest first */
};

struct simgpu_monitor;

/* Connects to the device of the state directory (NULL: $SIMGPU_STATE or its default),
 * starting it when `start` is set. On failure returns NULL with errno set (ENOENT: no
 * device is running) and, if why is not NULL, a sentence in static storage in *why. */
struct simgpu_monitor *simgpu_open(const char *state, int start, const char **why);

/* Takes all books at one instant. Returns a structure to be freed with simgpu_free(), or
 * NULL with errno set when the device has gone. */
struct simgpu_truth *simgpu_truth(struct simgpu_monitor *monitor);
void simgpu_free(struct simgpu_truth *truth);

/* The same with the samples of the last periods, which are many. */
struct simgpu_truth *simgpu_truth_samples(struct simgpu_monitor *monitor);

/* Finds the newest row of a process, NULL if there is none. Borrows from truth. */
const struct simgpu_client *simgpu_find(const struct simgpu_truth *truth, int pid);

/* Makes the device fall off the bus (every client of it is in error from now on). 0 or
 * -errno. */
int simgpu_lose_device(struct simgpu_monitor *monitor, unsigned device);

/* Sets a driver-native memory limit per client on a device, 0: none. 0 or -errno. */
int simgpu_set_memory_limit(struct simgpu_monitor *monitor, unsigned device,
			    uint64_t limit_bytes);

/* Switches NVML's accounting mode on or off, or forgets the processes that have gone. */
enum simgpu_accounting {
	SIMGPU_ACCOUNTING_OFF,
	SIMGPU_ACCOUNTING_ON,
	SIMGPU_ACCOUNTING_CLEAR
};
int simgpu_set_accounting(struct simgpu_monitor *monitor, unsigned device,
			  enum simgpu_accounting mode);

void simgpu_close(struct simgpu_monitor *monitor);

#ifdef __cplusplus
}
#endif
#endif
