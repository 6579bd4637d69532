/*
 * test_limits_refused.c - limits.json that is wrong: each form is refused with its place and
 * its sentence, word by word, because that is what an administrator has to work with.
 */
#include "cunit_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

#define UUID "GPU-0a1b2c3d-0000-1111-2222-333344445555"

/* A text and what is said of it, after the file's name. */
struct refusal {
	const char *text, *message;
};

static void expect_bytes(const char *text, size_t bytes, const char *message)
{
	struct gsh_limits_error error = { "" };
	struct gsh_limits_file *file = gsh_limits_parse(text, bytes, "f", &error);
	char expected[1024];

	snprintf(expected, sizeof(expected), "f:%s", message);
	if (!file && strcmp(error.text, expected) == 0)
		return;
	CU_FAIL("not refused as it should be");
	printf("of      %s\nwanted  %s\ngot     %s\n", text, expected,
	       file ? "(accepted)" : error.text);
	gsh_limits_free(file);
}

static void expect(const struct refusal *refusals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_bytes(refusals[i].text, strlen(refusals[i].text),
			     refusals[i].message);
	CU_PASS("all refused");
}

#define EXPECT(refusals) expect(refusals, sizeof(refusals) / sizeof((refusals)[0]))

/* The same for what stands in the place of one tenant's entry, which is line 2. */
static void expect_entry(const struct refusal *refusals, size_t count)
{
	char text[1024];

	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text),
			 "{\"version\": 1, \"tenants\": {\"t\":\n%s}}", refusals[i].text);
		expect_bytes(text, strlen(text), refusals[i].message);
	}
	CU_PASS("all refused");
}

#define EXPECT_ENTRY(refusals) \
	expect_entry(refusals, sizeof(refusals) / sizeof((refusals)[0]))

static void a_request_above_its_limit_is_refused_where_it_stands(void)
{
	static const struct refusal refusals[] = {
		{ "{\n"
		  "  \"version\": 1,\n"
		  "  \"tenants\": {\n"
		  "    \"train\": {\n"
		  "      \"compute\": { \"request\": 120, \"limit\": 100 }\n"
		  "    }\n"
		  "  }\n"
		  "}\n",
		  "5:31: /tenants/train/compute/request: 120 is above the limit 100" },
		/* Columns are characters, not bytes, and lines may end as elsewhere. */
		{ "{ \r\n  \"\xc3\xa9\xe2\x82\xac\": ?}",
		  "2:9: /\xc3\xa9\xe2\x82\xac: a value is expected here" },
	};

	EXPECT(refusals);
}

static void what_is_not_json_is_refused(void)
{
	static const struct refusal refusals[] = {
		{ "", "1:1: the file ends where a value is expected" },
		{ "  \n ", "2:2: the file ends where a value is expected" },
		{ "{", "1:1: the file ends and this object is not closed" },
		{ "{\"a\": [1, 2",
		  "1:7: /a: the file ends and this array is not closed" },
		{ "{\"a\": 1,}", "1:9: an entry is expected after ','" },
		{ "[1,]", "1:4: an entry is expected after ','" },
		{ "{\"a\" 1}", "1:6: /a: ':' is expected here, after the key" },
		{ "{\"a\": }", "1:7: /a: a value is expected here" },
		{ "{\"a\": 1 \"b\": 2}", "1:9: ',' or '}' is expected here" },
		{ "{a: 1}", "1:2: a key in double quotes is expected here" },
		{ "{'a': 1}", "1:2: a key in double quotes is expected here" },
		{ "{\"a\": 'b'}", "1:7: /a: texts are written in double quotes" },
		{ "{\"a\": True}",
		  "1:7: /a: True is not a value in JSON; texts are written in "
		  "double quotes" },
		{ "{\"a\": nulls}",
		  "1:7: /a: nulls is not a value in JSON; texts are written "
		  "in double quotes" },
		{ "{\"a\": 8GiB}",
		  "1:7: /a: 8GiB is not a number in JSON; what has a unit is "
		  "written in quotes" },
		{ "{\"a\": 50%}",
		  "1:7: /a: 50% is not a number in JSON; what has a unit is "
		  "written in quotes" },
		{ "{\"a\": 012}",
		  "1:7: /a: 012 is not a number in JSON; what has a unit is "
		  "written in quotes" },
		{ "{\"a\": 1.}",
		  "1:7: /a: 1. is not a number in JSON; what has a unit is "
		  "written in quotes" },
		{ "{\"a\": -}", "1:7: /a: - is not a number in JSON; what has a unit is "
				"written in quotes" },
		{ "{\"a\": 0x10}",
		  "1:7: /a: 0x10 is not a number in JSON; what has a unit is "
		  "written in quotes" },
		{ "{\"a\": +1}",
		  "1:7: /a: +1 is not a value in JSON; texts are written in double quotes" },
		{ "{\"a\": NaN}",
		  "1:7: /a: NaN is not a value in JSON; texts are written in double quotes" },
		{ "{\"a\": 1} // limits",
		  "1:10: there is text after the end of the document" },
		{ "// limits\n{}", "1:1: JSON has no comments" },
		{ "{} {}", "1:4: there is text after the end of the document" },
		{ "{\"a\": \"b\n\"}",
		  "1:9: /a: the string does not end on its line; a quote is "
		  "missing" },
		{ "{\"a\": \"b", "1:7: /a: the file ends inside this string" },
		{ "{\"a\": \"\\x\"}", "1:8: /a: there is no such escape in JSON" },
		{ "{\"a\": \"\\", "1:8: /a: there is no such escape in JSON" },
		{ "{\"a\": \"\\u12g4\"}", "1:8: /a: \\u needs four hexadecimal digits" },
		{ "{\"a\": \"\\ud800\"}", "1:8: /a: half of a surrogate pair" },
		{ "{\"a\": \"\\udc00\\ud800\"}", "1:8: /a: half of a surrogate pair" },
		{ "{\"a\": \"\t\"}",
		  "1:8: /a: a control character; write it as \\u0009" },
	};

	EXPECT(refusals);
}

/* What cJSON would swallow, or cut short. */
static void text_that_hides_something_is_refused(void)
{
	static const struct refusal refusals[] = {
		{ "\xef\xbb\xbf{}",
		  "1:1: the file starts with a byte order mark; save it without" },
		{ "{\"a\": \"\xff\"}", "1:8: /a: the text is not UTF-8 here" },
		{ "{\"a\": \"\xc0\xaf\"}", "1:8: /a: the text is not UTF-8 here" },
		{ "{\"a\": \"\xed\xa0\x80\"}", "1:8: /a: the text is not UTF-8 here" },
		{ "{\"a\": \"\xf4\x90\x80\x80\"}",
		  "1:8: /a: the text is not UTF-8 here" },
		{ "{\"a\": \"\xe2\x82", "1:8: /a: the text is not UTF-8 here" },
		{ "{\"a\\u0000b\": 1}", "1:4: a string may not contain a NUL character" },
		{ "{\"a\": 1, \"\\u0061\": 2}",
		  "1:10: /a: this key is already there in line 1" },
		{ "{\"a\": 1,\n \"b\": {\"a\": 1}, \"a\": 2}",
		  "2:17: /a: this key is already there in line 1" },
		{ "{\"a\": [[[[[[[1]]]]]]], \"b\": [[[[[[[[1]]]]]]]]}",
		  "1:36: /b/0/0/0/0/0/0/0: nested deeper than 8 levels" },
	};

	EXPECT(refusals);
	expect_bytes("{}\0", 3, "1:3: there is text after the end of the document");
	expect_bytes("{\"a\": \0}", 8, "1:7: /a: a NUL byte");
	expect_bytes("{\"a\": \"\0\"}", 10, "1:8: /a: a NUL byte");
}

static void what_is_too_much_is_refused(void)
{
	static char text[1 << 16];
	char *at = text, key[160];

	memset(key, 'k', sizeof(key));
	sprintf(text, "{\"%.129s\": 1}", key);
	expect_bytes(text, strlen(text), "1:2: a key of more than 128 bytes");
	at += sprintf(at, "{");
	for (int i = 0; i <= 1024; i++)
		at += sprintf(at, "%s\"t%d\":\n{}", i ? "," : "", i);
	sprintf(at, "}");
	expect_bytes(text, strlen(text),
		     "1025:4: /t1024: more than 1024 entries in one object");
	at = text +
	     sprintf(text, "{\"version\": 1, \"tenants\": {\"t\": {\"devices\": {");
	for (int i = 0; i <= 16; i++)
		at += sprintf(at, "%s\n\"GPU-%08x-0000-0000-0000-000000000000\": {}",
			      i ? "," : "", (unsigned)i);
	sprintf(at, "}}}}");
	expect_bytes(
		text, strlen(text),
		"18:1: /tenants/t/devices/GPU-00000010-0000-0000-0000-000000000000: more "
		"than 16 devices");
}

static void the_outer_form_is_checked(void)
{
	static const struct refusal refusals[] = {
		{ "[]", "1:1: must be an object with \"version\" and \"tenants\"" },
		{ "null", "1:1: must be an object with \"version\" and \"tenants\"" },
		{ "{\"tenants\": {}}",
		  "1:1: \"version\" is missing; write \"version\": 1" },
		{ " {\"version\": 1}", "1:2: \"tenants\" is missing" },
		{ "{\"version\": \"1\", \"tenants\": {}}",
		  "1:13: /version: must be the number 1" },
		{ "{\"version\": 2, \"renters\": {}}",
		  "1:13: /version: 2 is not a version that is known here; that is 1" },
		{ "{\"version\": 1.5, \"tenants\": {}}",
		  "1:13: /version: 1.5 is not a version that is known here; that is 1" },
		{ "{\"version\": 9007199254740993, \"tenants\": {}}",
		  "1:13: /version: 9007199254740993 is not a version that is known here; that "
		  "is 1" },
		{ "{\"version\": 1, \"tenants\": []}",
		  "1:27: /tenants: must be an object whose keys are names of tenants" },
		{ "{\"version\": 1, \"overcommit\": 1, \"tenants\": {}}",
		  "1:30: /overcommit: must be true or false" },
		{ "{\"version\": 1, \"Tenants\": {}}",
		  "1:16: /Tenants: keys are case-sensitive; write \"tenants\"" },
		{ "{\"version\": 1, \"tenants\": {}, \"comment\": \"\"}",
		  "1:31: /comment: is not a key that is known here; those are \"version\", "
		  "\"overcommit\", \"tenants\"" },
	};

	EXPECT(refusals);
}

static void names_are_checked(void)
{
	static const char rule[] =
		"1:28: /tenants/%s: is not a tenant's name: 1 to 63 of a-z, 0-9, '-', '.' and "
		"'_', the first a letter or a digit";
	static const struct refusal names[] = {
		{ "", "" },
		{ "Train", "Train" },
		{ ".", "." },
		{ "-a", "-a" },
		{ "a b", "a b" },
		{ "**", "**" },
		{ "a/b", "a~1b" },
		{ "a~b", "a~0b" },
		{ "\\u001b[31m", "?[31m" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
	};
	char text[256], message[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(text, sizeof(text),
			 "{\"version\": 1, \"tenants\": {\"%s\": {}}}", names[i].text);
		snprintf(message, sizeof(message), rule, names[i].message);
		expect_bytes(text, strlen(text), message);
	}
	CU_PASS("all refused");
}

static void entries_are_checked(void)
{
	static const struct refusal refusals[] = {
		{ "\"8GiB\"",
		  "2:1: /tenants/t: must be an object such as {\"memory\": \"8GiB\"}" },
		{ "null",
		  "2:1: /tenants/t: must be an object such as {\"memory\": \"8GiB\"}" },
		{ "{\"memori\": 1}",
		  "2:2: /tenants/t/memori: is not a key that is known here; those are \"memory\", "
		  "\"compute\", \"context_memory\", \"enforce\", \"devices\"" },
		{ "{\"Memory\": 1}",
		  "2:2: /tenants/t/Memory: keys are case-sensitive; write \"memory\"" },
		{ "{\"devices\": []}",
		  "2:13: /tenants/t/devices: must be an object whose keys are devices" },
		{ "{\"devices\": {\"0\": {}}}",
		  "2:14: /tenants/t/devices/0: is not a device; write \"GPU-\" or \"MIG-\" and "
		  "its UUID, as nvidia-smi -L shows it" },
		{ "{\"devices\": {\"GPU-0a1b2c3d-0000-1111-2222-33334444555\": {}}}",
		  "2:14: /tenants/t/devices/GPU-0a1b2c3d-0000-1111-2222-33334444555: is not a "
		  "device; write \"GPU-\" or \"MIG-\" and its UUID, as nvidia-smi -L shows it" },
		{ "{\"devices\": {\"GPU-0a1b2c3dx0000-1111-2222-333344445555\": {}}}",
		  "2:14: /tenants/t/devices/GPU-0a1b2c3dx0000-1111-2222-333344445555: is not a "
		  "device; write \"GPU-\" or \"MIG-\" and its UUID, as nvidia-smi -L shows it" },
		{ "{\"devices\": {\"" UUID "\": {},\n"
		  "\"GPU-0A1B2C3D-0000-1111-2222-333344445555\": {}}}",
		  "3:1: /tenants/t/devices/GPU-0A1B2C3D-0000-1111-2222-333344445555: the same "
		  "device is already there, written otherwise" },
		{ "{\"devices\": {\"" UUID "\": 3}}",
		  "2:58: /tenants/t/devices/" UUID
		  ": must be an object such as {\"memory\": "
		  "\"8GiB\"}" },
		{ "{\"devices\": {\"" UUID "\": {\"devices\": {}}}}",
		  "2:59: /tenants/t/devices/" UUID
		  "/devices: is not a key that is known here; "
		  "those are \"memory\", \"compute\", \"context_memory\"" },
		/* A tenant is held to its limits on all devices, or on none. */
		{ "{\"devices\": {\"" UUID "\": {\"enforce\": false}}}",
		  "2:59: /tenants/t/devices/" UUID
		  "/enforce: is not a key that is known here; "
		  "those are \"memory\", \"compute\", \"context_memory\"" },
		{ "{\"enforce\": \"no\"}",
		  "2:13: /tenants/t/enforce: must be true or false" },
		{ "{\"enforce\": 0, \"devices\": {}}",
		  "2:13: /tenants/t/enforce: must be true or false" },
		{ "{\"enforce\": null}",
		  "2:13: /tenants/t/enforce: must be true or false" },
		{ "{\"enforce\": false, \"devices\": []}",
		  "2:31: /tenants/t/devices: must be an object whose keys are devices" },
	};

	EXPECT_ENTRY(refusals);
}

static void memory_is_checked(void)
{
	static const struct refusal refusals[] = {
		{ "{\"memory\": 8}",
		  "2:12: /tenants/t/memory: 8 has no unit; write a unit, such "
		  "as \"8GiB\"" },
		{ "{\"memory\": 8589934592}",
		  "2:12: /tenants/t/memory: 8589934592 has no unit; "
		  "write a unit, such as \"8589934592B\"" },
		{ "{\"memory\": \"1024\"}",
		  "2:12: /tenants/t/memory: \"1024\" has no unit; "
		  "write a unit, such as \"1024MiB\"" },
		{ "{\"memory\": -1}", "2:12: /tenants/t/memory: -1 is negative" },
		{ "{\"memory\": \"-1GiB\"}",
		  "2:12: /tenants/t/memory: \"-1GiB\" is negative" },
		{ "{\"memory\": true}",
		  "2:12: /tenants/t/memory: must be a size such as "
		  "\"8GiB\", a share of the device such as \"50%\", or an "
		  "object with \"limit\"" },
		{ "{\"memory\": \"\"}",
		  "2:12: /tenants/t/memory: \"\" is not a size; write a "
		  "number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB" },
		{ "{\"memory\": \"8 Gb\"}",
		  "2:12: /tenants/t/memory: \"8 Gb\" is not a size; write a number and one of B, "
		  "KiB, MiB, GiB, TiB, kB, MB, GB, TB" },
		{ "{\"memory\": \"8GiB8GiB8GiB8GiB8GiB8GiB8GiB8GiB8GiB8GiB\"}",
		  "2:12: /tenants/t/memory: \"8GiB8GiB8GiB8GiB8GiB8GiB8GiB8GiB8Gi... is not a "
		  "size; write a number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB" },
		{ "{\"memory\": \"0GiB\"}",
		  "2:12: /tenants/t/memory: \"0GiB\" is no quota: "
		  "every allocation would be refused" },
		{ "{\"memory\": \"9007199254740993B\"}",
		  "2:12: /tenants/t/memory: \"9007199254740993B\" is too large; the largest size "
		  "is 8192TiB" },
		{ "{\"memory\": \"99999999999TiB\"}",
		  "2:12: /tenants/t/memory: \"99999999999TiB\" is too large; the largest size is "
		  "8192TiB" },
		{ "{\"memory\": \"0%\"}",
		  "2:12: /tenants/t/memory: \"0%\" is not a share of the "
		  "device: above 0%, at most 100%" },
		{ "{\"memory\": \"101%\"}",
		  "2:12: /tenants/t/memory: \"101%\" is not a share of "
		  "the device: above 0%, at most 100%" },
		{ "{\"memory\": \"-5%\"}",
		  "2:12: /tenants/t/memory: \"-5%\" is not a share of "
		  "the device: above 0%, at most 100%" },
		{ "{\"memory\": {}}", "2:12: /tenants/t/memory: \"limit\" is missing" },
		{ "{\"memory\": {\"view\": \"device\"}}",
		  "2:12: /tenants/t/memory: \"limit\" is missing" },
		{ "{\"memory\": {\"limit\": 1}}",
		  "2:22: /tenants/t/memory/limit: 1 has no unit; "
		  "write a unit, such as \"1GiB\"" },
		{ "{\"memory\": {\"limit\": {}}}",
		  "2:22: /tenants/t/memory/limit: must be a size such as \"8GiB\", or a share of "
		  "the device such as \"50%\"" },
		{ "{\"memory\": {\"limit\": \"1B\", \"view\": \"mps\"}}",
		  "2:36: /tenants/t/memory/view: must be \"quota\" or \"device\"" },
		{ "{\"memory\": {\"limit\": \"1B\", \"max\": 1}}",
		  "2:28: /tenants/t/memory/max: is not a key that is known here; those are "
		  "\"limit\", \"view\"" },
		{ "{\"context_memory\": \"10%\"}",
		  "2:20: /tenants/t/context_memory: \"10%\" is not a size; write a number and "
		  "one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB" },
		{ "{\"context_memory\": []}",
		  "2:20: /tenants/t/context_memory: must be a size such as \"8GiB\"" },
	};

	EXPECT_ENTRY(refusals);
}

static void compute_is_checked(void)
{
	static const struct refusal refusals[] = {
		{ "{\"compute\": 120}", "2:13: /tenants/t/compute: 120 is above 100" },
		{ "{\"compute\": 100.1}",
		  "2:13: /tenants/t/compute: 100.1 is above 100" },
		{ "{\"compute\": -1}", "2:13: /tenants/t/compute: -1 is negative" },
		{ "{\"compute\": 1e300}",
		  "2:13: /tenants/t/compute: 1e300 is too large to be "
		  "exact" },
		{ "{\"compute\": 9007199254740994}",
		  "2:13: /tenants/t/compute: 9007199254740994 is too large to be exact" },
		{ "{\"compute\": 0}",
		  "2:13: /tenants/t/compute: 0 would never let it run; "
		  "without \"compute\" a tenant gets what others leave" },
		{ "{\"compute\": 12.55}",
		  "2:13: /tenants/t/compute: 12.55 is finer than a tenth "
		  "of a percent" },
		{ "{\"compute\": \"30%\"}",
		  "2:13: /tenants/t/compute: must be a number of percent, or an object with "
		  "\"request\", \"limit\", \"priority\" and \"burst_ms\"" },
		{ "{\"compute\": {\"request\": \"30\"}}",
		  "2:25: /tenants/t/compute/request: must be a number of percent, without quotes" },
		{ "{\"compute\": {\"limit\": null}}",
		  "2:23: /tenants/t/compute/limit: must be a number of percent, without quotes" },
		{ "{\"compute\": {\"request\": 120}}",
		  "2:25: /tenants/t/compute/request: 120 is above the limit 100" },
		{ "{\"compute\": {\"request\": 30.5, \"limit\": 12.5}}",
		  "2:25: /tenants/t/compute/request: 30.5 is above the limit 12.5" },
		{ "{\"compute\": {\"request\": 120, \"limit\": 150}}",
		  "2:39: /tenants/t/compute/limit: 150 is above 100" },
		{ "{\"compute\": {\"limit\": 0}}",
		  "2:23: /tenants/t/compute/limit: 0 would never let it run; without \"compute\" "
		  "a tenant gets what others leave" },
		{ "{\"compute\": {\"request\": -3}}",
		  "2:25: /tenants/t/compute/request: -3 is negative" },
		{ "{\"compute\": {\"priority\": \"high\"}}",
		  "2:26: /tenants/t/compute/priority: must be \"latency\", \"normal\" or "
		  "\"batch\"" },
		{ "{\"compute\": {\"share\": 3}}",
		  "2:14: /tenants/t/compute/share: is not a key that is known here; those are "
		  "\"request\", \"limit\", \"priority\", \"burst_ms\"" },
		{ "{\"compute\": {\"burst_ms\": 0}}",
		  "2:26: /tenants/t/compute/burst_ms: 0 is not a whole number of "
		  "milliseconds from 1 to 1000" },
		{ "{\"compute\": {\"burst_ms\": 1001}}",
		  "2:26: /tenants/t/compute/burst_ms: 1001 is not a whole number of "
		  "milliseconds from 1 to 1000" },
		{ "{\"compute\": {\"burst_ms\": 2.5}}",
		  "2:26: /tenants/t/compute/burst_ms: 2.5 is not a whole number of "
		  "milliseconds from 1 to 1000" },
		{ "{\"compute\": {\"burst_ms\": -1e300}}",
		  "2:26: /tenants/t/compute/burst_ms: -1e300 is not a whole number of "
		  "milliseconds from 1 to 1000" },
		{ "{\"compute\": {\"burst_ms\": \"20\"}}",
		  "2:26: /tenants/t/compute/burst_ms: must be a number of milliseconds, "
		  "without quotes" },
		{ "{\"compute\": 30, \"devices\": {\"" UUID
		  "\": {\"compute\": {\"limit\": 10}}}}",
		  "2:95: /tenants/t/devices/" UUID
		  "/compute/limit: 10 is below the request 30" },
	};

	EXPECT_ENTRY(refusals);
}

const struct unit_suite unit_suite = {
	.name = "limits refused",
	.tests = {
		UNIT_TEST(a_request_above_its_limit_is_refused_where_it_stands),
		UNIT_TEST(what_is_not_json_is_refused),
		UNIT_TEST(text_that_hides_something_is_refused),
		UNIT_TEST(what_is_too_much_is_refused),
		UNIT_TEST(the_outer_form_is_checked),
		UNIT_TEST(names_are_checked),
		UNIT_TEST(entries_are_checked),
		UNIT_TEST(memory_is_checked),
		UNIT_TEST(compute_is_checked),
	},
};
