/*
 * main.c - gpushim-ctl: checks, applies and shows limits.
 *
 * Knows the commands, their help and the exit statuses.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define VERSION "0.1"

static const struct command {
	const char *name, *arguments, *meaning;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "check", "FILE",
	  "says whether FILE is a valid limits.json, and what it would mean", ctl_check },
	{ "apply", "FILE [--dir DIR]", "puts the limits of FILE in force", ctl_apply },
	{ "show", "[--json] [--costs] [--dir DIR] [TENANT]",
	  "who uses how much of which device and its time, under which limits",
	  ctl_show },
	{ "set", "TENANT KEY=VALUE... [--device UUID] [--dir DIR]",
	  "changes limits of a tenant until the next apply", ctl_set },
	{ "doctor", "[--skipped] [--dir DIR]",
	  "whether programs started here would be held to limits, and which",
	  ctl_doctor },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void complain(const char *format, va_list args)
{
	/* What was printed before comes before. */
	fflush(stdout);
	fputs("gpushim-ctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int ctl_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return EXIT_REFUSED;
}

int ctl_misused(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	for (const struct command *c = commands; c < commands + COMMANDS; c++)
		if (strcmp(c->name, command) == 0)
			fprintf(stderr, "Usage: gpushim-ctl %s %s\n", c->name,
				c->arguments);
	return EXIT_USAGE;
}

static void help(FILE *to)
{
	fputs("Usage: gpushim-ctl COMMAND [ARGUMENT...]\n"
	      "Limits of tenants that share a GPU: checked, applied, shown, changed.\n\n",
	      to);
	for (const struct command *c = commands; c < commands + COMMANDS; c++)
		fprintf(to, "  gpushim-ctl %s %s\n      %s\n", c->name, c->arguments,
			c->meaning);
	fputs("\nKEY=VALUE of set: memory=SIZE|PERCENT|none, compute=REQUEST[:LIMIT]|none,\n"
	      "priority=latency|normal|batch, burst_ms=1..1000, view=quota|device,\n"
	      "context_memory=SIZE, enforce=true|false.\n"
	      "DIR is where policies and ledgers lie: $GPUSHIM_DIR, else /run/gpushim, else\n"
	      "/dev/shm/gpushim-UID for who cannot write that.\n"
	      "Exit status: 0 success; 1 refused, failed, or not as it should be; 2 wrong usage.\n"
	      "More in gpushim-ctl(1).\n",
	      to);
}

/* The exit status, once all that was printed has arrived. */
static int finish(int result)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return ctl_fail("The output cannot be written: %s.", strerror(errno));
	return result;
}

static int run(const struct command *command, int argc, char **argv)
{
	int result;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		printf("Usage: gpushim-ctl %s %s\n%s.\n", command->name,
		       command->arguments, command->meaning);
		result = EXIT_OK;
	} else {
		result = command->run(argc, argv);
	}
	return finish(result);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
	    strcmp(name, "help") == 0) {
		help(stdout);
		return finish(EXIT_OK);
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("gpushim-ctl " VERSION);
		return finish(EXIT_OK);
	}
	for (const struct command *c = commands; c < commands + COMMANDS; c++)
		if (strcmp(c->name, name) == 0)
			return run(c, argc - 1, argv + 1);
	if (*name)
		ctl_fail("There is no command '%s'; gpushim-ctl --help lists them.",
			 name);
	else
		help(stderr);
	return EXIT_USAGE;
}
