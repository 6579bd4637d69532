/*
 * reader_names.c - what people call the values of the ledger's enumerations, and what may
 * be shown them of the texts of tenants.
 */
#pragma GCC visibility push(default)
#include "gpushim/reader.h"
#pragma GCC visibility pop

#include <string.h>

#include "ledger/reader_private.h"

void gsh_reader_copy_text(char *to, const char *from, size_t bytes)
{
	size_t count = 0;

	memset(to, 0, bytes);
	for (; count < bytes - 1 && from[count]; count++)
		to[count] = from[count] >= ' ' && from[count] <= '~' ? from[count] : '?';
}

static const char *name_of(const char *const *names, size_t count, uint32_t value)
{
	return value < count && names[value] ? names[value] : "?";
}

const char *gpushim_kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[GPUSHIM_KIND_LINEAR] = "linear",   [GPUSHIM_KIND_MANAGED] = "managed",
		[GPUSHIM_KIND_ARRAY] = "array",	    [GPUSHIM_KIND_VMM] = "vmm",
		[GPUSHIM_KIND_POOL] = "pool",	    [GPUSHIM_KIND_GRAPH] = "graph",
		[GPUSHIM_KIND_CONTEXT] = "context",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), kind);
}

const char *gpushim_slot_state_name(uint32_t state)
{
	static const char *const names[] = {
		[GPUSHIM_SLOT_FREE] = "free",
		[GPUSHIM_SLOT_LIVE] = "live",
		[GPUSHIM_SLOT_ORPHAN] = "orphan",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), state);
}

const char *gpushim_limit_source_name(uint32_t source)
{
	static const char *const names[] = {
		[GPUSHIM_SOURCE_NONE] = "none",
		[GPUSHIM_SOURCE_PAGE] = "policy",
		[GPUSHIM_SOURCE_FILE] = "limits.json",
		[GPUSHIM_SOURCE_VARIABLE] = "GPUSHIM_MEMORY",
		[GPUSHIM_SOURCE_HAMI] = "CUDA_DEVICE_MEMORY_LIMIT",
		[GPUSHIM_SOURCE_NVIDIA] = "NVIDIA_GPU_MEMORY_LIMIT",
		[GPUSHIM_SOURCE_DRIVER] = "driver",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), source);
}

const char *gpushim_launch_kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[GPUSHIM_LAUNCH_KERNEL] = "kernel",
		[GPUSHIM_LAUNCH_GRAPH] = "graph",
		[GPUSHIM_LAUNCH_MEMSET] = "memset",
		[GPUSHIM_LAUNCH_COPY] = "copy",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), kind);
}

const char *gpushim_cost_class_name(uint32_t cost_class)
{
	static const char *const names[] = {
		[GPUSHIM_COST_UNKNOWN] = "unknown",
		[GPUSHIM_COST_LEARNED] = "learned",
		[GPUSHIM_COST_VARIABLE] = "variable",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), cost_class);
}
