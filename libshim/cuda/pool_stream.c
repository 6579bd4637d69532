/*
 * pool_stream.c - streams as numbers, no two alike at a time. See pool.h.
 *
 * A handle is its own number. Streams without one are told apart by what they belong to: the
 * legacy stream to a context, a per-thread default stream to a context and a thread.
 */
#include "cuda/pool.h"

#define WITHOUT_HANDLE (UINT64_C(1) << 63) /* handles are addresses: they lie below */

/* The calling thread's number: never that of a thread before it, as an address would be. */
static uint64_t thread_number(void)
{
	static __thread uint64_t own;
	static uint64_t last; /* atomic */

	if (gsh_unlikely(own == 0))
		own = gsh_add_relaxed(&last, 1) + 1;
	return own;
}

uint64_t gsh_pool_stream(CUstream stream, bool per_thread)
{
	bool own = stream == CU_STREAM_PER_THREAD || (!stream && per_thread);
	CUcontext context = NULL;

	if (stream && stream != CU_STREAM_LEGACY && !own)
		return (uintptr_t)stream;
	gsh_driver.call_cuCtxGetCurrent(&context);
	/* Mixed: no two of those that a process has come out alike but by a rare accident. */
	return WITHOUT_HANDLE |
	       ((uintptr_t)context * UINT64_C(0x9e3779b97f4a7c15) +
		(own ? thread_number() * UINT64_C(0xd1342543de82ef95) : 0));
}
