/*
 * common_gate.h - what the tests of the gate share: kernels of known length, loads without
 * end, and judging by the device's own count of time what a limit made of them.
 *
 * Knows: the kernels of examples/kernels.h, the device's books, the tenant's ledger.
 * Refuses to know: how the limit is held.
 */
#ifndef TESTS_PRELOAD_COMMON_GATE_H
#define TESTS_PRELOAD_COMMON_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

#include "gpushim/reader.h"

#define GATE_US UINT64_C(1000)
#define GATE_MS UINT64_C(1000000)

/* ---- in the body ---- */

struct gate {
	CUcontext context;
	CUmodule module;
	CUfunction work, fill, spin;
	CUstream stream;
	/* Two words and more, zero at first, of pinned memory that kernels see. */
	volatile uint32_t *words;
	CUdeviceptr words_at;
};

extern struct gate gate;

/* Opens device 0 and loads the kernels; checks what fails. */
void gate_open(void);
/* The same in a context that is current already. */
void gate_load_code(void);
CUstream gate_new_stream(void);

/* A kernel that takes ns of the whole device. bytes of shared memory make it another
 * signature. */
CUresult gate_work_as(uint64_t ns, unsigned shared_bytes, CUstream stream);
CUresult gate_work(uint64_t ns, CUstream stream);
/* Sets words[index]; spins until words[index] has that value. Of one block. */
CUresult gate_set(unsigned index, uint32_t value, CUstream stream);
CUresult gate_spin(unsigned index, uint32_t value, CUstream stream);
/* Uses ns of the device and waits for the end, so that the tenant is in debt. */
void gate_owe(uint64_t ns);

/* The process dies of a signal if it has not ended by then: its test fails. */
void gate_deadline(unsigned seconds);

/* Of the kernels of gate_load(), which so are no kernel that was launched before. */
#define GATE_LOAD_SHARED 2048u
/* Keeps the device busy as $LOAD says, for ever. Opens it if gate_open() was not called. */
void gate_load(void);

/* ---- in the test ---- */

/* What the device did for all its clients in a stretch of time. */
struct gate_use {
	uint64_t wall_ns, busy_ns;
};

/* Over so many milliseconds from now. */
struct gate_use gate_watch(unsigned milliseconds);
/* Waits until the device was busy for so much in all; false, and says so, after 10 s. */
bool gate_was_busy(uint64_t ns);
/*
 * Whether the load that runs gets its share, no more than a launch above and no less than four
 * fifths of it. The upper bound holds in every window; the lower one in one of three that
 * were as long as they should be: who has no time himself cannot say that the load had any.
 */
bool gate_holds(unsigned limit_permille, uint64_t launch_ns, unsigned milliseconds);
/* Only that it gets no more. slack_ns: beside the burst and what may be in flight. */
bool gate_stays_below(unsigned limit_permille, uint64_t slack_ns, unsigned milliseconds);

/* What the ledger of tenant "default" counts on device 0; offset of gpushim_ledger_use. */
uint64_t gate_counted(size_t offset);
#define GATE_COUNTED(field) gate_counted(offsetof(struct gpushim_time, field))
/* Waits until it counts at least so much; false after 5 s, or if the ledger is not there. */
bool gate_counts(size_t offset, uint64_t at_least);
#define GATE_COUNTS(field, at_least) \
	gate_counts(offsetof(struct gpushim_time, field), (at_least))

/* The bucket of device 0 of tenant "default", mapped writable; NULL if it cannot be. */
struct gpushim_ledger_bucket *gate_bucket(void);

#endif
