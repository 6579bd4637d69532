/*
 * Configured, and the policy cannot be had or the books cannot be kept: nothing may be used,
 * and one line says which file or variable it is and why.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_publish.h"
#include "common_tenant.h"
#include "cunit_main.h"

#include "../../tools/common/publish.h"

static const uint64_t MIB = UINT64_C(1) << 20;

static void be_refused(void)
{
	CUcontext context = NULL;
	CUdeviceptr memory = 0;
	size_t left, total;

	errno = 77;
	check_result(cuInit(0), CUDA_ERROR_NOT_PERMITTED);
	check(errno == 77);
	check_result(cuInit(0), CUDA_ERROR_NOT_PERMITTED);
	check_result(cuMemAlloc(&memory, 1), CUDA_ERROR_NOT_PERMITTED);
	check_result(cuMemGetInfo(&left, &total), CUDA_ERROR_NOT_PERMITTED);
	check_result(cuDevicePrimaryCtxRetain(&context, 0), CUDA_ERROR_NOT_PERMITTED);
	check(memory == 0 && context == NULL);
}

TENANT_BODY(is_refused)
{
	be_refused();
}

TENANT_BODY(is_not_limited)
{
	size_t total = 0;
	CUdevice device = tenant_context();

	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == UINT64_C(2) << 30);
}

/* One line of ours, with that in it. */
static void says(const char *why)
{
	const char *text = tenant_stderr();
	const char *end = strchr(text, '\n');
	bool good = strncmp(text, "gpushim: ", 9) == 0 && strstr(text, why) && end &&
		    !end[1];

	CU_ASSERT(good);
	if (!good)
		printf("it says: %sand not one line about: %s\n", text, why);
}

#define REFUSED(why, ...)                                                  \
	do {                                                               \
		CU_ASSERT(tenant_passes("is_refused", __VA_ARGS__, NULL)); \
		says(why);                                                 \
	} while (0)

/* A path in this test's directory; two are good at a time. */
static const char *in_dir(const char *name)
{
	static char paths[2][600];
	static int turn;

	turn = !turn;
	snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", tenant_dir(), name);
	return paths[turn];
}

/* Otherwise the test is skipped. */
static bool can_mount(void)
{
	if (tenant_can_mount())
		return true;
	unit_skip("This user cannot have mounts of its own: run it as root.");
	return false;
}

/* ---- variables ---- */

static void a_variable_that_is_not_understood_refuses_everything(void)
{
	static const char *const malformed[] = {
		"GPUSHIM_MEMORY=",
		"GPUSHIM_MEMORY=8XiB",
		"GPUSHIM_MEMORY=-1",
		"GPUSHIM_MEMORY=0",
		"GPUSHIM_MEMORY=0%",
		"GPUSHIM_MEMORY=101%",
		"GPUSHIM_MEMORY=8GiB or so",
		"GPUSHIM_MEMORY=99999999999999999999",
		"GPUSHIM_COMPUTE=120",
		"GPUSHIM_COMPUTE=30:20",
		"GPUSHIM_COMPUTE=0",
		"GPUSHIM_COMPUTE=:",
		"GPUSHIM_COMPUTE=",
		"GPUSHIM_COMPUTE=20:",
		"GPUSHIM_COMPUTE=:20",
		"GPUSHIM_COMPUTE=0:0",
		"GPUSHIM_COMPUTE=0.04",
		"GPUSHIM_COMPUTE=20:100:3",
		"GPUSHIM_COMPUTE=20:100.1",
		"GPUSHIM_COMPUTE=20%",
		"GPUSHIM_COMPUTE=-20",
		"GPUSHIM_COMPUTE=00000000000000000020",
		"GPUSHIM_PRIORITY=",
		"GPUSHIM_PRIORITY=high",
		"GPUSHIM_PRIORITY=Batch",
		"GPUSHIM_VIEW=everything",
		"GPUSHIM_WAIT_MS=soon",
		"GPUSHIM_CONTEXT_MEMORY=large",
		"GPUSHIM_TENANT=../other",
		"GPUSHIM_TENANT=",
		"GPUSHIM_TENANT=Train",
		"GPUSHIM_DIR=here",
		"GPUSHIM_DIR=",
		"GPUSHIM_LIMITS=limits.json",
		"CUDA_DEVICE_MEMORY_LIMIT=",
		"CUDA_DEVICE_MEMORY_LIMIT=0",
		"CUDA_DEVICE_MEMORY_LIMIT=m",
		"CUDA_DEVICE_MEMORY_LIMIT=8q",
		"CUDA_DEVICE_MEMORY_LIMIT=17179869184g",
		"CUDA_DEVICE_MEMORY_LIMIT_0=1.5g",
		"CUDA_DEVICE_MEMORY_LIMIT_16=1g",
		"CUDA_DEVICE_MEMORY_LIMIT_first=1g",
		"CUDA_DEVICE_SM_LIMIT=",
		"CUDA_DEVICE_SM_LIMIT=101",
		"CUDA_DEVICE_SM_LIMIT=-1",
		"CUDA_DEVICE_SM_LIMIT=30%",
		"CUDA_DEVICE_SM_LIMIT=0.5",
		"CUDA_DEVICE_SM_LIMIT_0=all",
		"CUDA_DEVICE_SM_LIMIT_16=30",
		"CUDA_DEVICE_SM_LIMIT_=30",
		"NVIDIA_GPU_MEMORY_LIMIT=",
		"NVIDIA_GPU_MEMORY_LIMIT=0",
		"NVIDIA_GPU_MEMORY_LIMIT=8g",
		"NVIDIA_GPU_MEMORY_LIMIT=17592186044416",
	};

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		REFUSED(malformed[i], malformed[i]);
	REFUSED("GPU_CORE_UTILIZATION_POLICY=off is not 'default', 'force' or 'disable'",
		"GPU_CORE_UTILIZATION_POLICY=off", "CUDA_DEVICE_SM_LIMIT=30");
}

static void a_limit_that_is_understood_does_not_save_another_that_is_not(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	REFUSED("GPUSHIM_MEMORY=lots", "GPUSHIM_MEMORY=lots");
	REFUSED("NVIDIA_GPU_MEMORY_LIMIT=x", "GPUSHIM_MEMORY=1MiB",
		"NVIDIA_GPU_MEMORY_LIMIT=x");
}

/* ---- pages ---- */

static void a_promised_page_that_does_not_come_refuses(void)
{
	REFUSED("there is no policy for tenant default", "GPUSHIM_WAIT_MS=30");
	REFUSED("there is no policy for tenant train", "GPUSHIM_TENANT=train");
	REFUSED("there is no policy for tenant train", "GPUSHIM_DIR=/nowhere",
		"GPUSHIM_TENANT=train");
}

TENANT_BODY(waits_for_its_page)
{
	size_t total = 0;
	CUdevice device = tenant_context();

	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total == 64 << 20);
}

/* A page's file that is not filled in yet. */
static void begin_page(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_FATAL(ftruncate(fd, GPUSHIM_POLICY_BYTES) == 0);
	close(fd);
}

static void a_page_that_comes_while_it_is_waited_for_opens(void)
{
	char event[4096];
	int watch = inotify_init1(IN_CLOEXEC);
	pid_t pid;

	CU_ASSERT(tenant_publish(tenant_dir(), "default", MIB));
	begin_page(in_dir("policy/default/policy"));
	CU_ASSERT_FATAL(
		inotify_add_watch(watch, in_dir("policy/default/policy"), IN_OPEN) >= 0);
	pid = tenant_start("waits_for_its_page", "GPUSHIM_WAIT_MS=100000", NULL);
	/* It has looked, and has found nothing that is ready. */
	CU_ASSERT(read(watch, event, sizeof(event)) > 0);
	close(watch);
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	CU_ASSERT(tenant_ends(pid));
}

static void a_directory_that_comes_while_it_is_waited_for_opens(void)
{
	pid_t pid;

	tenant_dir();
	pid = tenant_start("waits_for_its_page", "GPUSHIM_WAIT_MS=100000", NULL);
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	CU_ASSERT(tenant_ends(pid));
}

static void a_page_that_is_never_finished_refuses(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "default", MIB));
	begin_page(in_dir("policy/default/policy"));
	REFUSED("policy/default/policy", "GPUSHIM_WAIT_MS=30");
}

/* Also called in bodies, where CUnit is not. */
static void scribble(const char *path, long offset, size_t bytes)
{
	int fd = open(path, O_WRONLY);

	while (fd >= 0 && bytes && pwrite(fd, "\xa5", 1, offset) == 1) {
		offset++;
		bytes--;
	}
	if (fd < 0 || bytes) {
		perror(path);
		abort();
	}
	close(fd);
}

static void a_page_that_is_not_valid_refuses(void)
{
	static const struct {
		long offset;
		size_t bytes;
	} damage[] = {
		{ 0, 8 },  /* magic */
		{ 8, 4 },  /* version */
		{ 12, 1 }, /* size */
		{ offsetof(struct gpushim_policy_page, limits[1]) + 464, 200 },
		{ 0, GPUSHIM_POLICY_BYTES },
	};

	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
		scribble(in_dir("policy/default/policy"), damage[i].offset,
			 damage[i].bytes);
		REFUSED("policy/default/policy", "GPUSHIM_MEMORY=1GiB");
		tenant_forget();
	}
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	CU_ASSERT(truncate(in_dir("policy/default/policy"), 4096) == 0);
	REFUSED("policy/default/policy", "GPUSHIM_MEMORY=1GiB");
}

static void a_page_that_is_something_else_refuses(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	CU_ASSERT(rename(in_dir("policy/default/policy"), in_dir("page")) == 0);
	CU_ASSERT(symlink(in_dir("page"), in_dir("policy/default/policy")) == 0);
	REFUSED("policy/default/policy", "GPUSHIM_MEMORY=1GiB");
	CU_ASSERT(unlink(in_dir("policy/default/policy")) == 0);
	CU_ASSERT(symlink("/nowhere", in_dir("policy/default/policy")) == 0);
	REFUSED("policy/default/policy", "GPUSHIM_MEMORY=1GiB");
	CU_ASSERT(unlink(in_dir("policy/default/policy")) == 0);
	CU_ASSERT(mkfifo(in_dir("policy/default/policy"), 0666) == 0);
	REFUSED("policy/default/policy", "GPUSHIM_MEMORY=1GiB");
}

static void a_tenant_that_the_policy_closes_hears_its_reason(void)
{
	struct gpushim_policy_limits limits = {
		.flags = GPUSHIM_POLICY_CLOSED,
		.tenant = "default",
		.source = "a test",
		.reason = "the quotas exceed the device",
		.others = { .memory_bytes = 64 * MIB, .limit_permille = 1000 },
	};
	struct gsh_reason why;

	CU_ASSERT(gsh_publish(tenant_dir(), &limits, &why) == 0);
	REFUSED("the quotas exceed the device", "GPUSHIM_MEMORY=1GiB");
}

/* ---- ledgers ---- */

static void a_ledger_that_is_something_else_refuses(void)
{
	tenant_dir();
	CU_ASSERT(mkdir(in_dir("ledger"), 0755) == 0);
	CU_ASSERT(mkdir(in_dir("ledger/default"), 0755) == 0);
	tenant_write(in_dir("elsewhere"), "");
	CU_ASSERT(symlink(in_dir("elsewhere"), in_dir("ledger/default/ledger")) == 0);
	REFUSED("ledger/default/ledger", "GPUSHIM_MEMORY=64MiB");
	CU_ASSERT(unlink(in_dir("ledger/default/ledger")) == 0);
	CU_ASSERT(mkfifo(in_dir("ledger/default/ledger"), 0666) == 0);
	REFUSED("ledger/default/ledger", "GPUSHIM_MEMORY=64MiB");
	CU_ASSERT(unlink(in_dir("ledger/default/ledger")) == 0);
	CU_ASSERT(mkdir(in_dir("ledger/default/ledger"), 0755) == 0);
	REFUSED("ledger/default/ledger", "GPUSHIM_MEMORY=64MiB");
	CU_ASSERT(rmdir(in_dir("ledger/default/ledger")) == 0);
	tenant_write(in_dir("ledger/default/ledger"), "no ledger\n");
	REFUSED("ledger/default/ledger", "GPUSHIM_MEMORY=64MiB");
}

static void a_directory_that_is_a_link_refuses(void)
{
	tenant_dir();
	CU_ASSERT(mkdir(in_dir("elsewhere"), 0755) == 0);
	CU_ASSERT(mkdir(in_dir("ledger"), 0755) == 0);
	CU_ASSERT(symlink(in_dir("elsewhere"), in_dir("ledger/default")) == 0);
	REFUSED("ledger/default", "GPUSHIM_MEMORY=64MiB");
}

static void a_ledger_of_another_version_or_tenant_refuses(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	scribble(in_dir("ledger/default/ledger"), 8, 1);
	REFUSED("ledger/default/ledger", "GPUSHIM_WAIT_MS=0");
	tenant_forget();
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	CU_ASSERT(tenant_publish(tenant_dir(), "other", 64 * MIB));
	CU_ASSERT(rename(in_dir("ledger/other/ledger"),
			 in_dir("ledger/default/ledger")) == 0);
	REFUSED("ledger/default/ledger", "GPUSHIM_WAIT_MS=0");
}

static void a_directory_that_cannot_be_made_refuses(void)
{
	char variable[700];

	REFUSED("/proc/gpushim", "GPUSHIM_DIR=/proc/gpushim", "GPUSHIM_MEMORY=64MiB");
	tenant_write(in_dir("file"), "");
	snprintf(variable, sizeof(variable), "GPUSHIM_DIR=%s", in_dir("file"));
	REFUSED(in_dir("file"), variable, "GPUSHIM_MEMORY=64MiB");
}

static void mount_run(const char *name, const char *options, unsigned long flags)
{
	char path[64];

	tenant_private_mounts();
	snprintf(path, sizeof(path), "/run/%s", name);
	check(mkdir(path, 0755) == 0);
	check(mount("none", path, "tmpfs", flags, options) == 0);
	setenv("GPUSHIM_DIR", path, 1);
}

TENANT_BODY(is_refused_by_a_read_only_directory)
{
	mount_run("only-read", "mode=0755", MS_RDONLY);
	be_refused();
}

TENANT_BODY(is_refused_by_a_full_directory)
{
	mount_run("full", "mode=0755,size=64k", 0);
	be_refused();
}

/* A sparse file on a full file system would kill by SIGBUS, later, somebody innocent. */
TENANT_BODY(is_refused_by_a_directory_that_is_full_but_for_the_page)
{
	mount_run("full", "mode=0755,size=1300k", 0);
	check(tenant_publish("/run/node", "default", 64 << 20));
	check(mkdir("/run/full/policy", 0755) == 0);
	check(mkdir("/run/full/policy/default", 0755) == 0);
	check(system("cp /run/node/policy/default/policy /run/full/policy/default/ && "
		     "head -c 1200k /dev/zero >/run/full/ballast") == 0);
	be_refused();
}

static void a_directory_without_room_or_rights_refuses(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_passes("is_refused_by_a_read_only_directory",
				"GPUSHIM_MEMORY=64MiB", NULL));
	says("/run/only-read");
	CU_ASSERT(tenant_passes("is_refused_by_a_full_directory", "GPUSHIM_MEMORY=64MiB",
				NULL));
	says("/run/full");
	CU_ASSERT(tenant_passes("is_refused_by_a_directory_that_is_full_but_for_the_page",
				NULL));
	says("/run/full");
}

/* The directory of this user, as somebody else has prepared it. */
static void with_user_directory(void (*prepare)(const char *path))
{
	char path[64];

	tenant_private_mounts();
	snprintf(path, sizeof(path), "/dev/shm/gpushim-%u", (unsigned)geteuid());
	check(mount("none", "/dev/shm", "tmpfs", 0, "mode=1777") == 0);
	prepare(path);
	check(mount("none", "/run", NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
	be_refused();
}

static void owned_by_another(const char *path)
{
	check(mkdir(path, 0700) == 0);
	check(chown(path, 12345, 12345) == 0);
}

static void open_to_others(const char *path)
{
	check(mkdir(path, 0700) == 0);
	check(chmod(path, 0777) == 0);
}

static void linked_elsewhere(const char *path)
{
	check(mkdir("/dev/shm/elsewhere", 0700) == 0);
	check(symlink("/dev/shm/elsewhere", path) == 0);
}

TENANT_BODY(is_refused_by_an_owner)
{
	with_user_directory(owned_by_another);
}

TENANT_BODY(is_refused_by_a_mode)
{
	with_user_directory(open_to_others);
}

TENANT_BODY(is_refused_by_a_link)
{
	with_user_directory(linked_elsewhere);
}

static void a_user_directory_that_others_prepared_refuses(void)
{
	if (!can_mount())
		return;
	if (geteuid() != 0) {
		unit_skip("Only root can give a directory away.");
		return;
	}
	CU_ASSERT(tenant_passes("is_refused_by_an_owner", "GPUSHIM_DIR",
				"GPUSHIM_MEMORY=64MiB", NULL));
	says("12345");
	CU_ASSERT(tenant_passes("is_refused_by_a_mode", "GPUSHIM_DIR",
				"GPUSHIM_MEMORY=64MiB", NULL));
	says("/dev/shm/gpushim-0");
	CU_ASSERT(tenant_passes("is_refused_by_a_link", "GPUSHIM_DIR",
				"GPUSHIM_MEMORY=64MiB", NULL));
	says("/dev/shm/gpushim-0");
}

/* ---- limits.json ---- */

static void limits_json_that_cannot_be_used_refuses(void)
{
	char variable[700];

	snprintf(variable, sizeof(variable), "GPUSHIM_LIMITS=%s", in_dir("limits.json"));
	REFUSED("limits.json", variable, "GPUSHIM_MEMORY=64MiB");
	tenant_write(in_dir("limits.json"), "{ \"version\": 1,\n  \"tenants\": }\n");
	REFUSED("limits.json:2:", variable, "GPUSHIM_MEMORY=64MiB");
	tenant_write(
		in_dir("limits.json"),
		"{ \"version\": 1, \"tenants\": { \"train\": { \"memory\": \"1GiB\" } } }");
	REFUSED("limits.json", variable, "GPUSHIM_TENANT=infer");
}

static void limits_json_without_its_parser_refuses(void)
{
	char variable[700], preload[700], command[1500];

	/* The library alone, moved away from its parser. */
	snprintf(command, sizeof(command), "cp '%s/lib/libgpushim.so' '%s'",
		 getenv("BUILD") ? getenv("BUILD") : "build", in_dir("libgpushim.so"));
	CU_ASSERT_FATAL(system(command) == 0);
	tenant_write(
		in_dir("limits.json"),
		"{ \"version\": 1, \"tenants\": { \"*\": { \"memory\": \"1GiB\" } } }");
	snprintf(variable, sizeof(variable), "GPUSHIM_LIMITS=%s", in_dir("limits.json"));
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", in_dir("libgpushim.so"));
	REFUSED("libgpushim-limits.so", variable, preload);
}

/* ---- allowed all the same ---- */

static void who_allows_errors_is_not_limited_and_told_so(void)
{
	CU_ASSERT(tenant_passes("is_not_limited", "GPUSHIM_MEMORY=lots",
				"GPUSHIM_ON_ERROR=allow", NULL));
	says("no limits hold");
	CU_ASSERT(tenant_passes("is_not_limited", "GPUSHIM_TENANT=train",
				"GPUSHIM_ON_ERROR=allow", NULL));
	says("there is no policy for tenant train");
	REFUSED("there is no policy", "GPUSHIM_ON_ERROR=whatever");
}

TENANT_BODY(is_refused_in_a_container)
{
	tenant_become_container("train", 64 << 20);
	scribble("/run/node/policy/train/policy", 0, 100);
	be_refused();
}

TENANT_BODY(is_refused_in_a_container_for_its_variable)
{
	tenant_become_container("train", 64 << 20);
	be_refused();
}

TENANT_BODY(is_refused_as_another_user)
{
	tenant_become_container("train", 64 << 20);
	check(mount("none", "/run/gpushim/policy", NULL, MS_REMOUNT | MS_BIND, NULL) ==
	      0);
	scribble("/run/node/policy/train/policy", 0, 100);
	/* Who is not root cannot write root's page, wherever it lies. */
	check(setuid(12345) == 0);
	be_refused();
}

/* A container as it is started before anybody has published its policy. */
static void become_container_too_early(bool with_policy, bool with_ledger)
{
	tenant_private_mounts();
	check(system("mkdir -p /run/node/policy/train /run/node/ledger/train "
		     "/run/gpushim/policy /run/gpushim/ledger") == 0);
	if (with_policy)
		check(system("mount --bind /run/node/policy/train /run/gpushim/policy && "
			     "mount -o remount,bind,ro /run/gpushim/policy") == 0);
	if (with_ledger)
		check(system("mount --bind /run/node/ledger/train /run/gpushim/ledger && "
			     "touch /run/gpushim/ledger/ledger") == 0);
}

TENANT_BODY(is_refused_in_a_container_without_a_page)
{
	become_container_too_early(true, false);
	be_refused();
}

TENANT_BODY(is_refused_in_a_container_with_a_ledger_alone)
{
	become_container_too_early(false, true);
	be_refused();
}

/* Each way in which somebody might hope to get around it. */
static const char *const attempts[] = {
	"GPUSHIM_DIR", /* no variable at all */
	"GPUSHIM_DIR=relative",
	"GPUSHIM_MEMORY=1TiB",
	"GPUSHIM_MEMORY=100%",
	"GPUSHIM_MEMORY=lots",
	"GPUSHIM_CONTEXT_MEMORY=1",
	"GPUSHIM_COMPUTE=100",
	"GPUSHIM_PRIORITY=latency",
	"GPUSHIM_VIEW=device",
	"GPUSHIM_TENANT=own",
	"GPUSHIM_TENANT=../own",
	"GPUSHIM_LIMITS=/nowhere/limits.json",
	"GPUSHIM_WAIT_MS=never",
	"GPUSHIM_DEEPBIND=keep",
	"CUDA_DEVICE_MEMORY_LIMIT=999g",
	"CUDA_DEVICE_MEMORY_LIMIT_0=999g",
	"CUDA_DEVICE_MEMORY_LIMIT_99=1g",
	"CUDA_DEVICE_MEMORY_SHARED_CACHE=/tmp/own.cache",
	"CUDA_DEVICE_SM_LIMIT=100",
	"GPU_CORE_UTILIZATION_POLICY=disable",
	"NVIDIA_GPU_MEMORY_LIMIT=999999",
};

enum { ATTEMPTS = sizeof(attempts) / sizeof(attempts[0]) };

static void an_unwritable_page_is_not_escaped_by_any_variable(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_publish(tenant_dir(), "own", 64 * MIB));
	for (size_t i = 0; i < ATTEMPTS; i++) {
		CU_ASSERT(tenant_passes("is_refused_in_a_container", attempts[i],
					"GPUSHIM_ON_ERROR=allow", NULL));
		says("gpushim: CUDA is refused: ");
	}
}

static void a_page_that_is_not_there_yet_is_not_escaped_by_any_variable(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_publish(tenant_dir(), "own", 64 * MIB));
	for (size_t i = 0; i < ATTEMPTS; i++) {
		CU_ASSERT(tenant_passes("is_refused_in_a_container_without_a_page",
					attempts[i], "GPUSHIM_ON_ERROR=allow", NULL));
		says("gpushim: CUDA is refused: ");
		CU_ASSERT(tenant_passes("is_refused_in_a_container_with_a_ledger_alone",
					attempts[i], NULL));
	}
	CU_ASSERT(tenant_passes("is_refused_in_a_container_without_a_page",
				"GPUSHIM_TENANT=own", "GPUSHIM_ON_ERROR=allow", NULL));
	says("/run/gpushim/policy/policy is not there");
}

TENANT_BODY(is_let_in_when_its_page_comes)
{
	size_t total = 0;

	become_container_too_early(true, true);
	check(unlink("/run/node/ledger/train/ledger") == 0);
	if (fork() == 0) {
		usleep(20000);
		_exit(!tenant_publish("/run/node", "train", 64 << 20));
	}
	check_result(cuInit(0), CUDA_SUCCESS);
	check_result(cuDeviceTotalMem(&total, 0), CUDA_SUCCESS);
	check(total == 64 << 20);
}

static void a_container_waits_for_its_page(void)
{
	if (can_mount())
		CU_ASSERT(tenant_passes("is_let_in_when_its_page_comes", "GPUSHIM_DIR",
					"GPUSHIM_WAIT_MS=100000", NULL));
}

TENANT_BODY(is_refused_without_descriptors)
{
	tenant_become_container("train", 64 << 20);
	while (open("/dev/null", O_RDONLY) >= 0)
		;
	check(errno == EMFILE);
	be_refused();
}

static void an_unwritable_page_is_not_escaped_by_using_up_descriptors(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_passes("is_refused_without_descriptors",
				"GPUSHIM_ON_ERROR=allow", "GPUSHIM_DIR", NULL));
	says("/run/gpushim/policy/policy");
}

TENANT_BODY(is_refused_and_makes_nothing)
{
	tenant_private_mounts();
	be_refused();
	check(access("/run/gpushim", F_OK) < 0);
}

static void a_variable_that_is_not_understood_makes_no_directory(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_passes("is_refused_and_makes_nothing", "GPUSHIM_DIR",
				"GPUSHIM_MEMORY=lots", NULL));
}

static void an_unwritable_page_is_not_escaped_by_allowing_errors(void)
{
	if (!can_mount())
		return;
	CU_ASSERT(tenant_publish(tenant_dir(), "own", 64 * MIB));
	CU_ASSERT(tenant_passes("is_refused_in_a_container", "GPUSHIM_ON_ERROR=allow",
				"GPUSHIM_TENANT=own", NULL));
	says("/run/gpushim/policy/policy");
	CU_ASSERT(tenant_passes("is_refused_in_a_container_for_its_variable",
				"GPUSHIM_ON_ERROR=allow", "GPUSHIM_MEMORY=lots", NULL));
	says("GPUSHIM_MEMORY=lots");
	if (geteuid() != 0)
		return;
	CU_ASSERT(tenant_passes("is_refused_as_another_user", "GPUSHIM_ON_ERROR=allow",
				NULL));
	says("/run/gpushim/policy/policy");
}

/* ---- once ---- */

static void *be_refused_in_a_thread(void *barrier)
{
	pthread_barrier_wait(barrier);
	be_refused();
	return NULL;
}

TENANT_BODY(is_refused_in_all_threads)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, be_refused_in_a_thread,
				     &barrier) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void it_is_said_once_by_all_threads(void)
{
	CU_ASSERT(tenant_passes("is_refused_in_all_threads", "GPUSHIM_WAIT_MS=20", NULL));
	says("there is no policy");
}

TENANT_BODY(is_refused_with_its_children)
{
	be_refused();
	for (int i = 0; i < 3; i++) {
		int status = 1;
		pid_t pid = fork();

		if (pid == 0) {
			be_refused();
			_exit(0);
		}
		check(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

static void it_is_said_once_by_a_process_and_its_forked_children(void)
{
	CU_ASSERT(tenant_passes("is_refused_with_its_children", NULL));
	says("there is no policy");
}

TENANT_BODY(changes_nothing_of_the_process)
{
	enum { DESCRIPTORS = 65536 };
	static bool open_before[DESCRIPTORS];
	mode_t mask = umask(027);

	for (int fd = 0; fd < DESCRIPTORS; fd++)
		open_before[fd] = fcntl(fd, F_GETFD) >= 0;
	be_refused();
	check(umask(mask) == 027);
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if ((fcntl(fd, F_GETFD) >= 0) != open_before[fd])
			check(fd < 0);
}

static void a_refusal_leaves_no_descriptor_and_no_umask_behind(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "default", 64 * MIB));
	scribble(in_dir("ledger/default/ledger"), 0, 4);
	CU_ASSERT(tenant_passes("changes_nothing_of_the_process", NULL));
	says("ledger/default/ledger");
}

static int choose_device(void)
{
	return setenv("SIMGPU_MEMORY", "2GiB", 1);
}

const struct unit_suite unit_suite = {
	.name = "closed",
	.init = choose_device,
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(a_variable_that_is_not_understood_refuses_everything),
		UNIT_TEST(a_limit_that_is_understood_does_not_save_another_that_is_not),
		UNIT_TEST(a_promised_page_that_does_not_come_refuses),
		UNIT_TEST(a_page_that_comes_while_it_is_waited_for_opens),
		UNIT_TEST(a_directory_that_comes_while_it_is_waited_for_opens),
		UNIT_TEST(a_page_that_is_never_finished_refuses),
		UNIT_TEST(a_page_that_is_not_valid_refuses),
		UNIT_TEST(a_page_that_is_something_else_refuses),
		UNIT_TEST(a_tenant_that_the_policy_closes_hears_its_reason),
		UNIT_TEST(a_ledger_that_is_something_else_refuses),
		UNIT_TEST(a_directory_that_is_a_link_refuses),
		UNIT_TEST(a_ledger_of_another_version_or_tenant_refuses),
		UNIT_TEST(a_directory_that_cannot_be_made_refuses),
		UNIT_TEST(a_directory_without_room_or_rights_refuses),
		UNIT_TEST(a_user_directory_that_others_prepared_refuses),
		UNIT_TEST(limits_json_that_cannot_be_used_refuses),
		UNIT_TEST(limits_json_without_its_parser_refuses),
		UNIT_TEST(who_allows_errors_is_not_limited_and_told_so),
		UNIT_TEST(an_unwritable_page_is_not_escaped_by_allowing_errors),
		UNIT_TEST(an_unwritable_page_is_not_escaped_by_using_up_descriptors),
		UNIT_TEST(an_unwritable_page_is_not_escaped_by_any_variable),
		UNIT_TEST(a_page_that_is_not_there_yet_is_not_escaped_by_any_variable),
		UNIT_TEST(a_container_waits_for_its_page),
		UNIT_TEST(a_variable_that_is_not_understood_makes_no_directory),
		UNIT_TEST(it_is_said_once_by_all_threads),
		UNIT_TEST(it_is_said_once_by_a_process_and_its_forked_children),
		UNIT_TEST(a_refusal_leaves_no_descriptor_and_no_umask_behind),
	},
};
