/*
 * common_options.c - the command line of every example, from a table.
 *
 * Knows: getopt_long, and how sizes and numbers are written. Help and parsing read the same
 * table, so they cannot disagree.
 * Refuses to know: any CUDA.
 */
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32, OPTION_HELP = 1000, OPTION_DEVICE };

static const char *program = "example";

const char *ex_name(void)
{
	return program;
}

_Noreturn static void complain(int code, const char *format, va_list arguments)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", program);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	if (code == EX_EXIT_USAGE)
		fprintf(stderr, "%s --help lists the options.\n", program);
	exit(code);
}

void ex_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(EX_EXIT_FAILED, format, arguments);
}

void ex_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain(EX_EXIT_USAGE, format, arguments);
}

static unsigned long long whole(const char *name, const char *text, char **end)
{
	unsigned long long value;

	errno = 0;
	value = strtoull(text, end, 10);
	/* strtoull takes a minus sign and wraps around. */
	if (*end == text || errno || strchr(text, '-'))
		ex_usage("--%s wants a whole number below 2^64, not '%s'.", name, text);
	return value;
}

static uint64_t parse_count(const char *name, const char *text)
{
	char *end;
	uint64_t value = whole(name, text, &end);

	if (*end)
		ex_usage("--%s wants a whole number, not '%s'.", name, text);
	return value;
}

static int parse_device(const char *text)
{
	uint64_t value = parse_count("device", text);

	return value > INT_MAX ? INT_MAX : (int)value;
}

static uint64_t parse_bytes(const char *name, const char *text)
{
	static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
	char *end;
	uint64_t value = whole(name, text, &end);
	unsigned i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		/* "64M" means "64MiB"; decimal units are refused rather than guessed at. */
		bool brief = *units[i] && end[0] == *units[i] && !end[1];

		if (!strcmp(end, units[i]) || brief) {
			if (value > UINT64_MAX >> (10 * i))
				ex_usage("--%s %s is more than 2^64 bytes.", name, text);
			return value << (10 * i);
		}
	}
	ex_usage("--%s wants a size such as 4096, 64KiB, 64MiB or 2GiB, not '%s'.", name,
		 text);
}

static double parse_real(const char *name, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	/* The negation also refuses "nan"; the bound refuses "inf". */
	if (end == text || *end || !(value >= 0 && value < 1e18))
		ex_usage("--%s wants a number that is not negative, not '%s'.", name,
			 text);
	return value;
}

static void set(const struct ex_option *option, const char *text)
{
	uint64_t number;

	switch (option->kind) {
	case EX_FLAG:
		*(bool *)option->value = true;
		return;
	case EX_TEXT:
		*(const char **)option->value = text;
		return;
	case EX_REAL:
		*(double *)option->value = parse_real(option->name, text);
		return;
	case EX_COUNT:
	case EX_BYTES:
		number = option->kind == EX_COUNT ? parse_count(option->name, text)
						  : parse_bytes(option->name, text);
		if (number < option->least)
			ex_usage("--%s must be at least %llu.", option->name,
				 (unsigned long long)option->least);
		*(uint64_t *)option->value = number;
		return;
	}
}

static void print_default(const struct ex_option *option)
{
	char text[32];

	if (option->kind == EX_COUNT && *(uint64_t *)option->value)
		printf(" (default %llu)", *(unsigned long long *)option->value);
	else if (option->kind == EX_BYTES && *(uint64_t *)option->value)
		printf(" (default %s)", ex_bytes(text, *(uint64_t *)option->value));
	else if (option->kind == EX_REAL && *(double *)option->value > 0)
		printf(" (default %g)", *(double *)option->value);
	else if (option->kind == EX_TEXT && *(const char **)option->value)
		printf(" (default %s)", *(const char **)option->value);
	putchar('\n');
}

static void print_row(const char *name, const char *argument, const char *help)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s %s", name, argument ? argument : "");
	printf("  %-27s %s", left, help);
}

static void print_help(const char *summary, const struct ex_option *options)
{
	printf("Usage: %s [options]\n%s\n\nOptions:\n", program, summary);
	for (; options->name; options++) {
		print_row(options->name, options->argument, options->help);
		print_default(options);
	}
	print_row("device", "N", "the device to use, counted from 0\n");
	print_row("help", "", "this text\n");
	printf("\nExit status: 0 all went well, 1 something failed, 2 wrong usage,\n"
	       "77 there is no driver or no device to run on.\n");
}

int ex_options(int argc, char **argv, const char *summary,
	       const struct ex_option *options)
{
	struct option rows[OPTIONS_MAX + 3] = { 0 };
	const char *slash = strrchr(argv[0], '/');
	int i, count, which, device = -1;

	program = slash ? slash + 1 : argv[0];
	for (count = 0; options[count].name && count < OPTIONS_MAX; count++) {
		rows[count].name = options[count].name;
		rows[count].has_arg = options[count].kind != EX_FLAG;
		rows[count].val = count;
	}
	rows[count] = (struct option){ "device", required_argument, NULL, OPTION_DEVICE };
	rows[count + 1] = (struct option){ "help", no_argument, NULL, OPTION_HELP };

	/* The colon: a missing argument answers ':', an unknown option '?', silently. */
	while ((which = getopt_long(argc, argv, "+:h", rows, &i)) != -1) {
		if (which == OPTION_HELP || which == 'h') {
			print_help(summary, options);
			exit(EX_EXIT_OK);
		}
		if (which == ':')
			ex_usage("%s wants an argument.", argv[optind - 1]);
		if (which == '?')
			ex_usage("%s is not an option, or not a whole one.",
				 argv[optind - 1]);
		if (which == OPTION_DEVICE)
			device = parse_device(optarg);
		else
			set(&options[which], optarg);
	}
	if (optind < argc)
		ex_usage("'%s' is not an option; there are no other arguments.",
			 argv[optind]);
	return device;
}
