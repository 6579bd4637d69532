/*
 * gpushim-run: the program runs under the limits that were asked for, as if it had been started
 * by itself otherwise; and what runs leave behind is swept, but nothing that is in use.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_publish.h"
#include "common_tenant.h"
#include "cunit_main.h"

#include "../../tools/common/publish.h"

static const uint64_t MIB = UINT64_C(1) << 20;

/* ---- running it ---- */

enum { ARGUMENTS_MAX = 32 };

/* A run under way: its standard input is held open, its output is read from `out`. */
struct run {
	pid_t pid;
	int in, out;
};

static char tool[PATH_MAX], self[PATH_MAX];
static char output[65536]; /* of the last one that ended, errors among it */

static struct run start_list(const char *program, va_list list)
{
	char *arguments[ARGUMENTS_MAX + 2] = { (char *)(uintptr_t)program };
	struct run run;
	int in[2], out[2];

	for (int i = 1; i <= ARGUMENTS_MAX; i++)
		if (!(arguments[i] = va_arg(list, char *)))
			break;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		abort();
	/* The device lives from before the first to after the last of a test. */
	tenant_device_used();
	fflush(NULL);
	run.pid = fork();
	if (run.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execv(program, arguments);
		_exit(99);
	}
	close(in[0]);
	close(out[1]);
	run.in = in[1];
	run.out = out[0];
	return run;
}

static struct run __attribute__((sentinel)) start_run(const char *first, ...)
{
	va_list list;
	struct run run;

	(void)first;
	va_start(list, first);
	run = start_list(tool, list);
	va_end(list);
	return run;
}

/* Its first line of output, read up to the end of the line. */
static bool first_line(struct run *run, char *line, size_t bytes)
{
	size_t used = 0;

	while (used + 1 < bytes && read(run->out, line + used, 1) == 1)
		if (line[used++] == '\n')
			break;
	line[used ? used - 1 : 0] = '\0';
	return used > 0;
}

/* Exit status, or 128 and the signal. */
static int end_run(struct run *run)
{
	size_t used = 0;
	ssize_t got;
	int status = -1;

	close(run->in);
	while ((got = read(run->out, output + used, sizeof(output) - 1 - used)) > 0)
		used += (size_t)got;
	output[used] = '\0';
	close(run->out);
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int __attribute__((sentinel)) run_with(const char *first, ...)
{
	va_list list;
	struct run run;

	(void)first;
	va_start(list, first);
	run = start_list(tool, list);
	va_end(list);
	return end_run(&run);
}

#define RUN(...) run_with("", __VA_ARGS__, NULL)

static void says(const char *text)
{
	bool found = strstr(output, text) != NULL;

	CU_ASSERT(found);
	if (!found)
		printf("not found: %s\nin: %s\n", text, output);
}

static bool has(const char *kind, const char *tenant)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s/%s", tenant_dir(), kind, tenant, kind);
	return access(path, F_OK) == 0;
}

/* ---- statuses ---- */

static void the_exit_status_is_the_programs(void)
{
	const char *dir = tenant_dir();

	CU_ASSERT_EQUAL(RUN("--dir", dir, "--", "true"), 0);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "sh", "-c", "exit 7"), 7);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "sh", "-c", "kill -TERM $$"), 128 + SIGTERM);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--", "echo", "-m", "--help"), 0);
	CU_ASSERT_STRING_EQUAL(output, "-m --help\n");
}

static void a_program_that_cannot_be_run_is_126_or_127(void)
{
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--", "/nowhere/program"), 127);
	says("/nowhere/program");
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "no-such-program-anywhere"), 127);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "/"), 126);
}

static void its_own_failures_are_125_and_say_why(void)
{
	const char *dir = tenant_dir();
	char path[PATH_MAX];

	CU_ASSERT_EQUAL(RUN("--dir", dir), 125);
	says("no program");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--what", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--memory", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--memory", "8XiB", "true"), 125);
	says("8XiB");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--memory", "0", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--memory", "120%", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--compute", "30:20", "true"), 125);
	says("30:20");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--compute", "0", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--priority", "high", "true"), 125);
	says("--priority high: this is not 'latency', 'normal' or 'batch'.");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--burst-ms", "0", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--burst-ms", "1001", "true"), 125);
	says("--burst-ms 1001: this is not a whole number of milliseconds");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--limits", "f", "-t", "a", "--audit", "true"),
			125);
	says("exclude each other");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--view", "all", "true"), 125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--tenant", "../x", "--memory", "1GiB", "true"),
			125);
	says("../x");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--limits", "f", "--memory", "1GiB", "true"),
			125);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--limits", "f", "true"), 125);
	says("--tenant");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--limits", "/nowhere.json", "-t", "a", "true"),
			125);
	says("/nowhere.json");
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--tenant", "nobody", "true"), 125);
	says("nobody");
	CU_ASSERT_EQUAL(RUN("--dir", "/proc/gpushim", "true"), 125);
	says("/proc/gpushim");
	/* And nothing is left of all that. */
	snprintf(path, sizeof(path), "%s/policy", dir);
	CU_ASSERT(access(path, F_OK) < 0);
}

static void help_and_version_go_to_standard_output(void)
{
	CU_ASSERT_EQUAL(RUN("--help"), 0);
	says("--memory");
	CU_ASSERT_EQUAL(RUN("--version"), 0);
	says("gpushim-run ");
}

/* ---- the environment ---- */

static void preloaded_libraries_of_the_user_are_kept(void)
{
	char expected[PATH_MAX + 64];

	setenv("LD_PRELOAD", "libdl.so.2", 1);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--", "printenv", "LD_PRELOAD"), 0);
	snprintf(expected, sizeof(expected), "%s/lib/libgpushim.so:libdl.so.2\n",
		 getenv("BUILD"));
	CU_ASSERT_STRING_EQUAL(output, expected);
	/* One inside another does not preload twice. */
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--", tool, "--dir", tenant_dir(),
			    "--", "printenv", "LD_PRELOAD"),
			0);
	CU_ASSERT_STRING_EQUAL(output, expected);
	unsetenv("LD_PRELOAD");
}

static void the_simulated_gpu_comes_first_where_it_is_asked_for(void)
{
	const char *old = getenv("LD_LIBRARY_PATH");
	char *kept = old ? strdup(old) : NULL, expected[PATH_MAX + 64];

	/* The device is started while it can be found. */
	tenant_device_used();
	setenv("LD_LIBRARY_PATH", "/nowhere", 1);
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "--sim", "printenv", "LD_LIBRARY_PATH"), 0);
	snprintf(expected, sizeof(expected), "%s/sim:/nowhere\n", getenv("BUILD"));
	CU_ASSERT_STRING_EQUAL(output, expected);
	unsetenv("LD_LIBRARY_PATH");
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--sim", "--memory", "64MiB", "--",
			    self, "--body", "fits_64"),
			0);
	if (kept)
		setenv("LD_LIBRARY_PATH", kept, 1);
	free(kept);
}

static void the_program_knows_directory_and_tenant(void)
{
	char expected[PATH_MAX + 64];

	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "train", "-m", "1GiB",
			    "sh", "-c", "echo $GPUSHIM_DIR $GPUSHIM_TENANT"),
			0);
	snprintf(expected, sizeof(expected), "%s train\n", tenant_dir());
	CU_ASSERT_STRING_EQUAL(output, expected);
	/* A tenant of its own has the number of the process, which is the program's. */
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "sh", "-c", "test $GPUSHIM_TENANT = run-$$"),
		0);
}

static void a_relative_directory_is_made_absolute(void)
{
	char here[PATH_MAX], expected[PATH_MAX + 64];

	CU_ASSERT_FATAL(getcwd(here, sizeof(here)) != NULL);
	CU_ASSERT_FATAL(chdir(tenant_dir()) == 0);
	CU_ASSERT_EQUAL(RUN("--dir", "below", "-m", "64MiB", "--sim", "sh", "-c",
			    "cd / && echo $GPUSHIM_DIR && exec \"$0\" --body fits_64",
			    self),
			0);
	CU_ASSERT_FATAL(chdir(here) == 0);
	snprintf(expected, sizeof(expected), "%s/below\n", tenant_dir());
	CU_ASSERT_STRING_EQUAL(output, expected);
}

/* ---- limits ---- */

static CUdeviceptr take(size_t mebibytes, CUresult expected)
{
	CUdeviceptr memory = 0;

	check_result(cuMemAlloc(&memory, mebibytes << 20), expected);
	return memory;
}

TENANT_BODY(fits_64)
{
	tenant_context();
	take(65, CUDA_ERROR_OUT_OF_MEMORY);
	take(64, CUDA_SUCCESS);
}

TENANT_BODY(fits_a_gibibyte)
{
	tenant_context();
	take(1025, CUDA_ERROR_OUT_OF_MEMORY);
	take(1024, CUDA_SUCCESS);
}

/* Takes 40 MiB, says so, and keeps them until its input ends. */
TENANT_BODY(keeps_40)
{
	char byte;

	tenant_context();
	take(40, CUDA_SUCCESS);
	puts("ready");
	fflush(stdout);
	check(read(0, &byte, 1) == 0);
}

TENANT_BODY(fits_24)
{
	tenant_context();
	take(25, CUDA_ERROR_OUT_OF_MEMORY);
	take(24, CUDA_SUCCESS);
}

static void memory_is_limited_to_a_size_or_a_share(void)
{
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--memory", "64MiB", "--sim", self,
			    "--body", "fits_64"),
			0);
	CU_ASSERT_EQUAL(RUN("-d", tenant_dir(), "-m50%", "--sim", self, "--body",
			    "fits_a_gibibyte"),
			0);
}

static void all_that_it_starts_is_one_tenant(void)
{
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--memory", "64MiB", "--sim", "sh",
			    "-c", "\"$0\" --body fits_64 && \"$0\" --body fits_64", self),
			0);
}

static void what_was_asked_for_is_published(void)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why;

	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "a", "--memory", "25%",
			    "--compute", "20:80", "--context-memory", "300MiB", "--view",
			    "device", "true"),
			0);
	CU_ASSERT_EQUAL_FATAL(gsh_published(tenant_dir(), "a", &limits, &why), 0);
	CU_ASSERT_EQUAL(limits.others.memory_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(limits.others.memory_ppm, 250000);
	CU_ASSERT_EQUAL(limits.others.request_permille, 200);
	CU_ASSERT_EQUAL(limits.others.limit_permille, 800);
	CU_ASSERT_EQUAL(limits.others.context_bytes, 300 * MIB);
	CU_ASSERT_EQUAL(limits.others.view, GPUSHIM_VIEW_DEVICE);
	CU_ASSERT_STRING_EQUAL(limits.source, "gpushim-run");
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "--tenant", "b", "--compute", "30", "true"),
		0);
	CU_ASSERT_EQUAL_FATAL(gsh_published(tenant_dir(), "b", &limits, &why), 0);
	CU_ASSERT_EQUAL(limits.others.memory_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(limits.others.request_permille, 300);
	CU_ASSERT_EQUAL(limits.others.limit_permille, 300);
	CU_ASSERT_EQUAL(limits.flags, 0);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "c", "--priority", "batch",
			    "--burst-ms", "7", "--audit", "true"),
			0);
	CU_ASSERT_EQUAL_FATAL(gsh_published(tenant_dir(), "c", &limits, &why), 0);
	CU_ASSERT_EQUAL(limits.others.limit_permille, 1000);
	CU_ASSERT_EQUAL(limits.others.priority, GPUSHIM_PRIORITY_BATCH);
	CU_ASSERT_EQUAL(limits.others.burst_ms, 7);
	CU_ASSERT_EQUAL(limits.flags, GPUSHIM_POLICY_AUDIT);
}

TENANT_BODY(takes_65_of_64)
{
	CUdeviceptr p;
	size_t total = 0;
	CUdevice device = tenant_context();

	check_result(cuDeviceTotalMem(&total, device), CUDA_SUCCESS);
	check(total > 64 * MIB);
	check_result(cuMemAlloc(&p, 65 * MIB), CUDA_SUCCESS);
}

static void under_audit_a_program_gets_more_than_its_limits(void)
{
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--memory", "64MiB", "--audit",
			    "--sim", self, "--body", "takes_65_of_64"),
			0);
	CU_ASSERT_NOT_EQUAL(RUN("--dir", tenant_dir(), "--memory", "64MiB", "--sim", self,
				"--body", "takes_65_of_64"),
			    0);
}

static void limits_are_taken_from_a_file(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/limits.json", tenant_dir());
	tenant_write(
		path,
		"{ \"version\": 1, \"tenants\": { \"a\": { \"memory\": \"64MiB\" } } }");
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--limits", path, "--tenant", "a",
			    "--sim", self, "--body", "fits_64"),
			0);
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "--limits", path, "--tenant", "b", "true"),
		125);
	tenant_write(path,
		     "{ \"version\": 1, \"tenants\": { \"a\": { \"memory\": 1x } } }");
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "--limits", path, "--tenant", "a", "true"),
		125);
	says("limits.json:1:");
}

/* ---- tenants ---- */

static void a_tenant_can_be_joined(void)
{
	struct run first = start_run("", "--dir", tenant_dir(), "--tenant", "both", "-m",
				     "64MiB", "--sim", self, "--body", "keeps_40", NULL);
	char line[128];

	CU_ASSERT(first_line(&first, line, sizeof(line)));
	CU_ASSERT_STRING_EQUAL(line, "ready");
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "both", "--sim", self,
			    "--body", "fits_24"),
			0);
	/* Saying the same again is joining, too. */
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "both", "-m", "64MiB",
			    "--sim", self, "--body", "fits_24"),
			0);
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "--tenant", "both", "-m", "1GiB", "true"),
		125);
	says("both");
	CU_ASSERT_EQUAL(tenant_charged(tenant_dir(), "both"), 40 * MIB);
	CU_ASSERT_EQUAL(tenant_device_requested(), 40 * MIB);
	CU_ASSERT_EQUAL(end_run(&first), 0);
	/* Nobody is left whose limits they are. */
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "both", "-m", "1GiB",
			    "--sim", self, "--body", "fits_a_gibibyte"),
			0);
}

static void limits_that_others_published_are_not_changed(void)
{
	CU_ASSERT(tenant_publish(tenant_dir(), "train", 64 * MIB));
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "--tenant", "train", "-m", "1GiB", "true"),
		125);
	says("a test");
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "--tenant", "train", "--sim", self,
			    "--body", "fits_64"),
			0);
}

/* ---- sweeping ---- */

static void a_run_that_has_ended_is_swept_by_the_next(void)
{
	char name[64];

	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "-m", "64MiB", "--sim", "sh", "-c",
			    "\"$0\" --body fits_64 && printf %s $GPUSHIM_TENANT", self),
			0);
	snprintf(name, sizeof(name), "%.63s", output);
	CU_ASSERT(has("policy", name));
	CU_ASSERT(has("ledger", name));
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "true"), 0);
	CU_ASSERT(!has("policy", name));
	CU_ASSERT(!has("ledger", name));
}

static void a_run_under_way_is_not_swept(void)
{
	struct run used = start_run("", "--dir", tenant_dir(), "-m", "64MiB", "--sim",
				    self, "--body", "keeps_40", NULL);
	struct run idle = start_run("", "--dir", tenant_dir(), "-m", "64MiB", "sh", "-c",
				    "echo $GPUSHIM_TENANT; cat", NULL);
	char line[128], name[64];

	CU_ASSERT(first_line(&used, line, sizeof(line)));
	CU_ASSERT(first_line(&idle, line, sizeof(line)));
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "true"), 0);
	snprintf(name, sizeof(name), "run-%d", (int)used.pid);
	CU_ASSERT(has("policy", name) && has("ledger", name));
	CU_ASSERT(has("policy", line) && has("ledger", line));
	CU_ASSERT_EQUAL(end_run(&used), 0);
	CU_ASSERT_EQUAL(end_run(&idle), 0);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "true"), 0);
	CU_ASSERT(!has("policy", name) && !has("policy", line));
}

static void what_a_program_left_running_is_not_swept(void)
{
	/* The program ends; what it started has not called CUDA yet, and will. */
	struct run run = start_run(
		"", "--dir", tenant_dir(), "-m", "64MiB", "--sim", "sh", "-c",
		"exec 3<&0; (exec 0<&3; read nothing; exec \"$0\" --body "
		"fits_64) & echo $GPUSHIM_TENANT",
		self, NULL);
	char line[128];
	siginfo_t info;

	CU_ASSERT(first_line(&run, line, sizeof(line)));
	CU_ASSERT(waitid(P_PID, (id_t)run.pid, &info, WEXITED) == 0);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "true"), 0);
	CU_ASSERT(has("policy", line));
	/* It finds its limits there; its complaints would be output. */
	CU_ASSERT(write(run.in, "\n", 1) == 1);
	end_run(&run);
	CU_ASSERT_STRING_EQUAL(output, "");
}

/* Its variables are more than is read of anybody: the tenant's name is the last. */
static void who_has_a_large_environment_is_not_swept(void)
{
	struct run run;
	char line[128];
	char *large = malloc(100001);
	siginfo_t info;

	CU_ASSERT_PTR_NOT_NULL_FATAL(large);
	memset(large, 'x', 100000);
	large[100000] = '\0';
	setenv("LARGE_1", large, 1);
	setenv("LARGE_2", large, 1);
	setenv("LARGE_3", large, 1);
	free(large);
	run = start_run("", "--dir", tenant_dir(), "-m", "64MiB", "sh", "-c",
			"exec 3<&0; (read nothing <&3; true) & echo $GPUSHIM_TENANT",
			NULL);
	unsetenv("LARGE_1");
	unsetenv("LARGE_2");
	unsetenv("LARGE_3");
	CU_ASSERT(first_line(&run, line, sizeof(line)));
	CU_ASSERT(waitid(P_PID, (id_t)run.pid, &info, WEXITED) == 0);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "true"), 0);
	CU_ASSERT(has("policy", line));
	end_run(&run);
}

static void tenants_with_names_are_not_swept(void)
{
	CU_ASSERT_EQUAL(
		RUN("--dir", tenant_dir(), "-t", "run-fast", "-m", "1GiB", "true"), 0);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "-t", "train", "-m", "1GiB", "true"),
			0);
	CU_ASSERT_EQUAL(RUN("--dir", tenant_dir(), "true"), 0);
	CU_ASSERT(has("policy", "run-fast") && has("ledger", "run-fast"));
	CU_ASSERT(has("policy", "train") && has("ledger", "train"));
}

/* ---- where it is installed ---- */

static int copy(const char *format, ...)
{
	char command[4 * PATH_MAX];
	va_list list;

	va_start(list, format);
	vsnprintf(command, sizeof(command), format, list);
	va_end(list);
	return system(command);
}

static void an_installed_tool_finds_its_library(void)
{
	const char *build = getenv("BUILD"), *dir = tenant_dir();
	char installed[PATH_MAX];

	CU_ASSERT_FATAL(copy("mkdir -p '%s/usr/bin' '%s/usr/lib/gpushim/sim' && "
			     "cp '%s/bin/gpushim-run' '%s/usr/bin' && "
			     "cp '%s'/lib/libgpushim*.so '%s/usr/lib/gpushim' && "
			     "cp '%s'/sim/* '%s/usr/lib/gpushim/sim'",
			     dir, dir, build, dir, build, dir, build, dir) == 0);
	snprintf(installed, sizeof(installed), "%s/usr/bin/gpushim-run", dir);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--", installed, "--dir", dir, "-m", "64MiB",
			    "--sim", self, "--body", "fits_64"),
			0);
	CU_ASSERT_FATAL(copy("mkdir '%s/a b' && mv '%s/usr' '%s/a b'", dir, dir, dir) ==
			0);
	snprintf(installed, sizeof(installed), "%s/a b/usr/bin/gpushim-run", dir);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--", installed, "--dir", dir, "true"), 125);
	says("a space");
	CU_ASSERT_FATAL(copy("rm -r '%s/a b/usr/lib'", dir) == 0);
	CU_ASSERT_EQUAL(RUN("--dir", dir, "--", installed, "--dir", dir, "true"), 125);
	says("libgpushim.so");
}

static int find_tool(void)
{
	ssize_t bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(tool, sizeof(tool), "%s/bin/gpushim-run",
		 getenv("BUILD") ? getenv("BUILD") : "build");
	unsetenv("GPUSHIM_DIR");
	return bytes <= 0 || setenv("SIMGPU_MEMORY", "2GiB", 1);
}

const struct unit_suite unit_suite = {
	.name = "gpushim-run",
	.init = find_tool,
	.teardown = tenant_forget,
	.tests = {
		UNIT_TEST(the_exit_status_is_the_programs),
		UNIT_TEST(a_program_that_cannot_be_run_is_126_or_127),
		UNIT_TEST(its_own_failures_are_125_and_say_why),
		UNIT_TEST(help_and_version_go_to_standard_output),
		UNIT_TEST(preloaded_libraries_of_the_user_are_kept),
		UNIT_TEST(the_simulated_gpu_comes_first_where_it_is_asked_for),
		UNIT_TEST(the_program_knows_directory_and_tenant),
		UNIT_TEST(a_relative_directory_is_made_absolute),
		UNIT_TEST(memory_is_limited_to_a_size_or_a_share),
		UNIT_TEST(all_that_it_starts_is_one_tenant),
		UNIT_TEST(what_was_asked_for_is_published),
		UNIT_TEST(under_audit_a_program_gets_more_than_its_limits),
		UNIT_TEST(limits_are_taken_from_a_file),
		UNIT_TEST(a_tenant_can_be_joined),
		UNIT_TEST(limits_that_others_published_are_not_changed),
		UNIT_TEST(a_run_that_has_ended_is_swept_by_the_next),
		UNIT_TEST(a_run_under_way_is_not_swept),
		UNIT_TEST(what_a_program_left_running_is_not_swept),
		UNIT_TEST(who_has_a_large_environment_is_not_swept),
		UNIT_TEST(tenants_with_names_are_not_swept),
		UNIT_TEST(an_installed_tool_finds_its_library),
	},
};
