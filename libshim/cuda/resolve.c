/*
 * resolve.c - decides by the address that the driver answered with, not by the name that
 * was asked for: so versions, stream flavours and future functions come out right.
 *
 * Only an address that is none of the driver's exports is judged by the version rule. It
 * happens with drivers that answer with something beside their exports, and with functions
 * newer than the table.
 */
#include "cuda/resolve.h"

#include "cuda/driver.h"
#include "cuda/hook.h"
#include "cuda/table.h"

/* Atomic. Runtimes look up everything before their first call, when no account is open. */
static uint64_t unknown;

void gsh_resolve_settle(void)
{
	struct gsh_process *process = gsh_load_acquire(&gsh_process);
	uint64_t count;

	if (!process || gsh_load_acquire(&process->mode) != GSH_MODE_ACTIVE)
		return;
	count = gsh_swap_acquire(&unknown, 0);
	if (count)
		gsh_add_relaxed(&process->tenant.ledger.own->unknown_symbols, count);
}

void gsh_resolve_unknown(void)
{
	gsh_add_relaxed(&unknown, 1);
	gsh_resolve_settle();
}

/*
 * Row of the very function at `answer`, or -1. For a version newer than the table the rule
 * knows only what the table's newest version means, so the driver is asked for that as well:
 * another answer is another function, with arguments that no hook knows.
 */
static int row_by_rule(const char *base, const void *answer, int version, uint64_t flags)
{
	void *at_table_version = NULL;

	if (version <= GSH_TABLE_VERSION)
		return gsh_table_rule(base, version, flags);
	if (!gsh_driver.cuGetProcAddress_v2 ||
	    gsh_driver.cuGetProcAddress_v2(base, &at_table_version, GSH_TABLE_VERSION,
					   flags, NULL) != CUDA_SUCCESS ||
	    at_table_version != answer)
		return -1;
	return gsh_table_rule(base, GSH_TABLE_VERSION, flags);
}

void *gsh_resolve(const char *base, void *answer, int version, uint64_t flags)
{
	int row = gsh_driver_row_at(answer, base);
	void *hook;

	if (row < 0) {
		row = row_by_rule(base, answer, version, flags);
		if (row < 0)
			gsh_resolve_unknown();
		if (row < 0 || !gsh_table_is_hooked(row))
			return answer;
		gsh_driver_adopt(row, answer);
	}
	hook = gsh_driver_hook_of(row);
	return hook ? hook : answer;
}
