/*
 * common_tenant.h - tests of what happens inside a tenant.
 *
 * The test program itself runs without the shim, so that what it asks the device is true
 * whatever the shim says. A *body* is a function of it that runs in a process of its own,
 * under the shim, with the variables that the test names:
 *
 *	TENANT_BODY(refused_past_the_limit)
 *	{
 *		CUdeviceptr p;
 *
 *		tenant_context();
 *		check(cuMemAlloc_v2(&p, 65 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
 *	}
 *
 *	static void quota_refuses_the_byte_past_the_limit(void)
 *	{
 *		CU_ASSERT(tenant_passes("refused_past_the_limit", "GPUSHIM_MEMORY=64MiB", NULL));
 *	}
 *
 * Each test has a directory of its own for GPUSHIM_DIR, new and empty: tenant_dir().
 */
#ifndef TESTS_PRELOAD_COMMON_TENANT_H
#define TESTS_PRELOAD_COMMON_TENANT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <cuda.h>

struct tenant_body {
	const char *name;
	void (*run)(void);
};

#define TENANT_BODY(body)                                                               \
	static void body(void);                                                         \
	static const struct tenant_body tenant_body_##body                              \
		__attribute__((used, section("tenant_bodies"), aligned(8))) = { #body,  \
										body }; \
	static void body(void)

/* ---- in the body ---- */

/* Counts a failure and says where; the body goes on. Exit status 1 at its end. */
#define check(condition) tenant_check(!!(condition), __FILE__, __LINE__, #condition)
bool tenant_check(bool held, const char *file, int line, const char *text);
/* The same for CUresult, printing the code when it is another. */
#define check_result(call, expected) \
	tenant_check_result((int)(call), (int)(expected), __FILE__, __LINE__, #call)
bool tenant_check_result(int got, int expected, const char *file, int line,
			 const char *text);
/* cuInit, device 0, its primary context made current; ends the body if that fails. */
CUdevice tenant_context(void);
/* Tells the test that a point has been reached, and waits until the test says go on. */
void tenant_meet(void);

/* ---- in the test ---- */

/* The directory of this test's tenants; made when it is first asked for in a test. */
const char *tenant_dir(void);
/* To be called in the suite's teardown: a new directory and device for the next test. */
void tenant_forget(void);

/*
 * Starts a body under the shim, with GPUSHIM_DIR=tenant_dir(), GPUSHIM_WAIT_MS=0, the
 * caller's environment and the variables given ("NAME=value", or "NAME" to unset), ended by
 * NULL. Returns its process id.
 */
pid_t tenant_start(const char *body, ...) __attribute__((sentinel));
/* Waits for it; true if it ended with 0. */
bool tenant_ends(pid_t pid);
/* Kills it and forgets it; prints nothing. */
void tenant_discard(pid_t pid);
/* Start and end. */
bool tenant_passes(const char *body, ...) __attribute__((sentinel));
/* The same without the shim: a control. */
bool tenant_passes_bare(const char *body, ...) __attribute__((sentinel));
/* Waits until the process has called tenant_meet(); false if it ended instead. */
bool tenant_met(pid_t pid);
/* Lets it go on. */
void tenant_go(pid_t pid);
/* What the last body that ended wrote on standard error (at most 64 KiB). */
const char *tenant_stderr(void);

/* Sum over all live client processes of what the device says they asked for. */
uint64_t tenant_device_requested(void);
/* What the device says is in use, contexts and rounding included. */
uint64_t tenant_device_used(void);
/* Highest sum of requested bytes since the device was started. */
uint64_t tenant_device_requested_peak(void);

#endif
