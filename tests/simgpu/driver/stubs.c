/*
 * stubs.c - a body for every exported driver name that nothing else defines, and the
 * table of all names with their addresses.
 *
 * Each stub is weak: a definition in any other object of the library replaces it at link
 * time. Each stands in the section sim_stubs, so that an address tells whether a symbol
 * was replaced. Prototypes are wrong here on purpose (all are int f(void)): the arguments
 * are never looked at, and cuda.h's macros would rename the functions. For the same
 * reason this file must not include cuda.h.
 */
#include "resolve.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SIM_EXPORT
#define SIM_EXPORT __attribute__((visibility("default")))
#endif

#define SIM_ERROR_NOT_SUPPORTED 801

static int stub(int row);

/* The row keeps the bodies different, so that no compiler folds them into one. */
#define SYM(symbol, base, version, variant)                          \
	SIM_EXPORT int symbol(void);                                 \
	__attribute__((weak, section("sim_stubs"))) int symbol(void) \
	{                                                            \
		return stub(SIM_ROW_##symbol);                       \
	}
#include "symbols.def"

/* Set by the linker around the section; hidden, so that each library sees its own. */
extern const char __start_sim_stubs[] __attribute__((visibility("hidden")));
extern const char __stop_sim_stubs[] __attribute__((visibility("hidden")));

const struct sim_symbol sim_symbols[] = {
#define SYM(symbol, base, version, variant) \
	{ #symbol, #base, (void (*)(void))symbol, version, SIM_VARIANT_##variant },
#include "symbols.def"
};
const size_t sim_symbol_count = SIM_ROWS;

/* One flag per name; relaxed, since all that matters is that one thread sees it clear. */
static atomic_bool logged[SIM_ROWS];

static bool log_calls(void)
{
	const char *topics = getenv("SIMGPU_LOG");

	return topics && strstr(topics, "calls");
}

static int stub(int row)
{
	int result = sim_symbol_enter(row);

	return result ? result : sim_not_supported(sim_symbols[row].symbol);
}

int sim_not_supported(const char *symbol)
{
	const struct sim_symbol *row;

	if (!log_calls())
		return SIM_ERROR_NOT_SUPPORTED;
	row = sim_symbol_find(symbol);
	if (!row || !atomic_exchange_explicit(&logged[row - sim_symbols], true,
					      memory_order_relaxed))
		fprintf(stderr, "simgpu: %s is not supported by the simulated driver\n",
			symbol);
	return SIM_ERROR_NOT_SUPPORTED;
}

const struct sim_symbol *sim_symbol_find(const char *symbol)
{
	for (size_t i = 0; i < sim_symbol_count; i++)
		if (strcmp(sim_symbols[i].symbol, symbol) == 0)
			return &sim_symbols[i];
	return NULL;
}

bool sim_symbol_is_stub(const void *addr)
{
	uintptr_t at = (uintptr_t)addr;

	return at >= (uintptr_t)__start_sim_stubs && at < (uintptr_t)__stop_sim_stubs;
}

SIM_EXPORT int simgpu_symbol_state(const char *symbol)
{
	const struct sim_symbol *row = symbol ? sim_symbol_find(symbol) : NULL;

	if (!row)
		return -1;
	return !sim_symbol_is_stub((const void *)(uintptr_t)row->address);
}
