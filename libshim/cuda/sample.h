/*
 * sample.h - measuring a launch: events around it, or, where there are none, waiting for it.
 */
#ifndef GSH_CUDA_SAMPLE_H
#define GSH_CUDA_SAMPLE_H

#include "cuda/admit.h"

/* Records the first event. pass->sampled says whether that went well. */
void gsh_sample_begin(const struct gsh_launch *launch,
		      const struct gsh_admission *admission, struct gsh_pass *pass,
		      bool paid);

/*
 * If a limit holds, and the launch could not be sampled: it will be waited for. charged_ns:
 * what it has paid; 0: nothing.
 */
void gsh_sample_go_blind(const struct gsh_launch *launch,
			 const struct gsh_admission *admission, struct gsh_pass *pass,
			 uint64_t charged_ns);

#endif
