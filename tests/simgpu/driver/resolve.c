/*
 * resolve.c - cuGetProcAddress in both its forms, and cuGetExportTable.
 *
 * Knows the version rule and nothing of what the functions do. Includes no cuda.h: it
 * maps the name cuGetProcAddress to cuGetProcAddress_v2, and both are defined here.
 */
#include "resolve.h"

#include <stdint.h>
#include <string.h>

#ifndef SIM_EXPORT
#define SIM_EXPORT __attribute__((visibility("default")))
#endif

/* CUresult and CUdriverProcAddress_flags, by value. */
#define SIM_SUCCESS 0
#define SIM_ERROR_INVALID_VALUE 1
#define SIM_ERROR_NOT_FOUND 500
#define FLAG_PER_THREAD 2u

SIM_EXPORT int cuGetProcAddress(const char *symbol, void **pfn, int cuda_version,
				unsigned long long flags);
SIM_EXPORT int cuGetProcAddress_v2(const char *symbol, void **pfn, int cuda_version,
				   unsigned long long flags, int *status);
SIM_EXPORT int cuGetExportTable(const void **table, const void *id);

__attribute__((weak)) int sim_fault_hidden(const char *symbol)
{
	(void)symbol;
	return 0;
}

__attribute__((weak)) void *sim_fault_extra(const char *base)
{
	(void)base;
	return NULL;
}

__attribute__((weak)) int sim_symbol_enter(int row)
{
	(void)row;
	return SIM_SUCCESS;
}

__attribute__((weak)) int sim_resolve_driver_version(void)
{
	return 13000;
}

/* First row of the base, or where it would stand. */
static size_t first_row(const char *base)
{
	size_t low = 0, high = sim_symbol_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(sim_symbols[mid].base, base) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

enum sim_lookup sim_resolve(const char *base, int cuda_version, unsigned long long flags,
			    void **pfn)
{
	const struct sim_symbol *plain = NULL, *per_thread = NULL, *found;
	bool has_per_thread = false;
	size_t first = first_row(base), i;

	if (pfn)
		*pfn = NULL;
	for (i = first; i < sim_symbol_count; i++) {
		const struct sim_symbol *row = &sim_symbols[i];
		bool twin = row->variant != SIM_VARIANT_plain;

		if (strcmp(row->base, base) != 0)
			break;
		has_per_thread |= twin;
		if (row->version <= cuda_version)
			*(twin ? &per_thread : &plain) = row;
	}
	if (i == first)
		return SIM_LOOKUP_NO_SYMBOL;
	found = flags == FLAG_PER_THREAD && has_per_thread ? per_thread : plain;
	if (!found)
		return SIM_LOOKUP_VERSION_TOO_LOW;
	if (sim_fault_hidden(found->symbol))
		return SIM_LOOKUP_NO_SYMBOL;
	if (pfn)
		*pfn = (void *)(uintptr_t)found->address;
	return SIM_LOOKUP_FOUND;
}

/*
 * The manual of CUDA 12 and later promises CUDA_SUCCESS with a NULL pointer for what is
 * not found. Drivers return CUDA_ERROR_NOT_FOUND, as the manual of 11.3 said, and set the
 * status; so do we.
 */
static int look_up(const char *symbol, void **pfn, int cuda_version,
		   unsigned long long flags, int *status)
{
	enum sim_lookup lookup = SIM_LOOKUP_FOUND;
	void *found;

	if (!symbol || flags > FLAG_PER_THREAD)
		return SIM_ERROR_INVALID_VALUE;
	found = sim_fault_extra(symbol);
	if (!found) {
		if (cuda_version > sim_resolve_driver_version())
			return SIM_ERROR_INVALID_VALUE;
		lookup = sim_resolve(symbol, cuda_version, flags, &found);
	}
	if (pfn)
		*pfn = found;
	if (status)
		*status = (int)lookup;
	return lookup == SIM_LOOKUP_FOUND ? SIM_SUCCESS : SIM_ERROR_NOT_FOUND;
}

int cuGetProcAddress_v2(const char *symbol, void **pfn, int cuda_version,
			unsigned long long flags, int *status)
{
	int result = sim_symbol_enter(SIM_ROW_cuGetProcAddress_v2);

	return result ? result : look_up(symbol, pfn, cuda_version, flags, status);
}

int cuGetProcAddress(const char *symbol, void **pfn, int cuda_version,
		     unsigned long long flags)
{
	int result = sim_symbol_enter(SIM_ROW_cuGetProcAddress);

	return result ? result : look_up(symbol, pfn, cuda_version, flags, NULL);
}

/* The tables are undocumented and part of how NVIDIA's runtime authenticates a driver:
 * a simulated one has none, and says so. */
int cuGetExportTable(const void **table, const void *id)
{
	int result = sim_symbol_enter(SIM_ROW_cuGetExportTable);

	if (result)
		return result;
	if (!table || !id)
		return SIM_ERROR_INVALID_VALUE;
	*table = NULL;
	return SIM_ERROR_NOT_FOUND;
}
