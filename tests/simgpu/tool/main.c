/*
 * main.c - the tool `simgpu`: its commands and what they have in common.
 */
#include "tool/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/config.h"

#define VERSION "0.1"

struct command {
	const char *name, *arguments, *meaning;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "status", "[--json] [--all]",
	  "what is allocated and has run, by device and process", tool_status },
	{ "watch", "[-d SECONDS] [--count N]", "the same as a live table", tool_watch },
	{ "run", "PROGRAM [ARGUMENT...]", "runs a program on the simulated driver",
	  tool_run },
	{ "hold", "[--books FILE] [PROGRAM [ARGUMENT...]]",
	  "keeps the device, while a program runs or until a signal", tool_hold },
	{ "lose", "DEVICE", "makes a device fall off the bus", tool_lose },
	{ "limit", "DEVICE SIZE", "a driver's own memory limit per process, 0: none",
	  tool_limit },
	{ "env", "", "the variables that configure the simulated GPU", tool_env },
};

enum { NCOMMANDS = sizeof(commands) / sizeof(commands[0]) };

int tool_fail(const char *format, ...)
{
	va_list args;

	fputs("simgpu: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

int tool_usage(const char *command)
{
	for (const struct command *c = commands; c < commands + NCOMMANDS; c++)
		if (strcmp(c->name, command) == 0)
			fprintf(stderr, "Usage: simgpu %s%s%s\n", c->name,
				*c->arguments ? " " : "", c->arguments);
	return EXIT_USAGE;
}

struct simgpu_monitor *tool_open(int start)
{
	const char *why = "";
	struct simgpu_monitor *monitor = simgpu_open(NULL, start, &why);

	if (!monitor)
		tool_fail("%s", why);
	return monitor;
}

int tool_device(struct simgpu_monitor *monitor, const char *text)
{
	uint32_t devices = sim_monitor_hello(monitor)->devices;
	uint64_t device;

	if (sim_parse_u64(text, 0, devices - 1, &device) == 0)
		return (int)device;
	tool_fail("There is no device %s; the first is 0, the last %u.", text,
		  devices - 1);
	return -1;
}

static void help(void)
{
	puts("Usage: simgpu COMMAND [ARGUMENT...]\n"
	     "Runs programs on a simulated GPU and tells the truth about it.\n");
	for (const struct command *c = commands; c < commands + NCOMMANDS; c++)
		printf("  simgpu %s %s\n      %s\n", c->name, c->arguments, c->meaning);
	puts("\nThe device belongs to the directory SIMGPU_STATE: every program that names the\n"
	     "same one shares it. It starts with its first client and ends with its last.\n"
	     "Exit status: 0 success, 1 failure, 2 wrong usage; of run and hold the program's.");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
	    strcmp(name, "help") == 0) {
		help();
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("simgpu " VERSION);
		return EXIT_OK;
	}
	for (const struct command *c = commands; c < commands + NCOMMANDS; c++) {
		int res;

		if (strcmp(c->name, name) != 0)
			continue;
		res = c->run(argc - 1, argv + 1);
		if (fflush(stdout) != 0 || ferror(stdout))
			return tool_fail("Writing the output failed: %s.",
					 strerror(errno));
		return res;
	}
	if (*name)
		tool_fail("There is no command %s; simgpu --help lists them.", name);
	else
		help();
	return EXIT_USAGE;
}
