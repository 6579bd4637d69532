/*
 * config.h - how the simulated GPU is configured.
 *
 * Knows: the SIMGPU_* variables of the device (read once, by the process that starts the
 * device), their defaults and their spelling; of all other SIMGPU_* variables the names and
 * meanings. Refuses to know: what they are used for.
 */
#ifndef SIM_CONFIG_H
#define SIM_CONFIG_H

#include <stddef.h>
#include <stdint.h>

struct sim_config {
	unsigned devices;	/* SIMGPU_DEVICES=1, 1..16 */
	uint64_t memory_bytes;	/* SIMGPU_MEMORY=16GiB, per device */
	uint64_t slice_ns;	/* SIMGPU_SLICE_US=2000 */
	uint64_t switch_ns;	/* SIMGPU_SWITCH_US=100 */
	unsigned concurrent;	/* SIMGPU_CONCURRENT=128 kernels of one context at once */
	uint64_t context_bytes; /* SIMGPU_CONTEXT=256MiB held by each context */
	uint64_t
		code_bytes; /* SIMGPU_CODE=0 held by each loaded module beside its code */
	uint64_t pool_granule_bytes; /* SIMGPU_POOL_GRANULE=32MiB pools grow by this */
	uint64_t copy_bytes_per_s;   /* SIMGPU_COPY_GBPS=25, host to device and back */
	uint64_t
		device_bytes_per_s; /* SIMGPU_DEVICE_GBPS=1500, memset and device copies */
	uint64_t kernel_ns;    /* SIMGPU_KERNEL_NS=10000 per wave of a modelled kernel */
	unsigned vary_percent; /* SIMGPU_KERNEL_VARY=0, spread of modelled kernels */
	uint64_t work_ps;      /* SIMGPU_WORK_PS=1000 per iteration of gpushim_work */
	unsigned driver_version; /* SIMGPU_DRIVER_VERSION=13000 as cuDriverGetVersion */
	char driver_string[32];	 /* SIMGPU_DRIVER=580.65.06 as NVML shows it */
	char name[64];		 /* SIMGPU_NAME="Simulated GPU" */
	unsigned sm_count;	 /* SIMGPU_SMS=132 */
	unsigned cc_major, cc_minor; /* SIMGPU_CC=9.0 */
};

/* Reads the environment over the defaults. Returns 0, or -EINVAL with a sentence that names
 * the variable, its value and what is accepted in why[why_bytes]. */
int sim_config_read(struct sim_config *config, char *why, size_t why_bytes);

/* Parses "512", "64KiB", "1.5GiB", "2GB", "300MB" ... into bytes: binary units with i,
 * decimal ones without, B optional. Returns 0 or -EINVAL (also on overflow). */
int sim_parse_bytes(const char *text, uint64_t *bytes);

/* Parses an unsigned decimal integer in [min, max], the whole string. 0 or -EINVAL. */
int sim_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* One SIMGPU_* variable, for people: `simgpu env` and the documentation print these. */
struct sim_variable {
	const char *name;
	const char *standard; /* the default as it would be written; "" for none */
	const char *meaning;  /* one line */
};

/* The variables one by one, those of the device first: index 0, 1 ... until NULL. */
const struct sim_variable *sim_variable(size_t index);

/* The state directory: SIMGPU_STATE, else /dev/shm/simgpu-<euid>. 0 or -ENAMETOOLONG. */
int sim_state_dir(char *path, size_t bytes);

#endif
