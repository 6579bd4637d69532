/*
 * main.c - gpushim-run: starts one program under limits.
 *
 * Knows options and exit statuses. It becomes the program, so that nothing of it is left
 * between the program and whoever waits for it.
 */
#include "run/run.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

#define VERSION "0.1"

int run_fail(const char *format, ...)
{
	va_list args;

	fputs("gpushim-run: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_OWN;
}

static void help(void)
{
	puts("Usage: gpushim-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
	     "Runs a program, and all it starts, as a tenant with limits on the GPU.\n"
	     "\n"
	     "  -m, --memory SIZE|PERCENT     device memory of all its processes together,\n"
	     "                                such as 8GiB or 25%\n"
	     "  -c, --compute REQUEST[:LIMIT] share of GPU time in percent: what is guaranteed,\n"
	     "                                and the most; one figure is both\n"
	     "      --priority latency|normal|batch\n"
	     "                                who comes first where tenants take turns\n"
	     "      --burst-ms MS             most GPU time saved up for later, 1 to 1000;\n"
	     "                                default 20\n"
	     "      --audit                   counts what is beyond limits, and neither\n"
	     "                                refuses nor delays it\n"
	     "      --context-memory SIZE     what a context counts\n"
	     "      --view quota|device       what the program is shown as the device's memory\n"
	     "  -l, --limits FILE             takes the limits of --tenant from FILE instead\n"
	     "  -t, --tenant NAME             the tenant; without limits: one that is there\n"
	     "                                already. Default: one of its own\n"
	     "  -d, --dir DIR                 where policies and ledgers lie. Default:\n"
	     "                                $GPUSHIM_DIR, /run/gpushim, or\n"
	     "                                /dev/shm/gpushim-UID for who cannot write that\n"
	     "      --sim                     on the simulated GPU\n"
	     "  -h, --help\n"
	     "  -V, --version\n"
	     "\n"
	     "Without limits and tenant the program is not limited, only accounted for.\n"
	     "Exit status: the program's; 125 if gpushim-run fails, 126 if the program cannot\n"
	     "be run, 127 if it is not found.");
}

/* ---- options ---- */

enum {
	OPT_CONTEXT_MEMORY = 256,
	OPT_VIEW,
	OPT_SIM,
	OPT_PRIORITY,
	OPT_BURST_MS,
	OPT_AUDIT
};

static int bad_value(const char *option, const char *value, const char *wanted)
{
	return run_fail("--%s %s: this is not %s.", option, value, wanted);
}

static int set_memory(struct run_options *options, const char *value)
{
	struct gpushim_policy_device *device = &options->device;

	options->limited = true;
	if (gsh_parse_ppm(value, &device->memory_ppm) == 0)
		return 0;
	if (gsh_parse_size(value, &device->memory_bytes) == 0 && device->memory_bytes > 0)
		return 0;
	return bad_value("memory", value,
			 "a size or a share above 0, such as 8GiB or 25%");
}

static int set_compute(struct run_options *options, char *value)
{
	static const char wanted[] =
		"REQUEST[:LIMIT] in percent, the limit above 0 and no "
		"smaller than the request";
	struct gpushim_policy_device *device = &options->device;
	char *colon = strchr(value, ':');
	uint32_t request, limit;
	int bad;

	options->limited = true;
	if (colon)
		*colon = '\0';
	bad = gsh_parse_permille(value, &request);
	limit = request;
	if (!bad && colon)
		bad = gsh_parse_permille(colon + 1, &limit);
	if (colon)
		*colon = ':';
	if (bad || limit == 0 || limit < request)
		return bad_value("compute", value, wanted);
	device->request_permille = request;
	device->limit_permille = limit;
	return 0;
}

static int set_priority(struct run_options *options, const char *value)
{
	struct gpushim_policy_device *device = &options->device;

	options->limited = true;
	if (strcmp(value, "latency") == 0)
		device->priority = GPUSHIM_PRIORITY_LATENCY;
	else if (strcmp(value, "normal") == 0)
		device->priority = GPUSHIM_PRIORITY_NORMAL;
	else if (strcmp(value, "batch") == 0)
		device->priority = GPUSHIM_PRIORITY_BATCH;
	else
		return bad_value("priority", value, "'latency', 'normal' or 'batch'");
	return 0;
}

static int set_burst(struct run_options *options, const char *value)
{
	uint64_t ms;

	options->limited = true;
	if (gsh_parse_u64(value, &ms) < 0 || ms == 0 || ms > GPUSHIM_BURST_MS_MAX)
		return bad_value("burst-ms", value,
				 "a whole number of milliseconds from 1 to 1000");
	options->device.burst_ms = (uint32_t)ms;
	return 0;
}

static int set_option(struct run_options *options, int option, char *value)
{
	switch (option) {
	case 'm':
		return set_memory(options, value);
	case 'c':
		return set_compute(options, value);
	case OPT_PRIORITY:
		return set_priority(options, value);
	case OPT_BURST_MS:
		return set_burst(options, value);
	case OPT_AUDIT:
		options->limited = true;
		options->flags |= GPUSHIM_POLICY_AUDIT;
		return 0;
	case OPT_CONTEXT_MEMORY:
		options->limited = true;
		if (gsh_parse_size(value, &options->device.context_bytes) < 0)
			return bad_value("context-memory", value,
					 "a size, such as 300MiB");
		return 0;
	case OPT_VIEW:
		options->limited = true;
		if (strcmp(value, "device") == 0)
			options->device.view = GPUSHIM_VIEW_DEVICE;
		else if (strcmp(value, "quota") != 0)
			return bad_value("view", value, "'quota' or 'device'");
		return 0;
	case 'l':
		options->limits_file = value;
		return 0;
	case 't':
		options->tenant = value;
		return 0;
	case 'd':
		options->dir = value;
		return 0;
	default:
		options->sim = true;
		return 0;
	}
}

static int check(const struct run_options *options)
{
	if (!options->program[0])
		return run_fail(
			"There is no program to run; gpushim-run --help says how.");
	if (options->tenant && !gsh_parse_is_tenant(options->tenant))
		return run_fail(
			"--tenant %s: a name has 1 to 63 of a-z, 0-9, '-', '_' and "
			"'.', and begins with a letter or digit.",
			options->tenant);
	if (options->limits_file && options->limited)
		return run_fail(
			"--limits and limits on the command line exclude each other.");
	if (options->limits_file && !options->tenant)
		return run_fail("--limits %s needs --tenant: whose limits?",
				options->limits_file);
	return 0;
}

/* 0; EXIT_OWN; or -1 if all is done: help was asked for. */
static int read_options(struct run_options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "memory", required_argument, NULL, 'm' },
		{ "compute", required_argument, NULL, 'c' },
		{ "priority", required_argument, NULL, OPT_PRIORITY },
		{ "burst-ms", required_argument, NULL, OPT_BURST_MS },
		{ "audit", no_argument, NULL, OPT_AUDIT },
		{ "context-memory", required_argument, NULL, OPT_CONTEXT_MEMORY },
		{ "view", required_argument, NULL, OPT_VIEW },
		{ "limits", required_argument, NULL, 'l' },
		{ "tenant", required_argument, NULL, 't' },
		{ "dir", required_argument, NULL, 'd' },
		{ "sim", no_argument, NULL, OPT_SIM },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option, bad;

	/* "+": what follows the program is the program's. */
	while ((option = getopt_long(argc, argv, "+m:c:l:t:d:hV", known, NULL)) != -1) {
		switch (option) {
		case 'h':
			help();
			return -1;
		case 'V':
			puts("gpushim-run " VERSION);
			return -1;
		case '?':
			return run_fail("gpushim-run --help lists the options.");
		default:
			bad = set_option(options, option, optarg);
			if (bad)
				return bad;
		}
	}
	options->program = argv + optind;
	return check(options);
}

int main(int argc, char **argv)
{
	struct run_options options = {
		.device = { .memory_bytes = GPUSHIM_UNLIMITED, .limit_permille = 1000 },
		.program = argv,
	};
	struct run_tenant tenant;
	int result = read_options(&options, argc, argv), error;

	if (result)
		return result < 0 ? fflush(stdout) ? EXIT_OWN : 0 : result;
	/* First what changes nothing, so that a failure leaves nothing. */
	result = run_set_libraries(options.sim);
	if (!result)
		result = run_prepare(&options, &tenant);
	if (!result)
		result = run_set_tenant(&tenant);
	if (result)
		return result;
	execvp(options.program[0], options.program);
	error = errno;
	run_fail("%s cannot be run: %s.", options.program[0], strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
}
