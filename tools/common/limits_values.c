/*
 * limits_values.c - quotas and shares of GPU time, as limits.json writes them.
 */
#include "common/limits_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

/* 2^53: what is larger is not exact, in this file and in everybody's JSON. */
#define NUMBER_MAX 9007199254740992.0
#define BYTES_MAX (UINT64_C(1) << 53)

/* ---- sizes ---- */

/* Bytes, or gibibytes? Who knows; the example takes the likelier. */
static int refuse_without_unit(struct gsh_limits_parser *parser, double value,
			       const char *number)
{
	char text[GSH_LIMITS_WRITTEN];

	return REFUSE("%s has no unit; write a unit, such as \"%s%s\"",
		      gsh_limits_written(parser, text), number ? number : text,
		      value < 1024	    ? "GiB"
		      : value < 1024 * 1024 ? "MiB"
					    : "B");
}

static int read_size(struct gsh_limits_parser *parser, const cJSON *item, uint64_t *bytes)
{
	char text[GSH_LIMITS_WRITTEN];
	const char *string = item->valuestring;
	uint64_t value = 0;
	int result;

	if (cJSON_IsNumber(item)) {
		if (item->valuedouble < 0)
			return REFUSE("%s is negative", gsh_limits_written(parser, text));
		return refuse_without_unit(parser, item->valuedouble, NULL);
	}
	if (!cJSON_IsString(item))
		return REFUSE("must be a size such as \"8GiB\"");
	result = gsh_parse_size(string, &value);
	if (*string == '-')
		return REFUSE("%s is negative", gsh_limits_written(parser, text));
	if (result == 0 && strspn(string, "0123456789.") == strlen(string))
		return refuse_without_unit(parser, (double)value, string);
	if (result == -ERANGE || (result == 0 && value > BYTES_MAX))
		return REFUSE("%s is too large; the largest size is 8192TiB",
			      gsh_limits_written(parser, text));
	if (result < 0)
		return REFUSE(
			"%s is not a size; write a number and one of B, KiB, MiB, GiB, "
			"TiB, kB, MB, GB, TB",
			gsh_limits_written(parser, text));
	*bytes = value;
	return 0;
}

/* A quota: bytes, or a share of the device. */
static int read_quota(struct gsh_limits_parser *parser, const cJSON *item, void *into)
{
	struct gpushim_policy_device *row = into;
	char text[GSH_LIMITS_WRITTEN];
	uint64_t bytes = GPUSHIM_UNLIMITED;
	uint32_t ppm = 0;
	int result;

	if (cJSON_IsString(item) && strchr(item->valuestring, '%')) {
		if (gsh_parse_ppm(item->valuestring, &ppm) < 0 || ppm == 0)
			return REFUSE(
				"%s is not a share of the device: above 0%%, at most 100%%",
				gsh_limits_written(parser, text));
	} else {
		if (!cJSON_IsString(item) && !cJSON_IsNumber(item))
			return REFUSE(
				"must be a size such as \"8GiB\", or a share of the device "
				"such as \"50%%\"");
		result = read_size(parser, item, &bytes);
		if (result < 0)
			return result;
		if (bytes == 0)
			return REFUSE("%s is no quota: every allocation would be refused",
				      gsh_limits_written(parser, text));
	}
	row->memory_bytes = bytes;
	row->memory_ppm = ppm;
	return 0;
}

static int read_view(struct gsh_limits_parser *parser, const cJSON *item, void *into)
{
	struct gpushim_policy_device *row = into;

	if (cJSON_IsString(item) && strcmp(item->valuestring, "quota") == 0)
		row->view = GPUSHIM_VIEW_QUOTA;
	else if (cJSON_IsString(item) && strcmp(item->valuestring, "device") == 0)
		row->view = GPUSHIM_VIEW_DEVICE;
	else
		return REFUSE("must be \"quota\" or \"device\"");
	return 0;
}

int gsh_limits_memory(struct gsh_limits_parser *parser, const cJSON *item, void *into)
{
	static const struct gsh_limits_key keys[] = {
		{ "limit", read_quota },
		{ "view", read_view },
		{ NULL, NULL },
	};
	const struct gpushim_policy_device *row = into;
	int result;

	if (cJSON_IsString(item) || cJSON_IsNumber(item))
		return read_quota(parser, item, into);
	if (!cJSON_IsObject(item))
		return REFUSE(
			"must be a size such as \"8GiB\", a share of the device such as "
			"\"50%%\", or an object with \"limit\"");
	result = gsh_limits_members(parser, item, keys, into);
	if (result == 0 && row->memory_bytes == GPUSHIM_UNLIMITED && row->memory_ppm == 0)
		return REFUSE("\"limit\" is missing");
	return result;
}

int gsh_limits_context_memory(struct gsh_limits_parser *parser, const cJSON *item,
			      void *into)
{
	struct gpushim_policy_device *row = into;

	return read_size(parser, item, &row->context_bytes);
}

/* ---- GPU time ---- */

struct compute {
	uint64_t request_permille, limit_permille;
	bool has_request;
	uint32_t priority, burst_ms;
};

/* "30", "12.5" */
static const char *percent(uint64_t permille, char text[GSH_LIMITS_WRITTEN])
{
	snprintf(text, GSH_LIMITS_WRITTEN, permille % 10 ? "%llu.%llu" : "%llu",
		 (unsigned long long)(permille / 10),
		 (unsigned long long)(permille % 10));
	return text;
}

/* A number of percent; how large it may be is the caller's business. */
static int read_percent(struct gsh_limits_parser *parser, const cJSON *item,
			uint64_t *permille)
{
	char text[GSH_LIMITS_WRITTEN];
	double tenths, rest;

	if (!cJSON_IsNumber(item))
		return REFUSE("must be a number of percent, without quotes");
	if (item->valuedouble < 0)
		return REFUSE("%s is negative", gsh_limits_written(parser, text));
	if (item->valuedouble > NUMBER_MAX)
		return REFUSE("%s is too large to be exact",
			      gsh_limits_written(parser, text));
	tenths = item->valuedouble * 10;
	*permille = (uint64_t)(tenths + 0.5);
	rest = tenths - (double)*permille;
	if (rest > 1e-6 || rest < -1e-6)
		return REFUSE("%s is finer than a tenth of a percent",
			      gsh_limits_written(parser, text));
	return 0;
}

static int read_compute_limit(struct gsh_limits_parser *parser, const cJSON *item,
			      void *into)
{
	struct compute *compute = into;
	char text[GSH_LIMITS_WRITTEN];
	int result = read_percent(parser, item, &compute->limit_permille);

	if (result < 0)
		return result;
	if (compute->limit_permille > GSH_LIMITS_PERMILLE)
		return REFUSE("%s is above 100", gsh_limits_written(parser, text));
	if (compute->limit_permille == 0)
		return REFUSE(
			"0 would never let it run; without \"compute\" a tenant gets what "
			"others leave");
	return 0;
}

static int read_compute_request(struct gsh_limits_parser *parser, const cJSON *item,
				void *into)
{
	struct compute *compute = into;

	compute->has_request = true;
	return read_percent(parser, item, &compute->request_permille);
}

static int read_priority(struct gsh_limits_parser *parser, const cJSON *item, void *into)
{
	static const char *const names[] = {
		[GPUSHIM_PRIORITY_NORMAL] = "normal",
		[GPUSHIM_PRIORITY_LATENCY] = "latency",
		[GPUSHIM_PRIORITY_BATCH] = "batch",
	};
	struct compute *compute = into;

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (cJSON_IsString(item) && strcmp(item->valuestring, names[i]) == 0) {
			compute->priority = i;
			return 0;
		}
	return REFUSE("must be \"latency\", \"normal\" or \"batch\"");
}

static int read_burst(struct gsh_limits_parser *parser, const cJSON *item, void *into)
{
	struct compute *compute = into;
	char text[GSH_LIMITS_WRITTEN];
	double ms = item->valuedouble;

	if (!cJSON_IsNumber(item))
		return REFUSE("must be a number of milliseconds, without quotes");
	if (!(ms >= 1 && ms <= GPUSHIM_BURST_MS_MAX) || ms != (double)(uint32_t)ms)
		return REFUSE("%s is not a whole number of milliseconds from 1 to %u",
			      gsh_limits_written(parser, text), GPUSHIM_BURST_MS_MAX);
	compute->burst_ms = (uint32_t)ms;
	return 0;
}

/* The request against the limit: both may stand here, or one be taken over. */
static int check_request(struct gsh_limits_parser *parser, const struct compute *compute)
{
	char request[GSH_LIMITS_WRITTEN], limit[GSH_LIMITS_WRITTEN];

	if (compute->request_permille <= compute->limit_permille)
		return 0;
	percent(compute->limit_permille, limit);
	if (!compute->has_request) {
		gsh_pointer_push(&parser->at, "limit");
		return REFUSE("%s is below the request %s", limit,
			      percent(compute->request_permille, request));
	}
	gsh_pointer_push(&parser->at, "request");
	return REFUSE("%s is above the limit %s", gsh_limits_written(parser, request),
		      limit);
}

int gsh_limits_compute(struct gsh_limits_parser *parser, const cJSON *item, void *into)
{
	static const struct gsh_limits_key keys[] = {
		{ "request", read_compute_request },
		{ "limit", read_compute_limit },
		{ "priority", read_priority },
		{ "burst_ms", read_burst },
		{ NULL, NULL },
	};
	struct gpushim_policy_device *row = into;
	struct compute compute = {
		.request_permille = row->request_permille,
		.limit_permille = row->limit_permille,
		.priority = row->priority,
		.burst_ms = row->burst_ms,
	};
	int result;

	if (cJSON_IsNumber(item)) {
		result = read_compute_limit(parser, item, &compute);
		compute.request_permille = compute.limit_permille;
	} else if (cJSON_IsObject(item)) {
		result = gsh_limits_members(parser, item, keys, &compute);
		if (result == 0)
			result = check_request(parser, &compute);
	} else {
		return REFUSE(
			"must be a number of percent, or an object with \"request\", "
			"\"limit\", \"priority\" and \"burst_ms\"");
	}
	if (result < 0)
		return result;
	row->request_permille = (uint32_t)compute.request_permille;
	row->limit_permille = (uint32_t)compute.limit_permille;
	row->priority = compute.priority;
	row->burst_ms = compute.burst_ms;
	return 0;
}
