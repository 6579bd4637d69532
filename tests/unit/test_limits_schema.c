/*
 * test_limits_schema.c - examples/limits.schema.json and the parser say the same of what a
 * limits.json may look like, and the examples are what both accept.
 *
 * Where Python has jsonschema it judges too; the keys are compared in any case.
 */
#include "cunit_main.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common/limits.h"

#define SCHEMA "examples/limits.schema.json"
#define UUID "GPU-0a1b2c3d-0000-1111-2222-333344445555"
#define T(text) "{\"version\": 1, \"tenants\": {\"t\": " text "}}"

/* Documents and whether both must accept them. */
static const struct document {
	const char *text;
	bool valid;
} documents[] = {
	{ "{\"version\": 1, \"tenants\": {}}", true },
	{ "{\"version\": 2, \"tenants\": {}}", false },
	{ "{\"version\": \"1\", \"tenants\": {}}", false },
	{ "{\"version\": 1}", false },
	{ "{\"tenants\": {}}", false },
	{ "{\"version\": 1, \"tenants\": {}, \"overcommit\": true}", true },
	{ "{\"version\": 1, \"tenants\": {}, \"overcommit\": 1}", false },
	{ "{\"version\": 1, \"tenants\": {}, \"more\": 1}", false },
	{ "{\"version\": 1, \"tenants\": {\"*\": {}, \"a.b_c-d\": {}}}", true },
	{ "{\"version\": 1, \"tenants\": {\"A\": {}}}", false },
	{ "{\"version\": 1, \"tenants\": {\"**\": {}}}", false },
	{ T("3"), false },
	{ T("{\"Memory\": \"1GiB\"}"), false },
	{ T("{\"memory\": \"1.5 GiB\"}"), true },
	{ T("{\"memory\": \"1kB\"}"), true },
	{ T("{\"memory\": \"1KB\"}"), false },
	{ T("{\"memory\": \"1G\"}"), true },
	{ T("{\"memory\": \"1gib\"}"), false },
	{ T("{\"memory\": \"1024\"}"), false },
	{ T("{\"memory\": 1024}"), false },
	{ T("{\"memory\": \"12.5%\"}"), true },
	{ T("{\"memory\": {\"limit\": \"50%\", \"view\": \"device\"}}"), true },
	{ T("{\"memory\": {\"view\": \"device\"}}"), false },
	{ T("{\"memory\": {\"limit\": \"50%\", \"view\": \"all\"}}"), false },
	{ T("{\"memory\": null}"), false },
	{ T("{\"context_memory\": \"300MiB\"}"), true },
	{ T("{\"context_memory\": \"5%\"}"), false },
	{ T("{\"compute\": 30}"), true },
	{ T("{\"compute\": 0.1}"), true },
	{ T("{\"compute\": 0}"), false },
	{ T("{\"compute\": 101}"), false },
	{ T("{\"compute\": \"30\"}"), false },
	{ T("{\"compute\": {}}"), true },
	{ T("{\"compute\": {\"request\": 0, \"limit\": 99.9, \"priority\": \"batch\"}}"),
	  true },
	{ T("{\"compute\": {\"limit\": 0}}"), false },
	{ T("{\"compute\": {\"request\": -1}}"), false },
	{ T("{\"compute\": {\"request\": 120}}"), false },
	{ T("{\"compute\": {\"priority\": \"high\"}}"), false },
	{ T("{\"compute\": {\"burst_ms\": 1}}"), true },
	{ T("{\"compute\": {\"burst_ms\": 1000}}"), true },
	{ T("{\"compute\": {\"burst_ms\": 0}}"), false },
	{ T("{\"compute\": {\"burst_ms\": 1001}}"), false },
	{ T("{\"compute\": {\"burst_ms\": 1.5}}"), false },
	{ T("{\"enforce\": false}"), true },
	{ T("{\"enforce\": true}"), true },
	{ T("{\"enforce\": \"false\"}"), false },
	{ T("{\"devices\": {\"" UUID "\": {\"enforce\": false}}}"), false },
	{ T("{\"devices\": {\"" UUID "\": {\"memory\": {\"view\": \"quota\"}}}}"),
	  false },
	{ T("{\"memory\": \"1GiB\", \"devices\": {\"" UUID "\": {\"memory\": {\"view\": "
	    "\"quota\"}}}}"),
	  true },
	{ T("{\"devices\": {\"" UUID
	    "\": {\"compute\": 5, \"context_memory\": \"1B\"}}}"),
	  true },
	{ T("{\"devices\": {\"" UUID "\": {\"devices\": {}}}}"), false },
	{ T("{\"devices\": {\"GPU-0\": {}}}"), false },
	{ T("{\"devices\": {\"0\": {}}}"), false },
};

enum { DOCUMENTS = sizeof(documents) / sizeof(documents[0]) };

static bool parser_accepts(const char *text)
{
	struct gsh_limits_error error;
	struct gsh_limits_file *file = gsh_limits_parse(text, strlen(text), "document",
							&error);

	gsh_limits_free(file);
	return file != NULL;
}

static void the_parser_judges_the_documents_so(void)
{
	for (size_t i = 0; i < DOCUMENTS; i++)
		if (parser_accepts(documents[i].text) != documents[i].valid)
			CU_FAIL(documents[i].text);
	CU_PASS("all judged");
}

/* ---- by Python, where it can ---- */

static const char judge[] =
	"import json, sys, jsonschema\n"
	"schema = json.load(open(sys.argv[1]))\n"
	"jsonschema.Draft7Validator.check_schema(schema)\n"
	"validator = jsonschema.Draft7Validator(schema)\n"
	"for line in sys.stdin:\n"
	"    print('valid' if validator.is_valid(json.loads(line)) else 'refused')\n";

static void the_schema_judges_the_documents_so(void)
{
	const char *tmp = getenv("TMPDIR");
	char directory[128], path[160], command[512], line[64];
	FILE *input, *verdicts;
	size_t judged = 0;

	if (system("python3 -c 'import jsonschema' >/dev/null 2>&1") != 0) {
		unit_skip("Python's jsonschema is not installed.");
		return;
	}
	snprintf(directory, sizeof(directory), "%.90s/limits-schema-XXXXXX",
		 tmp ? tmp : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/documents", directory);
	input = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(input);
	for (size_t i = 0; i < DOCUMENTS; i++)
		fprintf(input, "%s\n", documents[i].text);
	fclose(input);
	setenv("JUDGE", judge, 1);
	snprintf(command, sizeof(command), "python3 -c \"$JUDGE\" %s <%s", SCHEMA, path);
	verdicts = popen(command, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(verdicts);
	for (; judged < DOCUMENTS && fgets(line, sizeof(line), verdicts); judged++)
		if ((strcmp(line, "valid\n") == 0) != documents[judged].valid &&
		    /* What a device takes over from its tenant, no schema knows. */
		    !strstr(documents[judged].text, "{\"view\": \"quota\"}"))
			CU_FAIL(documents[judged].text);
	pclose(verdicts);
	CU_ASSERT_EQUAL(judged, (size_t)DOCUMENTS);
	unlink(path);
	rmdir(directory);
}

/* ---- by hand ---- */

static cJSON *load(const char *path)
{
	static char text[1 << 16];
	FILE *file = fopen(path, "r");
	size_t bytes = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

	if (file)
		fclose(file);
	text[bytes] = '\0';
	return cJSON_Parse(text);
}

/* The parser names the keys that it knows when it meets one that it does not. */
static void expect_keys(const cJSON *properties, const char *document)
{
	struct gsh_limits_error error = { "" };
	struct gsh_limits_file *file = gsh_limits_parse(document, strlen(document), "f",
							&error);
	char *known = strstr(error.text, "those are ");
	const cJSON *property;
	size_t count = 0, commas = 0;

	CU_ASSERT_PTR_NULL(file);
	CU_ASSERT_PTR_NOT_NULL_FATAL(known);
	CU_ASSERT(cJSON_IsObject(properties));
	cJSON_ArrayForEach(property, properties)
	{
		char quoted[64];

		snprintf(quoted, sizeof(quoted), "\"%s\"", property->string);
		if (!strstr(known, quoted))
			CU_FAIL(property->string);
		count++;
	}
	for (const char *at = known; *at; at++)
		commas += *at == ',';
	CU_ASSERT_EQUAL(commas + 1, count);
}

/* A path of keys through the schema, ended by NULL; an index of an array is a number. */
static const cJSON *at(const cJSON *item, const char *const *path)
{
	for (; *path && item; path++)
		item = cJSON_IsArray(item)
			       ? cJSON_GetArrayItem(item, (int)strtol(*path, NULL, 10))
			       : cJSON_GetObjectItemCaseSensitive(item, *path);
	return item;
}

#define AT(...) at(schema, (const char *const[]){ __VA_ARGS__, NULL })

static void the_schema_has_the_keys_of_the_parser(void)
{
	cJSON *schema = load(SCHEMA);

	CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
	expect_keys(AT("properties"), "{\"version\": 1, \"?\": 1}");
	expect_keys(AT("definitions", "tenant", "properties"), T("{\"?\": 1}"));
	expect_keys(AT("definitions", "device", "properties"),
		    T("{\"devices\": {\"" UUID "\": {\"?\": 1}}}"));
	expect_keys(AT("definitions", "tenant", "properties", "memory", "oneOf", "1",
		       "properties"),
		    T("{\"memory\": {\"?\": 1}}"));
	expect_keys(AT("definitions", "compute", "oneOf", "1", "properties"),
		    T("{\"compute\": {\"?\": 1}}"));
	cJSON_Delete(schema);
}

static void the_examples_are_accepted(void)
{
	DIR *examples = opendir("examples");
	struct gsh_limits_error error;
	struct gsh_limits_file *file;
	const struct dirent *entry;
	unsigned seen = 0;
	char path[300];

	CU_ASSERT_PTR_NOT_NULL_FATAL(examples);
	while ((entry = readdir(examples))) {
		const char *end = strrchr(entry->d_name, '.');

		if (strncmp(entry->d_name, "limits", 6) != 0 || !end ||
		    strcmp(end, ".json") != 0 || strstr(entry->d_name, ".schema."))
			continue;
		snprintf(path, sizeof(path), "examples/%s", entry->d_name);
		file = gsh_limits_read(path, &error);
		if (!file || gsh_limits_fit(file, NULL, 0, NULL, 0, &error) < 0) {
			CU_FAIL("an example is refused");
			puts(error.text);
		}
		gsh_limits_free(file);
		seen++;
	}
	closedir(examples);
	CU_ASSERT(seen >= 3);
}

const struct unit_suite unit_suite = {
	.name = "limits schema",
	.tests = {
		UNIT_TEST(the_parser_judges_the_documents_so),
		UNIT_TEST(the_schema_judges_the_documents_so),
		UNIT_TEST(the_schema_has_the_keys_of_the_parser),
		UNIT_TEST(the_examples_are_accepted),
	},
};
