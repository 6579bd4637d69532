/*
 * hook_launch.c - kernels: each call that launches some, with the stream it means.
 *
 * cuLaunchKernel is the hottest path there is: nothing is done here but to say what is
 * launched. What the arguments are worth is the driver's to judge, and refuse.
 */
#include "cuda/gated.h"

/* ---- one kernel ---- */

CUresult CUDAAPI cuLaunchKernel(CUfunction f, unsigned int gridDimX,
				unsigned int gridDimY, unsigned int gridDimZ,
				unsigned int blockDimX, unsigned int blockDimY,
				unsigned int blockDimZ, unsigned int sharedMemBytes,
				CUstream hStream, void **kernelParams, void **extra)
{
	const uint32_t grid[3] = { gridDimX, gridDimY, gridDimZ };
	const uint32_t block[3] = { blockDimX, blockDimY, blockDimZ };
	struct gsh_launch launch;
	struct gsh_pass pass;
	CUresult res;

	GSH_NEED(cuLaunchKernel);
	gsh_launch_kernel(&launch, (uintptr_t)f, grid, block, sharedMemBytes,
			  gsh_stream_id(hStream, GSH_STREAM_LEGACY));
	if (gsh_unlikely(gsh_gate_enter(&launch, &pass) != CUDA_SUCCESS))
		return (CUresult)pass.res;
	res = gsh_driver.cuLaunchKernel(f, gridDimX, gridDimY, gridDimZ, blockDimX,
					blockDimY, blockDimZ, sharedMemBytes, hStream,
					kernelParams, extra);
	gsh_gate_leave(&pass, res);
	return res;
}

CUresult CUDAAPI cuLaunchKernel_ptsz(CUfunction f, unsigned int gridDimX,
				     unsigned int gridDimY, unsigned int gridDimZ,
				     unsigned int blockDimX, unsigned int blockDimY,
				     unsigned int blockDimZ, unsigned int sharedMemBytes,
				     CUstream hStream, void **kernelParams, void **extra)
{
	const uint32_t grid[3] = { gridDimX, gridDimY, gridDimZ };
	const uint32_t block[3] = { blockDimX, blockDimY, blockDimZ };
	struct gsh_launch launch;
	struct gsh_pass pass;
	CUresult res;

	GSH_NEED(cuLaunchKernel_ptsz);
	gsh_launch_kernel(&launch, (uintptr_t)f, grid, block, sharedMemBytes,
			  gsh_stream_id(hStream, GSH_STREAM_PER_THREAD));
	if (gsh_unlikely(gsh_gate_enter(&launch, &pass) != CUDA_SUCCESS))
		return (CUresult)pass.res;
	res = gsh_driver.cuLaunchKernel_ptsz(f, gridDimX, gridDimY, gridDimZ, blockDimX,
					     blockDimY, blockDimZ, sharedMemBytes,
					     hStream, kernelParams, extra);
	gsh_gate_leave(&pass, res);
	return res;
}

static CUresult enter_config(struct gsh_pass *pass, const CUlaunchConfig *config,
			     CUfunction f, uint64_t none)
{
	const uint32_t grid[3] = { config->gridDimX, config->gridDimY, config->gridDimZ };
	const uint32_t block[3] = { config->blockDimX, config->blockDimY,
				    config->blockDimZ };
	struct gsh_launch launch;

	gsh_launch_kernel(&launch, (uintptr_t)f, grid, block, config->sharedMemBytes,
			  gsh_stream_id(config->hStream, none));
	return (CUresult)gsh_gate_enter(&launch, pass);
}

/* Without a configuration there is nothing to launch: the driver says so. */
GSH_GATED_IF(cuLaunchKernelEx,
	     (const CUlaunchConfig *config, CUfunction f, void **kernelParams,
	      void **extra),
	     (config, f, kernelParams, extra), config != NULL,
	     enter_config(&pass, config, f, GSH_STREAM_LEGACY))

GSH_GATED_IF(cuLaunchKernelEx_ptsz,
	     (const CUlaunchConfig *config, CUfunction f, void **kernelParams,
	      void **extra),
	     (config, f, kernelParams, extra), config != NULL,
	     enter_config(&pass, config, f, GSH_STREAM_PER_THREAD))

/* ---- cooperative ones ---- */

typedef CUresult(CUDAAPI *cooperative_function)(CUfunction, unsigned int, unsigned int,
						unsigned int, unsigned int, unsigned int,
						unsigned int, unsigned int, CUstream,
						void **);

static CUresult cooperative(cooperative_function function, CUfunction f,
			    const uint32_t grid[3], const uint32_t block[3],
			    uint32_t shared_bytes, CUstream stream, uint64_t none,
			    void **params)
{
	struct gsh_launch launch;
	struct gsh_pass pass;
	CUresult res;

	gsh_launch_kernel(&launch, (uintptr_t)f, grid, block, shared_bytes,
			  gsh_stream_id(stream, none));
	if (gsh_unlikely(gsh_gate_enter(&launch, &pass) != CUDA_SUCCESS))
		return (CUresult)pass.res;
	res = function(f, grid[0], grid[1], grid[2], block[0], block[1], block[2],
		       shared_bytes, stream, params);
	gsh_gate_leave(&pass, res);
	return res;
}

CUresult CUDAAPI cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX,
					   unsigned int gridDimY, unsigned int gridDimZ,
					   unsigned int blockDimX, unsigned int blockDimY,
					   unsigned int blockDimZ,
					   unsigned int sharedMemBytes, CUstream hStream,
					   void **kernelParams)
{
	const uint32_t grid[3] = { gridDimX, gridDimY, gridDimZ };
	const uint32_t block[3] = { blockDimX, blockDimY, blockDimZ };

	GSH_NEED(cuLaunchCooperativeKernel);
	return cooperative(gsh_driver.cuLaunchCooperativeKernel, f, grid, block,
			   sharedMemBytes, hStream, GSH_STREAM_LEGACY, kernelParams);
}

CUresult CUDAAPI cuLaunchCooperativeKernel_ptsz(
	CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ,
	unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ,
	unsigned int sharedMemBytes, CUstream hStream, void **kernelParams)
{
	const uint32_t grid[3] = { gridDimX, gridDimY, gridDimZ };
	const uint32_t block[3] = { blockDimX, blockDimY, blockDimZ };

	GSH_NEED(cuLaunchCooperativeKernel_ptsz);
	return cooperative(gsh_driver.cuLaunchCooperativeKernel_ptsz, f, grid, block,
			   sharedMemBytes, hStream, GSH_STREAM_PER_THREAD, kernelParams);
}

/* ---- one on each of several devices ---- */

static CUresult enter_part(struct gsh_pass *pass, const CUDA_LAUNCH_PARAMS *part)
{
	const uint32_t grid[3] = { part->gridDimX, part->gridDimY, part->gridDimZ };
	const uint32_t block[3] = { part->blockDimX, part->blockDimY, part->blockDimZ };
	struct gsh_launch launch;

	gsh_launch_kernel(&launch, (uintptr_t)part->function, grid, block,
			  part->sharedMemBytes,
			  gsh_stream_id(part->hStream, GSH_STREAM_LEGACY));
	return (CUresult)gsh_gate_enter(&launch, pass);
}

static CUresult launch_parts(CUDA_LAUNCH_PARAMS *parts, unsigned int count,
			     unsigned int flags)
{
	struct gsh_pass passes[GPUSHIM_DEVICES_MAX];
	unsigned int entered = 0;
	CUresult res = CUDA_SUCCESS;

	while (entered < count && res == CUDA_SUCCESS) {
		res = enter_part(&passes[entered], &parts[entered]);
		entered += res == CUDA_SUCCESS;
	}
	if (res == CUDA_SUCCESS)
		res = gsh_driver.cuLaunchCooperativeKernelMultiDevice(parts, count,
								      flags);
	while (entered > 0)
		gsh_gate_leave(&passes[--entered], res);
	return res;
}

/* More parts than a tenant can have devices are no launch that could succeed: the driver is
 * to say what is wrong. */
CUresult CUDAAPI cuLaunchCooperativeKernelMultiDevice(
	CUDA_LAUNCH_PARAMS *launchParamsList, unsigned int numDevices, unsigned int flags)
{
	CUresult res;

	GSH_NEED(cuLaunchCooperativeKernelMultiDevice);
	if (gsh_enter() != GSH_MODE_ACTIVE) {
		res = gsh_inactive();
		if (res != CUDA_SUCCESS)
			return res;
	} else if (launchParamsList && numDevices <= GPUSHIM_DEVICES_MAX) {
		return launch_parts(launchParamsList, numDevices, flags);
	}
	return gsh_driver.cuLaunchCooperativeKernelMultiDevice(launchParamsList,
							       numDevices, flags);
}

/* ---- as before CUDA 4.0 ---- */

/* The function carries its block and shared memory along, where nobody can ask for them. */
static CUresult enter_legacy(struct gsh_pass *pass, CUfunction f, int width, int height,
			     uint64_t stream)
{
	const uint32_t grid[3] = { (uint32_t)width, (uint32_t)height, 1 };
	const uint32_t unknown[3] = { 0, 0, 0 };
	struct gsh_launch launch;

	gsh_launch_kernel(&launch, (uintptr_t)f, grid, unknown, 0, stream);
	return (CUresult)gsh_gate_enter(&launch, pass);
}

GSH_GATED(cuLaunch, (CUfunction f), (f), enter_legacy(&pass, f, 1, 1, GSH_STREAM_LEGACY))

GSH_GATED(cuLaunchGrid, (CUfunction f, int grid_width, int grid_height),
	  (f, grid_width, grid_height),
	  enter_legacy(&pass, f, grid_width, grid_height, GSH_STREAM_LEGACY))

GSH_GATED(cuLaunchGridAsync,
	  (CUfunction f, int grid_width, int grid_height, CUstream hStream),
	  (f, grid_width, grid_height, hStream),
	  enter_legacy(&pass, f, grid_width, grid_height,
		       gsh_stream_id(hStream, GSH_STREAM_LEGACY)))
