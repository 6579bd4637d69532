/*
 * truth_image.h - how the device's books travel to a monitor.
 *
 * Knows: the content of the memfd that answers SIM_RPC_TRUTH. Written by the device process,
 * read by libsimgpu; both are built from one tree, so rows travel as they are in memory.
 *
 * Layout: struct sim_truth_image, then, without gaps, ndevices x struct simgpu_device,
 * nclients x struct simgpu_client (by id), ncontexts x struct simgpu_context (by client, then
 * id) and nsamples x struct simgpu_sample (oldest first). Every part is a multiple of eight
 * bytes. The file has exactly that size.
 */
#ifndef SIM_TRUTH_IMAGE_H
#define SIM_TRUTH_IMAGE_H

#include "proto.h"
#include "simgpu.h"

#define SIM_TRUTH_MAGIC 0x48545254u /* "TRTH" */

/* SIM_RPC_TRUTH, a0: flags. */
#define SIM_TRUTH_SAMPLES 1u /* with the samples; else nsamples is 0 */

struct sim_truth_image {
	uint32_t magic, version; /* SIM_TRUTH_MAGIC, SIMGPU_TRUTH_VERSION */
	uint32_t ndevices, nclients, ncontexts, nsamples;
	uint64_t now_ns, started_ns, cpu_ns, forgotten;
	uint64_t period_ns; /* of the samples; 0: this device takes none */
};

_Static_assert(sizeof(struct sim_truth_image) % 8 == 0 &&
		       sizeof(struct simgpu_device) % 8 == 0 &&
		       sizeof(struct simgpu_client) % 8 == 0 &&
		       sizeof(struct simgpu_context) % 8 == 0 &&
		       sizeof(struct simgpu_sample) % 8 == 0,
	       "rows follow one another without gaps");

#endif
