/*
 * device.c - which row of the ledger a CUDA device has.
 *
 * Knows that CUDA numbers devices anew in every process, and that a UUID names a device (or
 * a MIG slice of one) everywhere. Refuses to know contexts and limits.
 */
#include <stdint.h>

#include "cuda/hook.h"
#include "cuda/process.h"
#include "cuda/visible.h"

enum { ORDINALS = sizeof(((struct gsh_process *)0)->device_row) / sizeof(uint32_t) };

static int ask(int ordinal)
{
	CUuuid uuid;
	size_t total_bytes;
	CUresult res;
	int row;

	if (gsh_driver.call_cuDeviceGetUuid_v2)
		res = gsh_driver.call_cuDeviceGetUuid_v2(&uuid, ordinal);
	else if (gsh_driver.call_cuDeviceGetUuid)
		res = gsh_driver.call_cuDeviceGetUuid(&uuid, ordinal);
	else
		res = CUDA_ERROR_NOT_SUPPORTED;
	if (res == CUDA_SUCCESS)
		res = gsh_driver.cuDeviceTotalMem_v2
			      ? gsh_driver.cuDeviceTotalMem_v2(&total_bytes, ordinal)
			      : CUDA_ERROR_NOT_SUPPORTED;
	if (res != CUDA_SUCCESS)
		return -(int)res;
	row = gsh_tenant_device(&gsh_process->tenant, (const uint8_t *)uuid.bytes,
				total_bytes, gsh_environment_device_index(ordinal));
	return row < 0 ? -(int)gsh_result(row) : row;
}

int gsh_device_row(int ordinal)
{
	uint32_t *cached;
	int row;

	if (gsh_unlikely(ordinal < 0 || ordinal >= ORDINALS))
		return ask(ordinal);
	cached = &gsh_process->device_row[ordinal];
	/* Pairs with the release below: the tenant's device is filled in by then. */
	row = (int)gsh_load_acquire(cached) - 1;
	if (gsh_likely(row >= 0))
		return row;
	row = ask(ordinal);
	if (row >= 0)
		gsh_store_release(cached, (uint32_t)row + 1);
	return row;
}

int gsh_device_row_current(void)
{
	CUdevice ordinal;
	CUresult res = gsh_driver.call_cuCtxGetDevice(&ordinal);

	return gsh_likely(res == CUDA_SUCCESS) ? gsh_device_row(ordinal) : -(int)res;
}
