/* What contexts are charged, and what goes with them; see context.h. */
#include "cuda/context.h"

#include <errno.h>

#include "cuda/claim.h"
#include "cuda/hook.h"

static void charge(int row, uint64_t context, uint64_t bytes)
{
	const struct gsh_alloc alloc = {
		.handle = context,
		.bytes = bytes,
		.context = context,
		.class = GSH_ALLOC_CONTEXT,
		.row = (uint16_t)row,
		.kind = GPUSHIM_KIND_CONTEXT,
	};
	struct gsh_alloc old;
	int error;

	if (gsh_allocs_find(&gsh_process->allocs, GSH_ALLOC_CONTEXT, context, &old))
		return;
	gsh_tenant_force(&gsh_process->tenant, row, GPUSHIM_KIND_CONTEXT, bytes);
	error = gsh_allocs_add(&gsh_process->allocs, &alloc, &old);
	if (error == -EEXIST) /* by another thread at the same time */
		gsh_release_refund(&old);
}

void gsh_context_seen(int row, uint64_t context)
{
	uint64_t *charged = &gsh_process->contexts.charged[row];
	uint64_t bytes;

	if (gsh_likely(gsh_load_relaxed(charged) == context))
		return;
	bytes = gsh_load_relaxed(&gsh_process->tenant.devices[row].context_bytes);
	if (bytes == 0)
		return;
	charge(row, context, bytes);
	gsh_store_relaxed(charged, context);
}

uint64_t gsh_context_mark(uint64_t context)
{
	/* Odd, which no handle is: they are addresses of objects. */
	static uint64_t last = 1;
	uint64_t mark;

	if (context == 0)
		return 0;
	mark = gsh_add_relaxed(&last, 2);
	gsh_allocs_move_context(&gsh_process->allocs, context, mark);
	return mark;
}

void gsh_context_settle(uint64_t context, uint64_t mark, bool destroyed)
{
	if (mark == 0)
		return;
	if (!destroyed) {
		gsh_allocs_move_context(&gsh_process->allocs, mark, context);
		return;
	}
	for (unsigned row = 0; row < GPUSHIM_DEVICES_MAX; row++) {
		uint64_t seen = context;

		gsh_cas_relaxed(&gsh_process->contexts.charged[row], &seen, 0);
	}
	gsh_allocs_take_context(&gsh_process->allocs, mark, gsh_release_refund);
}
