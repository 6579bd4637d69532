/*
 * admit.c - the slow way through the gate: drawing credit, and choosing what is sampled.
 *
 * Knows how much credit a lane draws at a time. Refuses to know how a launch waits (hold.c)
 * and how time is measured (sample.c, meter.c).
 */
#include "cuda/admit.h"

#include <errno.h>

#include "cuda/hold.h"
#include "cuda/process.h"
#include "cuda/sample.h"
#include "cuda/watch.h"
#include "policy/bucket.h"

/* Launches measured one by one when unmeasured ones took far longer than predicted. */
#define DENSE_LAUNCHES 32u
#define DENSE_REST_MAX 256u

/* ---- drawing ---- */

static uint32_t next_random(struct gsh_lane *lane)
{
	uint32_t x = lane->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return lane->random = x;
}

/* Once in a while, after unmeasured launches that took far longer than predicted. */
static void become_dense(struct gsh_lane *lane)
{
	if (lane->dense_rest > 0)
		lane->dense_rest--;
	if (!gsh_load_relaxed(&lane->suspect))
		return;
	gsh_store_relaxed(&lane->suspect, 0);
	if (lane->dense_rest > 0 || lane->dense > 0)
		return;
	lane->dense = DENSE_LAUNCHES;
	lane->dense_next = lane->dense_next * 2 + 4;
	if (lane->dense_next > DENSE_REST_MAX)
		lane->dense_next = DENSE_REST_MAX;
	lane->dense_rest = lane->dense_next + DENSE_LAUNCHES;
}

/*
 * How much more than this launch's cost to draw: what may go unmeasured. Random, so that
 * nobody can know which launches are measured; little at first, since what a thread has
 * drawn and does not use before it ends is lost.
 */
static uint64_t extra_of(const struct gsh_admission *admission, uint64_t cost_ns)
{
	struct gsh_meter *meter = admission->meter;
	struct gsh_lane *lane = admission->lane;
	uint64_t window_ns = gsh_hold_window_ns(&meter->rows[admission->row]);
	bool alone = !gsh_load_relaxed(&meter->mixed);
	uint64_t horizon_ns, extra_ns;

	become_dense(lane);
	if (lane->dense > 0) {
		lane->dense--;
		return 0;
	}
	if (admission->cost_class == GPUSHIM_COST_UNKNOWN)
		return 0;
	if (!alone)
		/* Nobody knows when unmeasured launches of streams that overlap ran. Who has a
		 * limit leaves the device time for events. */
		horizon_ns = lane->paid ? GSH_METER_MIXED_NS : GSH_METER_VARIABLE_NS;
	else
		horizon_ns = admission->cost_class == GPUSHIM_COST_LEARNED
				     ? GSH_METER_STEADY_NS
				     : GSH_METER_VARIABLE_NS;
	if (horizon_ns > window_ns / 4)
		horizon_ns = window_ns / 4;
	extra_ns = horizon_ns / 2 + next_random(lane) % horizon_ns;
	if (extra_ns < cost_ns)
		return 0;
	return extra_ns < lane->drawn_ns / 4 ? extra_ns : lane->drawn_ns / 4;
}

void gsh_admit_refund(const struct gsh_lane *lane, uint64_t cost_ns)
{
	if (lane->paid)
		gsh_hold_settle(lane->row,
				(int64_t)gsh_scaled(cost_ns, lane->scale_permille));
}

void gsh_admit_give_back(struct gsh_lane *lane)
{
	if (lane->left_ns)
		gsh_admit_refund(lane, lane->left_ns);
	lane->left_ns = 0;
}

/* It is paid for, and only to be measured. */
static bool is_only_due(const struct gsh_lane *lane,
			const struct gsh_admission *admission, uint64_t cost_ns)
{
	return lane->left_ns >= cost_ns && lane->row == admission->row &&
	       admission->cost_class != GPUSHIM_COST_UNKNOWN && !lane->dense;
}

static void change_row(struct gsh_lane *lane, const struct gsh_admission *admission)
{
	struct gsh_meter *meter = admission->meter;

	gsh_lock(&meter->lock);
	gsh_meter_gather(meter, lane);
	gsh_unlock(&meter->lock);
	gsh_store_relaxed(&lane->row, admission->row);
}

/*
 * Draws credit for this launch and some more. *predicted_ns: what it costs, which may change while
 * it waits. *measure: it is to be sampled itself.
 */
static CUresult draw(const struct gsh_admission *admission, uint64_t *predicted_ns,
		     bool *measure)
{
	struct gsh_lane *lane = admission->lane;
	uint64_t extra_ns = extra_of(admission, *predicted_ns), cost_ns, fit;
	CUresult res;
	bool paid;

	if (lane->row != admission->row ||
	    lane->scale_permille != admission->scale_permille)
		gsh_admit_give_back(lane);
	if (lane->row != admission->row)
		change_row(lane, admission);
	res = gsh_hold_pay(admission, predicted_ns, extra_ns, &paid);
	if (res != CUDA_SUCCESS)
		return res;
	cost_ns = *predicted_ns;
	/* What was not paid for is not mixed with what was. */
	if (paid != lane->paid)
		gsh_admit_give_back(lane);
	lane->paid = paid;
	lane->scale_permille = admission->scale_permille;
	lane->drawn_ns += cost_ns + extra_ns;
	lane->left_ns += extra_ns;
	*measure = extra_ns < cost_ns;
	fit = cost_ns ? extra_ns / cost_ns : 0;
	if (fit)
		/* Not the first: it may have waited for the device, as it did for credit. */
		lane->until = (uint32_t)(next_random(lane) % fit);
	return CUDA_SUCCESS;
}

uint64_t gsh_admit_predict(const struct gsh_admission *admission)
{
	struct gsh_signature *signature = admission->signature;

	if (!gsh_load_relaxed(&signature->cost.cost_ns)) {
		gsh_lock(&admission->meter->lock);
		if (signature->epoch == admission->epoch)
			gsh_meter_guess(signature);
		gsh_unlock(&admission->meter->lock);
	}
	return gsh_cost_predict(&signature->cost);
}

int gsh_admit(const struct gsh_launch *launch, const struct gsh_admission *admission,
	      struct gsh_pass *pass)
{
	struct gsh_lane *lane = admission->lane;
	bool measure = true;
	int saved = errno;
	CUresult res = CUDA_SUCCESS;

	/* What its own context has completed meanwhile may be news about this signature. */
	if (admission->context == admission->current)
		gsh_meter_collect_if_free(admission->meter, admission->current);
	pass->cost_ns = gsh_admit_predict(admission);
	if (gsh_lane_turn_over(lane))
		gsh_admit_give_back(lane);
	if (is_only_due(lane, admission, pass->cost_ns))
		lane->left_ns -= pass->cost_ns;
	else
		res = draw(admission, &pass->cost_ns, &measure);
	/* It may have begun to capture while the launch waited. */
	if (measure &&
	    gsh_load_relaxed(&admission->meter->attention) >= GSH_ATTENTION_CAPTURE &&
	    gsh_look_captures(launch->stream))
		measure = false;
	if (res == CUDA_SUCCESS) {
		if (measure) {
			gsh_sample_begin(launch, admission, pass, lane->paid);
			lane->until = GSH_METER_LAUNCHES / 2 +
				      next_random(lane) % GSH_METER_LAUNCHES;
		}
		if (measure && !pass->sampled)
			gsh_sample_go_blind(launch, admission, pass,
					    lane->paid ? gsh_scaled(pass->cost_ns,
								    lane->scale_permille)
						       : 0);
		if (!pass->sampled && !pass->blind)
			lane->batch_ns += pass->cost_ns;
		gsh_watch_wake(admission->meter);
	}
	errno = saved;
	return res;
}
