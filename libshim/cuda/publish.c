/*
 * publish.c - what this process has used of the devices' time, written into the ledger.
 *
 * Knows the ledger's rows. Refuses to know how any of it was measured.
 */
#include <string.h>

#include "base/clock.h"
#include "cuda/meter.h"
#include "cuda/process.h"
#include "cuda/watch.h"

/* What another process, or a scribble, says that a launch takes is believed up to here. */
#define GUESS_MAX_NS UINT64_C(10000000000)

/* ---- this process ---- */

void gsh_meter_gather(struct gsh_meter *meter, struct gsh_lane *lane)
{
	struct gsh_meter_row *row = &meter->rows[gsh_load_relaxed(&lane->row)];

	for (int class = 0; class < 3; class ++) {
		uint64_t now = gsh_load_relaxed(&lane->classes[class]);

		row->classes[class] += now - lane->shown[class];
		row->used |= now != lane->shown[class];
		lane->shown[class] = now;
	}
}

static void show_row(const struct gsh_meter_row *row, struct gpushim_ledger_use *use)
{
	const uint64_t *classes = row->classes;

	gsh_store_relaxed(&use->gpu_ns, row->gpu_ns);
	gsh_store_relaxed(&use->waited_ns, gsh_load_relaxed(&row->waited_ns));
	gsh_store_relaxed(&use->delayed, gsh_load_relaxed(&row->delayed));
	gsh_store_relaxed(&use->released, gsh_load_relaxed(&row->released));
	gsh_store_relaxed(&use->unknown, classes[GPUSHIM_COST_UNKNOWN]);
	gsh_store_relaxed(&use->learned, classes[GPUSHIM_COST_LEARNED]);
	gsh_store_relaxed(&use->variable, classes[GPUSHIM_COST_VARIABLE]);
	gsh_store_relaxed(&use->launches, classes[0] + classes[1] + classes[2]);
	gsh_store_relaxed(&use->samples, row->samples);
	gsh_store_relaxed(&use->lost_samples, row->lost);
}

/* Of a device with several contexts that of one of them. */
static void show_ratios(const struct gsh_meter *meter)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;

	for (int i = 0; i < GSH_METER_CONTEXTS; i++) {
		const struct gsh_meter_context *context = &meter->contexts[i];
		struct gpushim_ledger_use *use;

		if (!context->handle || context->row < 0 || !context->completed_ns)
			continue;
		use = gsh_ledger_use(ledger, (uint32_t)context->row, ledger->slot);
		gsh_store_relaxed(
			&use->overlap_permille,
			(uint64_t)gsh_account_overlap_permille(&context->account));
		gsh_store_relaxed(
			&use->inflation_permille,
			(uint64_t)gsh_account_inflation_permille(&context->account));
	}
}

/* ---- costs ---- */

void gsh_meter_name(struct gsh_signature *signature)
{
	const char *name;
	size_t i;

	if (signature->name[0] || signature->kind != GPUSHIM_LAUNCH_KERNEL ||
	    !signature->code || !gsh_driver.call_cuFuncGetName ||
	    gsh_driver.call_cuFuncGetName(
		    &name, (CUfunction)(uintptr_t)signature->code) != CUDA_SUCCESS)
		return;
	for (i = 0; i < sizeof(signature->name) - 1 && name[i]; i++)
		signature->name[i] = name[i];
	signature->name[i] = '\0';
}

static uint64_t hash_of(const struct gpushim_ledger_cost *cost)
{
	const unsigned char *bytes = (const unsigned char *)cost->name;
	size_t n = offsetof(struct gpushim_ledger_cost, cost_class) -
		   offsetof(struct gpushim_ledger_cost, name);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

static void describe(const struct gsh_signature *signature,
		     struct gpushim_ledger_cost *cost)
{
	const uint64_t *shape = signature->shape;

	memset(cost, 0, sizeof(*cost));
	memcpy(cost->name, signature->name, sizeof(cost->name));
	cost->device = signature->row;
	cost->kind = signature->kind;
	if (signature->kind == GPUSHIM_LAUNCH_KERNEL) {
		cost->grid[0] = (uint32_t)shape[0];
		cost->grid[1] = (uint32_t)(shape[0] >> 32);
		cost->grid[2] = (uint32_t)shape[1];
		cost->block[0] = (uint32_t)(shape[1] >> 32);
		cost->block[1] = (uint32_t)shape[2];
		cost->block[2] = (uint32_t)(shape[2] >> 32);
		cost->shared_bytes = (uint32_t)shape[3];
	} else {
		/* Classes of sizes, to tell rows apart. */
		cost->grid[0] = (uint32_t)shape[0];
		cost->grid[1] = (uint32_t)shape[1];
	}
	cost->key = hash_of(cost);
	cost->cost_class = signature->cost.cost_class;
	cost->cost_ns = signature->cost.cost_ns;
	cost->low_ns = signature->cost.low_ns;
	cost->median_ns = signature->cost.median_ns;
	cost->high_ns = signature->cost.high_ns;
	cost->samples = signature->cost.count;
}

/* The row of that key; else a free one; else, of a few, the one that was used least. */
static struct gpushim_ledger_cost *find_row(const struct gsh_ledger *ledger, uint64_t key)
{
	struct gpushim_ledger_cost *best = NULL;
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < 8; i++) {
		struct gpushim_ledger_cost *row = gsh_ledger_cost(
			ledger, (uint32_t)(key + i) % GPUSHIM_COSTS_MAX);
		uint64_t seen = gsh_load_relaxed(&row->key);
		uint64_t used_ns = seen ? gsh_load_relaxed(&row->gpu_ns) : 0;

		if (seen == key)
			return row;
		if (used_ns < least) {
			least = used_ns;
			best = row;
		}
	}
	return best;
}

static void store_words(void *to, const void *from, size_t bytes)
{
	uint64_t *words = to;
	uint64_t word;

	for (size_t i = 0; i < bytes / sizeof(word); i++) {
		memcpy(&word, (const char *)from + i * sizeof(word), sizeof(word));
		gsh_store_relaxed(&words[i], word);
	}
}

void gsh_meter_guess(struct gsh_signature *signature)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	const struct gpushim_ledger_cost *row;
	struct gpushim_ledger_cost cost;
	uint64_t guess_ns;

	gsh_meter_name(signature);
	/* Graphs, and kernels without a name, are not told apart there. */
	if (signature->kind == GPUSHIM_LAUNCH_GRAPH ||
	    (signature->kind == GPUSHIM_LAUNCH_KERNEL && !signature->name[0]))
		return;
	describe(signature, &cost);
	row = find_row(ledger, cost.key);
	guess_ns = gsh_load_relaxed(&row->cost_ns);
	if (gsh_load_relaxed(&row->key) == cost.key)
		gsh_store_relaxed(&signature->cost.cost_ns,
				  guess_ns < GUESS_MAX_NS ? guess_ns : GUESS_MAX_NS);
}

void gsh_meter_show_cost(struct gsh_signature *signature, uint64_t now_ns)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	uint64_t launches = gsh_load_relaxed(&signature->launches);
	/* Of launches that were refused a lane may take back more than it has added. */
	uint64_t fresh = launches > signature->shown_launches
				 ? launches - signature->shown_launches
				 : 0;
	struct gpushim_ledger_cost cost, *row;

	if (!signature->used_at || !signature->cost.count)
		return;
	signature->shown_launches = launches;
	describe(signature, &cost);
	row = find_row(ledger, cost.key);
	if (!fresh && gsh_load_relaxed(&row->key) == cost.key &&
	    gsh_load_relaxed(&row->samples) >= cost.samples)
		return;
	cost.launches = fresh;
	cost.gpu_ns = fresh * cost.cost_ns;
	if (gsh_load_relaxed(&row->key) == cost.key) {
		cost.launches += gsh_load_relaxed(&row->launches);
		cost.gpu_ns += gsh_load_relaxed(&row->gpu_ns);
	}
	cost.updated_ns = now_ns;
	cost.slot = ledger->slot;
	store_words(row, &cost, sizeof(cost));
}

/* ---- both ---- */

void gsh_meter_publish(struct gsh_meter *meter, bool costs)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	uint64_t now_ns = gsh_clock_now_ns();

	uint32_t lanes = gsh_load_relaxed(&meter->lanes_used);

	gsh_lock(&meter->lock);
	for (uint32_t i = 0; i < lanes; i++)
		gsh_meter_gather(meter, &meter->lanes[i]);
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		if (meter->rows[i].used)
			show_row(&meter->rows[i],
				 gsh_ledger_use(ledger, i, ledger->slot));
	show_ratios(meter);
	if (costs)
		for (int i = 0; i < GSH_METER_SETS * GSH_METER_WAYS; i++)
			gsh_meter_show_cost(&meter->signatures[0][0] + i, now_ns);
	gsh_unlock(&meter->lock);
}
