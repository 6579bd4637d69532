/*
 * gated.h - what the hooks of launches, memsets and copies share: the way through the gate,
 * and which copies take it. What the gate does is gate.h's to know.
 */
#ifndef GSH_CUDA_GATED_H
#define GSH_CUDA_GATED_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/gate.h"
#include "cuda/hook.h"

/* Of a launch's stream; none: what no handle means to the call. */
static inline uint64_t gsh_stream_id(CUstream stream, uint64_t none)
{
	return stream ? (uintptr_t)stream : none;
}

/* a * b, or UINT64_MAX if that is more. */
static inline uint64_t gsh_times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* Enters the gate with bytes that are set or copied; as gsh_gate_enter(). */
static inline CUresult gsh_enter_bytes(struct gsh_pass *pass,
				       enum gpushim_launch_kind kind, uint32_t what,
				       uint64_t bytes, uint64_t stream)
{
	struct gsh_launch launch;

	gsh_launch_bytes(&launch, kind, what, bytes, stream);
	return (CUresult)gsh_gate_enter(&launch, pass);
}

/* Rows as long as this go together, as short ones take longer for the same bytes. */
static inline uint32_t gsh_row_class(uint64_t row_bytes)
{
	return row_bytes ? 64 - (uint32_t)__builtin_clzll(row_bytes) : 0;
}

/*
 * Whether an address is memory of a device, or managed. ACTIVE mode only. Costs a look into
 * our own table, or at most a question to the driver that cannot fail of the address.
 */
bool gsh_address_on_device(uint64_t address);

/*
 * A hook whose call, where limits hold, goes through the gate if the condition is true, and
 * else straight on: copies with the host. enter: an expression that enters it with &pass.
 */
#define GSH_GATED_IF(symbol, parameters, arguments, condition, enter)                   \
	CUresult CUDAAPI symbol parameters                                              \
	{                                                                               \
		struct gsh_pass pass;                                                   \
		CUresult res;                                                           \
                                                                                        \
		GSH_NEED(symbol);                                                       \
		if (gsh_unlikely(gsh_enter() != GSH_MODE_ACTIVE)) {                     \
			res = gsh_inactive();                                           \
			return res != CUDA_SUCCESS ? res : gsh_driver.symbol arguments; \
		}                                                                       \
		if (!(condition))                                                       \
			return gsh_driver.symbol arguments;                             \
		res = enter;                                                            \
		if (gsh_unlikely(res != CUDA_SUCCESS))                                  \
			return res;                                                     \
		res = gsh_driver.symbol arguments;                                      \
		gsh_gate_leave(&pass, res);                                             \
		return res;                                                             \
	}

/* A hook whose call always does. */
#define GSH_GATED(symbol, parameters, arguments, enter) \
	GSH_GATED_IF(symbol, parameters, arguments, true, enter)

#endif
