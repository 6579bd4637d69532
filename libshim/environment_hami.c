/* HAMi's variables; see environment_hami.h. */
#include "environment_hami.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/parse.h"

/* Its limits: alone, or followed by "_" and the index of a device. */
struct variable {
	char name[48]; /* cut, for messages */
	const char *value;
	uint32_t index; /* GPUSHIM_DEVICES_MAX: all devices */
};

/* 1; 0: entry is none of that name; or -EINVAL. */
static int split(const char *entry, const char *base, struct variable *variable,
		 struct gsh_reason *why)
{
	const char *equals = strchr(entry, '='), *rest = entry + strlen(base);
	struct gsh_text text;
	uint64_t index;

	/* Some other variable may begin alike. */
	if (strncmp(entry, base, strlen(base)) != 0 || !equals ||
	    (*rest != '=' && *rest != '_'))
		return 0;
	gsh_text_init(&text, variable->name, sizeof(variable->name));
	gsh_text_add_n(&text, entry, (size_t)(equals - entry));
	variable->value = equals + 1;
	variable->index = GPUSHIM_DEVICES_MAX;
	if (*rest == '=')
		return 1;
	if (gsh_parse_u64(variable->name + strlen(base) + 1, &index) < 0 ||
	    index >= GPUSHIM_DEVICES_MAX)
		return gsh_environment_malformed(why, variable->name, variable->value,
						 "for one of the devices 0 to 15");
	variable->index = (uint32_t)index;
	return 1;
}

/* ---- memory ---- */

/* "20070m", "8g", "512k", or bytes. */
static int parse_short_size(const char *value, uint64_t *bytes)
{
	char digits[24];
	size_t count = strlen(value);
	unsigned shift = 0;
	int err;

	if (count == 0 || count >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, value, count + 1);
	switch (digits[count - 1]) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	if (shift)
		digits[count - 1] = '\0';
	err = gsh_parse_u64(digits, bytes);
	if (err)
		return err;
	if (*bytes == 0 || *bytes > (UINT64_MAX - 1) >> shift)
		return -ERANGE;
	*bytes <<= shift;
	return 0;
}

static int read_memory(const struct variable *variable,
		       struct gsh_environment *environment, struct gsh_reason *why)
{
	uint64_t bytes;

	if (parse_short_size(variable->value, &bytes) < 0)
		return gsh_environment_malformed(why, variable->name, variable->value,
						 "a size above 0, such as 8g or 500m");
	gsh_environment_lower(variable->index < GPUSHIM_DEVICES_MAX
				      ? &environment->by_index[variable->index]
				      : &environment->all,
			      bytes, GPUSHIM_SOURCE_HAMI);
	return 0;
}

/* ---- GPU time ---- */

/* There 0 and 100 are no limit, and a share is a cap that promises nothing. */
static int read_share(const struct variable *variable, struct gsh_hami *hami,
		      struct gsh_environment *environment, struct gsh_reason *why)
{
	uint64_t percent;

	hami->has_share = true;
	if (gsh_parse_u64(variable->value, &percent) < 0 || percent > 100)
		return gsh_environment_malformed(
			why, variable->name, variable->value,
			"a whole number of percent from 0 to 100");
	if (percent > 0 && percent < 100)
		gsh_environment_lower_share(
			variable->index < GPUSHIM_DEVICES_MAX
				? &environment->share_by_index[variable->index]
				: &hami->share,
			0, (uint32_t)percent * 10, GPUSHIM_SOURCE_HAMI);
	return 0;
}

static bool is_word(const char *value, const char *lower_case, const char *upper_case)
{
	return strcmp(value, lower_case) == 0 || strcmp(value, upper_case) == 0;
}

int gsh_hami_settle(const struct gsh_hami *hami, struct gsh_environment *environment,
		    struct gsh_reason *why)
{
	const char *policy = hami->core_policy;

	if (!hami->has_share)
		return 0;
	if (policy && is_word(policy, "disable", "DISABLE")) {
		memset(environment->share_by_index, 0,
		       sizeof(environment->share_by_index));
		return 0;
	}
	if (hami->share.source)
		gsh_environment_lower_share(&environment->all_share, 0,
					    hami->share.limit_permille,
					    GPUSHIM_SOURCE_HAMI);
	if (policy && !is_word(policy, "default", "DEFAULT") &&
	    !is_word(policy, "force", "FORCE"))
		return gsh_environment_malformed(why, "GPU_CORE_UTILIZATION_POLICY",
						 policy,
						 "'default', 'force' or 'disable'");
	return 0;
}

/* ---- all of them ---- */

int gsh_hami_read(struct gsh_hami *hami, struct gsh_environment *environment,
		  const char *entry, struct gsh_reason *why)
{
	static const char cache[] = "CUDA_DEVICE_MEMORY_SHARED_CACHE=";
	static const char core_policy[] = "GPU_CORE_UTILIZATION_POLICY=";
	struct variable variable;
	int found, error;

	if (strncmp(entry, cache, sizeof(cache) - 1) == 0) {
		environment->hami_cache = entry + sizeof(cache) - 1;
		return 1;
	}
	if (strncmp(entry, core_policy, sizeof(core_policy) - 1) == 0) {
		hami->core_policy = entry + sizeof(core_policy) - 1;
		return 1;
	}
	found = split(entry, "CUDA_DEVICE_MEMORY_LIMIT", &variable, why);
	error = found > 0 ? read_memory(&variable, environment, why) : 0;
	if (found == 0) {
		found = split(entry, "CUDA_DEVICE_SM_LIMIT", &variable, why);
		error = found > 0 ? read_share(&variable, hami, environment, why) : 0;
	}
	if (found == 0)
		return 0;
	environment->limited = true;
	return error < 0 ? error : found;
}
