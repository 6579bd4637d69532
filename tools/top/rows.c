/*
 * rows.c - the rows of a tenant, made of what its files say and of its rows before.
 *
 * Knows which figures are differences, and what a state is. Refuses to know how rows are drawn or sorted.
 */
#include "top/rows.h"

#include <stdio.h>
#include <string.h>

#include "top/rows_private.h"
#include "top/text.h"

#define SECOND_NS UINT64_C(1000000000)

/* Beyond this no rate of a counter is true; also keeps sums of rates from overflowing. */
#define RATE_MAX 1e15

struct top_row *top_row_new(struct top_model *model)
{
	struct top_row *row;

	model->rows = top_grow(model->rows, &model->rows_room, model->rows_count + 1,
			       sizeof(*model->rows));
	row = &model->rows[model->rows_count++];
	memset(row, 0, sizeof(*row));
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		row->value[i] = TOP_UNKNOWN;
	row->at_ns = model->now_ns;
	row->quota_bytes = TOP_UNKNOWN;
	row->limit_ppm = TOP_UNKNOWN;
	return row;
}

/* ---- figures ---- */

/* Growth per second times scale; unknown before the second look, and if it shrank. */
static uint64_t rate(uint64_t now, uint64_t before, uint64_t elapsed_ns, double scale)
{
	double per_second;

	if (now == TOP_UNKNOWN || before == TOP_UNKNOWN || now < before ||
	    elapsed_ns == 0)
		return TOP_UNKNOWN;
	per_second = (double)(now - before) * scale * 1e9 / (double)elapsed_ns;
	return (uint64_t)(per_second < RATE_MAX ? per_second : RATE_MAX);
}

/* Adds what is known. */
static void add(uint64_t *sum, uint64_t value)
{
	if (value == TOP_UNKNOWN)
		return;
	if (*sum == TOP_UNKNOWN)
		*sum = value;
	else if (__builtin_add_overflow(*sum, value, sum) || *sum == TOP_UNKNOWN)
		*sum = TOP_UNKNOWN - 1;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	if (a == TOP_UNKNOWN || b == TOP_UNKNOWN)
		return a == TOP_UNKNOWN ? b : a;
	return a > b ? a : b;
}

/* A share of which nothing was published, or that is no cap, is none. */
static uint64_t share_ppm(uint64_t permille)
{
	return permille == 0 ? TOP_UNKNOWN : permille * 1000;
}

/* Never TOP_UNKNOWN: it is known to be too much. */
static uint64_t used_bytes(const struct gpushim_device *device)
{
	uint64_t used = TOP_UNKNOWN;

	if (__builtin_add_overflow(device->charged_bytes, device->overhead_bytes,
				   &used) ||
	    used == TOP_UNKNOWN)
		return TOP_UNKNOWN - 1;
	return used;
}

static void set_terms(struct top_row *row, const struct gpushim_device *device)
{
	row->quota_bytes = device->limit_bytes == GPUSHIM_UNLIMITED ? TOP_UNKNOWN
								    : device->limit_bytes;
	row->limit_ppm = share_ppm(device->limit_permille);
	row->enforced = device->enforced || device->rate_permille == GPUSHIM_UNKNOWN;
	row->value[TOP_COLUMN_QUOTA] = row->quota_bytes;
	row->value[TOP_COLUMN_LIMIT] = row->limit_ppm;
	row->value[TOP_COLUMN_REQUEST] = share_ppm(device->request_permille);
}

/* Of a tenant that has used no device: what it may have of any. */
static void set_policy_terms(struct top_row *row, const struct top_tenant *tenant)
{
	const struct gpushim_policy_device *others = &tenant->policy.others;

	if (!tenant->has_policy)
		return;
	row->value[TOP_COLUMN_MEMORY] = 0;
	/* A part of a device is known once there is one. */
	if (others->memory_ppm == 0 && others->memory_bytes != GPUSHIM_UNLIMITED)
		row->quota_bytes = others->memory_bytes;
	row->limit_ppm = share_ppm(others->limit_permille);
	row->value[TOP_COLUMN_QUOTA] = row->quota_bytes;
	row->value[TOP_COLUMN_LIMIT] = row->limit_ppm;
	row->value[TOP_COLUMN_REQUEST] = share_ppm(others->request_permille);
}

/* ---- the tenant's own rows ---- */

/* Those of its processes are added later. */
void top_row_add_tenant(struct top_model *model, uint32_t tenant,
			const struct gpushim_device *device, uint32_t index)
{
	const struct top_tenant *from = model->tenants[tenant];
	struct top_row *row = top_row_new(model), *old;

	row->tenant_id = from->id;
	row->tenant = tenant;
	row->slot = TOP_NO_SLOT;
	row->device = index;
	row->group = (uint32_t)model->rows_count - 1;
	row->alive = 1;
	row->state = TOP_STATE_IDLE;
	row->enforced = true;
	row->value[TOP_COLUMN_DEVICE] = index == TOP_NO_DEVICE ? TOP_UNKNOWN : index;
	row->value[TOP_COLUMN_DENIALS] = 0;
	old = top_row_take_old(model, row);
	(void)top_row_was_there(old);
	if (!device) {
		set_policy_terms(row, from);
		return;
	}
	set_terms(row, device);
	row->value[TOP_COLUMN_MEMORY] = used_bytes(device);
	row->value[TOP_COLUMN_PEAK] = device->peak_bytes;
	row->value[TOP_COLUMN_GPU_TIME] = device->used_ns;
	if (device->share_1s_ppm != GPUSHIM_UNKNOWN_PPM)
		row->value[TOP_COLUMN_SHARE] = device->share_1s_ppm;
	if (device->share_10s_ppm != GPUSHIM_UNKNOWN_PPM)
		row->value[TOP_COLUMN_SHARE10] = device->share_10s_ppm;
	if (device->level_ns != GPUSHIM_UNKNOWN_LEVEL)
		row->value[TOP_COLUMN_CREDIT] = (uint64_t)device->level_ns;
	if (row->quota_bytes != TOP_UNKNOWN &&
	    row->value[TOP_COLUMN_MEMORY] > row->quota_bytes)
		row->state = TOP_STATE_OVER;
}

/* What its processes do is what a tenant does, unless worse is known of it. */
static void raise_tenant(struct top_model *model, const struct top_row *process)
{
	struct top_row *row = &model->rows[process->group];

	if (process->state > row->state)
		row->state = process->state;
	add(&row->value[TOP_COLUMN_WAIT], process->value[TOP_COLUMN_WAIT]);
	add(&row->value[TOP_COLUMN_LAUNCHES], process->value[TOP_COLUMN_LAUNCHES]);
	row->value[TOP_COLUMN_WAITING] = larger(row->value[TOP_COLUMN_WAITING],
						process->value[TOP_COLUMN_WAITING]);
}

/* ---- rows of processes ---- */

static bool refused_of_late(const struct top_model *model,
			    const struct gpushim_process *process)
{
	uint64_t then = process->last_denied_unix_ns;

	return process->denials > 0 && then <= model->unix_ns &&
	       model->unix_ns - then < TOP_REFUSED_NS;
}

static enum top_state state_of(const struct top_model *model, const struct top_row *row,
			       const struct gpushim_process *process,
			       const struct gpushim_usage *usage)
{
	uint64_t launches = row->value[TOP_COLUMN_LAUNCHES];

	if (!process->alive)
		return TOP_STATE_EXPORTED;
	if (refused_of_late(model, process))
		return TOP_STATE_REFUSED;
	if (usage && usage->time.waiting)
		return TOP_STATE_WAITING;
	if (process->unknown_symbols > 0)
		return TOP_STATE_UNCOVERED;
	if (usage &&
	    (usage->time.in_flight_ns > 0 || (launches != TOP_UNKNOWN && launches > 0)))
		return TOP_STATE_RUNNING;
	return TOP_STATE_IDLE;
}

static void set_rates(struct top_row *row, const struct gpushim_usage *usage,
		      const struct top_row *old)
{
	uint64_t elapsed_ns;

	row->gpu_ns = usage->time.gpu_ns;
	row->waited_ns = usage->time.waited_ns;
	/* Who is still held has waited as well. */
	if (usage->time.waiting_ns != GPUSHIM_UNKNOWN)
		add(&row->waited_ns, usage->time.waiting_ns);
	row->launches = usage->time.launches;
	row->value[TOP_COLUMN_GPU_TIME] = row->gpu_ns;
	if (!old)
		return;
	elapsed_ns = row->at_ns - old->at_ns;
	row->value[TOP_COLUMN_SHARE] = rate(row->gpu_ns, old->gpu_ns, elapsed_ns, 1e-3);
	row->value[TOP_COLUMN_WAIT] = rate(row->waited_ns, old->waited_ns, elapsed_ns,
					   1e-3);
	row->value[TOP_COLUMN_LAUNCHES] = rate(row->launches, old->launches, elapsed_ns,
					       1e3);
}

/* A command line without the directories of its program. */
static const char *without_path(const char *command)
{
	const char *name = command;

	for (const char *c = command; *c && *c != ' '; c++)
		if (*c == '/' && c[1] && c[1] != ' ')
			name = c + 1;
	return name;
}

static void set_host(struct top_row *row, const struct top_host *host)
{
	if (!host)
		return;
	if (host->pid)
		row->value[TOP_COLUMN_HOST_PID] = host->pid;
	if (host->command[0])
		snprintf(row->command, sizeof(row->command), "%.95s",
			 without_path(host->command));
	snprintf(row->user, sizeof(row->user), "%.23s", host->user);
	snprintf(row->container, sizeof(row->container), "%.15s", host->container);
	snprintf(row->pod, sizeof(row->pod), "%.39s", host->pod);
}

static void note_denials(struct top_model *model, const struct top_tenant *tenant,
			 const struct gpushim_process *process, const struct top_row *old)
{
	uint64_t before = old ? old->denials : 0;
	char bytes[TOP_TEXT_BYTES];

	if (process->denials <= before)
		return;
	top_text_bytes(bytes, process->last_denied_bytes);
	top_event_add(model, tenant, TOP_EVENT_REFUSED, process->last_denied_unix_ns,
		      "%s (%u) was refused %llu allocation%s, the last of %s",
		      process->command, process->pid,
		      (unsigned long long)(process->denials - before),
		      process->denials - before == 1 ? "" : "s", bytes);
}

static void note_start(struct top_model *model, const struct top_tenant *tenant,
		       const struct gpushim_process *process)
{
	if (model->samples > 1)
		top_event_add(model, tenant, TOP_EVENT_STARTED, process->start_unix_ns,
			      "%s (%u) started", process->command, process->pid);
}

/* usage NULL: it uses no device. first: of the process' rows. */
static void add_process_row(struct top_model *model, uint32_t group,
			    const struct gpushim_process *process,
			    const struct top_host *host,
			    const struct gpushim_usage *usage, uint32_t device,
			    bool first)
{
	struct top_row *row = top_row_new(model);
	const struct top_row *above = &model->rows[group];
	const struct top_tenant *tenant = model->tenants[above->tenant];
	struct top_row *old;
	bool known;

	row->tenant_id = above->tenant_id;
	row->tenant = above->tenant;
	row->group = group;
	row->start_unix_ns = process->start_unix_ns;
	row->slot = process->slot;
	row->device = device;
	row->alive = process->alive;
	row->pid_namespace = process->pid_namespace;
	row->quota_bytes = above->quota_bytes;
	row->limit_ppm = above->limit_ppm;
	row->enforced = above->enforced;
	snprintf(row->command, sizeof(row->command), "%s", process->command);
	set_host(row, host);
	row->value[TOP_COLUMN_DEVICE] = device == TOP_NO_DEVICE ? TOP_UNKNOWN : device;
	if (process->alive)
		row->value[TOP_COLUMN_PID] = process->pid;
	row->value[TOP_COLUMN_DENIALS] = row->denials = process->denials;
	row->value[TOP_COLUMN_UNKNOWN] = process->unknown_symbols;
	row->value[TOP_COLUMN_QUOTA] = above->value[TOP_COLUMN_QUOTA];
	row->value[TOP_COLUMN_LIMIT] = above->value[TOP_COLUMN_LIMIT];
	row->value[TOP_COLUMN_REQUEST] = above->value[TOP_COLUMN_REQUEST];
	old = top_row_take_old(model, row);
	known = top_row_was_there(old);
	if (usage) {
		row->value[TOP_COLUMN_MEMORY] = usage->charged_bytes;
		row->value[TOP_COLUMN_PEAK] = usage->peak_bytes;
		row->value[TOP_COLUMN_WAITING] = usage->time.waiting_ns;
		set_rates(row, usage, known ? old : NULL);
	}
	row->state = state_of(model, row, process, usage);
	if (first) {
		note_denials(model, tenant, process, known ? old : NULL);
		if (!known && process->alive)
			note_start(model, tenant, process);
		add(&model->rows[group].value[TOP_COLUMN_DENIALS], process->denials);
		add(&model->rows[group].value[TOP_COLUMN_UNKNOWN],
		    process->unknown_symbols);
	}
	raise_tenant(model, row);
}

static void add_process(struct top_model *model, uint32_t first_row, uint32_t index,
			const struct top_look *look,
			const uint32_t device_of[GPUSHIM_DEVICES_MAX], uint32_t *cursors)
{
	const struct gpushim_snapshot *snapshot = look->snapshot;
	const struct gpushim_process *process = &snapshot->processes[index];
	const struct top_host *host = look->hosts ? &look->hosts[index] : NULL;
	bool first = true;

	/* Usages stand device by device, each in the order of the processes. */
	for (uint32_t d = 0; d < snapshot->devices_count; d++) {
		const struct gpushim_usage *usage = &snapshot->usages[cursors[d]];

		if (cursors[d] >= snapshot->usages_count || usage->device != d ||
		    usage->slot != process->slot)
			continue;
		cursors[d]++;
		add_process_row(model, first_row + d, process, host, usage, device_of[d],
				first);
		first = false;
	}
	if (first)
		add_process_row(model, first_row, process, host, NULL, TOP_NO_DEVICE,
				true);
}

void top_rows_add(struct top_model *model, uint32_t tenant, const struct top_look *look,
		  const uint32_t device_of[GPUSHIM_DEVICES_MAX])
{
	const struct gpushim_snapshot *snapshot = look->snapshot;
	uint32_t cursors[GPUSHIM_DEVICES_MAX] = { 0 },
		 first_row = (uint32_t)model->rows_count;
	struct top_tenant *to = model->tenants[tenant];
	uint32_t at = 0;

	for (uint32_t d = 0; d < snapshot->devices_count; d++)
		top_row_add_tenant(model, tenant, &snapshot->devices[d], device_of[d]);
	if (snapshot->devices_count == 0)
		top_row_add_tenant(model, tenant, NULL, TOP_NO_DEVICE);
	for (uint32_t d = 0; d < snapshot->devices_count; d++) {
		cursors[d] = at;
		while (at < snapshot->usages_count && snapshot->usages[at].device == d)
			at++;
	}
	to->processes = 0;
	for (uint32_t i = 0; i < snapshot->processes_count; i++) {
		to->processes += snapshot->processes[i].alive != 0;
		add_process(model, first_row, i, look, device_of, cursors);
	}
	if (to->has_policy && to->policy.flags & GPUSHIM_POLICY_CLOSED)
		for (uint32_t i = first_row;
		     i < first_row + snapshot->devices_count || i == first_row; i++)
			model->rows[i].state = TOP_STATE_CLOSED;
}
