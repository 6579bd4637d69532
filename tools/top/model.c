/*
 * model.c - tenants, devices, history and events; see model.h.
 *
 * Knows who is who from one look to the next. The figures of rows are made in rows.c; numbers
 * of devices are given in devices.c.
 */
#include "top/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "top/rows.h"
#include "top/text.h"

void *top_reallocate(void *array, size_t bytes)
{
	void *grown = realloc(array, bytes);

	if (grown)
		return grown;
	fputs("gpushim-top: there is no memory left for what is to be shown.\n", stderr);
	exit(EXIT_FAILURE);
}

void *top_grow(void *array, size_t *room, size_t count, size_t bytes)
{
	size_t wanted = *room ? *room : 16;

	if (count <= *room)
		return array;
	while (wanted < count)
		wanted *= 2;
	*room = wanted;
	return top_reallocate(array, wanted * bytes);
}

const char *top_state_name(enum top_state state)
{
	static const char *const names[] = {
#define STATE(id, name, tone, help) [TOP_STATE_##id] = name,
#include "top/states.def"
	};

	return state < TOP_STATES ? names[state] : "?";
}

/* ---- devices ---- */

static void add_bounded(uint64_t *sum, uint64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum) || *sum == TOP_UNKNOWN)
		*sum = TOP_UNKNOWN - 1;
}

static void add_to_device(struct top_device *device, const struct gpushim_device *from,
			  enum top_agent agent)
{
	if (from->total_bytes > device->total_bytes)
		device->total_bytes = from->total_bytes;
	add_bounded(&device->used_bytes, from->charged_bytes);
	add_bounded(&device->used_bytes, from->overhead_bytes);
	if (from->share_1s_ppm != GPUSHIM_UNKNOWN_PPM) {
		if (device->share_ppm == TOP_UNKNOWN)
			device->share_ppm = 0;
		device->share_ppm += from->share_1s_ppm;
	}
	if (from->limit_source == GPUSHIM_SOURCE_DRIVER &&
	    from->limit_bytes < device->driver_limit_bytes)
		device->driver_limit_bytes = from->limit_bytes;
	device->tenants++;
	device->waiting += (unsigned)from->time.waiting;
	if (agent > device->agent)
		device->agent = agent;
}

static uint16_t permille(uint64_t part, uint64_t whole)
{
	double ratio;

	if (part == TOP_UNKNOWN || whole == 0 || whole == TOP_UNKNOWN)
		return TOP_RING_UNKNOWN;
	ratio = (double)part / (double)whole * 1000;
	return (uint16_t)(ratio < 1000 ? ratio : 1000);
}

/* ---- tenants ---- */

static struct top_tenant *find_tenant(struct top_model *model,
				      const struct top_look *look, uint32_t *index)
{
	/* They mostly come in the order in which they came before. */
	for (size_t i = 0; i < model->tenants_count; i++) {
		size_t at = (model->next_tenant + i) % model->tenants_count;

		if (strcmp(model->tenants[at]->name, look->name) == 0 &&
		    strcmp(model->tenants[at]->dir, look->dir) == 0) {
			model->next_tenant = at + 1;
			*index = (uint32_t)at;
			return model->tenants[at];
		}
	}
	return NULL;
}

static struct top_tenant *make_tenant(struct top_model *model,
				      const struct top_look *look, uint32_t *index)
{
	struct top_tenant *tenant;
	size_t dir_bytes = strlen(look->dir) + 1;

	model->tenants = top_grow(model->tenants, &model->tenants_room,
				  model->tenants_count + 1, sizeof(struct top_tenant *));
	tenant = top_reallocate(NULL, sizeof(*tenant));
	memset(tenant, 0, sizeof(*tenant));
	tenant->id = ++model->next_id;
	tenant->dir = top_reallocate(NULL, dir_bytes);
	memcpy(tenant->dir, look->dir, dir_bytes);
	snprintf(tenant->name, sizeof(tenant->name), "%s", look->name);
	*index = (uint32_t)model->tenants_count;
	model->tenants[model->tenants_count++] = tenant;
	return tenant;
}

static void free_tenant(struct top_tenant *tenant)
{
	free(tenant->parts);
	free(tenant->dir);
	free(tenant);
}

/* An agent lives while its heartbeat changes. */
static void judge_agent(struct top_model *model, struct top_tenant *tenant,
			uint64_t heartbeat)
{
	if (heartbeat == 0) {
		tenant->agent = TOP_AGENT_NONE;
	} else if (tenant->heartbeat == 0) {
		tenant->agent = TOP_AGENT_UNSEEN;
		tenant->beat_ns = model->now_ns;
	} else if (heartbeat != tenant->heartbeat) {
		tenant->agent = TOP_AGENT_ALIVE;
		tenant->beat_ns = model->now_ns;
	} else if (model->now_ns - tenant->beat_ns >= TOP_AGENT_NS) {
		tenant->agent = TOP_AGENT_SILENT;
	}
	tenant->heartbeat = heartbeat;
}

static void take_policy(struct top_model *model, struct top_tenant *tenant,
			const struct gpushim_snapshot *snapshot)
{
	bool known = tenant->has_policy;
	uint64_t before = tenant->policy.generation;

	judge_agent(model, tenant, snapshot->heartbeat);
	tenant->created_unix_ns = snapshot->created_unix_ns;
	tenant->has_policy = snapshot->has_policy != 0;
	tenant->policy = snapshot->policy;
	if (known && tenant->has_policy && tenant->policy.generation != before)
		top_event_add(model, tenant, TOP_EVENT_POLICY, model->unix_ns,
			      "limits have changed (generation %llu, from %.80s)",
			      (unsigned long long)tenant->policy.generation,
			      tenant->policy.source);
}

static struct top_part *part_of(struct top_tenant *tenant, uint32_t device)
{
	struct top_part *part = (struct top_part *)top_tenant_part(tenant, device);

	if (part)
		return part;
	tenant->parts = top_reallocate(tenant->parts, (tenant->parts_count + 1) *
							      sizeof(*tenant->parts));
	part = &tenant->parts[tenant->parts_count++];
	memset(part, 0, sizeof(*part));
	part->device = device;
	return part;
}

const struct top_part *top_tenant_part(const struct top_tenant *tenant, uint32_t device)
{
	for (unsigned i = 0; i < tenant->parts_count; i++)
		if (tenant->parts[i].device == device)
			return &tenant->parts[i];
	return NULL;
}

static void take_device(struct top_model *model, struct top_tenant *tenant,
			const struct gpushim_device *from, uint32_t index)
{
	uint64_t share = from->share_1s_ppm == GPUSHIM_UNKNOWN_PPM ? TOP_UNKNOWN
								   : from->share_1s_ppm;
	uint64_t whole = from->limit_bytes < from->total_bytes || !from->total_bytes
				 ? from->limit_bytes
				 : from->total_bytes;
	struct top_part *part;

	if (index == TOP_NO_DEVICE)
		return;
	part = part_of(tenant, index);
	if (from->repairs > part->now.repairs && part->now.total_bytes > 0)
		top_event_add(model, tenant, TOP_EVENT_TROUBLE, model->unix_ns,
			      "impossible credit of GPU time was put right");
	part->now = *from;
	model->devices[index].used_sample = model->samples;
	top_ring_put(&part->ring, model->now_ns, permille(from->charged_bytes, whole),
		     permille(share, 1000000));
	add_to_device(&model->devices[index], from, tenant->agent);
}

/* ---- a sample ---- */

void top_model_begin(struct top_model *model, uint64_t now_ns, uint64_t unix_ns)
{
	model->now_ns = now_ns;
	model->unix_ns = unix_ns;
	model->samples++;
	model->next_tenant = 0;
	for (size_t i = 0; i < model->devices_count; i++) {
		struct top_device *device = &model->devices[i];

		device->total_bytes = device->used_bytes = 0;
		device->share_ppm = TOP_UNKNOWN;
		device->driver_limit_bytes = TOP_UNKNOWN;
		device->tenants = device->waiting = 0;
		device->agent = TOP_AGENT_NONE;
	}
	top_rows_begin(model);
}

static void add_unreadable(struct top_model *model, struct top_tenant *tenant,
			   uint32_t index, const char *error)
{
	if (!tenant->error[0])
		top_event_add(model, tenant, TOP_EVENT_TROUBLE, model->unix_ns, "%.143s",
			      error);
	snprintf(tenant->error, sizeof(tenant->error), "%s", error);
	top_rows_keep(model, index);
}

void top_model_add(struct top_model *model, const struct top_look *look)
{
	const struct gpushim_snapshot *snapshot = look->snapshot;
	uint32_t device_of[GPUSHIM_DEVICES_MAX], index;
	struct top_tenant *tenant = find_tenant(model, look, &index);

	if (!tenant)
		tenant = make_tenant(model, look, &index);
	tenant->seen_sample = model->samples;
	tenant->gone_ns = 0;
	if (!snapshot) {
		add_unreadable(model, tenant, index, look->error ? look->error : "?");
		return;
	}
	if (tenant->error[0])
		top_event_add(model, tenant, TOP_EVENT_TROUBLE, model->unix_ns,
			      "its ledger can be read again");
	tenant->error[0] = '\0';
	take_policy(model, tenant, snapshot);
	for (uint32_t i = 0; i < snapshot->devices_count; i++) {
		device_of[i] = top_device_index(model, snapshot->devices[i].uuid);
		take_device(model, tenant, &snapshot->devices[i], device_of[i]);
	}
	top_rows_add(model, index, look, device_of);
}

static void drop_tenant(struct top_model *model, size_t index)
{
	free_tenant(model->tenants[index]);
	model->tenants_count--;
	for (size_t i = index; i < model->tenants_count; i++)
		model->tenants[i] = model->tenants[i + 1];
	for (size_t i = 0; i < model->rows_count; i++)
		model->rows[i].tenant -= model->rows[i].tenant > index;
}

void top_model_end(struct top_model *model)
{
	top_rows_end(model);
	for (size_t i = model->tenants_count; i-- > 0;) {
		struct top_tenant *tenant = model->tenants[i];

		if (tenant->seen_sample == model->samples)
			continue;
		if (!tenant->gone_ns)
			tenant->gone_ns = model->now_ns;
		else if (model->now_ns - tenant->gone_ns >= TOP_GONE_NS)
			drop_tenant(model, i);
	}
	for (size_t i = 0; i < model->devices_count; i++) {
		struct top_device *device = &model->devices[i];

		top_ring_put(&device->ring, model->now_ns,
			     permille(device->used_bytes, device->total_bytes),
			     permille(device->share_ppm, 1000000));
	}
}

void top_model_free(struct top_model *model)
{
	for (size_t i = 0; i < model->tenants_count; i++)
		free_tenant(model->tenants[i]);
	free(model->tenants);
	free(model->rows);
	free(model->old);
	free(model->index);
	memset(model, 0, sizeof(*model));
}

const struct top_row *top_model_row(const struct top_model *model, uint64_t tenant_id,
				    uint32_t slot, uint32_t device)
{
	for (size_t i = 0; i < model->rows_count; i++) {
		const struct top_row *row = &model->rows[i];

		if (row->tenant_id == tenant_id && row->slot == slot &&
		    row->device == device && row->state != TOP_STATE_GONE)
			return row;
	}
	return NULL;
}

const struct top_tenant *top_model_tenant(const struct top_model *model,
					  uint64_t tenant_id)
{
	for (size_t i = 0; i < model->tenants_count; i++)
		if (model->tenants[i]->id == tenant_id)
			return model->tenants[i];
	return NULL;
}
