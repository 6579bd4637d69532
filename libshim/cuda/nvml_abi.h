/*
 * nvml_abi.h - the part of NVML's binary interface that is answered inside a tenant.
 *
 * Written from NVIDIA's public NVML API Reference Guide, since nvml.h is often absent. Names
 * of functions, layouts and values are NVIDIA's; all else is ours.
 */
#ifndef GSH_CUDA_NVML_ABI_H
#define GSH_CUDA_NVML_ABI_H

#include <stddef.h>

enum gsh_nvml_return {
	GSH_NVML_SUCCESS = 0,
	GSH_NVML_INVALID_ARGUMENT = 2,
	GSH_NVML_INSUFFICIENT_SIZE = 7,
	GSH_NVML_FUNCTION_NOT_FOUND = 13,
};

enum {
	GSH_NVML_UUID_BYTES = 96,  /* of the text that nvmlDeviceGetUUID writes */
	GSH_NVML_NO_INSTANCE = -1, /* where a device is not divided into instances */
};

struct nvmlDevice_st; /* opaque; its name is part of NVML's prototypes */

struct gsh_nvml_memory {
	unsigned long long total, free, used;
};

struct gsh_nvml_memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};

/* Each of these three is the beginning of the next. */
struct gsh_nvml_process_v1 {
	unsigned pid;
	unsigned long long used_bytes;
};

struct gsh_nvml_process {
	unsigned pid;
	unsigned long long used_bytes;
	unsigned gpu_instance, compute_instance;
};

struct gsh_nvml_process_detail {
	unsigned pid;
	unsigned long long used_bytes;
	unsigned gpu_instance, compute_instance;
	unsigned long long protected_bytes;
};

/* Values of `mode` below. */
enum gsh_nvml_process_mode {
	GSH_NVML_COMPUTE,
	GSH_NVML_GRAPHICS,
	GSH_NVML_MPS,
};

struct gsh_nvml_process_details {
	unsigned version, mode, count;
	struct gsh_nvml_process_detail *list;
};

/* The version word that callers put into a structure: its size, and its number. */
#define GSH_NVML_VERSION(type, number) ((unsigned)(sizeof(type) | ((number) << 24u)))

_Static_assert(GSH_NVML_VERSION(struct gsh_nvml_memory_v2, 2) == 0x2000028, "as in NVML");
_Static_assert(GSH_NVML_VERSION(struct gsh_nvml_process_details, 1) == 0x1000018,
	       "as in NVML");
_Static_assert(sizeof(struct gsh_nvml_process_v1) == 16, "as in NVML");
_Static_assert(sizeof(struct gsh_nvml_process) == 24, "as in NVML");
_Static_assert(sizeof(struct gsh_nvml_process_detail) == 32, "as in NVML");

#endif
