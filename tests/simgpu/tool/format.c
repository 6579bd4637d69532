/*
 * format.c - numbers as people read them.
 */
#include "tool/tool.h"

#include <stdarg.h>

#include "common/uuid.h"

static const char *keep(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *keep(const char *format, ...)
{
	static char buffers[8][64];
	static unsigned next;
	char *text = buffers[next++ % 8];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(buffers[0]), format, args);
	va_end(args);
	return text;
}

/* Three digits before the point need none after it. */
static int decimals(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

const char *tool_bytes(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (value == (double)(uint64_t)value)
		return keep("%.0f%s", value, units[unit]);
	return keep("%.*f%s", decimals(value), value, units[unit]);
}

const char *tool_time(uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	unsigned unit = 0;

	while (value >= 1000 && unit < 3) {
		value /= 1000;
		unit++;
	}
	return keep("%.*f%s", unit ? decimals(value) : 0, value, units[unit]);
}

const char *tool_percent(uint64_t part, uint64_t whole)
{
	return whole ? keep("%.1f", 100.0 * (double)part / (double)whole) : "-";
}

const char *tool_uuid(const unsigned char u[16])
{
	char text[SIM_UUID_TEXT_BYTES];

	sim_uuid_text(u, text);
	return keep("%s", text);
}

const char *tool_state(const struct simgpu_device *device)
{
	static const char *const states[] = { "idle", "switching", "busy" };

	if (device->lost)
		return "lost";
	return device->state < 3 ? states[device->state] : "-";
}
