/*
 * test_top_replay.c - recordings that are damaged or made up: refused with a sentence, or
 * shown, and what is shown stays within bounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common_policy.h"
#include "cunit_main.h"
#include "top/json.h"
#include "top/layout.h"
#include "top/page.h"
#include "top/print.h"
#include "top/replay.h"

#define RECORDING "tests/top/incident.jsonl"

static char dir[256];
static char *original, *spoilt;
static size_t original_bytes;
static struct gsh_reason why;
static FILE *nowhere;

static int init(void)
{
	FILE *file = fopen(RECORDING, "re");

	policy_make_dir(dir, sizeof(dir));
	nowhere = fopen("/dev/null", "we");
	if (!file || !nowhere)
		return -1;
	original = malloc(1 << 20);
	spoilt = malloc(2 << 20);
	original_bytes = fread(original, 1, 1 << 20, file);
	fclose(file);
	return original_bytes > 1000 ? 0 : -1;
}

static int cleanup(void)
{
	free(original);
	free(spoilt);
	return fclose(nowhere);
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* All that is made of a sample for people and programs. */
static void show(const struct top_model *model, const struct top_document *document)
{
	struct top_view view;
	struct top_page page = { 0 };

	top_view_init(&view);
	top_print(&view, model, 120, nowhere);
	CU_ASSERT_EQUAL(top_document_write(document, false, nowhere), 0);
	for (size_t i = 0; i < model->tenants_count && i < 4; i++)
		top_page_tenant(&page, model, model->tenants[i], NULL);
	for (size_t i = 0; i < page.count; i++)
		CU_ASSERT(is_printable(page.lines[i].text));
	top_page_free(&page);
	for (size_t i = 0; i < model->rows_count; i++) {
		CU_ASSERT(model->rows[i].tenant < model->tenants_count);
		CU_ASSERT(model->rows[i].group < model->rows_count);
		CU_ASSERT(model->rows[i].device == TOP_NO_DEVICE ||
			  model->rows[i].device < model->devices_count);
		CU_ASSERT(is_printable(model->rows[i].command));
	}
}

/* Plays it to its end. Returns how many samples it had; negative: it was refused. */
static int play(const char *bytes, size_t count)
{
	static struct top_model model;
	struct top_document document;
	struct top_feed feed = { &model, &document };
	const char *path = policy_path(dir, "recording");
	FILE *file = fopen(path, "we");
	struct top_replay *replay;
	int result, samples = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fwrite(bytes, 1, count, file);
	fclose(file);
	replay = top_replay_open(path, &why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(replay);
	top_document_init(&document);
	while ((result = top_replay_read(replay, &feed, &why)) > 0) {
		show(&model, &document);
		samples++;
	}
	top_replay_close(replay);
	top_document_free(&document);
	top_model_free(&model);
	return result < 0 ? result : samples;
}

static int play_text(const char *text)
{
	return play(text, strlen(text));
}

static void the_recording_itself_plays(void)
{
	CU_ASSERT_EQUAL(play(original, original_bytes), 12);
}

static void time_that_does_not_go_on_is_refused(void)
{
	CU_ASSERT_EQUAL(play_text("{\"version\":1,\"time_ns\":5,\"tenants\":[]}\n"
				  "{\"version\":1,\"time_ns\":6,\"tenants\":[]}\n"),
			2);
	CU_ASSERT(play_text("{\"version\":1,\"time_ns\":5,\"tenants\":[]}\n"
			    "{\"version\":1,\"time_ns\":5,\"tenants\":[]}\n") < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "recording:2: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "does not go on"));
	CU_ASSERT(play_text("{\"version\":1,\"time_ns\":5,\"tenants\":[]}\n"
			    "{\"version\":1,\"time_ns\":4,\"tenants\":[]}\n") < 0);
	CU_ASSERT(play_text("{\"version\":1,\"time_ns\":0,\"tenants\":[]}\n") < 0);
	CU_ASSERT(play_text("{\"version\":1,\"time_ns\":-3,\"tenants\":[]}\n") < 0);
}

static void texts_in_it_cannot_reach_the_terminal(void)
{
	CU_ASSERT_EQUAL(
		play_text(
			"{\"version\":1,\"time_ns\":5,\"tenants\":[{\"tenant\":"
			"\"a\\u001b[2J\\u0301\xe5\xad\x97\",\"dir\":\"\\n\\u009b\",\"policy\":"
			"{\"source\":\"\\u001b]0;x\\u0007\",\"reason\":\"\\r\"},\"processes\":"
			"[{\"slot\":0,\"alive\":true,\"command\":\"\\u001b[31m\","
			"\"command_line\":\"\\u202e\",\"user\":\"\\u0007\","
			"\"pod_uid\":\"\\u001b\"}]}]}\n"),
		1);
}

/* ---- at random ---- */

static uint64_t random_state;

static uint64_t random_below(uint64_t end)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % end;
}

static size_t insert(size_t count, size_t at, const char *text)
{
	size_t length = strlen(text);

	memmove(spoilt + at + length, spoilt + at, count - at);
	for (size_t i = 0; i < length; i++)
		spoilt[at + i] = text[i];
	return count + length;
}

/* One change of a kind that a parser could mind. */
static size_t spoil(size_t count)
{
	static const char *const words[] = {
		"-1",
		"1e999",
		"18446744073709551615",
		"null",
		"[]",
		"{}",
		"\"\"",
		"[[[[[",
		"\\u0000",
		",",
		"\"\\u001b[2J\"",
		"true",
		"9",
		"\n",
		"0.5",
		"-1e-300",
	};
	size_t at = random_below(count), length;

	switch (random_below(5)) {
	case 0:
		spoilt[at] = (char)random_below(256);
		return count;
	case 1:
		return insert(count, at,
			      words[random_below(sizeof(words) / sizeof(*words))]);
	case 2: /* Something else in the place of a value. */
		for (; at < count && spoilt[at] != ':'; at++)
			;
		length = at < count ? strcspn(spoilt + at, ",}]\n") : 0;
		if (length < 2)
			return count;
		memmove(spoilt + at + 1, spoilt + at + length, count - at - length);
		return insert(count - length + 1, at + 1,
			      words[random_below(sizeof(words) / sizeof(*words))]);
	case 3: /* A piece is lost, */
		length = random_below(count - at < 200 ? count - at : 200);
		memmove(spoilt + at, spoilt + at + length, count - at - length);
		return count - length;
	default: /* or is there twice. */
		length = random_below(count - at < 500 ? count - at : 500);
		memmove(spoilt + at + length, spoilt + at, count - at);
		return count + length;
	}
}

static void whatever_is_changed_it_is_played_or_refused_with_a_sentence(void)
{
	const char *given = getenv("FUZZ_SECONDS");
	time_t end = time(NULL) + (given ? atoi(given) : 1);
	unsigned played = 0, refused = 0;

	random_state = UINT64_C(0x9e3779b97f4a7c15);
	do {
		size_t count = original_bytes;

		memcpy(spoilt, original, original_bytes);
		spoilt[count] = '\0';
		for (uint64_t changes = 1 + random_below(4); changes > 0; changes--) {
			count = spoil(count);
			spoilt[count] = '\0';
		}
		why.text[0] = '\0';
		if (play(spoilt, count) < 0) {
			CU_ASSERT(why.text[0] != '\0' && is_printable(why.text));
			refused++;
		} else {
			played++;
		}
	} while (time(NULL) <= end);
	printf("%u played, %u refused\n", played, refused);
	/* Neither is all there is, or nothing was tried. */
	CU_ASSERT(played > 0 && refused > 0);
}

const struct unit_suite unit_suite = {
	.name = "recordings that are wrong",
	.init = init,
	.cleanup = cleanup,
	.tests = {
		UNIT_TEST(the_recording_itself_plays),
		UNIT_TEST(time_that_does_not_go_on_is_refused),
		UNIT_TEST(texts_in_it_cannot_reach_the_terminal),
		UNIT_TEST(whatever_is_changed_it_is_played_or_refused_with_a_sentence),
	},
};
