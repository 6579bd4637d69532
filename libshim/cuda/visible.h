/*
 * visible.h - which of the container's devices a CUDA ordinal is.
 *
 * CUDA numbers the devices that CUDA_VISIBLE_DEVICES names, in its order; limits by index
 * (CUDA_DEVICE_MEMORY_LIMIT_<i>) count the devices there are without it. Knows that variable
 * and nothing else.
 */
#ifndef GSH_CUDA_VISIBLE_H
#define GSH_CUDA_VISIBLE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Remembers the variable's value, NULL if it is unset. Called once by each start of an
 * account, before anybody asks.
 */
void gsh_visible_set(const char *value);

/* Whether it is unset or names every device by number. */
bool gsh_visible_is_numbers(void);

/*
 * Index of a device in the container's order; UINT32_MAX where that cannot be told: the
 * variable names it by UUID, or is not understood. Any thread.
 */
uint32_t gsh_environment_device_index(int ordinal);

#endif
