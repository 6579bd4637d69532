/*
 * profiler.c - the switches of NVIDIA's profilers, which never watch this device.
 */
#include <cudaProfiler.h>

#include "driver/driver.h"

SIM_EXPORT CUresult cuProfilerInitialize(const char *configFile, const char *outputFile,
					 CUoutput_mode outputMode)
{
	CUresult res = sim_enter(SIM_FN_cuProfilerInitialize);

	if (res != CUDA_SUCCESS)
		return res;
	if (configFile == NULL || outputFile == NULL || (unsigned)outputMode > CU_OUT_CSV)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult need_context(void)
{
	struct sim_context *ctx;

	return sim_need_context(&ctx);
}

SIM_EXPORT CUresult cuProfilerStart(void)
{
	CUresult res = sim_enter(SIM_FN_cuProfilerStart);

	return res ? res : need_context();
}

SIM_EXPORT CUresult cuProfilerStop(void)
{
	CUresult res = sim_enter(SIM_FN_cuProfilerStop);

	return res ? res : need_context();
}
