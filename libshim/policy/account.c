/*
 * account.c - from event brackets to what is charged.
 *
 * Knows what brackets show and how much of it others may explain. Refuses to know how costs
 * are learned, who pays, and who else uses the device: nobody inside a process can tell.
 *
 * Why outliers of short kernels are excused at all: of 20 us kernels one in a hundred falls
 * into the slice of another tenant, and then shows 2 ms more; to charge that would halve
 * the share of whoever has a neighbour. Why only within bounds: one in a hundred may as well
 * really take 2 ms, which looks the same. And because what is not measured may hide more of
 * them, an outlier that was sampled also answers for those that were not.
 */
#include "policy/account.h"

#include "policy/cost.h"

/* Saved up it would excuse a burst; without it the first outlier could not be. */
#define EXCUSABLE_MAX_NS UINT64_C(20000000)
/* Few outliers are sampled, and each stands for many: this smooths them. */
#define HIDDEN_MAX_NS UINT64_C(400000000)
/* What a rare launch that was sampled stands for may need many gaps to be charged to. */
#define CARRIED_MAX_NS UINT64_C(1000000000)
#define BACK_MAX_NS UINT64_C(10000000000)
/* Shorter gaps events cannot tell: two of them, each known to half a microsecond. */
#define RESOLUTION_NS UINT64_C(1000)
/* Steady signatures that ran for less say nothing of the inflation. */
#define EVIDENCE_NS UINT64_C(20000000)
/* Beyond it nothing is plausible; below it sums do not overflow. */
#define PLAUSIBLE_NS (UINT64_C(1) << 44)

#define DECAY_STEP_NS UINT64_C(25000000)
enum { DECAY_STEPS_MAX = 8, WEIGHT_MAX = 1024 };
/* Less predicted time than this says nothing of the overlap. */
#define KNOWN_NS UINT64_C(1000000)

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t scaled(uint64_t ns, double factor)
{
	double product = (double)ns * factor;

	return product < (double)PLAUSIBLE_NS ? (uint64_t)product : PLAUSIBLE_NS;
}

static void add(uint64_t *sum_ns, uint64_t ns)
{
	*sum_ns = lower(*sum_ns + lower(ns, PLAUSIBLE_NS), PLAUSIBLE_NS);
}

/* ---- of late ---- */

/* At most to a third at once: after a pause the last ratio is still the best guess. */
static void decay(struct gsh_account *account, uint64_t now_ns)
{
	if (now_ns <= account->decayed_ns)
		return;
	for (int i = 0; i < DECAY_STEPS_MAX; i++) {
		if (now_ns - account->decayed_ns < DECAY_STEP_NS)
			return;
		account->decayed_ns += DECAY_STEP_NS;
		account->charged_ns -= account->charged_ns / 8;
		account->predicted_ns -= account->predicted_ns / 8;
		/* Outliers are rare: about 1.6 s. */
		account->seen_ns -= account->seen_ns / 64;
		account->low_ns -= account->low_ns / 64;
		account->long_seen_ns -= account->long_seen_ns / 256;
		account->long_low_ns -= account->long_low_ns / 256;
	}
	account->decayed_ns = now_ns;
}

uint32_t gsh_account_overlap_permille(const struct gsh_account *account)
{
	double permille;

	if (account->predicted_ns < KNOWN_NS)
		return 1000;
	permille = (double)account->charged_ns * 1000 / (double)account->predicted_ns;
	return permille < 62 ? 62 : permille > 4000 ? 4000 : (uint32_t)(permille + 0.5);
}

uint32_t gsh_account_inflation_permille(const struct gsh_account *account)
{
	double permille, long_permille;

	if (account->low_ns < EVIDENCE_NS)
		return 1000;
	permille = (double)account->seen_ns * 1000 / (double)account->low_ns;
	long_permille = (double)account->long_seen_ns * 1000 /
			(double)account->long_low_ns;
	if (permille > long_permille)
		permille = long_permille;
	return permille < 1100 ? 1000 : permille < 1e6 ? (uint32_t)permille : 1000000;
}

/* Seen time of others that are not steady, to what of it is one's own. */
static double deflation(const struct gsh_account *account)
{
	uint32_t permille = gsh_account_inflation_permille(account);

	return 1000.0 / (double)(permille < 2000 ? permille : 2000);
}

/* ---- outliers ---- */

static bool is_outlier(const struct gsh_account_piece *piece, uint64_t seen_ns)
{
	uint64_t low_ns = piece->low_ns;

	return low_ns <= GSH_COST_SHORT_NS && seen_ns > low_ns + low_ns / 2 &&
	       seen_ns - low_ns >= GSH_COST_SLICE_MIN_NS &&
	       seen_ns - low_ns <= GSH_COST_SLICE_MAX_NS;
}

/* Takes what it can from an allowance. */
static uint64_t draw(uint64_t *allowance_ns, uint64_t wanted_ns)
{
	uint64_t ns = lower(wanted_ns, *allowance_ns);

	*allowance_ns -= ns;
	return ns;
}

static void allow(uint64_t *allowance_ns, uint64_t ns, uint64_t most_ns)
{
	*allowance_ns = lower(*allowance_ns + lower(ns, most_ns), most_ns);
}

/* What a measured launch says of itself and of those it stands for. */
struct verdict {
	uint64_t excused_ns; /* of the bracket */
	uint64_t batch_ns;   /* what the unmeasured ones took, as far as it shows */
	double part;	     /* of what the bracket newly covers, to be charged */
};

static void note_inflation(struct gsh_account *account, uint64_t own_ns,
			   uint64_t excess_ns, double weight)
{
	add(&account->low_ns, scaled(own_ns, weight));
	add(&account->seen_ns, scaled(own_ns + excess_ns, weight));
	add(&account->long_low_ns, scaled(own_ns, weight));
	add(&account->long_seen_ns, scaled(own_ns + excess_ns, weight));
}

static struct verdict judge(struct gsh_account *account,
			    const struct gsh_account_piece *piece, uint64_t seen_ns)
{
	struct verdict verdict = { 0, piece->batch_ns, 1 };
	double stands_for, weight;
	uint64_t open_ns, excess_ns, hidden_ns;

	if (!piece->low_ns || !piece->predicted_ns)
		return verdict;
	stands_for = (double)piece->batch_ns / (double)piece->predicted_ns;
	weight = 1 + (stands_for < WEIGHT_MAX ? stands_for : WEIGHT_MAX);
	if (!piece->steady) {
		verdict.part = deflation(account);
		verdict.batch_ns = scaled(seen_ns, stands_for * verdict.part);
		return verdict;
	}
	if (!is_outlier(piece, seen_ns)) {
		if (seen_ns <= piece->low_ns + piece->low_ns / 2)
			note_inflation(account, seen_ns, 0, weight);
		verdict.batch_ns = scaled(seen_ns, stands_for);
		return verdict;
	}
	/* Time that other streams of this context cover is nobody else's. */
	open_ns = gsh_busy_open(&account->busy, piece->begin_ns, piece->end_ns);
	excess_ns = open_ns > piece->low_ns ? open_ns - piece->low_ns : 0;
	note_inflation(account, piece->low_ns, excess_ns, weight);
	verdict.excused_ns = draw(&account->excusable_ns, excess_ns);
	hidden_ns = scaled(excess_ns, stands_for);
	verdict.batch_ns = scaled(piece->low_ns, stands_for) + hidden_ns -
			   draw(&account->hidden_ns, hidden_ns);
	return verdict;
}

/* ---- charging ---- */

/* Of a stream of which no bracket was seen before: as predicted. */
static uint64_t charge_first(struct gsh_account *account,
			     const struct gsh_account_piece *piece)
{
	uint64_t ns = lower(piece->batch_ns, piece->begin_ns);

	return gsh_busy_add(&account->busy, piece->begin_ns - ns, piece->begin_ns);
}

/*
 * Covers what the unmeasured launches took, in the gap before the bracket. More than fits
 * there was, or will be, in gaps that were longer than what is known of: earlier ones are
 * filled, later ones see what is carried. Of streams that overlap it shares the device.
 */
static uint64_t charge_batch(struct gsh_account *account,
			     const struct gsh_account_piece *piece, uint64_t batch_ns)
{
	uint64_t begin_ns = lower(piece->last_end_ns, piece->begin_ns);
	uint64_t gap_ns = piece->begin_ns - begin_ns;
	uint64_t part_ns, back_ns, filled_ns, charge_ns;
	uint32_t overlap_permille = gsh_account_overlap_permille(account);
	double overlap = overlap_permille < 1000 ? overlap_permille / 1000.0 : 1;

	batch_ns += account->carried_ns;
	part_ns = gap_ns <= RESOLUTION_NS ? gap_ns : lower(batch_ns, gap_ns);
	charge_ns = gsh_busy_add(&account->busy, begin_ns, begin_ns + part_ns);
	batch_ns -= lower(batch_ns, part_ns);
	back_ns = piece->begin_ns - lower(piece->begin_ns, BACK_MAX_NS);
	filled_ns = gsh_busy_fill(&account->busy, back_ns, scaled(batch_ns, overlap));
	batch_ns -= lower(batch_ns, scaled(filled_ns, 1 / overlap));
	account->carried_ns = lower(batch_ns, CARRIED_MAX_NS);
	return charge_ns + filled_ns;
}

uint64_t gsh_account_charge(struct gsh_account *account,
			    const struct gsh_account_piece *piece)
{
	uint64_t seen_ns = piece->end_ns > piece->begin_ns
				   ? piece->end_ns - piece->begin_ns
				   : 0;
	struct verdict verdict = judge(account, piece, seen_ns);
	uint64_t batch_ns, bracket_ns;

	batch_ns = piece->last_end_ns ? charge_batch(account, piece, verdict.batch_ns)
				      : charge_first(account, piece);
	/* What was excused may be another stream's own: it stays open. */
	bracket_ns = gsh_busy_add(&account->busy, piece->begin_ns + verdict.excused_ns,
				  piece->end_ns);
	if (verdict.part < 1)
		bracket_ns = scaled(bracket_ns, verdict.part);
	/* What was divided has been excused its share already. */
	allow(&account->excusable_ns, scaled(batch_ns + bracket_ns, 2 - 1 / verdict.part),
	      EXCUSABLE_MAX_NS);
	allow(&account->hidden_ns, scaled(batch_ns, 1.5 * (2 - 1 / verdict.part)),
	      HIDDEN_MAX_NS);
	decay(account, piece->end_ns);
	add(&account->charged_ns, batch_ns + bracket_ns);
	add(&account->predicted_ns, piece->batch_ns);
	add(&account->predicted_ns, piece->predicted_ns);
	account->bracket_ns = bracket_ns;
	return batch_ns + bracket_ns;
}
