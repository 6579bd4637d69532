/*
 * common_nvml.h - what tests of the simulated libnvidia-ml share: the library, found by
 * dlopen as programs do, and a monitor to compare it with.
 */
#ifndef COMMON_NVML_H
#define COMMON_NVML_H

#include "common_worker.h"
#include "cunit_main.h"
#include "nvml/nvml_abi.h"

extern void *nvml_library;
extern struct simgpu_monitor *nvml_monitor;
extern nvmlDevice_t nvml_device; /* device 0, between begin and end of a test */

/* Ends the program when the name is missing. */
void *nvml_symbol(const char *name);
/* The library's function, with the type of its prototype. */
#define NVML(name) __extension__((__typeof__(&name))nvml_symbol(#name))

#define NVML_IS(call, expected) CU_ASSERT_EQUAL((call), (expected))
#define NVML_OK(call) NVML_IS(call, NVML_SUCCESS)

/* For struct unit_suite. */
int nvml_open_library(void);
int nvml_close_library(void);
void nvml_begin_test(void);
void nvml_end_test(void);

#endif
