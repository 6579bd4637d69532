/*
 * options.h - how gpushim-top was called.
 */
#ifndef GSH_TOOLS_TOP_OPTIONS_H
#define GSH_TOOLS_TOP_OPTIONS_H

#include "top/view.h"

enum { TOP_EXIT_OK = 0, TOP_EXIT_FAILED = 1, TOP_EXIT_USAGE = 2 };

enum top_mode { TOP_MODE_SCREEN, TOP_MODE_ONCE, TOP_MODE_BATCH, TOP_MODE_JSON };

enum top_colours {
	TOP_COLOURS_DEFAULT,
	TOP_COLOURS_MONO,
	TOP_COLOURS_BLIND,
	TOP_COLOURS
};

/* Between samples. */
#define TOP_DELAY_LEAST_NS UINT64_C(100000000)
#define TOP_DELAY_MOST_NS UINT64_C(3600000000000)

/* What the view on the screen begins with: of toprc, then of options. */
struct top_settings {
	struct top_view view;
	uint64_t delay_ns;
	enum top_colours colours;
	bool graphs, mouse, ascii;
};

struct top_options {
	struct top_settings settings;
	enum top_mode mode;
	size_t dirs_count;
	const char *dirs[8];
	bool has_delay;
	bool warm_up;	/* a sample before the first */
	uint64_t count; /* of samples; 0: no end */
	const char *record, *replay;
	const char *device; /* as given; NULL: all */
	bool allow_kill;
};

/* Fills in *options. Returns -1, or the exit status: all has been said. */
int top_options_read(struct top_options *options, int argc, char **argv);

/* "gpushim-top: ...", a line on standard error. Returns TOP_EXIT_FAILED. */
int top_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "0.5", "2": seconds from 0.1 to 3600. False: it is none. */
bool top_delay_parse(const char *text, uint64_t *delay_ns);

/* A list of columns' names, by commas. False with the name that is none. */
bool top_columns_parse(struct top_view *view, const char *text, char wrong[32]);

/* "memory", "-memory" (ascending). False: there is no such column. */
bool top_sort_parse(struct top_view *view, const char *text);

const char *top_colours_name(enum top_colours colours);
bool top_colours_parse(enum top_colours *colours, const char *text);

#endif
