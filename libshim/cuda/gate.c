/*
 * gate.c - the way of a launch through the gate when it is decided by a few compares, and
 * what else hooks tell the gate.
 *
 * Knows lanes. The slow way is admit.c's, what events say meter.c's.
 */
#include "cuda/gate.h"

#include <string.h>

#include "cuda/admit.h"
#include "cuda/meter.h"
#include "cuda/process.h"

/* ---- lanes ---- */

/*
 * The meter is compared first: after a fork the child has none, or another, and the lane is
 * not mapped there, or empty.
 */
static __thread struct {
	struct gsh_meter *meter;
	uint64_t nonce; /* of the meter */
	struct gsh_lane *lane;
} own;

static inline unsigned place_of(const struct gsh_launch *launch)
{
	uint64_t hash = launch->code ^ launch->shape[0] * UINT64_C(0x9e3779b97f4a7c15) ^
			launch->shape[1] * UINT64_C(0xc2b2ae3d27d4eb4f) ^
			launch->shape[2] * UINT64_C(0x165667b19e3779f9) ^
			launch->shape[3];

	return (unsigned)(hash * UINT64_C(0xff51afd7ed558ccd) >> 58);
}

_Static_assert(GSH_LANE_CACHE == 64, "place_of gives six bits");

static inline bool is_of(const struct gsh_lane_signature *entry,
			 const struct gsh_launch *launch)
{
	return entry->signature && entry->code == launch->code &&
	       entry->shape[0] == launch->shape[0] &&
	       entry->shape[1] == launch->shape[1] &&
	       entry->shape[2] == launch->shape[2] &&
	       entry->shape[3] == launch->shape[3] && entry->kind == launch->kind &&
	       entry->epoch == gsh_load_relaxed(&entry->signature->epoch);
}

static inline unsigned stream_place(uint64_t handle)
{
	return (unsigned)(handle * UINT64_C(0x9e3779b97f4a7c15) >> 61);
}

_Static_assert(GSH_LANE_STREAMS == 8, "stream_place gives three bits");

/* What the lane launched on its stream so far now belongs to the stream's batch. */
static inline void flush_batch(struct gsh_lane *lane)
{
	if (lane->batch_ns)
		gsh_add_relaxed(&lane->stream->batch_ns, lane->batch_ns);
	lane->batch_ns = 0;
}

static bool change_stream(struct gsh_lane *lane, uint64_t handle)
{
	unsigned place = stream_place(handle);

	if (!handle || lane->streams[place].handle != handle || !lane->stream_handle)
		return false;
	flush_batch(lane);
	lane->stream_handle = handle;
	lane->stream = lane->streams[place].stream;
	return true;
}

static inline void count(struct gsh_lane *lane, struct gsh_lane_signature *entry,
			 struct gsh_pass *pass)
{
	uint64_t *launches = &lane->classes[entry->cost_class];

	gsh_store_relaxed(launches, *launches + 1);
	entry->launches++;
	pass->lane = lane;
	pass->entry = entry;
}

/* The driver refused it: it took no time and was no launch. */
static void uncount(struct gsh_pass *pass)
{
	struct gsh_lane_signature *entry = pass->entry;
	struct gsh_lane *lane = pass->lane;
	uint64_t *launches = &lane->classes[entry->cost_class];

	gsh_store_relaxed(launches, *launches - 1);
	entry->launches--;
	if (entry->cost_class == GPUSHIM_COST_UNKNOWN)
		gsh_admit_refund(lane, pass->cost_ns);
	else
		lane->left_ns += pass->cost_ns;
	/* Nor is it in what the next sample settles, or it would be given back twice. */
	if (!pass->sampled && !pass->blind)
		lane->batch_ns -= pass->cost_ns < lane->batch_ns ? pass->cost_ns
								 : lane->batch_ns;
}

/* Pays from the lane's credit, if that is enough. */
static inline bool pays(struct gsh_lane *lane, struct gsh_lane_signature *entry,
			const struct gsh_launch *launch, struct gsh_pass *pass)
{
	uint64_t cost_ns = gsh_cost_predict(&entry->signature->cost);

	if (gsh_unlikely(lane->stream_handle != launch->stream) &&
	    !change_stream(lane, launch->stream))
		return false;
	if (gsh_unlikely(lane->left_ns < cost_ns || lane->until == 0 ||
			 lane->row != entry->row || gsh_lane_turn_over(lane)))
		return false;
	lane->left_ns -= cost_ns;
	lane->batch_ns += cost_ns;
	lane->until--;
	count(lane, entry, pass);
	pass->cost_ns = cost_ns;
	return true;
}

/* ---- the slow way ---- */

static bool remember(struct gsh_lane *lane, struct gsh_lane_signature *entry,
		     const struct gsh_launch *launch,
		     const struct gsh_admission *admission)
{
	struct gsh_signature *signature = admission->signature;

	if (entry->signature && entry->launches)
		gsh_add_relaxed(&entry->signature->launches, entry->launches);
	entry->launches = 0;
	entry->code = launch->code;
	memcpy(entry->shape, launch->shape, sizeof(entry->shape));
	entry->kind = (uint16_t)launch->kind;
	/* Nobody's: what is unknown goes the slow way, to be sampled and counted. */
	entry->row = admission->cost_class == GPUSHIM_COST_UNKNOWN
			     ? UINT8_MAX
			     : (uint8_t)admission->row;
	entry->signature = signature;
	entry->epoch = admission->epoch;
	entry->cost_class = (uint8_t)admission->cost_class;
	flush_batch(lane);
	lane->stream_handle = launch->stream;
	lane->stream = admission->stream;
	lane->streams[stream_place(launch->stream)].handle = launch->stream;
	lane->streams[stream_place(launch->stream)].stream = admission->stream;
	return admission->cost_class != GPUSHIM_COST_UNKNOWN;
}

static int slow(const struct gsh_launch *launch, struct gsh_pass *pass)
{
	struct gsh_admission admission;
	struct gsh_lane_signature *entry;
	struct gsh_lane *lane;

	pass->res = gsh_admit_look(launch, &admission, own.meter, own.nonce, own.lane);
	lane = admission.lane;
	if (lane) {
		own.meter = admission.meter;
		own.nonce = admission.meter->nonce;
		own.lane = lane;
	}
	if (pass->res != CUDA_SUCCESS || admission.found == GSH_FOUND_NOTHING)
		return pass->res;
	if (gsh_unlikely(admission.found == GSH_FOUND_NO_ROOM || !lane))
		return pass->res = gsh_admit_unlisted(launch, &admission, pass);
	entry = &lane->signatures[place_of(launch)];
	/* It may have come only because something had to be looked up again. */
	if (remember(lane, entry, launch, &admission) && !lane->dense &&
	    pays(lane, entry, launch, pass))
		return CUDA_SUCCESS;
	pass->res = gsh_admit(launch, &admission, pass);
	if (pass->res == CUDA_SUCCESS)
		count(lane, entry, pass);
	return pass->res;
}

int gsh_gate_enter(const struct gsh_launch *launch, struct gsh_pass *pass)
{
	const struct gsh_process *process;
	struct gsh_lane_signature *entry;
	struct gsh_meter *meter;

	pass->res = CUDA_SUCCESS;
	pass->sampled = false;
	pass->blind = false;
	pass->unlisted = false;
	pass->lane = NULL;
	if (gsh_likely(gsh_enter() == GSH_MODE_ACTIVE)) {
		process = gsh_process;
		/* Pairs with the release in gsh_pages_once(). */
		meter = gsh_load_acquire(&process->meter);
		if (gsh_likely(meter && own.meter == meter &&
			       own.nonce == meter->nonce) &&
		    gsh_likely(!gsh_load_relaxed(&meter->attention))) {
			entry = &own.lane->signatures[place_of(launch)];
			if (gsh_likely(is_of(entry, launch)) &&
			    gsh_likely(pays(own.lane, entry, launch, pass)))
				return CUDA_SUCCESS;
		}
	}
	return slow(launch, pass);
}

void gsh_gate_leave(struct gsh_pass *pass, int res)
{
	if (gsh_unlikely(pass->sampled))
		gsh_admit_launched(pass, res);
	else if (gsh_unlikely(pass->blind) && res == CUDA_SUCCESS)
		gsh_admit_wait(pass);
	if (gsh_unlikely(res != CUDA_SUCCESS) && pass->lane)
		uncount(pass);
	if (gsh_unlikely(res != CUDA_SUCCESS) && pass->unlisted)
		gsh_admit_take_back(pass);
}

/* ---- what is launched ---- */

/* Two bits below the highest: eight classes for each power of two would be three. */
static uint64_t size_class(uint64_t bytes)
{
	unsigned top;

	if (bytes < 16)
		return bytes;
	top = 63 - (unsigned)__builtin_clzll(bytes);
	return (uint64_t)top << 3 | (bytes >> (top - 3) & 7);
}

void gsh_launch_bytes(struct gsh_launch *launch, enum gpushim_launch_kind kind,
		      uint32_t what, uint64_t bytes, uint64_t stream)
{
	launch->stream = stream;
	launch->code = 0;
	launch->shape[0] = size_class(bytes);
	launch->shape[1] = what;
	launch->shape[2] = launch->shape[3] = 0;
	launch->kind = kind;
}

void gsh_launch_graph(struct gsh_launch *launch, uint64_t exec, uint64_t stream)
{
	memset(launch, 0, sizeof(*launch));
	launch->stream = stream;
	launch->code = exec;
	launch->kind = GPUSHIM_LAUNCH_GRAPH;
}

/* ---- what else hooks say ---- */

/* NULL: nothing was launched yet. */
static struct gsh_meter *meter_if_any(void)
{
	return gsh_enter() == GSH_MODE_ACTIVE ? gsh_load_acquire(&gsh_process->meter)
					      : NULL;
}

void gsh_gate_capture_begins(void)
{
	struct gsh_meter *meter = gsh_enter() == GSH_MODE_ACTIVE ? gsh_meter() : NULL;

	if (meter)
		gsh_add_seq_cst(&meter->attention, GSH_ATTENTION_CAPTURE);
}

void gsh_gate_capture_ended(void)
{
	struct gsh_meter *meter = meter_if_any();

	if (meter)
		gsh_sub_seq_cst(&meter->attention, GSH_ATTENTION_CAPTURE);
}

void gsh_gate_context_changes(void)
{
	struct gsh_meter *meter = meter_if_any();

	if (!meter || own.meter != meter || own.nonce != meter->nonce)
		return;
	flush_batch(own.lane);
	own.lane->stream_handle = 0;
	for (int i = 0; i < GSH_LANE_STREAMS; i++)
		own.lane->streams[i].handle = 0;
}

void gsh_gate_stream_gone(uint64_t handle)
{
	struct gsh_meter *meter = meter_if_any();

	if (!meter)
		return;
	gsh_lock(&meter->lock);
	for (uint32_t i = 0; i < GSH_METER_CONTEXTS; i++) {
		struct gsh_stream *stream = meter->contexts[i].handle
						    ? gsh_meter_find_stream(
							      meter, handle, i,
							      GSH_METER_NONE)
						    : NULL;

		/* Its events live on: what has completed is settled as ever. */
		if (stream)
			gsh_meter_retire(meter, stream);
	}
	gsh_unlock(&meter->lock);
}

void gsh_gate_context_gone(uint64_t handle)
{
	struct gsh_meter *meter = meter_if_any();

	if (!meter || !handle)
		return;
	gsh_lock(&meter->lock);
	for (uint32_t i = 0; i < GSH_METER_CONTEXTS; i++)
		if (meter->contexts[i].handle == handle)
			gsh_meter_forget_context(meter, i);
	gsh_unlock(&meter->lock);
	gsh_gate_context_changes();
}

/* Lanes look again, and a few samples decide. Under the lock. */
static void doubt(struct gsh_signature *signature)
{
	gsh_store_relaxed(&signature->epoch, signature->epoch + 1);
	signature->name[0] = '\0';
	gsh_cost_doubt(&signature->cost);
}

void gsh_gate_code_gone(void)
{
	struct gsh_meter *meter = meter_if_any();

	if (!meter)
		return;
	gsh_lock(&meter->lock);
	for (int i = 0; i < GSH_METER_SETS * GSH_METER_WAYS; i++) {
		struct gsh_signature *signature = &meter->signatures[0][0] + i;

		if (signature->used_at && signature->kind == GPUSHIM_LAUNCH_KERNEL)
			doubt(signature);
	}
	gsh_unlock(&meter->lock);
}

void gsh_gate_graph_changed(uint64_t exec)
{
	struct gsh_meter *meter = meter_if_any();
	struct gsh_signature *signature;
	struct gsh_launch launch;

	if (!meter || !exec)
		return;
	gsh_launch_graph(&launch, exec, 0);
	gsh_lock(&meter->lock);
	for (uint32_t row = 0; row < GPUSHIM_DEVICES_MAX; row++) {
		signature = gsh_meter_known(meter, &launch, row);
		if (signature)
			doubt(signature);
	}
	gsh_unlock(&meter->lock);
}
