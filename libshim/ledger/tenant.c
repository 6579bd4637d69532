/*
 * tenant.c - which limits are in force now, and reserving against them.
 *
 * Knows when limits change, and who is told. How policy and variables are combined is in
 * in_force.c. Refuses to know where variables come from, and what is allocated or launched.
 */
#include "ledger/tenant.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "ledger/in_force.h"

#define POLL_NS UINT64_C(4000000) /* between two looks for a promised page */

/* ---- the limits of one device ---- */

/* Each variable once, whatever else changes. */
static void count_ignored(struct gsh_tenant *tenant, uint64_t ignored)
{
	uint64_t fresh = ignored & ~tenant->ignored;

	tenant->ignored |= ignored;
	for (; fresh; fresh &= fresh - 1)
		gsh_add_relaxed(&tenant->ledger.own->ignored_variables, 1);
}

/* Puts what policy and variables say now in force on a device. Holds adopt_lock. */
static void apply_limits(struct gsh_tenant *tenant, uint32_t row)
{
	struct gsh_tenant_device *device = &tenant->devices[row];
	struct gpushim_ledger_device *shown = &tenant->ledger.header->devices[row];
	uint32_t source = tenant->page.page ? GPUSHIM_SOURCE_PAGE : GPUSHIM_SOURCE_FILE;
	struct gsh_in_force now;

	gsh_in_force(&tenant->limits, source, &tenant->config, device, &now);
	count_ignored(tenant, now.ignored);
	gsh_store_relaxed(&device->limit_bytes, now.limit_bytes);
	gsh_store_relaxed(&device->source, now.source);
	gsh_store_relaxed(&device->view, now.view);
	gsh_store_relaxed(&device->context_bytes, now.context_bytes);
	gsh_store_relaxed(&device->request_permille, now.request_permille);
	gsh_store_relaxed(&device->limit_permille, now.limit_permille);
	gsh_store_relaxed(&device->priority, now.priority);
	gsh_store_relaxed(&device->burst_ms, now.burst_ms);
	gsh_store_relaxed(&shown->limit_bytes, now.limit_bytes);
	gsh_store_relaxed(&shown->limit_source, now.source);
	gsh_store_relaxed(&shown->request_permille, (uint64_t)now.request_permille);
	gsh_store_relaxed(&shown->limit_permille, (uint64_t)now.limit_permille);
}

/* Takes over what was measured on a device. Holds adopt_lock. */
static void apply_overhead(struct gsh_tenant *tenant, uint32_t row)
{
	struct gsh_tenant_device *device = &tenant->devices[row];
	uint64_t bytes = gsh_page_overhead(&tenant->page, device->uuid);

	gsh_store_relaxed(&device->overhead_bytes, bytes);
	gsh_store_relaxed(&tenant->ledger.header->devices[row].overhead_bytes, bytes);
}

/* ---- changes of the policy ---- */

static bool is_closed(const struct gpushim_policy_limits *limits)
{
	return (limits->flags & GPUSHIM_POLICY_CLOSED) != 0;
}

static bool is_audit(const struct gpushim_policy_limits *limits)
{
	return (limits->flags & GPUSHIM_POLICY_AUDIT) != 0;
}

static void adopt(struct gsh_tenant *tenant)
{
	struct gpushim_ledger_slot *own = tenant->ledger.own;

	gsh_lock(&tenant->adopt_lock);
	/* First: what is measured after this beat will be read at the next. */
	gsh_store_relaxed(&tenant->heartbeat, gsh_page_heartbeat(&tenant->page));
	if (gsh_page_adopt(&tenant->page, &tenant->limits, &own->policy_errors)) {
		gsh_add_relaxed(&own->policy_changes, 1);
		for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
			if (tenant->devices[i].ready)
				apply_limits(tenant, i);
		gsh_store_relaxed(&tenant->closed, (uint32_t)is_closed(&tenant->limits));
		gsh_store_relaxed(&tenant->audit, (uint32_t)is_audit(&tenant->limits));
	}
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		if (tenant->devices[i].ready)
			apply_overhead(tenant, i);
	gsh_unlock(&tenant->adopt_lock);
}

static inline void keep_up(struct gsh_tenant *tenant)
{
	if (gsh_unlikely(gsh_page_changed(&tenant->page) ||
			 gsh_page_heartbeat(&tenant->page) !=
				 gsh_load_relaxed(&tenant->heartbeat)))
		adopt(tenant);
}

/* ---- opening ---- */

static void say_waited(uint32_t wait_ms, struct gsh_reason *why)
{
	struct gsh_reason last = *why;
	struct gsh_text text;

	gsh_text_init(&text, why->text, sizeof(why->text));
	gsh_text_add(&text, "no policy came within ");
	gsh_text_add_u64(&text, wait_ms);
	gsh_text_add(&text, " ms: ");
	gsh_text_add(&text, last.text);
}

/* The page, once it is there, or why it is not. */
static int open_page(struct gsh_tenant *tenant, struct gsh_reason *why)
{
	const struct gsh_tenant_config *config = &tenant->config;
	uint64_t end_ns = gsh_clock_now_ns() + config->wait_ms * UINT64_C(1000000);
	int result;

	for (;;) {
		result = gsh_page_open(&tenant->page, config->page_path, &tenant->limits,
				       why);
		if (result != -ENOENT || gsh_clock_now_ns() >= end_ns)
			break;
		gsh_clock_sleep_ns(POLL_NS);
	}
	if (result == -ENOENT && config->wait_ms > 0)
		say_waited(config->wait_ms, why);
	return result;
}

/* Where there is no page: limits.json, or nothing but variables. */
static void take_configured(struct gsh_tenant *tenant)
{
	if (tenant->config.has_limits) {
		tenant->limits = tenant->config.limits;
		return;
	}
	tenant->limits.others.memory_bytes = GPUSHIM_UNLIMITED;
	tenant->limits.others.limit_permille = 1000;
}

static int say_closed(const struct gsh_tenant *tenant, struct gsh_reason *why)
{
	const struct gpushim_policy_limits *limits = &tenant->limits;

	gsh_reason_set(why, "tenant ", limits->tenant, " is closed: ",
		       limits->reason[0] ? limits->reason : "no reason was given",
		       limits->source[0] ? " (" : "", limits->source,
		       limits->source[0] ? ")" : "", NULL);
	return -EPERM;
}

int gsh_tenant_open(struct gsh_tenant *tenant, const struct gsh_tenant_config *config,
		    struct gsh_reason *why)
{
	int result = 0;

	memset(tenant, 0, sizeof(*tenant));
	tenant->config = *config;
	if (config->page_path[0]) {
		result = open_page(tenant, why);
		if (result == 0)
			memcpy(tenant->config.tenant, tenant->limits.tenant,
			       sizeof(tenant->config.tenant));
	} else {
		take_configured(tenant);
	}
	if (result == 0 && is_closed(&tenant->limits))
		result = say_closed(tenant, why);
	if (result == 0)
		result = gsh_ledger_open(&tenant->ledger, config->ledger_path,
					 tenant->config.tenant, why);
	if (result < 0) {
		gsh_page_close(&tenant->page);
		return result;
	}
	gsh_add_relaxed(&tenant->ledger.own->ignored_variables,
			(uint64_t)config->ignored_variables);
	tenant->audit = is_audit(&tenant->limits);
	tenant->heartbeat = gsh_page_heartbeat(&tenant->page);
	return 0;
}

void gsh_tenant_close(struct gsh_tenant *tenant)
{
	gsh_ledger_close(&tenant->ledger);
	gsh_page_close(&tenant->page);
}

/* ---- devices ---- */

static int find_device(const struct gsh_tenant *tenant, const uint8_t uuid[16],
		       uint32_t index)
{
	for (int i = 0; i < (int)GPUSHIM_DEVICES_MAX; i++) {
		const struct gsh_tenant_device *device = &tenant->devices[i];

		/* Pairs with the release in gsh_tenant_device(). */
		if (gsh_load_acquire(&device->ready) &&
		    memcmp(device->uuid, uuid, sizeof(device->uuid)) == 0 &&
		    (index == UINT32_MAX || gsh_load_relaxed(&device->index) == index))
			return i;
	}
	return -1;
}

/* Somebody scribbled on the ledger's rows: one device must not get another's limit. */
static bool is_of_other_device(const struct gsh_tenant *tenant, int row,
			       const uint8_t uuid[16])
{
	const struct gsh_tenant_device *device = &tenant->devices[row];

	return device->ready && memcmp(device->uuid, uuid, sizeof(device->uuid)) != 0;
}

int gsh_tenant_device(struct gsh_tenant *tenant, const uint8_t uuid[16],
		      uint64_t total_bytes, uint32_t index)
{
	struct gsh_tenant_device *device;
	int row = find_device(tenant, uuid, index);

	if (row >= 0)
		return row;
	gsh_lock(&tenant->adopt_lock);
	row = gsh_ledger_device(&tenant->ledger, uuid, total_bytes);
	if (row >= 0 && is_of_other_device(tenant, row, uuid))
		row = -EPROTO;
	if (row >= 0) {
		device = &tenant->devices[row];
		if (!device->ready) {
			memcpy(device->uuid, uuid, sizeof(device->uuid));
			device->total_bytes = total_bytes;
			device->index = UINT32_MAX;
		}
		/* Its index may become known later than the device. */
		if (index != UINT32_MAX)
			gsh_store_relaxed(&device->index, index);
		apply_limits(tenant, (uint32_t)row);
		apply_overhead(tenant, (uint32_t)row);
		gsh_store_release(&device->ready, 1);
	}
	gsh_unlock(&tenant->adopt_lock);
	return row;
}

uint64_t gsh_tenant_context_bytes(struct gsh_tenant *tenant, int row)
{
	keep_up(tenant);
	return gsh_load_relaxed(&tenant->devices[row].context_bytes);
}

/* ---- using it ---- */

int gsh_tenant_reserve(struct gsh_tenant *tenant, int row, enum gpushim_kind kind,
		       uint64_t bytes)
{
	const struct gsh_tenant_device *device = &tenant->devices[row];
	uint64_t limit_bytes, overhead_bytes;
	int error;

	keep_up(tenant);
	if (gsh_unlikely(gsh_load_relaxed(&tenant->closed)))
		return -EPERM;
	limit_bytes = gsh_load_relaxed(&device->limit_bytes);
	overhead_bytes = gsh_load_relaxed(&device->overhead_bytes);
	if (limit_bytes != GPUSHIM_UNLIMITED)
		limit_bytes -= overhead_bytes < limit_bytes ? overhead_bytes
							    : limit_bytes;
	error = gsh_ledger_reserve(&tenant->ledger, (uint32_t)row, kind, bytes,
				   limit_bytes);
	if (gsh_likely(error == 0) || !gsh_load_relaxed(&tenant->audit))
		return error;
	/* What no account can hold is left to be refused: no device has it. */
	error = gsh_ledger_reserve(&tenant->ledger, (uint32_t)row, kind, bytes,
				   GPUSHIM_UNLIMITED);
	if (error == 0)
		gsh_ledger_denied(&tenant->ledger, bytes);
	return error;
}

void gsh_tenant_force(struct gsh_tenant *tenant, int row, enum gpushim_kind kind,
		      uint64_t bytes)
{
	gsh_ledger_force(&tenant->ledger, (uint32_t)row, kind, bytes);
}

void gsh_tenant_refund(struct gsh_tenant *tenant, int row, enum gpushim_kind kind,
		       uint64_t bytes)
{
	gsh_ledger_refund(&tenant->ledger, (uint32_t)row, kind, bytes);
}

void gsh_tenant_denied(struct gsh_tenant *tenant, uint64_t bytes)
{
	gsh_ledger_denied(&tenant->ledger, bytes);
}

void gsh_tenant_view(struct gsh_tenant *tenant, int row, uint64_t driver_free_bytes,
		     uint64_t driver_total_bytes, struct gsh_tenant_view *view)
{
	const struct gsh_tenant_device *device = &tenant->devices[row];
	uint64_t used_bytes, overhead_bytes, left_bytes;

	keep_up(tenant);
	view->limit_bytes = gsh_load_relaxed(&tenant->audit)
				    ? GPUSHIM_UNLIMITED
				    : gsh_load_relaxed(&device->limit_bytes);
	overhead_bytes = gsh_load_relaxed(&device->overhead_bytes);
	used_bytes = gsh_ledger_used(&tenant->ledger, (uint32_t)row);
	if (__builtin_add_overflow(used_bytes, overhead_bytes, &view->used_bytes))
		view->used_bytes = UINT64_MAX;

	view->total_bytes = driver_total_bytes;
	if (gsh_load_relaxed(&device->view) != GPUSHIM_VIEW_DEVICE &&
	    view->limit_bytes < driver_total_bytes)
		view->total_bytes = view->limit_bytes;

	view->free_bytes = driver_free_bytes;
	if (gsh_load_relaxed(&tenant->closed)) {
		view->free_bytes = 0;
	} else if (view->limit_bytes != GPUSHIM_UNLIMITED) {
		left_bytes = view->limit_bytes > view->used_bytes
				     ? view->limit_bytes - view->used_bytes
				     : 0;
		if (left_bytes < driver_free_bytes)
			view->free_bytes = left_bytes;
	}
}

void gsh_tenant_time(struct gsh_tenant *tenant, int row, struct gsh_tenant_time *time)
{
	const struct gsh_tenant_device *device = &tenant->devices[row];

	keep_up(tenant);
	time->terms.rate_permille = gsh_load_relaxed(&device->limit_permille);
	time->terms.burst_ns = gsh_load_relaxed(&device->burst_ms) * UINT64_C(1000000);
	time->terms.need_ns = 0;
	time->capped = time->terms.rate_permille < 1000;
	time->enforced = !gsh_load_relaxed(&tenant->audit);
	time->closed = gsh_load_relaxed(&tenant->closed);
}
