/*
 * show_text.c - durations, shares and processes as people read them.
 */
#include "ctl/show.h"

#include <stdarg.h>
#include <stdio.h>

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

const char *show_count(uint64_t value)
{
	return keep("%llu", (unsigned long long)value);
}

/* Three digits, cut off; whole hours and days are no shorter than 60 min and 100 h. */
static const char *duration(const char *sign, uint64_t ns)
{
	static const struct {
		uint64_t from_ns, ns;
		const char *name;
	} units[] = {
		{ UINT64_C(360000000000000), UINT64_C(86400000000000), "d" },
		{ UINT64_C(3600000000000), UINT64_C(3600000000000), "h" },
		{ UINT64_C(1000000000), UINT64_C(1000000000), "s" },
		{ UINT64_C(1000000), UINT64_C(1000000), "ms" },
		{ UINT64_C(1000), UINT64_C(1000), "us" },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		unsigned long long whole = ns / units[i].ns;
		unsigned hundredths = (unsigned)(ns % units[i].ns / (units[i].ns / 100));

		if (ns < units[i].from_ns)
			continue;
		if (whole >= 100)
			return keep("%s%llu %s", sign, whole, units[i].name);
		if (whole >= 10)
			return keep("%s%llu.%u %s", sign, whole, hundredths / 10,
				    units[i].name);
		return keep("%s%llu.%02u %s", sign, whole, hundredths, units[i].name);
	}
	return keep("%s%llu ns", sign, (unsigned long long)ns);
}

const char *show_duration(int64_t ns)
{
	return ns < 0 ? duration("-", -(uint64_t)ns) : duration("", (uint64_t)ns);
}

const char *show_time_ns(uint64_t ns)
{
	return ns == GPUSHIM_UNKNOWN ? "-" : duration("", ns);
}

static const char *percent(uint64_t tenths)
{
	return keep("%llu.%u%%", (unsigned long long)(tenths / 10),
		    (unsigned)(tenths % 10));
}

const char *show_share(uint32_t ppm)
{
	return ppm == GPUSHIM_UNKNOWN_PPM ? "-" : percent((ppm + UINT64_C(500)) / 1000);
}

const char *show_part(uint64_t part, uint64_t whole)
{
	if (whole == 0)
		return "-";
	/* The two are counted one after the other. */
	if (part >= whole)
		return "100%";
	return percent((uint64_t)((double)part / (double)whole * 1000.0));
}

const char *show_process(const struct gpushim_process *process)
{
	if (process->state == GPUSHIM_SLOT_ORPHAN)
		return "  exported, owner gone";
	return keep("  %u %s", process->pid, process->command);
}

const struct gpushim_process *show_process_in(const struct gpushim_snapshot *snapshot,
					      uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->processes_count; i++)
		if (snapshot->processes[i].slot == slot)
			return &snapshot->processes[i];
	return NULL;
}
