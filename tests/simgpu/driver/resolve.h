/*
 * resolve.h - the table of exported driver symbols, and the rule by which a name, a CUDA
 * version and a stream flag lead to one of them.
 *
 * Knows names, versions and addresses. Knows no prototype: nothing here includes cuda.h,
 * so that result codes are plain integers with CUresult's values.
 */
#ifndef SIMGPU_DRIVER_RESOLVE_H
#define SIMGPU_DRIVER_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

enum sim_variant {
	SIM_VARIANT_plain,
	SIM_VARIANT_ptds,
	SIM_VARIANT_ptsz,
};

/* One row of symbols.def; `address` is our own definition (the library is linked with
 * -Bsymbolic), which is what dlsym() on the library returns. */
struct sim_symbol {
	const char *symbol;
	const char *base;
	void (*address)(void);
	int version;
	enum sim_variant variant;
};

/* Sorted by base in strcmp() order, then version, then variant. */
extern const struct sim_symbol sim_symbols[];
extern const size_t sim_symbol_count;

/* SIM_ROW_<symbol> is its row. */
enum {
#define SYM(symbol, base, version, variant) SIM_ROW_##symbol,
#include "symbols.def"
	SIM_ROWS
};

/*
 * What the call of any entry point begins with: faults, costs, the log. Returns 0, or the
 * CUresult to return at once. Weak default: 0.
 */
int sim_symbol_enter(int row);

/* Values are those of CUdriverProcAddressQueryResult. */
enum sim_lookup {
	SIM_LOOKUP_FOUND = 0,
	SIM_LOOKUP_NO_SYMBOL = 1,
	SIM_LOOKUP_VERSION_TOO_LOW = 2,
};

/*
 * The symbol that a program built for `cuda_version` (1000 * major + 10 * minor) means by
 * `base`. With flags 0 or 1 it is the newest plain symbol not newer than that version.
 * With flag 2 (per-thread default stream) it is the newest per-thread one, where the base
 * has any: there is no way back to a plain symbol then, even below the first per-thread
 * version. Other flags are the caller's to refuse. Suffixed names ("cuMemAlloc_v2") are
 * not bases and are not found.
 *
 * Borrows `base`. Stores the address in `*pfn`, NULL unless found; `pfn` may be NULL.
 * Any thread, does not block.
 */
enum sim_lookup sim_resolve(const char *base, int cuda_version, unsigned long long flags,
			    void **pfn);

/* The row of an exported name, NULL if there is none. Linear: not for hot paths. */
const struct sim_symbol *sim_symbol_find(const char *symbol);

/* Whether the address is one of the bodies in stubs.c, that is: not implemented. */
bool sim_symbol_is_stub(const void *addr);

/*
 * What every unimplemented entry point returns: CUDA_ERROR_NOT_SUPPORTED. With
 * SIMGPU_LOG=calls the name is written to standard error, once per process.
 * Borrows `symbol`. Any thread.
 */
int sim_not_supported(const char *symbol);

/*
 * Fault injection. Both have a weak default in resolve.c that changes nothing.
 *
 * Nonzero: a lookup that would end at this symbol finds nothing. (The name stays in the
 * library's dynamic symbol table, where no code can take it away.)
 */
int sim_fault_hidden(const char *symbol);
/* An address for a base that no header knows, or in place of one that they do: what a
 * driver newer than its clients' tables answers. NULL: no such fault. */
void *sim_fault_extra(const char *base);

/*
 * The CUDA version that the simulated driver claims. A lookup for a later version is
 * refused with CUDA_ERROR_INVALID_VALUE, as the manual says. Weak default: 13000.
 */
int sim_resolve_driver_version(void);

/*
 * Exported beside the driver's names, for tests: 1 the symbol is implemented, 0 it is a
 * stub that returns CUDA_ERROR_NOT_SUPPORTED, -1 the driver has no such symbol.
 */
int simgpu_symbol_state(const char *symbol);

#endif
