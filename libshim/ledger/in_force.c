/* Combining a policy and variables; see in_force.h. */
#include "ledger/in_force.h"

#include <stdbool.h>
#include <string.h>

enum {
	SHARE_BITS = 16, /* of variables by index, above those of memory */
	ALL_MEMORY_BIT = 32,
	ALL_SHARE_BIT,
	PRIORITY_BIT,
	ALL_PERMILLE = 1000,
};

static const struct gpushim_policy_device *policy_row(
	const struct gpushim_policy_limits *limits, const uint8_t uuid[16])
{
	for (uint32_t i = 0; i < limits->device_count && i < GPUSHIM_DEVICES_MAX; i++)
		if (memcmp(limits->devices[i].uuid, uuid, 16) == 0)
			return &limits->devices[i];
	return &limits->others;
}

static void ignore(struct gsh_in_force *in_force, uint32_t bit)
{
	in_force->ignored |= UINT64_C(1) << bit;
}

/* ---- memory ---- */

/* The smaller of bytes and a share of total_bytes, rounded down. */
static uint64_t memory_limit(uint64_t bytes, uint32_t ppm, uint64_t total_bytes)
{
	uint64_t share;

	if (ppm == 0)
		return bytes;
	if (ppm > 1000000)
		ppm = 1000000;
	/* Exact, and no product of it exceeds 64 bits. */
	share = total_bytes / 1000000 * ppm + total_bytes % 1000000 * ppm / 1000000;
	return share < bytes ? share : bytes;
}

static void lower_memory(struct gsh_in_force *in_force, uint64_t policy_bytes,
			 const struct gsh_variable_limit *variable, uint32_t bit,
			 uint64_t total_bytes)
{
	uint64_t bytes;

	if (variable->source == GPUSHIM_SOURCE_NONE)
		return;
	bytes = memory_limit(variable->memory_bytes, variable->memory_ppm, total_bytes);
	if (bytes > policy_bytes)
		ignore(in_force, bit);
	if (bytes < in_force->limit_bytes) {
		in_force->limit_bytes = bytes;
		in_force->source = variable->source;
	}
}

static void combine_memory(const struct gpushim_policy_device *row,
			   uint32_t policy_source, const struct gsh_tenant_config *config,
			   const struct gsh_tenant_device *device,
			   struct gsh_in_force *in_force)
{
	uint64_t policy_bytes = memory_limit(row->memory_bytes, row->memory_ppm,
					     device->total_bytes);

	in_force->limit_bytes = policy_bytes;
	if (policy_bytes != GPUSHIM_UNLIMITED)
		in_force->source = policy_source;
	lower_memory(in_force, policy_bytes, &config->all, ALL_MEMORY_BIT,
		     device->total_bytes);
	if (device->index < GPUSHIM_DEVICES_MAX)
		lower_memory(in_force, policy_bytes, &config->by_index[device->index],
			     device->index, device->total_bytes);
	/* A variable may make a context dearer, as it may make a limit lower. */
	in_force->context_bytes = row->context_bytes > config->context_bytes
					  ? row->context_bytes
					  : config->context_bytes;
	in_force->view = row->view;
}

/* ---- GPU time ---- */

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * A variable that lowers the limit does its work, whatever its request. Nobody is promised
 * anything by a file that the tenant reads itself: where that requests nothing, a variable
 * may, for display.
 */
static void lower_share(struct gsh_in_force *in_force, const struct gsh_in_force *policy,
			bool has_page, const struct gsh_variable_share *variable,
			uint32_t bit)
{
	bool may_request = !has_page && policy->request_permille == 0;

	if (variable->source == GPUSHIM_SOURCE_NONE)
		return;
	if (variable->limit_permille > policy->limit_permille ||
	    (variable->limit_permille == policy->limit_permille && !may_request &&
	     variable->request_permille > policy->request_permille))
		ignore(in_force, bit);
	in_force->limit_permille = smaller(in_force->limit_permille,
					   variable->limit_permille);
	if (variable->request_permille == 0)
		return;
	in_force->request_permille = may_request && in_force->request_permille == 0
					     ? variable->request_permille
					     : smaller(in_force->request_permille,
						       variable->request_permille);
}

/* Who comes first has a low rank; what is not known comes last. */
static uint32_t rank_of(uint32_t priority)
{
	switch (priority) {
	case GPUSHIM_PRIORITY_LATENCY:
		return 0;
	case GPUSHIM_PRIORITY_NORMAL:
		return 1;
	default:
		return 2;
	}
}

static void combine_priority(const struct gpushim_policy_device *row,
			     const struct gsh_tenant_config *config,
			     struct gsh_in_force *in_force)
{
	uint32_t wanted = config->priority - 1;

	in_force->priority = row->priority <= GPUSHIM_PRIORITY_BATCH
				     ? row->priority
				     : (uint32_t)GPUSHIM_PRIORITY_BATCH;
	if (config->priority == 0)
		return;
	if (rank_of(wanted) < rank_of(in_force->priority))
		ignore(in_force, PRIORITY_BIT);
	else
		in_force->priority = wanted;
}

static void combine_time(const struct gpushim_policy_device *row, bool has_page,
			 const struct gsh_tenant_config *config,
			 const struct gsh_tenant_device *device,
			 struct gsh_in_force *in_force)
{
	struct gsh_in_force policy;

	/* 0 is in no policy that was checked; nobody is to be free of limits by it. */
	in_force->limit_permille = row->limit_permille == 0
					   ? 1
					   : smaller(row->limit_permille, ALL_PERMILLE);
	in_force->request_permille = smaller(row->request_permille,
					     in_force->limit_permille);
	in_force->burst_ms = row->burst_ms == 0
				     ? GPUSHIM_BURST_MS_DEFAULT
				     : smaller(row->burst_ms, GPUSHIM_BURST_MS_MAX);
	combine_priority(row, config, in_force);
	policy = *in_force;
	lower_share(in_force, &policy, has_page, &config->all_share, ALL_SHARE_BIT);
	if (device->index < GPUSHIM_DEVICES_MAX)
		lower_share(in_force, &policy, has_page,
			    &config->share_by_index[device->index],
			    SHARE_BITS + device->index);
	in_force->request_permille = smaller(in_force->request_permille,
					     in_force->limit_permille);
}

void gsh_in_force(const struct gpushim_policy_limits *policy, uint32_t policy_source,
		  const struct gsh_tenant_config *config,
		  const struct gsh_tenant_device *device, struct gsh_in_force *in_force)
{
	const struct gpushim_policy_device *row = policy_row(policy, device->uuid);

	memset(in_force, 0, sizeof(*in_force));
	combine_memory(row, policy_source, config, device, in_force);
	combine_time(row, policy_source == GPUSHIM_SOURCE_PAGE, config, device, in_force);
}
