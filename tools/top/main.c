/*
 * main.c - gpushim-top: who has the GPU, who waits, and why.
 *
 * Knows where samples come from and where they go: the screen, lines of text, documents.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "top/json.h"
#include "top/live.h"
#include "top/options.h"
#include "top/print.h"
#include "top/replay.h"
#include "top/screen.h"

int top_source_read(struct top_source *source, struct top_feed *feed,
		    struct gsh_reason *why)
{
	int result = 1;

	if (source->replay)
		result = top_replay_read(source->replay, feed, why);
	else
		top_live_read(source->live, feed);
	if (result <= 0 || !source->record)
		return result;
	result = top_document_write(feed->document, false, source->record);
	if (result == 0)
		return 1;
	gsh_reason_set(why, "the recording cannot be written: ", strerror(-result), NULL);
	return result;
}

/* ---- tables and documents ---- */

/* What was asked for and is not there. The first look decides. */
static int find_device(const struct top_options *options, const struct top_model *model,
		       uint32_t *device)
{
	if (!options->device)
		return TOP_EXIT_OK;
	*device = top_model_find_device(model, options->device);
	if (*device != TOP_NO_DEVICE)
		return TOP_EXIT_OK;
	return top_fail(
		"There is no device '%s' that a tenant uses; without --device all "
		"are shown.",
		options->device);
}

static int find_tenant(const struct top_options *options, const struct top_model *model)
{
	const char *name = options->settings.view.tenant;

	if (!name[0])
		return TOP_EXIT_OK;
	for (size_t i = 0; i < model->tenants_count; i++)
		if (strcmp(model->tenants[i]->name, name) == 0)
			return TOP_EXIT_OK;
	return top_fail("There is no tenant '%s'.", name);
}

static int terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return columns && gsh_parse_u64(columns, &width) == 0 && width < 500 ? (int)width
									     : 0;
}

static void print_title(const struct top_model *model, const struct top_source *source)
{
	time_t seconds = (time_t)(model->unix_ns / 1000000000);
	struct tm parts;
	char time[32];

	localtime_r(&seconds, &parts);
	strftime(time, sizeof(time), "%Y-%m-%d %H:%M:%S", &parts);
	printf("gpushim-top  %s\n", time);
	if (model->tenants_count == 0 && source->live)
		printf("No tenant has an account in %s.\n",
		       top_live_places(source->live));
}

static int print_sample(struct top_feed *feed, const struct top_source *source,
			const struct top_options *options, bool first)
{
	const struct top_view *view = &options->settings.view;
	int result = 0;

	if (options->mode == TOP_MODE_JSON) {
		result = top_document_write(feed->document,
					    options->count == 1 && !options->has_delay,
					    stdout);
	} else {
		if (!first)
			putchar('\n');
		print_title(feed->model, source);
		top_print(view, feed->model, terminal_width(), stdout);
		if (fflush(stdout) != 0 || ferror(stdout))
			result = errno ? -errno : -EIO;
	}
	return result < 0
		       ? top_fail("The output cannot be written: %s.", strerror(-result))
		       : TOP_EXIT_OK;
}

/* Rows that could not be read make the exit status. */
static int trouble(const struct top_model *model, const struct top_view *view)
{
	int result = TOP_EXIT_OK;

	for (size_t i = 0; i < model->tenants_count; i++) {
		const struct top_tenant *tenant = model->tenants[i];

		if (tenant->error[0] &&
		    (!view->tenant[0] || strcmp(view->tenant, tenant->name) == 0))
			result = top_fail("Tenant %s: %s.", tenant->name, tenant->error);
	}
	return result;
}

static void wait_until(uint64_t then_ns)
{
	uint64_t now_ns = gsh_clock_now_ns();

	while (now_ns < then_ns) {
		gsh_clock_sleep_ns(then_ns - now_ns);
		now_ns = gsh_clock_now_ns();
	}
}

static int print_samples(struct top_source *source, struct top_feed *feed,
			 struct top_options *options)
{
	uint64_t next_ns = gsh_clock_now_ns();
	struct gsh_reason why;
	int result = TOP_EXIT_OK, read;

	/* Rates of a single sample: of the time between it and one that is not shown. */
	if (options->warm_up && !source->replay) {
		top_live_read(source->live, feed);
		next_ns += options->settings.delay_ns;
		wait_until(next_ns);
	}
	for (uint64_t i = 0; options->count == 0 || i < options->count; i++) {
		read = top_source_read(source, feed, &why);
		if (read < 0)
			return top_fail("%s.", why.text);
		if (read == 0)
			break;
		if (i == 0)
			result = find_device(options, feed->model,
					     &options->settings.view.device) |
				 find_tenant(options, feed->model);
		if (result != TOP_EXIT_OK)
			return result;
		if (i == 0 && feed->document)
			top_document_restrict(feed->document, feed->model,
					      options->settings.view.device);
		if (print_sample(feed, source, options, i == 0) != TOP_EXIT_OK)
			return TOP_EXIT_FAILED;
		next_ns += options->settings.delay_ns;
		if (!source->replay && (options->count == 0 || i + 1 < options->count))
			wait_until(next_ns);
	}
	return trouble(feed->model, &options->settings.view);
}

/*
 * Descriptors of files that were closed would be given to the next that are opened, and the
 * table be written into a recording. For reading only, so that writing still fails.
 */
static void keep_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* ---- sources ---- */

static int open_source(struct top_source *source, struct top_feed *feed,
		       const struct top_options *options)
{
	struct gsh_reason why;

	if (options->replay) {
		source->replay = top_replay_open(options->replay, &why);
		if (!source->replay)
			return top_fail("%s.", why.text);
		return TOP_EXIT_OK;
	}
	source->live = top_live_open(options->dirs, options->dirs_count);
	top_live_names(feed->model);
	if (!options->record)
		return TOP_EXIT_OK;
	source->record = fopen(options->record, "we");
	return source->record ? TOP_EXIT_OK
			      : top_fail("%s cannot be opened: %s.", options->record,
					 strerror(errno));
}

int main(int argc, char **argv)
{
	static struct top_model model;
	struct top_options options;
	struct top_document document;
	struct top_source source = { 0 };
	struct top_feed feed = { &model, NULL };
	int result;

	keep_standard_files();
	result = top_options_read(&options, argc, argv);
	if (result >= 0)
		return result;
	top_document_init(&document);
	memcpy(document.tenant, options.settings.view.tenant, sizeof(document.tenant));
	if (options.mode == TOP_MODE_JSON || options.record)
		feed.document = &document;
	result = open_source(&source, &feed, &options);
	if (result == TOP_EXIT_OK)
		result = options.mode == TOP_MODE_SCREEN
				 ? top_screen_run(&source, &feed, &options)
				 : print_samples(&source, &feed, &options);
	if (source.record && fclose(source.record) != 0)
		result = top_fail("%s cannot be written: %s.", options.record,
				  strerror(errno));
	top_replay_close(source.replay);
	top_live_close(source.live);
	top_document_free(&document);
	top_model_free(&model);
	return result;
}
