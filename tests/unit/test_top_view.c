/*
 * test_top_view.c - what gpushim-top shows of its model: order, filter, cells, and where they
 * stand on screens of all sizes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cunit_main.h"
#include "top/layout.h"
#include "top/text.h"
#include "top/view.h"

#define GIB (UINT64_C(1) << 30)
#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static struct top_model model;
static struct top_view view;
static struct gpushim_snapshot *snapshot;
static uint32_t order[64];

static void device(uint8_t uuid, uint64_t limit_bytes)
{
	struct gpushim_device *to = &snapshot->devices[snapshot->devices_count++];

	memset(to, 0, sizeof(*to));
	to->uuid[0] = uuid;
	to->total_bytes = 16 * GIB;
	to->limit_bytes = limit_bytes;
	to->used_ns = GPUSHIM_UNKNOWN;
	to->level_ns = GPUSHIM_UNKNOWN_LEVEL;
	to->share_1s_ppm = to->share_10s_ppm = GPUSHIM_UNKNOWN_PPM;
}

static void process(const char *command, uint32_t pid, uint64_t bytes)
{
	uint32_t slot = snapshot->processes_count;
	struct gpushim_process *to = &snapshot->processes[snapshot->processes_count++];
	struct gpushim_usage *usage = &snapshot->usages[snapshot->usages_count++];

	memset(to, 0, sizeof(*to));
	memset(usage, 0, sizeof(*usage));
	to->slot = usage->slot = slot;
	to->pid = pid;
	to->alive = 1;
	to->start_unix_ns = 1;
	snprintf(to->command, sizeof(to->command), "%s", command);
	usage->charged_bytes = bytes;
	snapshot->devices[0].charged_bytes += bytes;
}

static void look(const char *tenant, const struct top_host *hosts)
{
	const struct top_look it = { "/run/gpushim", tenant, NULL, snapshot, hosts };

	top_model_add(&model, &it);
	memset(snapshot, 0, sizeof(*snapshot));
}

/* Three tenants: serve 3 GiB of 4 in two processes, train 7 of 8 in two, idle without. */
static void setup(void)
{
	static struct top_host hosts[2] = {
		{ 901, "alice", "python3 serve.py", "abc", "" },
		{ 902, "bob", "/usr/sbin/nginx: worker", "", "" }
	};

	memset(&model, 0, sizeof(model));
	snapshot = calloc(1, sizeof(*snapshot));
	top_view_init(&view);
	top_model_begin(&model, SECOND, SECOND);
	device(1, 4 * GIB);
	process("python3", 10, GIB);
	process("nginx", 11, 2 * GIB);
	look("serve", hosts);
	device(1, 8 * GIB);
	process("hashcat", 12, 5 * GIB);
	process("python3", 9, 2 * GIB);
	look("train", NULL);
	device(1, GPUSHIM_UNLIMITED);
	look("idle", NULL);
	top_model_end(&model);
}

static void teardown(void)
{
	top_model_free(&model);
	free(snapshot);
}

/* Names from top to bottom, as the table shows them. */
static const char *shown(void)
{
	static char text[512];
	size_t count = top_view_order(&view, &model, order), at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const struct top_row *row = &model.rows[order[i]];
		char name[128];

		top_cell_text(&view, &model, row, TOP_COLUMN_NAME, name, sizeof(name));
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? "|" : "",
				       name);
	}
	return text;
}

static bool shows(const char *wanted)
{
	const char *got = shown();

	if (strcmp(got, wanted) == 0)
		return true;
	printf("wanted  %s\ngot     %s\n", wanted, got);
	return false;
}

/* ---- order ---- */

static void a_tree_has_processes_below_their_tenants_largest_first(void)
{
	CU_ASSERT(shows("train|  hashcat|  python3|serve|  nginx: worker|"
			"  python3 serve.py|idle"));
	view.ascending = true;
	CU_ASSERT(shows("idle|serve|  python3 serve.py|  nginx: worker|"
			"train|  python3|  hashcat"));
}

static void a_list_has_processes_alone(void)
{
	view.tree = false;
	CU_ASSERT(shows("hashcat|nginx: worker|python3|python3 serve.py"));
}

static void texts_and_numbers_of_processes_sort_from_the_start(void)
{
	view.tree = false;
	view.sort = TOP_COLUMN_NAME;
	CU_ASSERT(shows("hashcat|nginx: worker|python3|python3 serve.py"));
	view.sort = TOP_COLUMN_PID;
	CU_ASSERT(shows("python3|python3 serve.py|nginx: worker|hashcat"));
	view.ascending = true;
	CU_ASSERT(shows("hashcat|nginx: worker|python3 serve.py|python3"));
	view.ascending = false;
	view.sort = TOP_COLUMN_TENANT;
	CU_ASSERT(shows("python3 serve.py|nginx: worker|hashcat|python3"));
}

static void what_is_not_known_comes_last_either_way(void)
{
	view.tree = false;
	view.sort = TOP_COLUMN_HOST_PID;
	CU_ASSERT(shows("python3 serve.py|nginx: worker|hashcat|python3"));
	view.ascending = true;
	CU_ASSERT(shows("nginx: worker|python3 serve.py|hashcat|python3"));
}

static void debts_sort_below_credits(void)
{
	view.sort = TOP_COLUMN_CREDIT;
	for (size_t i = 0; i < model.rows_count; i++)
		if (model.rows[i].slot == TOP_NO_SLOT)
			model.rows[i].value[TOP_COLUMN_CREDIT] =
				(uint64_t)(1 - (int64_t)model.rows[i].tenant);
	CU_ASSERT(shows("serve|  python3 serve.py|  nginx: worker|train|  hashcat|"
			"  python3|idle"));
}

static void equal_rows_keep_their_order(void)
{
	char before[512];

	view.sort = TOP_COLUMN_DENIALS;
	snprintf(before, sizeof(before), "%s", shown());
	CU_ASSERT_EQUAL(strncmp(before, "idle|serve|", 11), 0);
	view.ascending = true;
	CU_ASSERT(shows(before));
}

/* ---- filter ---- */

static void a_filter_finds_tenants_commands_users_and_pids(void)
{
	strcpy(view.filter, "rain");
	CU_ASSERT(shows("train|  hashcat|  python3"));
	strcpy(view.filter, "nginx");
	CU_ASSERT(shows("serve|  nginx: worker"));
	strcpy(view.filter, "alice");
	CU_ASSERT(shows("serve|  python3 serve.py"));
	strcpy(view.filter, "902");
	CU_ASSERT(shows("serve|  nginx: worker"));
	strcpy(view.filter, "12");
	CU_ASSERT(shows("train|  hashcat"));
	strcpy(view.filter, "nothing of the kind");
	CU_ASSERT(shows(""));
	view.tree = false;
	strcpy(view.filter, "python");
	CU_ASSERT(shows("python3|python3 serve.py"));
}

static void a_filter_does_not_mind_case(void)
{
	memcpy(model.rows[1].command, "PyThOn3", 8);
	view.tree = false;
	strcpy(view.filter, "python3");
	CU_ASSERT(shows("python3|PyThOn3"));
}

static void one_tenant_or_device_alone_can_be_shown(void)
{
	strcpy(view.tenant, "idle");
	CU_ASSERT(shows("idle"));
	strcpy(view.tenant, "rain");
	CU_ASSERT(shows(""));
	view.tenant[0] = '\0';
	view.device = 1;
	CU_ASSERT(shows(""));
	view.device = 0;
	CU_ASSERT(strncmp(shown(), "train|", 6) == 0);
}

/* ---- cells ---- */

static const char *cell(size_t row, enum top_column column)
{
	static char text[128];

	return top_cell_text(&view, &model, &model.rows[row], column, text, sizeof(text));
}

static void cells_say_what_is_known_and_dash_what_is_not(void)
{
	/* serve is row 0, its processes 1 and 2. */
	CU_ASSERT_STRING_EQUAL(cell(0, TOP_COLUMN_MEMORY), "3G/4G");
	CU_ASSERT_STRING_EQUAL(cell(1, TOP_COLUMN_MEMORY), "1G");
	CU_ASSERT_STRING_EQUAL(cell(0, TOP_COLUMN_SHARE), "-/-");
	CU_ASSERT_STRING_EQUAL(cell(0, TOP_COLUMN_PID), "");
	CU_ASSERT_STRING_EQUAL(cell(1, TOP_COLUMN_PID), "10");
	CU_ASSERT_STRING_EQUAL(cell(1, TOP_COLUMN_HOST_PID), "901");
	CU_ASSERT_STRING_EQUAL(cell(1, TOP_COLUMN_USER), "alice");
	CU_ASSERT_STRING_EQUAL(cell(2, TOP_COLUMN_CONTAINER), "-");
	CU_ASSERT_STRING_EQUAL(cell(1, TOP_COLUMN_LAUNCHES), "-");
	CU_ASSERT_STRING_EQUAL(cell(0, TOP_COLUMN_DENIALS), "0");
	CU_ASSERT_STRING_EQUAL(cell(0, TOP_COLUMN_STATE), "idle");
	CU_ASSERT_STRING_EQUAL(cell(4, TOP_COLUMN_USER), "-");
	CU_ASSERT_STRING_EQUAL(cell(0, TOP_COLUMN_CREDIT), "-");
	CU_ASSERT_STRING_EQUAL(cell(6, TOP_COLUMN_MEMORY), "0/-");
}

static void bars_are_parts_of_the_tenants_limits(void)
{
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[0], TOP_COLUMN_MEMORY), 750);
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[1], TOP_COLUMN_MEMORY), 250);
	/* Without a quota there is nothing to be a part of. */
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[6], TOP_COLUMN_MEMORY), -1);
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[0], TOP_COLUMN_SHARE), -1);
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[0], TOP_COLUMN_DENIALS), -1);
	model.rows[0].value[TOP_COLUMN_SHARE] = 150000;
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[0], TOP_COLUMN_SHARE), 150);
	model.rows[0].limit_ppm = 300000;
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[0], TOP_COLUMN_SHARE), 500);
	model.rows[0].value[TOP_COLUMN_SHARE] = 350000;
	CU_ASSERT_EQUAL(top_cell_part(&model.rows[0], TOP_COLUMN_SHARE), 1000);
}

static void columns_are_found_by_name_or_its_start(void)
{
	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		CU_ASSERT_EQUAL(top_column_find(top_column_info(i)->name), (int)i);
	CU_ASSERT_EQUAL(top_column_find("mem"), TOP_COLUMN_MEMORY);
	CU_ASSERT_EQUAL(top_column_find("share"), TOP_COLUMN_SHARE);
	CU_ASSERT_EQUAL(top_column_find("p"), -1);
	CU_ASSERT_EQUAL(top_column_find(""), -1);
	CU_ASSERT_EQUAL(top_column_find("memoryx"), -1);
}

/* ---- figures ---- */

static void figures_are_short_and_cut_off(void)
{
	static const struct {
		void (*make)(char text[TOP_TEXT_BYTES], uint64_t value);
		uint64_t value;
		const char *text;
	} figures[] = {
		{ top_text_bytes, 0, "0" },
		{ top_text_bytes, 1023, "1023B" },
		{ top_text_bytes, 1536, "1.5K" },
		{ top_text_bytes, GIB - 1, "1023M" },
		{ top_text_bytes, GIB, "1G" },
		{ top_text_bytes, 10 * GIB - 1, "9.9G" },
		{ top_text_bytes, UINT64_MAX - 1, "15.9E" },
		{ top_text_bytes, TOP_UNKNOWN, "-" },
		{ top_text_share, 0, "0%" },
		{ top_text_share, 299400, "29.9%" },
		{ top_text_share, 299999, "30%" },
		{ top_text_share, 1000000, "100%" },
		{ top_text_share, TOP_UNKNOWN, "-" },
		{ top_text_time, 0, "0" },
		{ top_text_time, 7350, "7.3us" },
		{ top_text_time, 12 * MS, "12ms" },
		{ top_text_time, 1250 * MS, "1.2s" },
		{ top_text_time, 303 * SECOND, "5m03" },
		{ top_text_time, 3 * 3600 * SECOND + 430 * SECOND, "3h07" },
		{ top_text_time, 12 * 86400 * SECOND, "12d" },
		{ top_text_time, TOP_UNKNOWN, "-" },
		{ top_text_count, 9999, "9999" },
		{ top_text_count, 12345, "12.3k" },
		{ top_text_count, 123456789, "123M" },
		{ top_text_count, UINT64_MAX - 1, "18.4P" },
		{ top_text_rate, 300, "0.3" },
		{ top_text_rate, 41000, "41" },
		{ top_text_rate, 1234567, "1.2k" },
		{ top_text_rate, TOP_UNKNOWN, "-" },
	};

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		char text[TOP_TEXT_BYTES];

		figures[i].make(text, figures[i].value);
		CU_ASSERT_STRING_EQUAL(text, figures[i].text);
		if (strcmp(text, figures[i].text) != 0)
			printf("%s is not %s\n", text, figures[i].text);
	}
}

static void debts_have_a_sign(void)
{
	char text[TOP_TEXT_BYTES];

	top_text_credit(text, -1250 * (int64_t)MS);
	CU_ASSERT_STRING_EQUAL(text, "-1.2s");
	top_text_credit(text, 20 * (int64_t)MS);
	CU_ASSERT_STRING_EQUAL(text, "20ms");
	top_text_credit(text, GPUSHIM_UNKNOWN_LEVEL);
	CU_ASSERT_STRING_EQUAL(text, "-");
	top_text_credit(text, INT64_MIN + 1);
	CU_ASSERT_STRING_EQUAL(text, "-106751d");
}

/* ---- history ---- */

static void history_keeps_a_point_a_second_for_ten_minutes(void)
{
	static struct top_ring ring;

	memset(&ring, 0, sizeof(ring));
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_SHARE, 5 * SECOND, 0),
			TOP_RING_UNKNOWN);
	for (uint16_t i = 0; i < 1000; i++) {
		top_ring_put(&ring, i * SECOND, i, 1);
		top_ring_put(&ring, i * SECOND + 900 * MS, i, (uint16_t)(1000 - i));
	}
	for (unsigned age = 0; age < TOP_RING_SECONDS; age++) {
		CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 999 * SECOND, age),
				999 - age);
		CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_SHARE, 999 * SECOND, age),
				1 + age);
	}
	CU_ASSERT_EQUAL(
		top_ring_at(&ring, TOP_SERIES_MEMORY, 999 * SECOND, TOP_RING_SECONDS),
		TOP_RING_UNKNOWN);
	/* The present second, before anything is known of it. */
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 1000 * SECOND, 0),
			TOP_RING_UNKNOWN);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 1000 * SECOND, 1), 999);
}

static void seconds_without_a_look_are_gaps(void)
{
	static struct top_ring ring;

	memset(&ring, 0, sizeof(ring));
	top_ring_put(&ring, 10 * SECOND, 1, 2);
	top_ring_put(&ring, 13 * SECOND, 5000, TOP_RING_UNKNOWN);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 13 * SECOND, 0), 1000);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_SHARE, 13 * SECOND, 0),
			TOP_RING_UNKNOWN);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 13 * SECOND, 1),
			TOP_RING_UNKNOWN);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 13 * SECOND, 2),
			TOP_RING_UNKNOWN);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 13 * SECOND, 3), 1);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 13 * SECOND, 4),
			TOP_RING_UNKNOWN);
	/* After a long gap, and after going back, nothing old is left. */
	top_ring_put(&ring, 10000 * SECOND, 7, 7);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 10000 * SECOND, 0), 7);
	for (unsigned age = 1; age < TOP_RING_SECONDS; age++)
		CU_ASSERT_EQUAL(
			top_ring_at(&ring, TOP_SERIES_MEMORY, 10000 * SECOND, age),
			TOP_RING_UNKNOWN);
	top_ring_put(&ring, 9000 * SECOND, 8, 8);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 9000 * SECOND, 0), 8);
	CU_ASSERT_EQUAL(top_ring_at(&ring, TOP_SERIES_MEMORY, 10000 * SECOND, 0),
			TOP_RING_UNKNOWN);
}

/* ---- layout ---- */

static bool cells_are_sound(const struct top_layout *layout, int width)
{
	int x = 0;

	for (unsigned i = 0; i < layout->cells_count; i++) {
		const struct top_cell *at = &layout->cells[i];

		if (at->x < x || at->width < 1 || at->x + at->width > width)
			return false;
		x = at->x + at->width + 1;
	}
	return layout->cells_count > 0;
}

static bool boxes_are_sound(const struct top_layout *layout)
{
	const struct top_box *boxes[] = { &layout->title,  &layout->devices,
					  &layout->graphs, &layout->heading,
					  &layout->table,  &layout->status };
	int y = 0;

	for (size_t i = 0; i < sizeof(boxes) / sizeof(boxes[0]); i++) {
		if (boxes[i]->height < 0)
			return false;
		if (boxes[i]->height == 0)
			continue;
		/* One after another, without holes. */
		if (boxes[i]->y != y || boxes[i]->x < 0 ||
		    boxes[i]->x + boxes[i]->width > layout->width)
			return false;
		y += boxes[i]->height;
	}
	return y == layout->height && layout->table.height >= 1;
}

static void nothing_overlaps_or_leaves_a_screen_of_any_size(void)
{
	struct top_layout layout;
	bool sound = true;

	for (unsigned i = 0; i < TOP_COLUMNS; i++)
		view.columns[i] = i;
	for (view.columns_count = 0; view.columns_count <= TOP_COLUMNS;
	     view.columns_count += 7)
		for (int height = 1; height <= 70; height++)
			for (int width = 1; width <= 250; width++) {
				top_layout_make(&layout, &view, height, width,
						(unsigned)(height + width) % 20,
						width % 2);
				sound &= boxes_are_sound(&layout);
				if (view.columns_count > 0)
					sound &= cells_are_sound(&layout, width);
			}
	CU_ASSERT(sound);
	top_layout_make(&layout, &view, 0, 80, 1, true);
	CU_ASSERT_EQUAL(layout.table.height, 0);
}

/* Names of columns and their widths. */
static const char *laid_out(int width)
{
	static char text[512];
	struct top_layout layout;
	size_t at = 0;

	top_layout_columns(&layout, &view, width);
	for (unsigned i = 0; i < layout.cells_count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s:%d",
				       i ? " " : "",
				       top_column_info(layout.cells[i].column)->name,
				       layout.cells[i].width);
	return text;
}

static bool columns_are(int width, const char *wanted)
{
	const char *got = laid_out(width);

	if (strcmp(got, wanted) == 0)
		return true;
	printf("wanted  %s\ngot     %s\n", wanted, got);
	return false;
}

static void narrow_screens_lose_the_least_wanted_columns(void)
{
	CU_ASSERT(columns_are(
		120, "name:20 pid:7 user:10 device:3 memory:18 peak:6 denied:6 share:15 "
		     "request:5 wait:5 launches:5 state:9"));
	CU_ASSERT(columns_are(80,
			      "name:15 pid:7 device:3 memory:13 denied:6 share:10 wait:5 "
			      "launches:5 state:8"));
	CU_ASSERT(columns_are(60, "name:14 pid:7 memory:12 share:9 wait:5 state:8"));
	CU_ASSERT_PTR_NULL(strstr(laid_out(80), "hostpid:"));
	CU_ASSERT_PTR_NOT_NULL(strstr(laid_out(60), "memory:"));
	CU_ASSERT_PTR_NOT_NULL(strstr(laid_out(60), "state:"));
	CU_ASSERT_PTR_NOT_NULL(strstr(laid_out(150), "hostpid:"));
	CU_ASSERT(columns_are(10, "name:10"));
	CU_ASSERT(columns_are(1, "name:1"));
}

static void the_tenant_has_a_column_in_a_list(void)
{
	CU_ASSERT_PTR_NULL(strstr(laid_out(120), "tenant:"));
	view.tree = false;
	CU_ASSERT(strncmp(laid_out(80), "tenant:", 7) == 0);
}

static void columns_stand_as_they_were_chosen(void)
{
	view.columns_count = 3;
	view.columns[0] = TOP_COLUMN_STATE;
	view.columns[1] = TOP_COLUMN_NAME;
	view.columns[2] = TOP_COLUMN_QUOTA;
	CU_ASSERT(columns_are(80, "state:9 name:63 quota:6"));
	view.columns[1] = TOP_COLUMN_QUOTA;
	view.columns_count = 2;
	CU_ASSERT(columns_are(80, "state:9 quota:6"));
}

const struct unit_suite unit_suite = {
	.name = "top: view",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(a_tree_has_processes_below_their_tenants_largest_first),
		UNIT_TEST(a_list_has_processes_alone),
		UNIT_TEST(texts_and_numbers_of_processes_sort_from_the_start),
		UNIT_TEST(what_is_not_known_comes_last_either_way),
		UNIT_TEST(debts_sort_below_credits),
		UNIT_TEST(equal_rows_keep_their_order),
		UNIT_TEST(a_filter_finds_tenants_commands_users_and_pids),
		UNIT_TEST(a_filter_does_not_mind_case),
		UNIT_TEST(one_tenant_or_device_alone_can_be_shown),
		UNIT_TEST(cells_say_what_is_known_and_dash_what_is_not),
		UNIT_TEST(bars_are_parts_of_the_tenants_limits),
		UNIT_TEST(columns_are_found_by_name_or_its_start),
		UNIT_TEST(figures_are_short_and_cut_off),
		UNIT_TEST(debts_have_a_sign),
		UNIT_TEST(history_keeps_a_point_a_second_for_ten_minutes),
		UNIT_TEST(seconds_without_a_look_are_gaps),
		UNIT_TEST(nothing_overlaps_or_leaves_a_screen_of_any_size),
		UNIT_TEST(narrow_screens_lose_the_least_wanted_columns),
		UNIT_TEST(the_tenant_has_a_column_in_a_list),
		UNIT_TEST(columns_stand_as_they_were_chosen),
	},
};
