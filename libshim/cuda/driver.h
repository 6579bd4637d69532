/*
 * driver.h - where the real driver's entry points are, and which hook stands for which.
 *
 * Found by reading the ELF tables of the loaded object whose soname is libcuda.so.1, when
 * it is first needed; read again when an answer shows that it has been loaded elsewhere.
 * A second copy of the driver (dlmopen, a library of the same soname under another path)
 * is not followed: its entry points are left alone. Any thread.
 *
 * gsh_driver itself and gsh_driver_load() are declared in hook.h.
 */
#ifndef GSH_CUDA_DRIVER_H
#define GSH_CUDA_DRIVER_H

#include <stdbool.h>

/*
 * The hook to hand out instead of `answer`, which a look-up of the row's name found; NULL:
 * that is not the driver's own entry point of this name, or the row is not hooked.
 */
void *gsh_driver_hook(int row, const void *answer);

/* The hook of a row if a driver with that entry point is loaded; else NULL. */
void *gsh_driver_hook_of(int row);

/*
 * Row of what lies at an address; -1: no entry point that the table knows. Where several
 * names share it, the one of that base. A driver must have been found before.
 */
int gsh_driver_row_at(const void *address, const char *base);

/* Whether the address lies in the driver, finding it if need be. */
bool gsh_driver_contains(const void *address);

/* Takes address as the row's entry point if the driver exports none of that name. */
void gsh_driver_adopt(int row, const void *address);

#endif
