/* Figures as text for Prometheus; see metrics.h. */
#include "agent/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NANO UINT64_C(1000000000)

/* ---- text ---- */

void agent_text_add(struct agent_text *text, const char *format, ...)
{
	size_t left = text->room - text->count;
	va_list args, again;
	char *grown;
	int count;

	va_start(args, format);
	va_copy(again, args);
	count = vsnprintf(text->bytes ? text->bytes + text->count : NULL, left, format,
			  args);
	if (count >= 0 && (size_t)count >= left && !text->lost) {
		text->room = 2 * text->room + (size_t)count + 4096;
		grown = realloc(text->bytes, text->room);
		text->lost = !grown;
		if (grown) {
			text->bytes = grown;
			vsnprintf(text->bytes + text->count, text->room - text->count,
				  format, again);
		}
	}
	if (count > 0 && !text->lost)
		text->count += (size_t)count;
	va_end(again);
	va_end(args);
}

/* ---- values, exact: whole and billionths ---- */

struct agent_value {
	bool known;
	uint64_t whole, nano;
};

static struct agent_value known(uint64_t value)
{
	return (struct agent_value){ value != GPUSHIM_UNKNOWN, value, 0 };
}

static struct agent_value whole(uint64_t value)
{
	return (struct agent_value){ true, value, 0 };
}

static struct agent_value below(uint64_t value, uint64_t none)
{
	return (struct agent_value){ value < none, value, 0 };
}

static struct agent_value seconds(uint64_t ns)
{
	return (struct agent_value){ ns != GPUSHIM_UNKNOWN, ns / NANO, ns % NANO };
}

static struct agent_value permille(uint64_t value)
{
	return (struct agent_value){ value != GPUSHIM_UNKNOWN, value / 1000,
				     value % 1000 * (NANO / 1000) };
}

static struct agent_value ppm(uint32_t value)
{
	return (struct agent_value){ value != GPUSHIM_UNKNOWN_PPM, value / 1000000,
				     value % 1000000 * (NANO / 1000000) };
}

static struct agent_value debt(int64_t level_ns)
{
	struct agent_value value = seconds(level_ns < 0 ? -(uint64_t)level_ns : 0);

	value.known = level_ns != GPUSHIM_UNKNOWN_LEVEL;
	return value;
}

static void add_value(struct agent_text *text, const struct agent_value *value)
{
	char digits[16];
	int count;

	agent_text_add(text, " %llu", (unsigned long long)value->whole);
	if (value->nano > 0) {
		count = snprintf(digits, sizeof(digits), "%09llu",
				 (unsigned long long)value->nano);
		while (digits[count - 1] == '0')
			digits[--count] = '\0';
		agent_text_add(text, ".%s", digits);
	}
	agent_text_add(text, "\n");
}

/* ---- families ---- */

enum scope { AGENT, TENANT, DEVICE };

struct family {
	enum scope scope;
	const char *name, *type, *unit, *text;
};

enum {
#define METRIC(scope, name, type, unit, value, text) FAMILY_##name,
#include "agent/metrics.def"
	FAMILIES,
};

static const struct family families[] = {
#define METRIC(scope, name, type, unit, value, text) { scope, #name, #type, #unit, text },
#include "agent/metrics.def"
};

/* Of those beyond the scope of the family nothing is looked at. */
static struct agent_value value_of(int family, const struct agent_figures *agent,
				   const struct agent_tenant_figures *tenant,
				   const struct agent_device_figures *device)
{
	switch (family) {
#define METRIC(scope, name, type, unit, value, text) \
	case FAMILY_##name:                          \
		return value;
#include "agent/metrics.def"
	default:
		return (struct agent_value){ 0 };
	}
}

/* In OpenMetrics a counter's family has no "_total", its samples have. */
static const char *suffix(const struct family *family)
{
	return *family->type == 'c' ? "_total" : "";
}

static void add_head(struct agent_text *text, const struct family *family, bool open)
{
	const char *end = open ? "" : suffix(family);

	agent_text_add(text, "# HELP gpushim_%s%s %s.\n", family->name, end,
		       family->text);
	agent_text_add(text, "# TYPE gpushim_%s%s %s\n", family->name, end, family->type);
	if (open && *family->unit)
		agent_text_add(text, "# UNIT gpushim_%s %s\n", family->name,
			       family->unit);
}

/* Names of tenants need no escapes. */
static void add_sample(struct agent_text *text, int index,
		       const struct agent_figures *agent,
		       const struct agent_tenant_figures *tenant,
		       const struct agent_device_figures *device)
{
	const struct family *family = &families[index];
	struct agent_value value = value_of(index, agent, tenant, device);
	struct gsh_text uuid;
	char buffer[64];

	if (!value.known)
		return;
	agent_text_add(text, "gpushim_%s%s", family->name, suffix(family));
	if (family->scope == DEVICE) {
		gsh_text_init(&uuid, buffer, sizeof(buffer));
		gsh_text_add_uuid(&uuid, device->shown.uuid);
		agent_text_add(text, "{tenant=\"%s\",gpu_uuid=\"%s\"}", tenant->name,
			       buffer);
	} else if (family->scope == TENANT) {
		agent_text_add(text, "{tenant=\"%s\"}", tenant->name);
	}
	add_value(text, &value);
}

static void add_family(struct agent_text *text, int index,
		       const struct agent_figures *agent,
		       const struct agent_tenant_figures *tenants, size_t count)
{
	static const struct agent_tenant_figures nobody;
	static const struct agent_device_figures nothing;
	enum scope scope = families[index].scope;

	if (scope == AGENT)
		add_sample(text, index, agent, &nobody, &nothing);
	for (size_t i = 0; scope != AGENT && i < count; i++) {
		if (scope == TENANT)
			add_sample(text, index, agent, &tenants[i], &nothing);
		for (uint32_t d = 0; scope == DEVICE && d < tenants[i].devices_count; d++)
			add_sample(text, index, agent, &tenants[i],
				   &tenants[i].devices[d]);
	}
}

void agent_metrics_write(struct agent_text *text, const struct agent_figures *agent,
			 const struct agent_tenant_figures *tenants, size_t count,
			 bool open)
{
	for (int i = 0; i < FAMILIES; i++) {
		add_head(text, &families[i], open);
		add_family(text, i, agent, tenants, count);
	}
	if (open)
		agent_text_add(text, "# EOF\n");
}
