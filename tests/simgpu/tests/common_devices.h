/*
 * common_devices.h - what tests of several devices share: a device process with three of
 * them, contexts and kernels on each, and its books seen from any process.
 *
 * The test itself leaves CUDA alone, so that children can use it: see child_run() and
 * worker_start(). What is here may be called in them; failures are CHECKs (common_gpu.h).
 */
#ifndef COMMON_DEVICES_H
#define COMMON_DEVICES_H

#include <cuda.h>
#include <stdint.h>

#include "common_gpu.h"
#include "common_worker.h"

#define DEVICES 3
#define MIB(n) ((uint64_t)(n) << 20)
#define PAGE MIB(2) /* what the device deals in */
#define DEVICE_BYTES MIB(1024)
#define CONTEXT_BYTES MIB(32)

/* Runs body in a child with more variables, which must be 0 failures there. */
#define IN_CHILD(body, ...) \
	CU_ASSERT_EQUAL(child_run((body), (const char *const[]){ __VA_ARGS__ NULL }), 0)

/* For struct unit_suite: starts the devices, and keeps them until the suite ends. */
int devices_start(void);
int devices_stop(void);
extern struct simgpu_monitor *devices_monitor; /* of the test itself */

/* Starts another device process with three devices: a monitor of it, or NULL and a failure.
 * Its state directory gets into the variable SIMGPU_STATE; devices_here() gives back the
 * first. */
struct simgpu_monitor *devices_elsewhere(const char *name);
void devices_here(void);

/* The books as this process's own monitor of $SIMGPU_STATE sees them, to be freed. */
struct simgpu_truth *devices_truth(void);
/* What this process has on a device, by the device process's number. */
struct simgpu_bytes devices_bytes(unsigned number);

/* A new context, current; NULL and a failed CHECK without. Initialises CUDA. */
CUcontext devices_context(CUdevice device);
/* gpushim_spin_word in the current context. */
CUfunction devices_spin(void);
/* Spins in a stream until the word, which is pinned, becomes 1. */
void devices_spin_until(CUfunction spin, CUstream stream, volatile uint32_t *word);
/* A pinned word, 0, that all contexts can name. */
volatile uint32_t *devices_word(void);
/* Whether all bytes of device memory have a value. Waits for the current context. */
bool devices_filled(CUdeviceptr at, unsigned char value, size_t bytes);

#endif
