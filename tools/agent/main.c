/*
 * main.c - gpushim-agent: keeps the limits of a node's tenants in force.
 *
 * Knows the options, their help and the exit statuses.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"

#define VERSION "0.1"

enum { EXIT_USAGE = 2, NO_SHORT = 256 };

static int misused(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int misused(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("gpushim-agent: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry gpushim-agent --help.\n", stderr);
	return EXIT_USAGE;
}

static int help(void)
{
	puts("Usage: gpushim-agent [--limits FILE] [--dir DIR] [--listen ADDRESS] [--journal]\n"
	     "Keeps the limits of tenants that share this machine's GPUs in force.\n\n"
	     "  --limits FILE  the limits.json that holds, now and whenever it changes\n"
	     "  --dir DIR      where policies and ledgers lie: else $GPUSHIM_DIR, /run/gpushim,\n"
	     "                 or /dev/shm/gpushim-UID for who cannot write that\n"
	     "  --listen ADDRESS\n"
	     "                 where metrics are served: ADDRESS:PORT, unix:PATH or none; else\n"
	     "                 " AGENT_HTTP_ADDRESS "\n"
	     "  --journal      messages with their level, as journald reads it\n"
	     "  --help, --version\n\n"
	     "It stays in the foreground. SIGHUP: the limits are read again; SIGTERM: it ends,\n"
	     "and limits stay in force. While it runs, gpushim-ctl set and apply go through it.\n"
	     "Exit status: 0 ended as asked; 1 it could not start; 2 wrong usage.\n"
	     "More in gpushim-agent(1).");
	if (fflush(stdout) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "gpushim-agent: The output cannot be written: %s.\n",
		strerror(errno));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "limits", required_argument, NULL, 'l' },
		{ "dir", required_argument, NULL, 'd' },
		{ "listen", required_argument, NULL, 'a' },
		{ "journal", no_argument, NULL, NO_SHORT },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct agent_options options = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "hV", known, NULL)) != -1) {
		if (option == 'h')
			return help();
		if (option == 'V')
			return puts("gpushim-agent " VERSION) < 0;
		if (option == '?')
			return misused("There is no such option, or it lacks its value.");
		if (option == 'l')
			options.limits = optarg;
		else if (option == 'd')
			options.dir = optarg;
		else if (option == 'a')
			options.listen = optarg;
		else
			options.journal = true;
	}
	if (optind < argc)
		return misused("'%s' is not an option.", argv[optind]);
	return agent_run(&options);
}
