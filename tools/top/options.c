/*
 * options.c - how gpushim-top was called; see options.h.
 */
#include "top/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "top/config.h"

#define VERSION "0.1"

enum {
	OPTION_ONCE = 256,
	OPTION_BATCH,
	OPTION_JSON,
	OPTION_RECORD,
	OPTION_REPLAY,
	OPTION_TENANT,
	OPTION_DEVICE,
	OPTION_SORT,
	OPTION_FILTER,
	OPTION_COLUMNS,
	OPTION_FLAT,
	OPTION_DIR,
	OPTION_ASCII,
	OPTION_COLOURS,
	OPTION_NO_MOUSE,
	OPTION_NO_CONFIG,
	OPTION_ALLOW_KILL,
};

/* Each with its line of help; a name for the argument, or NULL. */
static const struct known {
	const char *name;
	int option;
	const char *argument, *help;
} known[] = {
	{ "once", OPTION_ONCE, NULL, "prints one table and ends; with -d rates, too" },
	{ "batch", OPTION_BATCH, NULL, "prints a table again and again" },
	{ "json", OPTION_JSON, NULL,
	  "prints one document; with -d or -n a line for each sample" },
	{ "delay", 'd', "SECONDS",
	  "between samples, 0.1 to 3600; 1 unless said otherwise" },
	{ "count", 'n', "SAMPLES", "ends after so many" },
	{ "record", OPTION_RECORD, "FILE", "writes all samples there as well" },
	{ "replay", OPTION_REPLAY, "FILE", "shows a recording; -: standard input" },
	{ "tenant", OPTION_TENANT, "NAME", "shows one tenant alone" },
	{ "device", OPTION_DEVICE, "DEVICE", "one device, by number or UUID" },
	{ "sort", OPTION_SORT, "COLUMN", "sorts by it; -COLUMN the other way round" },
	{ "filter", OPTION_FILTER, "TEXT",
	  "only what has this in a name, user or number" },
	{ "columns", OPTION_COLUMNS, "LIST", "which, by commas; 'help' names them all" },
	{ "flat", OPTION_FLAT, NULL, "processes without their tenants' rows" },
	{ "dir", OPTION_DIR, "DIR", "where policies and ledgers lie; may be said again" },
	{ "ascii", OPTION_ASCII, NULL, "draws with ASCII alone" },
	{ "colours", OPTION_COLOURS, "SCHEME",
	  "default, mono or blind (colour-blind-safe)" },
	{ "no-mouse", OPTION_NO_MOUSE, NULL, "leaves the mouse to the terminal" },
	{ "no-config", OPTION_NO_CONFIG, NULL, "neither reads nor writes toprc" },
	{ "allow-kill", OPTION_ALLOW_KILL, NULL, "F9 sends signals, when confirmed" },
	{ "help", 'h', NULL, "this" },
	{ "version", 'V', NULL, "of the program" },
};

enum { KNOWN = sizeof(known) / sizeof(known[0]) };

int top_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("gpushim-top: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return TOP_EXIT_FAILED;
}

static int misused(const char *option, const char *value, const char *sentence)
{
	top_fail("%s %s: %s", option, value, sentence);
	return TOP_EXIT_USAGE;
}

static int help(void)
{
	puts("Usage: gpushim-top [OPTION...]\n"
	     "Who has the GPU, who waits, and why: tenants and their processes, live.\n");
	for (size_t i = 0; i < KNOWN; i++) {
		char name[48], letter[8] = "    ";

		if (known[i].option < 256)
			snprintf(letter, sizeof(letter), "-%c, ", known[i].option);
		snprintf(name, sizeof(name), "--%s %s", known[i].name,
			 known[i].argument ? known[i].argument : "");
		printf("  %s%-20s %s\n", letter, name, known[i].help);
	}
	puts("\nWithout --dir it looks in $GPUSHIM_DIR, else /run/gpushim, and in your own\n"
	     "/dev/shm/gpushim-UID. Keys are told by ? while it runs.\n"
	     "Exit status: 0 success; 1 something could not be read or written; 2 wrong "
	     "usage.\nMore in gpushim-top(1).");
	return TOP_EXIT_OK;
}

static int columns_help(void)
{
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		printf("%-10s  %-14s  %s\n", top_column_info(i)->name,
		       top_column_info(i)->heading, top_column_info(i)->help);
	return TOP_EXIT_OK;
}

/* ---- values ---- */

bool top_delay_parse(const char *text, uint64_t *delay_ns)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end ||
	    !(seconds * 1e9 >= TOP_DELAY_LEAST_NS && seconds * 1e9 <= TOP_DELAY_MOST_NS))
		return false;
	*delay_ns = (uint64_t)(seconds * 1e9);
	return true;
}

bool top_columns_parse(struct top_view *view, const char *text, char wrong[32])
{
	struct top_view chosen = *view;
	char names[512], *rest = names, *name;

	snprintf(names, sizeof(names), "%s", text);
	chosen.columns_count = 0;
	while ((name = strsep(&rest, ","))) {
		int column = top_column_find(name + strspn(name, " "));
		bool again = false;

		for (unsigned i = 0; i < chosen.columns_count; i++)
			again |= (int)chosen.columns[i] == column;
		if (column < 0 || again) {
			snprintf(wrong, 32, "%.31s", name);
			return false;
		}
		chosen.columns[chosen.columns_count++] = (enum top_column)column;
	}
	*view = chosen;
	return true;
}

bool top_sort_parse(struct top_view *view, const char *text)
{
	int column = top_column_find(text + (*text == '-'));

	if (column < 0)
		return false;
	view->sort = (enum top_column)column;
	view->ascending = *text == '-';
	return true;
}

const char *top_colours_name(enum top_colours colours)
{
	static const char *const names[] = { "default", "mono", "blind" };

	return names[colours];
}

bool top_colours_parse(enum top_colours *colours, const char *text)
{
	for (unsigned i = 0; i < TOP_COLOURS; i++)
		if (strcmp(top_colours_name(i), text) == 0) {
			*colours = i;
			return true;
		}
	return false;
}

void top_filter_set(struct top_view *view, const char *text)
{
	snprintf(view->filter, sizeof(view->filter), "%s", text);
	for (char *c = view->filter; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c += 'a' - 'A';
}

/* ---- reading ---- */

static int take_columns(struct top_options *options)
{
	char wrong[32];

	if (strcmp(optarg, "help") == 0)
		return columns_help();
	if (!top_columns_parse(&options->settings.view, optarg, wrong))
		return misused("--columns", optarg,
			       "a name is unknown or given twice; --columns help "
			       "lists them.");
	return -1;
}

/* Options with values that can be wrong. */
static int take_value(struct top_options *options, int option)
{
	struct top_settings *settings = &options->settings;

	switch (option) {
	case 'd':
		options->has_delay = true;
		if (!top_delay_parse(optarg, &settings->delay_ns))
			return misused("--delay", optarg,
				       "it takes seconds, from 0.1 to 3600.");
		break;
	case 'n':
		if (gsh_parse_u64(optarg, &options->count) < 0 || options->count == 0)
			return misused("--count", optarg, "it takes a number from 1 on.");
		break;
	case OPTION_SORT:
		if (!top_sort_parse(&settings->view, optarg))
			return misused("--sort", optarg,
				       "there is no such column; --columns help lists "
				       "them.");
		break;
	case OPTION_COLUMNS:
		return take_columns(options);
	case OPTION_COLOURS:
		if (!top_colours_parse(&settings->colours, optarg))
			return misused("--colours", optarg,
				       "schemes are default, mono and blind.");
		break;
	case OPTION_DIR:
		if (options->dirs_count ==
		    sizeof(options->dirs) / sizeof(options->dirs[0]))
			return misused("--dir", optarg, "there are too many.");
		options->dirs[options->dirs_count++] = optarg;
		break;
	default:
		break;
	}
	return -1;
}

static void take(struct top_options *options, int option)
{
	struct top_settings *settings = &options->settings;

	switch (option) {
	case OPTION_ONCE:
		if (options->mode != TOP_MODE_JSON)
			options->mode = TOP_MODE_ONCE;
		options->count = 1;
		options->warm_up = true;
		break;
	case OPTION_BATCH:
		if (options->mode != TOP_MODE_JSON)
			options->mode = TOP_MODE_BATCH;
		break;
	case OPTION_JSON:
		options->mode = TOP_MODE_JSON;
		break;
	case OPTION_RECORD:
		options->record = optarg;
		break;
	case OPTION_REPLAY:
		options->replay = optarg;
		break;
	case OPTION_TENANT:
		snprintf(settings->view.tenant, sizeof(settings->view.tenant), "%s",
			 optarg);
		break;
	case OPTION_DEVICE:
		options->device = optarg;
		break;
	case OPTION_FILTER:
		top_filter_set(&settings->view, optarg);
		break;
	case OPTION_FLAT:
		settings->view.tree = false;
		break;
	case OPTION_ASCII:
		settings->ascii = true;
		break;
	case OPTION_NO_MOUSE:
		settings->mouse = false;
		break;
	case OPTION_ALLOW_KILL:
		options->allow_kill = true;
		break;
	default:
		break;
	}
}

static int next_option(int argc, char **argv)
{
	static struct option table[KNOWN + 1];

	for (size_t i = 0; i < KNOWN; i++)
		table[i] = (struct option){ known[i].name,
					    known[i].argument ? required_argument
							      : no_argument,
					    NULL, known[i].option };
	return getopt_long(argc, argv, "d:n:hV", table, NULL);
}

/* The file comes before the options, so it is asked for first. */
static bool wants_config(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--no-config") == 0)
			return false;
	return true;
}

int top_options_read(struct top_options *options, int argc, char **argv)
{
	int option, result = -1;

	memset(options, 0, sizeof(*options));
	top_settings_init(&options->settings);
	if (wants_config(argc, argv))
		top_config_read(&options->settings);
	while ((option = next_option(argc, argv)) != -1 && result < 0) {
		if (option == 'h')
			return help();
		if (option == 'V')
			return puts("gpushim-top " VERSION) < 0;
		if (option == '?')
			return TOP_EXIT_USAGE;
		take(options, option);
		result = take_value(options, option);
	}
	if (result >= 0)
		return result;
	if (optind < argc)
		return misused("", argv[optind],
			       "there is nothing that this could mean.");
	if (options->record && options->replay)
		return misused("--record", options->record,
			       "a recording is not recorded again.");
	options->warm_up &= options->has_delay;
	/* One document, unless more were asked for. */
	if (options->mode == TOP_MODE_JSON && !options->has_delay && !options->count &&
	    !options->replay)
		options->count = 1;
	return -1;
}
