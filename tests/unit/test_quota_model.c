/*
 * Every way in which reservations can interleave, and many random ones of more processes.
 *
 * What is checked, and how, stands in quota_model.h and quota_visits.h. The last tests give the same machine
 * broken protocols, in which it must find the fault.
 */
#include "quota_visits.h"

#include "cunit_main.h"

/* The real one. */
static enum gsh_quota_verdict as_it_is(const struct request *request)
{
	return gsh_quota_reserve(request->quota, request->number, request->bytes,
				 request->limit_bytes, request->now_ns, request->attempt);
}

/* Each actor: its cell, what it holds at the start, what it does. */
/* clang-format off */
static const struct scenario
two_processes = { as_it_is, .limit = 10, .cells_used = 2, .calls = 2, .actors = {
	{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 3 } } },
	{ 1, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 } } },
} },
two_threads = { as_it_is, .limit = 10, .cells_used = 1, .calls = 2, .actors = {
	{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 3 } } },
	{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 } } },
} },
three_threads = { as_it_is, .limit = 10, .cells_used = 1, .calls = 1, .actors = {
	{ 0, 2, { { RESERVE, 4 } } },
	{ 0, 0, { { RESERVE, 4 } } },
	{ 0, 0, { { RESERVE, 4 } } },
} },
process_and_threads = { as_it_is, .limit = 10, .cells_used = 2, .calls = 1, .actors = {
	{ 0, 2, { { RESERVE, 4 } } },
	{ 0, 4, { { REFUND, 4 } } },
	{ 1, 0, { { RESERVE, 5 } } },
} },
/* Six of ten are free or held by one of the first two, never by both. */
hand_over = { as_it_is, .limit = 10, .cells_used = 3, .calls = 2, .actors = {
	{ 0, 6, { { REFUND, 6 } } },
	{ 1, 0, { { RESERVE, 6 } } },
	{ 2, 0, { { RESERVE, 4 } } },
} },
late_comer = { as_it_is, .limit = 10, .cells_used = 1, .calls = 2, .actors = {
	{ 0, 0, { { RESERVE, 6 }, { RESERVE, 4 } } },
	{ 1, 0, { { ARRIVE, 0 }, { RESERVE, 6 }, { REFUND, 6 } } },
} },
one_killed_of_two = { as_it_is, .limit = 10, .cells_used = 2, .calls = 2, .kills = 1, .actors = {
	{ 0, 3, { { RESERVE, 6 }, { REFUND, 3 } } },
	{ 1, 0, { { RESERVE, 5 }, { REFUND, 5 } } },
} },
one_killed_of_three = { as_it_is, .limit = 10, .cells_used = 3, .calls = 1, .kills = 1, .actors = {
	{ 0, 6, { { REFUND, 6 } } },
	{ 1, 0, { { RESERVE, 6 } } },
	{ 2, 4, { { REFUND, 4 } } },
} },
forced = { as_it_is, .limit = 10, .cells_used = 2, .calls = 2, .actors = {
	{ 0, 0, { { FORCE, 3 }, { REFUND, 3 }, { FORCE, 3 } } },
	{ 1, 0, { { RESERVE, 7 }, { REFUND, 7 } } },
} },
/* For random runs. */
crowd = { as_it_is, .limit = 10, .cells_used = 3, .calls = UINT32_MAX, .actors = {
	{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 6 }, { REFUND, 6 } } },
	{ 1, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 }, { REFUND, 5 } } },
	{ 1, 0, { { RESERVE, 7 }, { REFUND, 7 }, { RESERVE, 2 }, { REFUND, 2 } } },
	{ 2, 2, { { RESERVE, 4 }, { REFUND, 6 }, { RESERVE, 8 }, { REFUND, 8 } } },
} },
/* One process for each cell, because the dead lose theirs. */
mortals = { as_it_is, .limit = 10, .cells_used = 4, .calls = UINT32_MAX, .kills = 1, .actors = {
	{ 0, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 6 }, { REFUND, 6 } } },
	{ 1, 0, { { RESERVE, 6 }, { REFUND, 6 }, { RESERVE, 5 }, { REFUND, 5 } } },
	{ 3, 0, { { RESERVE, 7 }, { REFUND, 7 }, { RESERVE, 2 }, { REFUND, 2 } } },
	{ 2, 2, { { RESERVE, 4 }, { REFUND, 6 }, { RESERVE, 8 }, { REFUND, 8 } } },
} };
/* clang-format on */

/* ---- the protocol ----------------------------------------------------------------------- */

static void two_processes_that_do_not_fit_together(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&two_processes));
}

static void two_threads_of_one_process(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&two_threads));
}

static void three_threads_of_one_process(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&three_threads));
}

static void a_process_and_two_threads_of_another(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&process_and_threads));
}

static void what_fits_beside_bytes_that_change_hands_is_never_denied(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&hand_over));
}

static void a_process_that_comes_later(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&late_comer));
}

static void a_process_killed_at_any_step_and_reaped_at_any_other(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&one_killed_of_two));
}

static void three_processes_of_which_one_is_killed(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&one_killed_of_three));
}

static void forced_charges_beside_a_reservation(void)
{
	CU_ASSERT_PTR_NULL(visit_all(&forced));
}

/* NULL, or what went wrong in one of the runs. */
static const char *visit_some(const struct scenario *scenario, uint64_t runs, bool timed,
			      uint64_t *impatient_denials)
{
	uint64_t steps = 0;

	*impatient_denials = 0;
	for (uint64_t seed = 1; seed <= runs; seed++) {
		run_randomly(scenario, seed, timed);
		steps += world.steps;
		*impatient_denials += world.impatient_denials;
		if (world.failure)
			break;
	}
	printf("    %llu steps, %llu denials for want of patience%s%s\n",
	       (unsigned long long)steps, (unsigned long long)*impatient_denials,
	       world.failure ? ": " : "", world.failure ? world.failure : "");
	return world.failure;
}

static void a_crowd_in_random_order_is_held_and_gets_through(void)
{
	uint64_t impatient;

	CU_ASSERT_PTR_NULL(visit_some(&crowd, 1000, false, &impatient));
	CU_ASSERT_EQUAL(impatient, 0);
}

static void preempted_stopped_and_killed_ones_deny_nobody_before_patience_ends(void)
{
	uint64_t impatient;

	CU_ASSERT_PTR_NULL(visit_some(&mortals, 50, true, &impatient));
	/* Or nobody's patience was ever tried. */
	CU_ASSERT(impatient > 0);
}

/* ---- broken protocols ------------------------------------------------------------------- */

static const char over_the_limit[] = "the charges exceed the limit";
static const char denied_wrongly[] = "denied, and there was room all the time";

static void announce(const struct request *request)
{
	gsh_add_seq_cst(&request->own->pending, request->bytes);
}

static void withdraw(const struct request *request)
{
	gsh_sub_seq_cst(&request->own->pending, request->bytes);
	gsh_add_seq_cst(&request->own->withdrawals, 1);
}

static uint64_t claimed(const struct request *request)
{
	return claimed_at_most(request->quota, &request->attempt->used_bytes);
}

/* Ends a call rightly, by what it has found out. */
static enum gsh_quota_verdict conclude(const struct request *request, bool fits)
{
	if (fits) {
		charge(request->own, request->bytes);
		return GSH_QUOTA_GRANTED;
	}
	withdraw(request);
	return judge(request->quota, request->bytes, request->limit_bytes, 0,
		     request->attempt);
}

static enum gsh_quota_verdict sums_before_it_announces(const struct request *request)
{
	bool fits = claimed(request) + request->bytes <= request->limit_bytes;

	announce(request);
	return conclude(request, fits);
}

static enum gsh_quota_verdict leaves_pending_too_early(const struct request *request)
{
	announce(request);
	if (claimed(request) > request->limit_bytes)
		return conclude(request, false);
	gsh_sub_seq_cst(&request->own->pending, request->bytes);
	gsh_add_seq_cst(&request->own->charged, request->bytes);
	gsh_add_seq_cst(&request->own->sequence, 1);
	return GSH_QUOTA_GRANTED;
}

static enum gsh_quota_verdict looks_at_its_own_only(const struct request *request)
{
	uint64_t sum;

	announce(request);
	sum = gsh_load_seq_cst(&request->own->pending);
	sum += gsh_load_seq_cst(&request->own->charged);
	return conclude(request, sum <= request->limit_bytes);
}

static enum gsh_quota_verdict sums_charges_before_pending(const struct request *request)
{
	uint64_t sum;

	announce(request);
	sum = gsh_quota_used(request->quota);
	for (uint32_t i = 0; i < *request->quota->cells_used; i++)
		sum += gsh_load_seq_cst(&request->quota->cells[i].pending);
	return conclude(request, sum <= request->limit_bytes);
}

/* Grants rightly, and otherwise leaves it to the caller to be wrong. */
static bool is_granted(const struct request *request)
{
	announce(request);
	if (claimed(request) > request->limit_bytes) {
		withdraw(request);
		return false;
	}
	charge(request->own, request->bytes);
	return true;
}

static enum gsh_quota_verdict denies_for_pending(const struct request *request)
{
	return is_granted(request) ? GSH_QUOTA_GRANTED : GSH_QUOTA_DENIED;
}

static enum gsh_quota_verdict denies_by_one_reading(const struct request *request)
{
	if (is_granted(request))
		return GSH_QUOTA_GRANTED;
	return gsh_quota_used(request->quota) + request->bytes > request->limit_bytes
		       ? GSH_QUOTA_DENIED
		       : GSH_QUOTA_AGAIN;
}

static uint64_t sequences(const struct request *request)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < *request->quota->cells_used; i++)
		sum += gsh_load_seq_cst(&request->quota->cells[i].sequence);
	return sum;
}

static enum gsh_quota_verdict trusts_a_still_sequence(const struct request *request)
{
	uint64_t before, used;

	if (is_granted(request))
		return GSH_QUOTA_GRANTED;
	before = sequences(request);
	used = gsh_quota_used(request->quota);
	return before == sequences(request) &&
			       used + request->bytes > request->limit_bytes
		       ? GSH_QUOTA_DENIED
		       : GSH_QUOTA_AGAIN;
}

static enum gsh_quota_verdict is_impatient(const struct request *request)
{
	enum gsh_quota_verdict verdict = as_it_is(request);

	if (request->attempt->stalls[0].waited_us > PATIENCE_US / 10)
		return GSH_QUOTA_DENIED;
	return verdict;
}

static void assert_fails(const struct scenario *scenario, protocol broken,
			 const char *how)
{
	static struct scenario changed; /* stays named in the machine */
	const char *failure;

	changed = *scenario;
	changed.protocol = broken;
	changed.calls = 1;
	failure = visit_all(&changed);
	CU_ASSERT_PTR_NOT_NULL(failure);
	if (failure)
		CU_ASSERT_STRING_EQUAL(failure, how);
}

static void control_summing_before_announcing_goes_over(void)
{
	assert_fails(&two_processes, sums_before_it_announces, over_the_limit);
}

static void control_leaving_pending_before_charging_goes_over(void)
{
	assert_fails(&two_processes, leaves_pending_too_early, over_the_limit);
}

static void control_looking_at_its_own_charge_only_goes_over(void)
{
	assert_fails(&two_processes, looks_at_its_own_only, over_the_limit);
}

static void control_summing_charges_before_pending_goes_over(void)
{
	assert_fails(&two_processes, sums_charges_before_pending, over_the_limit);
}

static void control_denying_for_what_is_only_pending_is_wrong(void)
{
	assert_fails(&two_processes, denies_for_pending, denied_wrongly);
}

static void control_denying_by_one_reading_is_wrong(void)
{
	assert_fails(&hand_over, denies_by_one_reading, denied_wrongly);
}

static void control_trusting_a_still_sequence_alone_is_wrong(void)
{
	assert_fails(&hand_over, trusts_a_still_sequence, denied_wrongly);
}

static void control_losing_patience_too_early_is_wrong(void)
{
	static struct scenario scenario; /* stays named in the machine */
	uint64_t impatient;
	const char *failure;

	scenario = mortals;
	scenario.protocol = is_impatient;
	failure = visit_some(&scenario, 50, true, &impatient);
	CU_ASSERT_PTR_NOT_NULL(failure);
	if (failure)
		CU_ASSERT_STRING_EQUAL(failure, denied_wrongly);
}

const struct unit_suite unit_suite = {
	.name = "quota, all interleavings",
	.tests = {
		UNIT_TEST(two_processes_that_do_not_fit_together),
		UNIT_TEST(two_threads_of_one_process),
		UNIT_TEST(three_threads_of_one_process),
		UNIT_TEST(a_process_and_two_threads_of_another),
		UNIT_TEST(what_fits_beside_bytes_that_change_hands_is_never_denied),
		UNIT_TEST(a_process_that_comes_later),
		UNIT_TEST(a_process_killed_at_any_step_and_reaped_at_any_other),
		UNIT_TEST(three_processes_of_which_one_is_killed),
		UNIT_TEST(forced_charges_beside_a_reservation),
		UNIT_TEST(a_crowd_in_random_order_is_held_and_gets_through),
		UNIT_TEST(preempted_stopped_and_killed_ones_deny_nobody_before_patience_ends),
		UNIT_TEST(control_summing_before_announcing_goes_over),
		UNIT_TEST(control_leaving_pending_before_charging_goes_over),
		UNIT_TEST(control_looking_at_its_own_charge_only_goes_over),
		UNIT_TEST(control_summing_charges_before_pending_goes_over),
		UNIT_TEST(control_denying_for_what_is_only_pending_is_wrong),
		UNIT_TEST(control_denying_by_one_reading_is_wrong),
		UNIT_TEST(control_trusting_a_still_sequence_alone_is_wrong),
		UNIT_TEST(control_losing_patience_too_early_is_wrong),
	},
};
