/*
 * test_top_pages.c - gpushim-top's keys, help, man page, details, graphs and settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common_policy.h"
#include "cunit_main.h"
#include "top/config.h"
#include "top/graph.h"
#include "top/keys.h"
#include "top/page.h"

#define GIB (UINT64_C(1) << 30)
#define SECOND UINT64_C(1000000000)

static struct top_page page;
static struct top_model model;
static struct gpushim_snapshot *snapshot;

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	snapshot = calloc(1, sizeof(*snapshot));
}

static void teardown(void)
{
	top_page_free(&page);
	top_model_free(&model);
	free(snapshot);
}

/* Whether a line of the page has the text in it. */
static bool page_says(const char *text)
{
	for (size_t i = 0; i < page.count; i++)
		if (strstr(page.lines[i].text, text))
			return true;
	printf("no line says: %s\n", text);
	for (size_t i = 0; i < page.count; i++)
		printf("    %s\n", page.lines[i].text);
	return false;
}

/* ---- keys ---- */

static void a_key_means_one_thing(void)
{
	unsigned names = 0;

	for (unsigned i = 0; i < TOP_ACTIONS; i++) {
		char text[64], *rest = text, *name;

		snprintf(text, sizeof(text), "%s", top_key_of(i)->names);
		while ((name = strsep(&rest, " "))) {
			CU_ASSERT_EQUAL(top_key_action(name), i);
			names++;
		}
	}
	CU_ASSERT(names > TOP_ACTIONS);
	CU_ASSERT_EQUAL(top_key_action(""), TOP_ACTION_NONE);
	CU_ASSERT_EQUAL(top_key_action("F"), TOP_ACTION_NONE);
	CU_ASSERT_EQUAL(top_key_action("F1 h"), TOP_ACTION_NONE);
	CU_ASSERT_EQUAL(top_key_action("z"), TOP_ACTION_NONE);
}

static void hints_never_leave_the_line(void)
{
	char text[256];

	for (int width = 0; width < 120; width++)
		CU_ASSERT(strlen(top_key_hints(text, sizeof(text), width)) <=
			  (size_t)width);
	CU_ASSERT_STRING_EQUAL(
		top_key_hints(text, sizeof(text), 60),
		"? help  F4 filter  F5 tree  F6 sort  Enter details  q quit");
}

static void help_has_every_key_state_and_column(void)
{
	top_page_help(&page);
	for (unsigned i = 0; i < TOP_ACTIONS; i++)
		CU_ASSERT(page_says(top_key_of(i)->help));
	for (unsigned i = 0; i < TOP_STATES; i++)
		CU_ASSERT(page_says(top_state_name(i)));
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		CU_ASSERT(page_says(top_column_info(i)->help));
}

/* The man page without its backslashes. */
static char *read_man_page(void)
{
	FILE *file = fopen("tools/man/gpushim-top.1", "re");
	char *text = calloc(1, 1 << 16), *to = text;
	int c;

	if (!file)
		CU_FAIL_FATAL("there is no man page");
	while ((c = fgetc(file)) != EOF && to < text + (1 << 16) - 8) {
		if (c != '\\') {
			*to++ = (char)c;
			continue;
		}
		c = fgetc(file);
		if (c == '(') {
			/* \(ha is a caret */
			(void)fgetc(file);
			(void)fgetc(file);
			*to++ = '^';
		} else if (c != '&' && c != EOF) {
			*to++ = (char)c;
		}
	}
	fclose(file);
	return text;
}

static bool man_has(const char *man, const char *name, const char *help)
{
	char entry[256];

	snprintf(entry, sizeof(entry), ".TP\n.B \"%s\"\n%s.\n", name, help);
	if (strstr(man, entry))
		return true;
	printf("tools/man/gpushim-top.1 has no\n%s", entry);
	return false;
}

static void the_man_page_has_what_the_tables_have(void)
{
	char *man = read_man_page();

	for (unsigned i = 0; i < TOP_ACTIONS; i++)
		CU_ASSERT(man_has(man, top_key_of(i)->names, top_key_of(i)->help));
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		CU_ASSERT(
			man_has(man, top_column_info(i)->name, top_column_info(i)->help));
	CU_ASSERT_FALSE(man_has(man, "z", "does nothing"));
	free(man);
}

/* ---- details ---- */

static void feed(void)
{
	const struct top_look look = { "/run/gpushim", "train", NULL, snapshot, NULL };

	top_model_begin(&model, 9 * SECOND, 1700000000 * SECOND);
	top_model_add(&model, &look);
	top_model_end(&model);
}

static void details_say_where_limits_come_from(void)
{
	struct gpushim_device *device = &snapshot->devices[0];

	snapshot->has_policy = 1;
	snapshot->policy.generation = 4;
	snapshot->policy.others.memory_bytes = 8 * GIB;
	snapshot->policy.others.request_permille = 200;
	snapshot->policy.others.limit_permille = 300;
	strcpy(snapshot->policy.source, "/etc/gpushim/limits.json");
	snapshot->devices_count = 1;
	device->uuid[0] = 0xab;
	device->total_bytes = 16 * GIB;
	device->limit_bytes = 6 * GIB;
	device->limit_source = GPUSHIM_SOURCE_DRIVER;
	device->level_ns = -3000000;
	device->burst_ns = 20000000;
	device->rate_permille = 300;
	feed();
	top_page_tenant(&page, &model, model.tenants[0], NULL);
	CU_ASSERT(page_says("from /etc/gpushim/limits.json, generation 4, enforced"));
	CU_ASSERT(page_says(
		"each device: memory 8G, time 20% to 30%, normal, burst 20 ms"));
	CU_ASSERT(page_says("quota 6G (from: driver)"));
	CU_ASSERT(page_says("in force 30%, not enforced"));
	CU_ASSERT(page_says("credit -3ms of 20ms"));
	CU_ASSERT(page_says("recordings have none"));
	CU_ASSERT(page_says("none since this was started"));
}

static void details_have_costs_and_events(void)
{
	struct gpushim_process *process = &snapshot->processes[0];

	snapshot->processes_count = 1;
	process->alive = 1;
	process->pid = 7;
	strcpy(process->command, "python3");
	process->denials = 3;
	process->last_denied_bytes = GIB;
	feed();
	snapshot->costs_count = 2;
	strcpy(snapshot->costs[0].name, "small");
	snapshot->costs[0].gpu_ns = 10;
	snapshot->costs[0].cost_ns = GPUSHIM_UNKNOWN;
	strcpy(snapshot->costs[1].name, "big");
	snapshot->costs[1].gpu_ns = 1000;
	snapshot->costs[1].cost_ns = 12000;
	snapshot->costs[1].cost_class = GPUSHIM_COST_LEARNED;
	top_page_tenant(&page, &model, model.tenants[0], snapshot);
	CU_ASSERT(page_says("python3 (7) was refused 3 allocations, the last of 1G"));
	CU_ASSERT(page_says("limits are the programs' own"));
	CU_ASSERT_PTR_NOT_NULL(strstr(page.lines[page.count - 2].text, "big"));
	CU_ASSERT_PTR_NOT_NULL(strstr(page.lines[page.count - 2].text, "12us"));
	CU_ASSERT_PTR_NOT_NULL(strstr(page.lines[page.count - 1].text, "small"));
}

static void details_of_what_cannot_be_read_say_why(void)
{
	const struct top_look look = { "/d", "x", "the ledger is truncated", NULL, NULL };

	top_model_begin(&model, SECOND, SECOND);
	top_model_add(&model, &look);
	top_model_end(&model);
	top_page_tenant(&page, &model, model.tenants[0], NULL);
	CU_ASSERT(page_says("the ledger is truncated"));
}

/* ---- graphs ---- */

static bool graph_is(const struct top_ring *ring, unsigned height, unsigned width,
		     bool ascii, const char *const *lines)
{
	char text[3 * 64 + 1];

	for (unsigned i = 0; i < height; i++) {
		top_graph_line(text, ring, TOP_SERIES_MEMORY, 100 * SECOND, i, height,
			       width, ascii);
		if (strcmp(text, lines[i]) != 0) {
			printf("line %u is '%s' and not '%s'\n", i, text, lines[i]);
			return false;
		}
	}
	return true;
}

static void graphs_grow_from_the_right(void)
{
	static const char *const braille[] = { "   ⣸", "  ⣸⣿" };
	static const char *const ascii[] = { "     .|", "   _|||" };
	static struct top_ring ring;

	memset(&ring, 0, sizeof(ring));
	top_ring_put(&ring, 97 * SECOND, 0, 0);
	top_ring_put(&ring, 98 * SECOND, 500, 0);
	top_ring_put(&ring, 99 * SECOND, 600, 0);
	top_ring_put(&ring, 100 * SECOND, 1000, 0);
	CU_ASSERT(graph_is(&ring, 2, 4, false, braille));
	CU_ASSERT(graph_is(&ring, 2, 7, true, ascii));
}

static void little_is_more_than_nothing(void)
{
	static const char *const lines[] = { "  ", " ." };
	static struct top_ring ring;

	memset(&ring, 0, sizeof(ring));
	top_ring_put(&ring, 100 * SECOND, 1, 0);
	CU_ASSERT(graph_is(&ring, 2, 2, true, lines));
	CU_ASSERT_EQUAL(top_graph_seconds(40, false), 80);
	CU_ASSERT_EQUAL(top_graph_seconds(40, true), 40);
	CU_ASSERT_EQUAL(top_graph_seconds(1000, true), TOP_RING_SECONDS);
}

/* ---- settings ---- */

static void settings_are_kept(void)
{
	struct top_settings settings, again;
	struct gsh_reason why;
	char dir[256], path[512];

	policy_make_dir(dir, sizeof(dir));
	setenv("XDG_CONFIG_HOME", dir, 1);
	top_settings_init(&settings);
	settings.view.columns_count = 2;
	settings.view.columns[0] = TOP_COLUMN_STATE;
	settings.view.columns[1] = TOP_COLUMN_NAME;
	settings.view.sort = TOP_COLUMN_WAIT;
	settings.view.ascending = true;
	settings.view.tree = false;
	settings.graphs = false;
	settings.mouse = false;
	settings.colours = TOP_COLOURS_BLIND;
	settings.delay_ns = 2500000000;
	CU_ASSERT_EQUAL(top_config_write(&settings, path, sizeof(path), &why), 0);
	top_settings_init(&again);
	top_config_read(&again);
	CU_ASSERT_EQUAL(memcmp(&again.view.columns, &settings.view.columns,
			       2 * sizeof(settings.view.columns[0])),
			0);
	CU_ASSERT_EQUAL(again.view.columns_count, 2);
	CU_ASSERT_EQUAL(again.view.sort, TOP_COLUMN_WAIT);
	CU_ASSERT_EQUAL(again.view.ascending, true);
	CU_ASSERT_EQUAL(again.view.tree, false);
	CU_ASSERT_EQUAL(again.graphs, false);
	CU_ASSERT_EQUAL(again.mouse, false);
	CU_ASSERT_EQUAL(again.colours, TOP_COLOURS_BLIND);
	CU_ASSERT_EQUAL(again.delay_ns, 2500000000);
}

static void lines_that_mean_nothing_are_skipped(void)
{
	static const char text[] =
		"# comment = yes\n\ncolumns = name,nothing\nsort=nothing\n"
		"delay = -3\ntree = maybe\ncolours = pink\nnonsense\n"
		"= 3\nfuture = 7\n  mouse=no  \r\n";
	struct top_settings settings, plain;
	char dir[256];

	policy_make_dir(dir, sizeof(dir));
	setenv("XDG_CONFIG_HOME", dir, 1);
	mkdir(policy_path(dir, "gpushim"), 0755);
	policy_write(policy_path(dir, "gpushim/toprc"), text, sizeof(text) - 1);
	top_settings_init(&settings);
	top_settings_init(&plain);
	top_config_read(&settings);
	CU_ASSERT_EQUAL(settings.mouse, false);
	settings.mouse = plain.mouse;
	CU_ASSERT_EQUAL(settings.view.columns_count, plain.view.columns_count);
	CU_ASSERT_EQUAL(settings.view.sort, plain.view.sort);
	CU_ASSERT_EQUAL(settings.view.tree, plain.view.tree);
	CU_ASSERT_EQUAL(settings.colours, plain.colours);
	CU_ASSERT_EQUAL(settings.delay_ns, plain.delay_ns);
}

static void delays_are_bounded(void)
{
	uint64_t delay_ns = 7;

	CU_ASSERT(top_delay_parse("0.1", &delay_ns) && delay_ns == 100000000);
	CU_ASSERT(top_delay_parse("3600", &delay_ns) && delay_ns == 3600 * SECOND);
	CU_ASSERT_FALSE(top_delay_parse("0.09", &delay_ns));
	CU_ASSERT_FALSE(top_delay_parse("3601", &delay_ns));
	CU_ASSERT_FALSE(top_delay_parse("", &delay_ns));
	CU_ASSERT_FALSE(top_delay_parse("1x", &delay_ns));
	CU_ASSERT_FALSE(top_delay_parse("nan", &delay_ns));
}

const struct unit_suite unit_suite = {
	.name = "top: pages",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_key_means_one_thing),
		UNIT_TEST(hints_never_leave_the_line),
		UNIT_TEST(help_has_every_key_state_and_column),
		UNIT_TEST(the_man_page_has_what_the_tables_have),
		UNIT_TEST(details_say_where_limits_come_from),
		UNIT_TEST(details_have_costs_and_events),
		UNIT_TEST(details_of_what_cannot_be_read_say_why),
		UNIT_TEST(graphs_grow_from_the_right),
		UNIT_TEST(little_is_more_than_nothing),
		UNIT_TEST(settings_are_kept),
		UNIT_TEST(lines_that_mean_nothing_are_skipped),
		UNIT_TEST(delays_are_bounded),
	},
};
