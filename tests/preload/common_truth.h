/*
 * common_truth.h - what the device says of one process, for bodies and tests alike.
 *
 * Device truth is asked over a connection of its own, never through CUDA: no preloaded
 * library can colour it.
 */
#ifndef TESTS_PRELOAD_COMMON_TRUTH_H
#define TESTS_PRELOAD_COMMON_TRUTH_H

#include <stdint.h>
#include <sys/types.h>

#include "simgpu.h"

/* The books of a process on the device of SIMGPU_STATE; all UINT64_MAX if it has none. */
struct simgpu_client truth_of(pid_t pid);

/* The calling process: bytes it has asked device 0 for and not given back. */
uint64_t truth_requested(void);
/* Of these, plain and pitched, managed, arrays. */
struct simgpu_bytes truth_memory(void);
/* Requests for memory that the driver has seen: granted and refused. */
uint64_t truth_asked(void);

#endif
