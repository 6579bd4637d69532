/* The order in which limits are looked for; see sources.h. */
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mount.h"
#include "base/parse.h"
#include "limits_file.h"

/* Where a container sees its own policy and ledger, and a node all of them. */
#define RUN_DIR "/run/gpushim"
#define CONTAINER_POLICY RUN_DIR "/policy"
#define CONTAINER_PAGE CONTAINER_POLICY "/policy"
#define CONTAINER_LEDGER RUN_DIR "/ledger/ledger"
#define LIMITS_FILE "/etc/gpushim/limits.json"

enum { PATH_BYTES = sizeof(((struct gsh_tenant_config *)0)->page_path) };

struct search {
	const struct gsh_environment *environment;
	struct gsh_tenant_config *config;
	struct gsh_reason *why;
	bool binding;
	char user_dir[48]; /* of this user alone */
};

/* ---- paths ---- */

/* Strings one after another, ended by NULL; false if they do not fit. */
static bool __attribute__((sentinel)) put(char path[PATH_BYTES], ...)
{
	size_t used = 0;
	const char *part;
	__builtin_va_list parts;

	__builtin_va_start(parts, path);
	while ((part = __builtin_va_arg(parts, const char *))) {
		size_t bytes = strlen(part);

		if (bytes >= PATH_BYTES - used) {
			path[0] = '\0';
			break;
		}
		memcpy(path + used, part, bytes + 1);
		used += bytes;
	}
	__builtin_va_end(parts);
	return part == NULL;
}

/* Whether anything is there, a dangling link included. What cannot be told is there. */
static bool is_there(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno != ENOENT && errno != ENOTDIR;
	close(fd);
	return true;
}

static bool is_directory(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC | O_DIRECTORY);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/*
 * A page (or ledger), or something in its place; a directory is that of a tenant of that
 * name. A process that is out of descriptors cannot tell, and finds a page that it cannot
 * open.
 */
static bool is_page(const char *path)
{
	return is_there(path) && !is_directory(path);
}

static bool can_write_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool can_write_directory(const char *path)
{
	return syscall(SYS_faccessat, AT_FDCWD, path, W_OK | X_OK) == 0;
}

/*
 * Whether this is a container whose page is to come: something is mounted where it belongs,
 * or its ledger is there already. No variable is an answer then.
 */
static bool is_container(void)
{
	return gsh_mount_is_at(CONTAINER_POLICY) || is_page(CONTAINER_LEDGER);
}

/* ---- what people must have got right ---- */

static bool is_usable_path(struct search *search, const char *name, const char *value)
{
	if (value[0] == '/' && strlen(value) < PATH_BYTES - 2 * GPUSHIM_NAME_BYTES)
		return true;
	if (value[0] == '/')
		gsh_reason_set(search->why, "the path in ", name, " is too long: ", value,
			       NULL);
	else
		gsh_reason_set(search->why, name, "=", value, " is not an absolute path",
			       NULL);
	return false;
}

static bool is_understood(struct search *search)
{
	const struct gsh_environment *environment = search->environment;

	if (environment->dir && !is_usable_path(search, "GPUSHIM_DIR", environment->dir))
		return false;
	if (environment->limits_file &&
	    !is_usable_path(search, "GPUSHIM_LIMITS", environment->limits_file))
		return false;
	if (environment->tenant && !gsh_parse_is_tenant(environment->tenant)) {
		gsh_reason_set(
			search->why, "GPUSHIM_TENANT=", environment->tenant,
			" is not the name of a tenant: up to 63 of a-z, 0-9, '-', '_' "
			"and '.', the first one a letter or digit",
			NULL);
		return false;
	}
	return true;
}

/* ---- pages ---- */

/* A page under dir: the only one there, as in a container, or this tenant's. */
static bool page_under(struct search *search, const char *dir)
{
	struct gsh_tenant_config *config = search->config;

	if (put(config->page_path, dir, "/policy/policy", NULL) &&
	    is_page(config->page_path))
		return put(config->ledger_path, dir, "/ledger/ledger", NULL);
	if (put(config->page_path, dir, "/policy/", config->tenant, "/policy", NULL) &&
	    is_page(config->page_path))
		return put(config->ledger_path, dir, "/ledger/", config->tenant,
			   "/ledger", NULL);
	config->page_path[0] = '\0';
	return false;
}

/* Somebody else may have made the directory of this user: then nothing in it counts. */
static enum gsh_sources_verdict page_of_user(struct search *search)
{
	if (!page_under(search, search->user_dir))
		return GSH_SOURCES_NONE;
	return gsh_file_private_directory(search->user_dir, search->why) < 0
		       ? GSH_SOURCES_BAD
		       : GSH_SOURCES_FOUND;
}

static enum gsh_sources_verdict find_page(struct search *search)
{
	const struct gsh_environment *environment = search->environment;

	if (environment->dir)
		return page_under(search, environment->dir) ? GSH_SOURCES_FOUND
							    : GSH_SOURCES_NONE;
	if (page_under(search, RUN_DIR))
		return GSH_SOURCES_FOUND;
	/* Only for who asks: nobody else's directory may concern a program without limits. */
	return environment->tenant || environment->limited ? page_of_user(search)
							   : GSH_SOURCES_NONE;
}

/* ---- a ledger without a page ---- */

/* Whether this user can keep ledgers under /run/gpushim, made now if need be. */
static bool can_use_run_dir(struct search *search)
{
	char *path = search->config->ledger_path;
	struct gsh_reason ignored;

	if (!put(path, RUN_DIR "/ledger/", search->config->tenant, NULL))
		return false;
	return gsh_file_make_directories(path, 0755, &ignored) == 0 &&
	       can_write_directory(path);
}

/* Processes of different users meet here, or those who cannot write it hear of it. */
static bool has_run_ledger(struct search *search)
{
	char *path = search->config->ledger_path;

	return put(path, RUN_DIR "/ledger/", search->config->tenant, "/ledger", NULL) &&
	       is_there(path);
}

static enum gsh_sources_verdict place_ledger(struct search *search)
{
	const struct gsh_environment *environment = search->environment;
	struct gsh_tenant_config *config = search->config;
	const char *dir = environment->dir;

	if (!environment->gpushim && environment->hami_cache) {
		if (!is_usable_path(search, "CUDA_DEVICE_MEMORY_SHARED_CACHE",
				    environment->hami_cache))
			return GSH_SOURCES_BAD;
		put(config->ledger_path, environment->hami_cache, ".gpushim", NULL);
		return GSH_SOURCES_FOUND;
	}
	if (!dir)
		dir = has_run_ledger(search) || can_use_run_dir(search)
			      ? RUN_DIR
			      : search->user_dir;
	if (dir == search->user_dir && gsh_file_private_directory(dir, search->why) < 0)
		return GSH_SOURCES_BAD;
	put(config->ledger_path, dir, "/ledger/", config->tenant, "/ledger", NULL);
	return GSH_SOURCES_FOUND;
}

/* ---- limits that a page would otherwise hold ---- */

/* Beside limits.json or alone the variable says what programs are shown. */
static void apply_view(struct search *search)
{
	struct gpushim_policy_limits *limits = &search->config->limits;
	int view = search->environment->view;

	if (view < 0)
		return;
	limits->others.view = (uint32_t)view;
	for (uint32_t i = 0; i < limits->device_count && i < GPUSHIM_DEVICES_MAX; i++)
		limits->devices[i].view = (uint32_t)view;
}

static enum gsh_sources_verdict use_limits_file(struct search *search, const char *path)
{
	struct gsh_tenant_config *config = search->config;

	if (gsh_limits_file_load(path, config->tenant, &config->limits, search->why) < 0)
		return GSH_SOURCES_BAD;
	config->has_limits = true;
	apply_view(search);
	return place_ledger(search);
}

static enum gsh_sources_verdict use_variables(struct search *search)
{
	struct gsh_tenant_config *config = search->config;

	config->has_limits = true;
	config->limits.others.memory_bytes = GPUSHIM_UNLIMITED;
	config->limits.others.limit_permille = 1000;
	/* There is nothing that it could raise. */
	if (search->environment->priority)
		config->limits.others.priority = search->environment->priority - 1;
	memcpy(config->limits.tenant, config->tenant, sizeof(config->tenant));
	memcpy(config->limits.source, "variables", sizeof("variables"));
	apply_view(search);
	return place_ledger(search);
}

/* ---- the order ---- */

/* Beside a page this says nothing: what it names is the page's to say. */
static uint32_t unused_beside_page(const struct gsh_environment *environment)
{
	return environment->view >= 0;
}

static enum gsh_sources_verdict use_container_page(struct search *search)
{
	const struct gsh_environment *environment = search->environment;

	search->binding = true;
	search->config->ignored_variables =
		(uint32_t)((environment->dir && strcmp(environment->dir, RUN_DIR)) +
			   !!environment->tenant + !!environment->limits_file +
			   environment->has_on_error) +
		unused_beside_page(environment);
	page_under(search, RUN_DIR);
	return GSH_SOURCES_FOUND;
}

static enum gsh_sources_verdict use_page(struct search *search)
{
	enum gsh_sources_verdict verdict = find_page(search);

	if (verdict == GSH_SOURCES_NONE)
		return verdict;
	search->binding = !can_write_file(search->config->page_path);
	search->config->ignored_variables = unused_beside_page(search->environment);
	return verdict;
}

static enum gsh_sources_verdict await_page(struct search *search, const char *dir)
{
	gsh_reason_set(search->why, "there is no policy for tenant ",
		       search->config->tenant, " in ", dir,
		       ", nor " LIMITS_FILE
		       ", nor a variable that limits; see gpushim-ctl(1)",
		       NULL);
	return GSH_SOURCES_PROMISED;
}

/* Also where each tenant's page is below the directory that is mounted. */
static enum gsh_sources_verdict await_container_page(struct search *search)
{
	if (page_under(search, RUN_DIR)) {
		search->binding = !can_write_file(search->config->page_path);
		return GSH_SOURCES_FOUND;
	}
	gsh_reason_set(search->why, CONTAINER_PAGE,
		       " is not there, as it should be in a container that has "
		       "directories of gpushim; see gpushim-ctl(1)",
		       NULL);
	return GSH_SOURCES_PROMISED;
}

static enum gsh_sources_verdict find(struct search *search)
{
	const struct gsh_environment *environment = search->environment;
	struct gsh_tenant_config *config = search->config;
	bool has_page = is_page(CONTAINER_PAGE), contained = !has_page && is_container();
	enum gsh_sources_verdict verdict;
	struct gsh_text text;

	if (has_page && !can_write_file(CONTAINER_PAGE))
		return use_container_page(search);
	search->binding = contained && !can_write_directory(CONTAINER_POLICY);
	if (!is_understood(search))
		return GSH_SOURCES_BAD;
	gsh_text_init(&text, config->tenant, sizeof(config->tenant));
	gsh_text_add(&text, environment->tenant ? environment->tenant : "default");
	if (contained)
		return await_container_page(search);
	verdict = use_page(search);
	if (verdict != GSH_SOURCES_NONE)
		return verdict;
	/* Nothing more is to be said, and no directory to be made. */
	if (environment->malformed)
		return GSH_SOURCES_BAD;
	if (environment->limits_file || is_there(LIMITS_FILE))
		return use_limits_file(search, environment->limits_file
						       ? environment->limits_file
						       : LIMITS_FILE);
	if (environment->limited)
		return use_variables(search);
	if (!environment->dir && !environment->tenant)
		return GSH_SOURCES_NONE;
	return await_page(search, environment->dir ? environment->dir : RUN_DIR);
}

enum gsh_sources_verdict gsh_sources_find(const struct gsh_environment *environment,
					  struct gsh_tenant_config *config, bool *binding,
					  struct gsh_reason *why)
{
	struct search search = { .environment = environment,
				 .config = config,
				 .why = why };
	enum gsh_sources_verdict verdict;
	struct gsh_text text;

	gsh_text_init(&text, search.user_dir, sizeof(search.user_dir));
	gsh_text_add(&text, "/dev/shm/gpushim-");
	gsh_text_add_u64(&text, geteuid());
	memset(config, 0, sizeof(*config));
	config->all = environment->all;
	memcpy(config->by_index, environment->by_index, sizeof(config->by_index));
	config->all_share = environment->all_share;
	memcpy(config->share_by_index, environment->share_by_index,
	       sizeof(config->share_by_index));
	config->priority = environment->priority;
	config->context_bytes = environment->context_bytes;
	config->wait_ms = environment->wait_ms;
	verdict = find(&search);
	*binding = search.binding;
	return verdict;
}
