/*
 * visible.h - CUDA_VISIBLE_DEVICES: which of the device process's devices this process has,
 * and under which ordinals.
 *
 * Above the requests everything counts devices as this process sees them; the device process
 * and NVML count all of them. sim_rpc() passes every request and reply through here. All of
 * it may be called from any thread once sim_visible_init() has returned.
 */
#ifndef SIM_VISIBLE_H
#define SIM_VISIBLE_H

#include "driver/driver.h"

/* Reads the variable and reduces sim.hello, as the device process sent it, to the devices
 * that it leaves, in its order. CUDA_ERROR_NO_DEVICE when that is none, with a sentence
 * in why unless that is plainly what was asked for ("" or "-1"). Called once per connection, before anything else here. */
CUresult sim_visible_init(char *why, size_t why_bytes);

/* The device process's number of a device of this process. */
unsigned sim_visible_number(unsigned ordinal);
/* The devices of this process among those of the device process, as bits. */
uint32_t sim_visible_bits(uint32_t devices);

/* Translates the device in a request on its way out, and in its reply on its way back, where
 * a device that this process does not see becomes SIM_HIDDEN. */
#define SIM_HIDDEN UINT32_MAX
void sim_visible_request(struct sim_request *request);
void sim_visible_reply(enum sim_request_op op, struct sim_reply *reply);

#endif
