/* Variables and how their values are written; see environment.h. */
#include "environment.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/parse.h"
#include "cuda/visible.h"
#include "environment_hami.h"

/* The value, if entry is "name=value". */
static const char *value_of(const char *entry, const char *name)
{
	size_t bytes = strlen(name);

	return strncmp(entry, name, bytes) == 0 && entry[bytes] == '=' ? entry + bytes + 1
								       : NULL;
}

int gsh_environment_malformed(struct gsh_reason *why, const char *name, const char *value,
			      const char *wanted)
{
	/* The first one is what people see. */
	if (!why->text[0])
		gsh_reason_set(why, name, "=", value, " is not ", wanted, NULL);
	return -EINVAL;
}

void gsh_environment_lower(struct gsh_variable_limit *limit, uint64_t bytes,
			   uint32_t source)
{
	if (bytes >= limit->memory_bytes)
		return;
	limit->memory_bytes = bytes;
	/* Beside a share, which is GPUSHIM_MEMORY's, it is not known here which will hold. */
	if (!limit->memory_ppm)
		limit->source = source;
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
		return gsh_environment_malformed(
			why, "GPUSHIM_MEMORY", value,
			"a size or a share, such as 8GiB or 25%");
	gsh_environment_lower(all, bytes, GPUSHIM_SOURCE_VARIABLE);
	return 0;
}

void gsh_environment_lower_share(struct gsh_variable_share *share,
				 uint32_t request_permille, uint32_t limit_permille,
				 uint32_t source)
{
	if (request_permille &&
	    (!share->request_permille || request_permille < share->request_permille))
		share->request_permille = request_permille;
	if (share->source && limit_permille >= share->limit_permille)
		return;
	share->limit_permille = limit_permille;
	share->source = source;
}

static int read_compute(struct gsh_environment *environment, const char *value,
			struct gsh_reason *why)
{
	const char *colon = strchr(value, ':');
	size_t count = colon ? (size_t)(colon - value) : strlen(value);
	uint32_t request_permille, limit_permille;
	char request[16];

	if (count == 0 || count >= sizeof(request))
		goto malformed;
	memcpy(request, value, count);
	request[count] = '\0';
	if (gsh_parse_permille(request, &request_permille) < 0)
		goto malformed;
	limit_permille = request_permille;
	if ((colon && gsh_parse_permille(colon + 1, &limit_permille) < 0) ||
	    limit_permille == 0 || limit_permille < request_permille)
		goto malformed;
	gsh_environment_lower_share(&environment->all_share, request_permille,
				    limit_permille, GPUSHIM_SOURCE_VARIABLE);
	return 0;
malformed:
	return gsh_environment_malformed(
		why, "GPUSHIM_COMPUTE", value,
		"REQUEST[:LIMIT] in percent, the limit above 0 and no smaller "
		"than the request");
}

static int read_priority(struct gsh_environment *environment, const char *value,
			 struct gsh_reason *why)
{
	if (strcmp(value, "latency") == 0)
		environment->priority = GPUSHIM_PRIORITY_LATENCY + 1;
	else if (strcmp(value, "normal") == 0)
		environment->priority = GPUSHIM_PRIORITY_NORMAL + 1;
	else if (strcmp(value, "batch") == 0)
		environment->priority = GPUSHIM_PRIORITY_BATCH + 1;
	else
		return gsh_environment_malformed(why, "GPUSHIM_PRIORITY", value,
						 "'latency', 'normal' or 'batch'");
	return 0;
}

static int read_nvidia(struct gsh_environment *environment, const char *value,
		       struct gsh_reason *why)
{
	uint64_t mebibytes;

	if (gsh_parse_u64(value, &mebibytes) < 0 || mebibytes == 0 ||
	    mebibytes > (UINT64_MAX - 1) >> 20)
		return gsh_environment_malformed(why, "NVIDIA_GPU_MEMORY_LIMIT", value,
						 "a whole number of MiB above 0");
	gsh_environment_lower(&environment->all, mebibytes << 20, GPUSHIM_SOURCE_NVIDIA);
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
		return gsh_environment_malformed(why, "GPUSHIM_VIEW", value,
						 "'quota' or 'device'");
	return 0;
}

static int read_wait(struct gsh_environment *environment, const char *value,
		     struct gsh_reason *why)
{
	uint64_t ms;

	if (gsh_parse_u64(value, &ms) < 0 || ms > 3600000)
		return gsh_environment_malformed(
			why, "GPUSHIM_WAIT_MS", value,
			"a number of milliseconds of at most an hour");
	environment->wait_ms = (uint32_t)ms;
	return 0;
}

static int read_context_memory(struct gsh_environment *environment, const char *value,
			       struct gsh_reason *why)
{
	if (gsh_parse_size(value, &environment->context_bytes) < 0)
		return gsh_environment_malformed(why, "GPUSHIM_CONTEXT_MEMORY", value,
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
	} else if ((value = value_of(entry, "GPUSHIM_PRIORITY")))
		return read_priority(environment, value, why);
	return 0;
}

static int read_entry(struct gsh_environment *environment, struct gsh_hami *hami,
		      const char *entry, struct gsh_reason *why)
{
	const char *value;
	int found;

	if (strncmp(entry, "GPUSHIM_", 8) == 0)
		return read_ours(environment, entry, why);
	found = gsh_hami_read(hami, environment, entry, why);
	if (found != 0)
		return found;
	if ((value = value_of(entry, "NVIDIA_GPU_MEMORY_LIMIT"))) {
		environment->limited = true;
		return read_nvidia(environment, value, why);
	}
	if ((value = value_of(entry, "CUDA_VISIBLE_DEVICES")))
		gsh_visible_set(value);
	return 0;
}

/* Where it cannot be told which device a limit by index is for, it is for all of them. */
static void lower_by_smallest(struct gsh_environment *environment)
{
	for (size_t i = 0; i < GPUSHIM_DEVICES_MAX; i++) {
		const struct gsh_variable_share *share = &environment->share_by_index[i];

		if (environment->by_index[i].source)
			gsh_environment_lower(&environment->all,
					      environment->by_index[i].memory_bytes,
					      environment->by_index[i].source);
		if (share->source)
			gsh_environment_lower_share(&environment->all_share,
						    share->request_permille,
						    share->limit_permille, share->source);
	}
}

/* What the variables come to, once all were read. */
static void settle(struct gsh_environment *environment, const struct gsh_hami *hami,
		   struct gsh_reason *why)
{
	environment->gpushim = environment->dir || environment->tenant ||
			       environment->limits_file || environment->context_bytes ||
			       environment->view >= 0 || environment->priority ||
			       environment->all_share.source ||
			       environment->all.source == GPUSHIM_SOURCE_VARIABLE;
	if (gsh_hami_settle(hami, environment, why) < 0)
		environment->malformed = true;
	if (!gsh_visible_is_numbers())
		lower_by_smallest(environment);
	if (getauxval(AT_SECURE)) {
		/* Limits only lower; paths would be opened with the program's rights. */
		environment->dir = environment->tenant = environment->limits_file = NULL;
		environment->hami_cache = NULL;
		environment->allow = false;
	}
}

int gsh_environment_read(struct gsh_environment *environment, struct gsh_reason *why)
{
	struct gsh_hami hami = { 0 };

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
		if (read_entry(environment, &hami, *entry, why) < 0)
			environment->malformed = true;
	settle(environment, &hami, why);
	return environment->malformed ? -EINVAL : 0;
}
