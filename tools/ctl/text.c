/*
 * text.c - numbers, limits and tables as people read them.
 */
#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/report.h"

enum { COLUMNS_MAX = sizeof(((struct ctl_table *)0)->right) };

static const char *keep(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *keep(const char *format, ...)
{
	static char buffers[16][64];
	static unsigned next;
	char *text = buffers[next++ % 16];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(buffers[0]), format, args);
	va_end(args);
	return text;
}

const char *ctl_bytes(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = 0;
	uint64_t tenths;

	if (bytes == GPUSHIM_UNLIMITED)
		return "none";
	while (unit < 4 && bytes >> (10 * (unit + 1)) > 0)
		unit++;
	/* Rounded down: "10 GiB" is never said of what is a byte less. */
	tenths = (bytes % (UINT64_C(1) << (10 * unit))) * 10 >> (10 * unit);
	bytes >>= 10 * unit;
	if (unit == 0 || tenths == 0)
		return keep("%llu %s", (unsigned long long)bytes, units[unit]);
	return keep("%llu.%u %s", (unsigned long long)bytes, (unsigned)tenths,
		    units[unit]);
}

/* "12.5%" */
static const char *percent(uint64_t permille)
{
	return permille % 10 ? keep("%llu.%u%%", (unsigned long long)(permille / 10),
				    (unsigned)(permille % 10))
			     : keep("%llu%%", (unsigned long long)(permille / 10));
}

const char *ctl_uuid(const uint8_t uuid[16])
{
	struct gsh_text text;
	char buffer[64];

	gsh_text_init(&text, buffer, sizeof(buffer));
	gsh_text_add_uuid(&text, uuid);
	return keep("%s", buffer);
}

const struct gpushim_policy_device *ctl_row(const struct gpushim_policy_limits *limits,
					    const uint8_t uuid[16])
{
	for (uint32_t i = 0; i < limits->device_count && i < GPUSHIM_DEVICES_MAX; i++)
		if (memcmp(limits->devices[i].uuid, uuid, 16) == 0)
			return &limits->devices[i];
	return &limits->others;
}

uint64_t ctl_quota_bytes(const struct gpushim_policy_device *row, uint64_t total_bytes)
{
	uint64_t share;

	if (row->memory_ppm == 0 || total_bytes == 0)
		return row->memory_bytes;
	share = total_bytes / 1000000 * row->memory_ppm +
		total_bytes % 1000000 * row->memory_ppm / 1000000;
	return share < row->memory_bytes ? share : row->memory_bytes;
}

const char *ctl_quota(const struct gpushim_policy_device *row, uint64_t total_bytes)
{
	if (row->memory_ppm > 0 && total_bytes == 0)
		return percent(row->memory_ppm / 1000);
	return ctl_bytes(ctl_quota_bytes(row, total_bytes));
}

const char *ctl_compute(const struct gpushim_policy_device *row)
{
	if (row->request_permille == 0 && row->limit_permille == 1000)
		return "best effort";
	if (row->request_permille == row->limit_permille)
		return percent(row->limit_permille);
	if (row->request_permille == 0)
		return keep("up to %s", percent(row->limit_permille));
	return keep("%s to %s", percent(row->request_permille),
		    percent(row->limit_permille));
}

const char *ctl_priority(uint32_t priority)
{
	return gsh_report_priority(priority);
}

const char *ctl_burst(const struct gpushim_policy_device *row)
{
	return keep("%u ms", row->burst_ms ? row->burst_ms : GPUSHIM_BURST_MS_DEFAULT);
}

const char *ctl_unenforced(const struct gpushim_policy_limits *limits)
{
	return limits->flags & GPUSHIM_POLICY_AUDIT ? ", not enforced" : "";
}

/* ---- tables ---- */

void ctl_table_add(struct ctl_table *table, ...)
{
	void *grown = realloc(table->cells, (table->rows + 1) * sizeof(*table->cells));
	va_list args;

	if (!grown)
		return;
	table->cells = grown;
	va_start(args, table);
	for (size_t i = 0; i < COLUMNS_MAX; i++) {
		const char *text = i < table->columns ? va_arg(args, const char *) : NULL;

		table->cells[table->rows][i] = text ? strdup(text) : NULL;
	}
	va_end(args);
	table->rows++;
}

static const char *cell(const struct ctl_table *table, size_t row, size_t column)
{
	return table->cells[row][column] ? table->cells[row][column] : "";
}

static void print_row(const struct ctl_table *table, size_t row, const int *widths)
{
	size_t last = table->columns;

	/* No spaces at the end of lines. */
	while (last > 0 && !*cell(table, row, last - 1))
		last--;
	for (size_t i = 0; i < last; i++) {
		const char *text = cell(table, row, i);

		if (table->right[i])
			printf("%s%*s", i ? "  " : "", widths[i], text);
		else
			printf("%s%-*s", i ? "  " : "", i + 1 < last ? widths[i] : 0,
			       text);
	}
	putchar('\n');
}

void ctl_table_print(struct ctl_table *table)
{
	int widths[COLUMNS_MAX] = { 0 };

	for (size_t row = 0; row < table->rows; row++)
		for (size_t i = 0; i < table->columns; i++)
			if ((int)strlen(cell(table, row, i)) > widths[i])
				widths[i] = (int)strlen(cell(table, row, i));
	for (size_t row = 0; row < table->rows; row++) {
		print_row(table, row, widths);
		for (size_t i = 0; i < table->columns; i++)
			free(table->cells[row][i]);
	}
	free(table->cells);
	table->cells = NULL;
	table->rows = 0;
}
