/*
 * table.h - the rows of hooks.def as data: find one by name, or by NVIDIA's version rule.
 *
 * Constant, without a relocation, so that a process that never touches CUDA pays nothing for
 * it. Knows no address; those are driver.h's. A row's number is its enum gsh_symbol. Any
 * thread.
 */
#ifndef GSH_CUDA_TABLE_H
#define GSH_CUDA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* The newest CUDA version whose entry points hooks.def lists. */
enum { GSH_TABLE_VERSION = 13000 };

/* Row of an exported name of the driver; -1: the table has none. */
int gsh_table_find(const char *symbol);

/* "cu" and a capital letter: what every name in the table begins with. */
bool gsh_table_is_name(const char *symbol);

bool gsh_table_is_hooked(int row);
/* The exported name. */
const char *gsh_table_name(int row);
/* Whether a program asks cuGetProcAddress for the row by that name. */
bool gsh_table_has_base(int row, const char *base);

/*
 * Row that cuGetProcAddress(base, version, flags) means; -1: none. The highest version that
 * is not above the one asked for; with flag 2 (per-thread default stream) only among the
 * per-thread twins, if the base has any. Slow: it looks at all rows.
 */
int gsh_table_rule(const char *base, int version, uint64_t flags);

#endif
