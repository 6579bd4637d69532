/*
 * nvml_state.h - what the files of the simulated libnvidia-ml share.
 *
 * Knows: how a call begins and ends, and the shape of a simple answer. Refuses to know: any
 * family of functions.
 *
 * Every call that names a device takes the device's books at one instant and answers from
 * them: nothing is cached, nothing is counted here. Threads: any; calls of one process take
 * turns at the monitor.
 */
#ifndef SIM_NVML_STATE_H
#define SIM_NVML_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "nvml/nvml_abi.h"
#include "proto.h"
#include "simgpu.h"

/* One call about one device. */
struct nvml_call {
	unsigned index;
	struct sim_hello hello;
	struct simgpu_truth *truth;
	const struct simgpu_device *device; /* in truth */
};

enum nvml_books { NVML_BOOKS_PLAIN, NVML_BOOKS_SAMPLES };

/* Begins a call: NVML_ERROR_UNINITIALIZED, _INVALID_ARGUMENT (no such handle),
 * _GPU_IS_LOST, _UNKNOWN (no device process can be reached), or success; then nvml_end()
 * has to follow. */
enum nvml_return nvml_begin(struct nvml_call *call, nvmlDevice_t device,
			    enum nvml_books books);
void nvml_end(struct nvml_call *call);

/* The same for calls about no device: what the device process said of itself. */
enum nvml_return nvml_hello(struct sim_hello *hello);

/* The handle of a device. Valid as long as the library is loaded. */
nvmlDevice_t nvml_handle(unsigned index);
/* NVML_SUCCESS, or what is wrong with the handle or the library. */
enum nvml_return nvml_check(nvmlDevice_t device, unsigned *index);

/* Sets a device's switches; see simgpu.h. NVML_ERROR_NO_PERMISSION unless root. */
enum nvml_return nvml_set_accounting(unsigned index, enum simgpu_accounting mode);
enum nvml_return nvml_set_limit(unsigned index, uint64_t bytes);

/* Answers with a constant of a living device. */
enum nvml_return nvml_give(nvmlDevice_t device, unsigned *out, unsigned value);
/* Copies a string: NVML_ERROR_INSUFFICIENT_SIZE if it does not fit. */
enum nvml_return nvml_give_text(char *out, unsigned length, const char *text);

/* NVML's time stamps: microseconds since 1970, from the device's clock. */
unsigned long long nvml_time_us(uint64_t device_ns);

/* utilization.c: the device's row of the last complete period, zeroes if it was idle. */
struct simgpu_sample nvml_last_sample(const struct nvml_call *call);
/* Whole per cent of a period, at most 100. */
unsigned nvml_percent(uint64_t part_ns, uint64_t whole_ns);

#endif
