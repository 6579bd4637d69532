/*
 * unlisted.c - launches of which no records can be kept: of more threads, contexts or streams
 * at once than the tables have room for.
 *
 * Knows that such a launch is never refused for that. Without a limit it passes, and is counted
 * and not measured. Under a limit it pays what its signature costs, as far as that is known, and
 * is waited for and charged by the clock: slow, but it ends, and the limit holds.
 */
#include <errno.h>

#include "cuda/admit.h"
#include "cuda/hold.h"
#include "cuda/process.h"
#include "cuda/sample.h"
#include "policy/bucket.h"

static void count(struct gsh_meter *meter, const struct gsh_pass *pass, uint64_t more)
{
	struct gsh_meter_row *row = &meter->rows[pass->row];

	gsh_lock(&meter->lock);
	row->classes[pass->cost_class] += more;
	row->used = true;
	gsh_unlock(&meter->lock);
}

int gsh_admit_unlisted(const struct gsh_launch *launch,
		       const struct gsh_admission *admission, struct gsh_pass *pass)
{
	struct gsh_meter *meter = admission->meter;
	uint64_t cost_ns = gsh_admit_predict(admission);
	int saved = errno;
	CUresult res;
	bool paid;

	res = gsh_hold_pay(admission, &cost_ns, 0, &paid);
	if (res == CUDA_SUCCESS) {
		pass->unlisted = true;
		pass->row = admission->row;
		pass->cost_class = admission->cost_class;
		pass->charged_ns = paid ? gsh_scaled(cost_ns, admission->scale_permille)
					: 0;
		count(meter, pass, 1);
		/* It may have begun to capture while the launch waited. */
		if (gsh_load_relaxed(&meter->attention) < GSH_ATTENTION_CAPTURE ||
		    !gsh_look_captures(launch->stream))
			gsh_sample_go_blind(launch, admission, pass, pass->charged_ns);
	}
	errno = saved;
	return res;
}

void gsh_admit_take_back(const struct gsh_pass *pass)
{
	count(gsh_process->meter, pass, (uint64_t)-1);
	gsh_hold_settle(pass->row, (int64_t)pass->charged_ns);
}
