/*
 * test_in_force.c - what a policy and variables come to together: over many combinations,
 * no variable ever gives more than the policy, and what it asks for less it gets.
 */
#include <stdint.h>
#include <string.h>

#include "cunit_main.h"
#include "ledger/in_force.h"

#define GIB (UINT64_C(1) << 30)
#define TOTAL (80 * GIB)

static struct gpushim_policy_limits policy;
static struct gsh_tenant_config config;
static struct gsh_tenant_device device;
static struct gsh_in_force now;

static void setup(void)
{
	memset(&policy, 0, sizeof(policy));
	memset(&config, 0, sizeof(config));
	memset(&device, 0, sizeof(device));
	policy.others.memory_bytes = GPUSHIM_UNLIMITED;
	policy.others.limit_permille = 1000;
	device.total_bytes = TOTAL;
}

static void combine(uint32_t policy_source)
{
	memset(&now, 0xff, sizeof(now));
	gsh_in_force(&policy, policy_source, &config, &device, &now);
}

static struct gsh_variable_share share(uint32_t request_permille, uint32_t limit_permille)
{
	return (struct gsh_variable_share){ .request_permille = request_permille,
					    .limit_permille = limit_permille,
					    .source = GPUSHIM_SOURCE_VARIABLE };
}

static void nothing_said_is_best_effort_without_limits(void)
{
	combine(GPUSHIM_SOURCE_FILE);
	CU_ASSERT_EQUAL(now.limit_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(now.source, GPUSHIM_SOURCE_NONE);
	CU_ASSERT_EQUAL(now.request_permille, 0);
	CU_ASSERT_EQUAL(now.limit_permille, 1000);
	CU_ASSERT_EQUAL(now.priority, GPUSHIM_PRIORITY_NORMAL);
	CU_ASSERT_EQUAL(now.burst_ms, GPUSHIM_BURST_MS_DEFAULT);
	CU_ASSERT_EQUAL(now.ignored, 0);
}

/* A page promises, a file that the tenant reads itself does not. */
static void a_request_stands_beside_a_file_and_not_beside_a_page(void)
{
	config.all_share = share(200, 400);
	combine(GPUSHIM_SOURCE_FILE);
	CU_ASSERT_EQUAL(now.request_permille, 200);
	CU_ASSERT_EQUAL(now.limit_permille, 400);
	CU_ASSERT_EQUAL(now.ignored, 0);
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.request_permille, 0);
	CU_ASSERT_EQUAL(now.limit_permille, 400);
	CU_ASSERT_EQUAL(now.ignored, 0);
	policy.others.request_permille = 100;
	combine(GPUSHIM_SOURCE_FILE);
	CU_ASSERT_EQUAL(now.request_permille, 100);
	CU_ASSERT_EQUAL(now.ignored, 0);
	config.all_share = share(200, 1000);
	combine(GPUSHIM_SOURCE_FILE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(1) << 33);
	policy.others.request_permille = 0;
	combine(GPUSHIM_SOURCE_FILE);
	CU_ASSERT_EQUAL(now.request_permille, 200);
	CU_ASSERT_EQUAL(now.ignored, 0);
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(1) << 33);
}

static void each_variable_that_is_ignored_has_a_bit_of_its_own(void)
{
	policy.others.memory_bytes = GIB;
	policy.others.limit_permille = 100;
	policy.others.priority = GPUSHIM_PRIORITY_BATCH;
	device.index = 15;
	config.all = (struct gsh_variable_limit){ 2 * GIB, 0, GPUSHIM_SOURCE_VARIABLE };
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(1) << 32);
	config.by_index[15] = config.all;
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(1) << 32 | 1 << 15);
	config.all_share = share(0, 200);
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(3) << 32 | 1 << 15);
	config.share_by_index[15] = share(0, 200);
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(3) << 32 | UINT64_C(1) << 31 | 1 << 15);
	config.priority = GPUSHIM_PRIORITY_NORMAL + 1;
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(7) << 32 | UINT64_C(1) << 31 | 1 << 15);
	/* Those of other devices are not looked at, nor any while the index is unknown. */
	device.index = 14;
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(7) << 32);
	device.index = UINT32_MAX;
	combine(GPUSHIM_SOURCE_PAGE);
	CU_ASSERT_EQUAL(now.ignored, UINT64_C(7) << 32);
}

/* ---- at random ---- */

static uint64_t random_state;

static uint32_t any(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % below;
}

/* Often at an end, often equal to another. */
static uint32_t any_permille(void)
{
	static const uint32_t ends[] = {
		0, 1, 300, 300, 500, 999, 1000, 1001, UINT32_MAX
	};

	return any(2) ? ends[any(sizeof(ends) / sizeof(ends[0]))] : any(1001);
}

/* As the environment gives it: a limit of 1 to 1000, a request of at most that. */
static struct gsh_variable_share any_share(void)
{
	uint32_t limit = any(1000) + 1;

	if (any(3) == 0)
		return (struct gsh_variable_share){ 0 };
	return share(any(2) ? 0 : any(limit) + 1, any(4) ? limit : 1000);
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The smallest of all that is said, written down another way. */
static uint32_t limit_by_hand(void)
{
	uint32_t limit = policy.others.limit_permille;

	limit = limit == 0 ? 1 : least(limit, 1000);
	if (config.all_share.source)
		limit = least(limit, config.all_share.limit_permille);
	if (config.share_by_index[3].source)
		limit = least(limit, config.share_by_index[3].limit_permille);
	return limit;
}

static void no_combination_gives_more_than_the_policy(void)
{
	static const uint32_t place[] = { [GPUSHIM_PRIORITY_LATENCY] = 0,
					  [GPUSHIM_PRIORITY_NORMAL] = 1,
					  [GPUSHIM_PRIORITY_BATCH] = 2 };
	unsigned wrong = 0;

	random_state = 88172645463325252u;
	device.index = 3;
	for (int i = 0; i < 300000; i++) {
		struct gpushim_policy_device *row = &policy.others;
		struct gsh_in_force bare;

		row->request_permille = any_permille();
		row->limit_permille = any_permille();
		row->priority = any(3);
		row->burst_ms = any(1200);
		memset(&config, 0, sizeof(config));
		combine(GPUSHIM_SOURCE_PAGE);
		bare = now;
		config.all_share = any_share();
		config.share_by_index[3] = any_share();
		config.share_by_index[4] = share(1, 1);
		config.priority = any(4);
		combine(GPUSHIM_SOURCE_PAGE);
		wrong += now.limit_permille != limit_by_hand();
		wrong += now.request_permille > bare.request_permille ||
			 now.request_permille > now.limit_permille;
		wrong += place[now.priority] < place[bare.priority];
		wrong += config.priority > 0 &&
			 place[config.priority - 1] > place[bare.priority] &&
			 now.priority != config.priority - 1;
		wrong += now.burst_ms != bare.burst_ms || now.burst_ms < 1 ||
			 now.burst_ms > 1000;
		/* Who asks for less in everything is not said to be ignored. */
		wrong += config.all_share.source &&
			 config.all_share.limit_permille < bare.limit_permille &&
			 (now.ignored & UINT64_C(1) << 33);
		wrong += config.all_share.limit_permille > bare.limit_permille &&
			 !(now.ignored & UINT64_C(1) << 33);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

const struct unit_suite unit_suite = {
	.name = "limits in force",
	.setup = setup,
	.tests = {
		UNIT_TEST(nothing_said_is_best_effort_without_limits),
		UNIT_TEST(a_request_stands_beside_a_file_and_not_beside_a_page),
		UNIT_TEST(each_variable_that_is_ignored_has_a_bit_of_its_own),
		UNIT_TEST(no_combination_gives_more_than_the_policy),
	},
};
