/* The order of devices that CUDA_VISIBLE_DEVICES makes; see visible.h. */
#include "cuda/visible.h"

#include "gpushim/policy.h"

/* By ordinal; written before the mode of the process is published, and not after. */
static uint32_t index_of[GPUSHIM_DEVICES_MAX];
static bool is_numbers = true;

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The entry at *at as a number, UINT32_MAX if it is none; *at moves behind its comma. */
static uint32_t next_entry(const char **at)
{
	const char *p = *at;
	uint32_t index = UINT32_MAX;

	while (is_space(*p))
		p++;
	if (*p >= '0' && *p <= '9')
		for (index = 0; *p >= '0' && *p <= '9'; p++)
			/* Stays above any device once it is. */
			if (index < GPUSHIM_DEVICES_MAX)
				index = index * 10 + (uint32_t)(*p - '0');
	while (is_space(*p))
		p++;
	if ((*p && *p != ',') || index >= GPUSHIM_DEVICES_MAX)
		index = UINT32_MAX;
	while (*p && *p != ',')
		p++;
	*at = *p ? p + 1 : p;
	return index;
}

void gsh_visible_set(const char *value)
{
	is_numbers = true;
	for (uint32_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		bool there = !value || *value;

		index_of[i] = !value ? i : there ? next_entry(&value) : UINT32_MAX;
		if (there && index_of[i] == UINT32_MAX)
			is_numbers = false;
	}
}

bool gsh_visible_is_numbers(void)
{
	return is_numbers;
}

uint32_t gsh_environment_device_index(int ordinal)
{
	if (ordinal < 0 || ordinal >= (int)GPUSHIM_DEVICES_MAX)
		return UINT32_MAX;
	return index_of[ordinal];
}
