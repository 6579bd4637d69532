/*
 * launch.h - a kernel launch, checked and packed, shared by launches and graph nodes; and
 * host functions, the launches of the host.
 */
#ifndef SIM_LAUNCH_H
#define SIM_LAUNCH_H

#include "driver/driver.h"

#define SIM_PARAMS_MAX 32768

struct sim_launch {
	struct sim_function *function;
	struct sim_rec_kernel rec;
	unsigned char params[SIM_PARAMS_MAX]; /* rec.param_bytes of them */
};

/* Checks the function, dimensions and shared memory, and packs the arguments as the kernel
 * expects them, from kernel_params or from extra (CU_LAUNCH_PARAM_*), not both. A CUkernel
 * stands for its function in the current context; launch->function is that function.
 * CUDA_ERROR_INVALID_HANDLE, _INVALID_VALUE, _INVALID_IMAGE for a kernel without known
 * parameters given kernel_params; loads the function's code if that was deferred. */
CUresult sim_launch_prepare(struct sim_launch *launch, CUfunction function,
			    const unsigned grid[3], const unsigned block[3],
			    unsigned shared_bytes, void **kernel_params, void **extra,
			    bool cooperative);

struct sim_launch_shape {
	unsigned grid[3], block[3];
	unsigned shared_bytes;
	bool cooperative;
};

/* A launch into a stream, or into its capture. */
CUresult sim_launch_submit(struct sim_stream *stream, CUfunction function,
			   const struct sim_launch_shape *shape, void **kernel_params,
			   void **extra);

/* Cluster dimensions that the function's attributes demand; false: none. */
bool sim_launch_required_cluster(const struct sim_function *function,
				 unsigned cluster[3]);
/* Cluster dimensions of a launch by its attributes and the function's, {0, 0, 0} for none.
 * CUDA_ERROR_INVALID_CLUSTER_SIZE if they do not fit the grid, the function or the device. */
CUresult sim_launch_cluster(const struct sim_function *function,
			    const CUlaunchConfig *config, unsigned cluster[3]);

/* ---- host functions ---- */

/* Work of a host function: called on the callback thread. Begins that thread if needed and
 * returns the token to submit with SIM_REC_HOST_FUNC, or 0 when out of memory. The entry is
 * freed after one run, or by sim_host_drop(); with `keep` (graphs) only by the latter. */
uint64_t sim_host_token(CUhostFn fn, CUstreamCallback callback, CUstream stream,
			void *data, bool keep);
void sim_host_drop(uint64_t token);

/* Host functions that have returned: incremented (release) before the device is told. */
extern _Atomic uint32_t sim_host_returned;

/* Whether the calling thread is inside a host function, which must not call CUDA. */
bool sim_host_inside(void);

#endif
