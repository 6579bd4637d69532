/*
 * client.h - what the files that keep this process' connection, contexts, streams and events
 * share among themselves.
 *
 * Knows: slots and sequences of the channel, and which hooks run when a context dies.
 * Refuses to know: API families; those use driver.h alone.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "driver/driver.h"

/* ---- client.c, ring.c ---- */

/* Reserves the arena and, unless sim.zero_cost is set, connects to the device process
 * (starting it) and maps the channel; fills sim.hello. On failure returns CUDA_ERROR_NO_DEVICE
 * or _OUT_OF_MEMORY with a sentence in why. Called once, under the lock of cuInit. */
CUresult sim_client_start(char *why, size_t why_bytes);

/* What every call returns from now on: the sticky error, CUDA_ERROR_DEVICE_UNAVAILABLE when
 * the device process has gone or a device on which this process has contexts is lost, else
 * CUDA_SUCCESS. Two or three loads. */
CUresult sim_client_error(void);
/* Makes this process sticky, at the device too. */
void sim_client_stick(CUresult error);

/* Operation seq of a stream slot: whether it has completed, the same after a kick when the
 * device has not looked lately, and the wait for it. The wait returns the client's error if
 * there is one, also when the operation has completed. */
bool sim_slot_done(uint32_t slot, uint64_t seq);
bool sim_slot_poll(uint32_t slot, uint64_t seq);
CUresult sim_slot_wait(uint32_t slot, uint64_t seq);
/* Sleeps until *word may have changed from value, at most timeout_ns; at the end of that
 * looks whether the device process still lives. */
void sim_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);
/* Kicks the device process unless it has simulated the last 20 us, and looks whether it
 * still lives if it has not done so for long. */
void sim_poll_kick(void);

/* ---- init.c ---- */

/* Reads SIMGPU_CALL_NS, SIMGPU_LOG and SIMGPU_FAULTS, once. False, with a sentence on
 * standard error, when one of them cannot be understood. */
bool sim_settings(void);
/* Whether a symbol is meant by a name: its own, or its base name without version. */
bool sim_name_matches(const char *name, size_t length, enum sim_fn fn);
/* The symbol's own name. */
const char *sim_fn_name(enum sim_fn fn);

/* ---- faults.c ---- */

/* Parses SIMGPU_FAULTS. False, with a sentence in why, when its grammar is broken. */
bool sim_faults_parse(const char *text, char *why, size_t why_bytes);

/* ---- error.c ---- */

/* "CUDA_ERROR_OUT_OF_MEMORY" for 2, or NULL. */
const char *sim_error_name(CUresult error);

/* ---- context.c ---- */

/* CUDA_ERROR_INVALID_DEVICE unless the ordinal exists. */
CUresult sim_device_check(CUdevice device);
/* Bit per device on which this process has a live context. */
extern _Atomic uint32_t sim_context_devices;
/* Makes a context at the device with its legacy stream; tears one down: waits for its work,
 * runs the hooks, frees its streams and events. The caller serialises the two per context. */
CUresult sim_context_open(struct sim_context *ctx, unsigned device, unsigned flags);
void sim_context_close(struct sim_context *ctx);
bool sim_context_usable(const struct sim_context *ctx);
/* Whether flags of a context make sense: known ones, and at most one way of waiting. */
bool sim_context_flags_valid(unsigned flags);
/* An id that nothing in this process has had (cuCtxGetId, cuStreamGetId). */
uint64_t sim_unique_id(void);
/* Runs the hooks of sim_context_on_sync(). */
void sim_context_synced(struct sim_context *ctx);

/* ---- context_current.c ---- */

/* Room for one context more on the calling thread's stack; puts it there; takes it off if
 * it is on top. */
bool sim_current_reserve(void);
CUresult sim_current_push(struct sim_context *ctx);
void sim_current_drop(struct sim_context *ctx);

/* ---- stream.c ---- */

/* Puts the legacy stream of a new context at its slot. */
CUresult sim_stream_adopt_legacy(struct sim_context *ctx, uint32_t slot);
/* Frees all stream objects of a context that is going (no requests: the device does). */
void sim_stream_drop_context(struct sim_context *ctx);

/* ---- event.c ---- */

void sim_event_drop_context(struct sim_context *ctx);

/* ---- object.c ---- */

/* Calls fn for every live object of the type that belongs to the owner; fn may delete it. */
void sim_object_each_of(enum sim_type type, const void *owner, void (*fn)(void *object));

#endif
