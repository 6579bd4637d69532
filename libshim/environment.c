/* Variables and how their values are written; see environment.h. */
#include "environment.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/parse.h"
#include "cuda/visible.h"

/* Alone, or followed by "_" and the index of a device. */
static const char hami[] = "CUDA_DEVICE_MEMORY_LIMIT";
enum { HAMI_CHARS = sizeof(hami) - 1 };

/* The value, if entry is "name=value". */
static const char *value_of(const char *entry, const char *name)
{
	size_t bytes = strlen(name);

	return strncmp(entry, name, bytes) == 0 && entry[bytes] == '=' ? entry + bytes + 1
								       : NULL;
}

static int malformed(struct gsh_reason *why, const char *name, const char *value,
		     const char *wanted)
{
	/* The first one is what people see. */
	if (!why->text[0])
		gsh_reason_set(why, name, "=", value, " is not ", wanted, NULL);
	return -EINVAL;
}

static void lower(struct gsh_variable_limit *limit, uint64_t bytes, uint32_t source)
{
	if (bytes >= limit->memory_bytes)
		return;
	limit->memory_bytes = bytes;
	/* Beside a share, which is GPUSHIM_MEMORY's, it is not known here which will hold. */
	if (!limit->memory_ppm)
		limit->source = source;
}

/* As other sharing libraries write sizes: "20070m", "8g", "512k", or bytes. */
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

static int read_memory(struct gsh_environment *environment, const char *value,
		       struct gsh_reason *why)
{
	struct gsh_variable_limit *all = &environment->all;
	uint64_t bytes;
	uint32_t ppm;

	if (gsh_parse_ppm(value, &ppm) == 0) {
		if (!all->memory_ppm || ppm < all->memory_ppm)
			all->memory_ppm = ppm;
		all->source = GPUSHIM_SOURCE_VARIABLE;
		return 0;
	}
	if (gsh_parse_size(value, &bytes) < 0 || bytes == 0)
		return malformed(why, "GPUSHIM_MEMORY", value,
				 "a size or a share, such as 8GiB or 25%");
	lower(all, bytes, GPUSHIM_SOURCE_VARIABLE);
	return 0;
}

static int read_compute(struct gsh_environment *environment, const char *value,
			struct gsh_reason *why)
{
	const char *colon = strchr(value, ':');
	size_t count = colon ? (size_t)(colon - value) : strlen(value);
	char request[16];
	uint32_t limit;

	if (count == 0 || count >= sizeof(request))
		goto malformed;
	memcpy(request, value, count);
	request[count] = '\0';
	if (gsh_parse_permille(request, &environment->request_permille) < 0)
		goto malformed;
	limit = environment->request_permille;
	if ((colon && gsh_parse_permille(colon + 1, &limit) < 0) || limit == 0 ||
	    limit < environment->request_permille)
		goto malformed;
	environment->limit_permille = limit;
	return 0;
malformed:
	environment->request_permille = 0;
	return malformed(why, "GPUSHIM_COMPUTE", value,
			 "REQUEST[:LIMIT] in percent, the limit above 0 and no smaller "
			 "than the request");
}

/* entry begins with that. */
static int read_hami(struct gsh_environment *environment, const char *entry,
		     struct gsh_reason *why)
{
	struct gsh_variable_limit *limit = &environment->all;
	const char *equals = strchr(entry, '=');
	uint64_t index, bytes;
	struct gsh_text text;
	char name[48];

	if (!equals || (entry[HAMI_CHARS] != '=' && entry[HAMI_CHARS] != '_'))
		return 0; /* some other variable that begins alike */
	environment->limited = true;
	gsh_text_init(&text, name, sizeof(name));
	gsh_text_add_n(&text, entry, (size_t)(equals - entry));
	if (entry[HAMI_CHARS] == '_') {
		if (gsh_parse_u64(name + HAMI_CHARS + 1, &index) < 0 ||
		    index >= GPUSHIM_DEVICES_MAX)
			return malformed(why, name, equals + 1,
					 "for one of the devices 0 to 15");
		limit = &environment->by_index[index];
	}
	if (parse_short_size(equals + 1, &bytes) < 0)
		return malformed(why, name, equals + 1,
				 "a size above 0, such as 8g or 500m");
	lower(limit, bytes, GPUSHIM_SOURCE_HAMI);
	return 0;
}

static int read_nvidia(struct gsh_environment *environment, const char *value,
		       struct gsh_reason *why)
{
	uint64_t mebibytes;

	if (gsh_parse_u64(value, &mebibytes) < 0 || mebibytes == 0 ||
	    mebibytes > (UINT64_MAX - 1) >> 20)
		return malformed(why, "NVIDIA_GPU_MEMORY_LIMIT", value,
				 "a whole number of MiB above 0");
	lower(&environment->all, mebibytes << 20, GPUSHIM_SOURCE_NVIDIA);
	return 0;
}

static int read_view(struct gsh_environment *environment, const char *value,
		     struct gsh_reason *why)
{
	if (strcmp(value, "quota") == 0)
		environment->view = GPUSHIM_VIEW_QUOTA;
	else if (strcmp(value, "device") == 0)
		environment->view = GPUSHIM_VIEW_DEVICE;
	else
		return malformed(why, "GPUSHIM_VIEW", value, "'quota' or 'device'");
	return 0;
}

static int read_wait(struct gsh_environment *environment, const char *value,
		     struct gsh_reason *why)
{
	uint64_t ms;

	if (gsh_parse_u64(value, &ms) < 0 || ms > 3600000)
		return malformed(why, "GPUSHIM_WAIT_MS", value,
				 "a number of milliseconds of at most an hour");
	environment->wait_ms = (uint32_t)ms;
	return 0;
}

static int read_context_memory(struct gsh_environment *environment, const char *value,
			       struct gsh_reason *why)
{
	if (gsh_parse_size(value, &environment->context_bytes) < 0)
		return malformed(why, "GPUSHIM_CONTEXT_MEMORY", value,
				 "a size, such as 300MiB");
	return 0;
}

/* A GPUSHIM_ variable; entry begins with that. */
static int read_ours(struct gsh_environment *environment, const char *entry,
		     struct gsh_reason *why)
{
	const char *value;

	if ((value = value_of(entry, "GPUSHIM_DIR")))
		environment->dir = value;
	else if ((value = value_of(entry, "GPUSHIM_TENANT")))
		environment->tenant = value;
	else if ((value = value_of(entry, "GPUSHIM_LIMITS")))
		environment->limits_file = value;
	else if ((value = value_of(entry, "GPUSHIM_ON_ERROR"))) {
		environment->has_on_error = true;
		environment->allow = strcmp(value, "allow") == 0;
	} else if ((value = value_of(entry, "GPUSHIM_WAIT_MS")))
		return read_wait(environment, value, why);
	else if ((value = value_of(entry, "GPUSHIM_VIEW")))
		return read_view(environment, value, why);
	else if ((value = value_of(entry, "GPUSHIM_CONTEXT_MEMORY")))
		return read_context_memory(environment, value, why);
	else if ((value = value_of(entry, "GPUSHIM_MEMORY"))) {
		environment->limited = true;
		return read_memory(environment, value, why);
	} else if ((value = value_of(entry, "GPUSHIM_COMPUTE"))) {
		environment->limited = true;
		return read_compute(environment, value, why);
	}
	return 0;
}

static int read_entry(struct gsh_environment *environment, const char *entry,
		      struct gsh_reason *why)
{
	const char *value;

	if (strncmp(entry, "GPUSHIM_", 8) == 0)
		return read_ours(environment, entry, why);
	if (strncmp(entry, hami, HAMI_CHARS) == 0)
		return read_hami(environment, entry, why);
	if ((value = value_of(entry, "NVIDIA_GPU_MEMORY_LIMIT"))) {
		environment->limited = true;
		return read_nvidia(environment, value, why);
	}
	if ((value = value_of(entry, "CUDA_DEVICE_MEMORY_SHARED_CACHE")))
		environment->hami_cache = value;
	else if ((value = value_of(entry, "CUDA_VISIBLE_DEVICES")))
		gsh_visible_set(value);
	return 0;
}

/* Where it cannot be told which device a limit by index is for, it is for all of them. */
static void lower_by_smallest(struct gsh_environment *environment)
{
	for (size_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		if (environment->by_index[i].source)
			lower(&environment->all, environment->by_index[i].memory_bytes,
			      environment->by_index[i].source);
}

int gsh_environment_read(struct gsh_environment *environment, struct gsh_reason *why)
{
	*environment = (struct gsh_environment){
		.wait_ms = GSH_WAIT_MS,
		.view = -1,
		.all.memory_bytes = GPUSHIM_UNLIMITED,
	};
	for (size_t i = 0; i < GPUSHIM_DEVICES_MAX; i++)
		environment->by_index[i].memory_bytes = GPUSHIM_UNLIMITED;
	why->text[0] = '\0';
	gsh_visible_set(NULL);
	/* Walked, not asked: the names that end in a number are not known beforehand. */
	for (char **entry = environ; entry && *entry; entry++)
		if (read_entry(environment, *entry, why) < 0)
			environment->malformed = true;
	environment->gpushim = environment->dir || environment->tenant ||
			       environment->limits_file || environment->context_bytes ||
			       environment->view >= 0 || environment->limit_permille ||
			       environment->all.source == GPUSHIM_SOURCE_VARIABLE;
	if (!gsh_visible_is_numbers())
		lower_by_smallest(environment);
	if (getauxval(AT_SECURE)) {
		/* Limits only lower; paths would be opened with the program's rights. */
		environment->dir = environment->tenant = environment->limits_file = NULL;
		environment->hami_cache = NULL;
		environment->allow = false;
	}
	return environment->malformed ? -EINVAL : 0;
}
