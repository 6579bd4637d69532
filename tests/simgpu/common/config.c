/*
 * config.c - the SIMGPU_* variables: one table, and the parsers its rows need.
 *
 * Knows: spelling, defaults and ranges. Refuses to know: what the values are used for.
 */
#include "common/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__extension__ typedef unsigned __int128 u128;

enum kind {
	COUNT,	/* whole number, into an unsigned */
	BYTES,	/* size, into a uint64_t */
	SCALED, /* decimal number times .scale, into a uint64_t */
	TEXT,	/* into a char array */
	CC,	/* "major.minor", into cc_major and cc_minor */
	OTHER	/* read elsewhere; listed for people */
};

struct row {
	struct sim_variable variable;
	enum kind kind;
	size_t offset, size; /* of the field */
	uint64_t min, max;   /* of the field's value; of a text's length */
	uint64_t scale;
};

#define FIELD(field) \
	offsetof(struct sim_config, field), sizeof(((struct sim_config *)0)->field)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define S_NS UINT64_C(1000000000)

/* clang-format off */
static const struct row rows[] = {
	{ { "SIMGPU_DEVICES", "1", "number of devices" },
	  COUNT, FIELD(devices), 1, 16, 1 },
	{ { "SIMGPU_MEMORY", "16GiB", "memory of each device" },
	  BYTES, FIELD(memory_bytes), MIB, 4 * TIB, 1 },
	{ { "SIMGPU_SLICE_US", "2000", "length of a context's time slice, microseconds" },
	  SCALED, FIELD(slice_ns), 1000, 100 * S_NS, 1000 },
	{ { "SIMGPU_SWITCH_US", "100", "cost of changing contexts, microseconds" },
	  SCALED, FIELD(switch_ns), 0, S_NS, 1000 },
	{ { "SIMGPU_CONCURRENT", "128", "kernels of one context that run at once" },
	  COUNT, FIELD(concurrent), 1, 1024, 1 },
	{ { "SIMGPU_CONTEXT", "256MiB", "device memory that each context takes" },
	  BYTES, FIELD(context_bytes), 0, 4 * TIB, 1 },
	{ { "SIMGPU_CODE", "0", "device memory that each loaded module takes beside its code" },
	  BYTES, FIELD(code_bytes), 0, 4 * TIB, 1 },
	{ { "SIMGPU_POOL_GRANULE", "32MiB", "stream-ordered pools grow in steps of this" },
	  BYTES, FIELD(pool_granule_bytes), 64 * KIB, 4 * TIB, 1 },
	{ { "SIMGPU_COPY_GBPS", "25", "copies between host and device, 10^9 bytes per second" },
	  SCALED, FIELD(copy_bytes_per_s), S_NS / 1000, 100000 * S_NS, S_NS },
	{ { "SIMGPU_DEVICE_GBPS", "1500", "memset and copies on the device, 10^9 bytes/s" },
	  SCALED, FIELD(device_bytes_per_s), S_NS / 1000, 100000 * S_NS, S_NS },
	{ { "SIMGPU_KERNEL_NS", "10000", "time of one wave of a modelled kernel, nanoseconds" },
	  SCALED, FIELD(kernel_ns), 1, 1000 * S_NS, 1 },
	{ { "SIMGPU_KERNEL_VARY", "0", "spread of modelled kernels from launch to launch, %" },
	  COUNT, FIELD(vary_percent), 0, 100, 1 },
	{ { "SIMGPU_WORK_PS", "1000", "one iteration of gpushim_work, picoseconds" },
	  SCALED, FIELD(work_ps), 1, 1000 * S_NS, 1 },
	{ { "SIMGPU_DRIVER_VERSION", "13000", "what cuDriverGetVersion says" },
	  COUNT, FIELD(driver_version), 1000, 99999, 1 },
	{ { "SIMGPU_DRIVER", "580.65.06", "the driver's version as NVML says it" },
	  TEXT, FIELD(driver_string), 1, 0, 1 },
	{ { "SIMGPU_NAME", "Simulated GPU", "name of the devices" },
	  TEXT, FIELD(name), 1, 0, 1 },
	{ { "SIMGPU_SMS", "132", "multiprocessors of each device" },
	  COUNT, FIELD(sm_count), 1, 1024, 1 },
	{ { "SIMGPU_CC", "9.0", "compute capability" }, CC, 0, 0, 1, 99, 1 },

	{ { "SIMGPU_STATE", "/dev/shm/simgpu-UID", "directory of one device process; "
	    "whoever names the same one shares its devices" }, .kind = OTHER },
	{ { "SIMGPU_DAEMON", "", "the program simgpud, if it does not lie beside the libraries" },
	  .kind = OTHER },
	{ { "SIMGPU_ZERO_COST", "0", "1: no device; calls are checked and done at once" },
	  .kind = OTHER },
	{ { "SIMGPU_CALL_NS", "0", "host time that every driver call takes, nanoseconds" },
	  .kind = OTHER },
	{ { "SIMGPU_FAULTS", "", "faults to inject; see tests/simgpu/README.md" },
	  .kind = OTHER },
	{ { "SIMGPU_LOG", "", "calls: every driver call is written to standard error" },
	  .kind = OTHER },
	{ { "SIMGPU_DIRECT", "1", "0: the device process may not reach this process's memory, so "
	    "that pageable copies are staged" },
	  .kind = OTHER },
	{ { "SIMGPU_NVML_LIMITS", "0", "1: NVML has the memory limits of newer drivers" },
	  .kind = OTHER },
};
/* clang-format on */

enum { NROWS = sizeof(rows) / sizeof(rows[0]) };

/* Reads digits with at most one point: mantissa / 10^decimals. Returns what follows them,
 * NULL when there is no number or it is too long to be exact. */
static const char *parse_decimal(const char *text, uint64_t *mantissa, unsigned *decimals)
{
	bool point = false, digits = false;
	uint64_t digit;

	*mantissa = 0;
	*decimals = 0;
	for (;; text++) {
		if (*text == '.' && !point && digits) {
			point = true;
			continue;
		}
		if (*text < '0' || *text > '9')
			break;
		digit = (uint64_t)(*text - '0');
		if (*mantissa > (UINT64_MAX - digit) / 10 || *decimals == 18)
			return NULL;
		*mantissa = *mantissa * 10 + digit;
		*decimals += point;
		digits = true;
	}
	return digits && text[-1] != '.' ? text : NULL;
}

static int scale_decimal(uint64_t mantissa, unsigned decimals, uint64_t scale,
			 uint64_t *value)
{
	u128 wide = (u128)mantissa * scale;

	while (decimals--)
		wide /= 10;
	if (wide > UINT64_MAX)
		return -EINVAL;
	*value = (uint64_t)wide;
	return 0;
}

static int parse_scaled(const char *text, uint64_t scale, uint64_t *value)
{
	uint64_t mantissa;
	unsigned decimals;
	const char *end = parse_decimal(text, &mantissa, &decimals);

	if (!end || *end)
		return -EINVAL;
	return scale_decimal(mantissa, decimals, scale, value);
}

int sim_parse_bytes(const char *text, uint64_t *bytes)
{
	static const char prefixes[] = "kmgtpe";
	uint64_t mantissa, scale = 1;
	unsigned decimals;
	const char *unit = parse_decimal(text, &mantissa, &decimals);
	const char *prefix;

	if (!unit)
		return -EINVAL;
	prefix = *unit ? strchr(prefixes, *unit | 0x20) : NULL;
	if (prefix) {
		uint64_t base = unit[1] == 'i' ? 1024 : 1000;

		for (const char *p = prefixes; p <= prefix; p++)
			scale *= base;
		unit += base == 1024 ? 2 : 1;
	}
	if (*unit == 'B')
		unit++;
	/* A byte has no parts. */
	if (*unit || (decimals && scale == 1))
		return -EINVAL;
	return scale_decimal(mantissa, decimals, scale, bytes);
}

int sim_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t number;
	unsigned decimals;
	const char *end = parse_decimal(text, &number, &decimals);

	if (!end || *end || strchr(text, '.') || number < min || number > max)
		return -EINVAL;
	*value = number;
	return 0;
}

static int parse_cc(const char *text, struct sim_config *config)
{
	char major[4];
	const char *point = strchr(text, '.');
	uint64_t a, b;

	if (!point || (size_t)(point - text) >= sizeof(major))
		return -EINVAL;
	memcpy(major, text, (size_t)(point - text));
	major[point - text] = '\0';
	if (sim_parse_u64(major, 1, 99, &a) || sim_parse_u64(point + 1, 0, 9, &b))
		return -EINVAL;
	config->cc_major = (unsigned)a;
	config->cc_minor = (unsigned)b;
	return 0;
}

static int parse_text(const char *text, char *field, size_t size)
{
	size_t length = strlen(text);

	if (length == 0 || length >= size)
		return -EINVAL;
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return -EINVAL;
	memset(field, 0, size);
	memcpy(field, text, length + 1);
	return 0;
}

static int read_row(const struct row *row, const char *text, struct sim_config *config)
{
	char *field = (char *)config + row->offset;
	uint64_t value;
	int res;

	switch (row->kind) {
	case TEXT:
		return parse_text(text, field, row->size);
	case CC:
		return parse_cc(text, config);
	case COUNT:
		res = sim_parse_u64(text, row->min, row->max, &value);
		break;
	case BYTES:
		res = sim_parse_bytes(text, &value);
		break;
	case SCALED:
		res = parse_scaled(text, row->scale, &value);
		break;
	default:
		return 0;
	}
	if (res || value < row->min || value > row->max)
		return -EINVAL;
	if (row->kind == COUNT)
		*(unsigned *)field = (unsigned)value;
	else
		*(uint64_t *)field = value;
	return 0;
}

/* Writes a limit the way its variable is written. */
static const char *limit_text(const struct row *row, uint64_t value, char *text,
			      size_t size)
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	unsigned unit = 0;

	if (row->kind == BYTES) {
		while (unit < 4 && value && value % 1024 == 0) {
			value /= 1024;
			unit++;
		}
		snprintf(text, size, "%" PRIu64 "%s", value, units[unit]);
	} else {
		snprintf(text, size, "%.10g", (double)value / (double)row->scale);
	}
	return text;
}

static void explain(const struct row *row, const char *text, char *why, size_t why_bytes)
{
	const char *name = row->variable.name, *standard = row->variable.standard;
	char low[32], high[32];

	switch (row->kind) {
	case TEXT:
		snprintf(
			why, why_bytes,
			"%s=%s is not accepted: it takes 1 to %zu printable ASCII characters.",
			name, text, row->size - 1);
		break;
	case CC:
		snprintf(why, why_bytes,
			 "%s=%s is not accepted: it takes MAJOR.MINOR, such as %s.", name,
			 text, standard);
		break;
	default:
		snprintf(
			why, why_bytes,
			"%s=%s is not accepted: it takes a %s from %s to %s, such as %s.",
			name, text,
			row->kind == BYTES   ? "size"
			: row->kind == COUNT ? "whole number"
					     : "number",
			limit_text(row, row->min, low, sizeof(low)),
			limit_text(row, row->max, high, sizeof(high)), standard);
	}
}

int sim_config_read(struct sim_config *config, char *why, size_t why_bytes)
{
	memset(config, 0, sizeof(*config));
	for (const struct row *row = rows; row < rows + NROWS; row++) {
		const char *text = getenv(row->variable.name);

		/* An empty variable means the default, as it does in most shells' scripts. */
		if (!text || !*text)
			text = row->variable.standard;
		if (read_row(row, text, config)) {
			explain(row, text, why, why_bytes);
			return -EINVAL;
		}
	}
	return 0;
}

const struct sim_variable *sim_variable(size_t index)
{
	return index < NROWS ? &rows[index].variable : NULL;
}

int sim_state_dir(char *path, size_t bytes)
{
	const char *state = getenv("SIMGPU_STATE");
	int length;

	if (state && *state)
		length = snprintf(path, bytes, "%s", state);
	else
		length = snprintf(path, bytes, "/dev/shm/simgpu-%u", (unsigned)geteuid());
	return length < 0 || (size_t)length >= bytes ? -ENAMETOOLONG : 0;
}
