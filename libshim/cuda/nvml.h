/*
 * nvml.h - NVML inside a tenant, for the hook of dlsym.
 *
 * The hooks themselves are exported functions with NVML's names; nvml.def lists them.
 */
#ifndef GSH_CUDA_NVML_H
#define GSH_CUDA_NVML_H

/*
 * Our function for the one that a look-up of `name` found at `address`; NULL if it is not
 * NVML's own, or we do not answer it. Makes no dl* call, opens nothing. Any thread.
 */
void *gsh_nvml_substitute(const char *name, const void *address);

#endif
