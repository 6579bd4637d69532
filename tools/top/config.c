/*
 * config.c - settings that last; see config.h.
 */
#include "top/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

void top_settings_init(struct top_settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	top_view_init(&settings->view);
	settings->delay_ns = SECOND_NS;
	settings->graphs = true;
	settings->mouse = true;
}

/* The directory that holds ours; false: there is no home. */
static bool config_home(char *path, size_t bytes)
{
	const char *given = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int count = -1;

	/* A relative one is to be ignored, says the specification. */
	if (given && given[0] == '/')
		count = snprintf(path, bytes, "%s", given);
	else if (home && home[0] == '/')
		count = snprintf(path, bytes, "%s/.config", home);
	return count > 0 && (size_t)count < bytes;
}

static void set_flag(bool *flag, const char *value)
{
	if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
		*flag = value[0] == 'y';
}

static void set(struct top_settings *settings, const char *key, const char *value)
{
	char wrong[32];

	if (strcmp(key, "columns") == 0)
		top_columns_parse(&settings->view, value, wrong);
	else if (strcmp(key, "sort") == 0)
		top_sort_parse(&settings->view, value);
	else if (strcmp(key, "delay") == 0)
		top_delay_parse(value, &settings->delay_ns);
	else if (strcmp(key, "colours") == 0)
		top_colours_parse(&settings->colours, value);
	else if (strcmp(key, "tree") == 0)
		set_flag(&settings->view.tree, value);
	else if (strcmp(key, "graphs") == 0)
		set_flag(&settings->graphs, value);
	else if (strcmp(key, "mouse") == 0)
		set_flag(&settings->mouse, value);
}

/* Cuts spaces off both ends. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

void top_config_read(struct top_settings *settings)
{
	char path[PATH_MAX], line[1024], *value;
	size_t length;
	FILE *file;

	if (!config_home(path, sizeof(path) - 16))
		return;
	length = strlen(path);
	snprintf(path + length, sizeof(path) - length, "/gpushim/toprc");
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		value = strchr(line, '=');
		if (trim(line)[0] == '#' || !value)
			continue;
		*value++ = '\0';
		set(settings, trim(line), trim(value));
	}
	if (file)
		fclose(file);
}

static const char *yes(bool flag)
{
	return flag ? "yes" : "no";
}

static void print(FILE *file, const struct top_settings *settings)
{
	const struct top_view *view = &settings->view;

	fputs("# Settings of gpushim-top, written by it. See gpushim-top(1).\ncolumns = ",
	      file);
	for (unsigned i = 0; i < view->columns_count; i++)
		fprintf(file, "%s%s", i ? "," : "",
			top_column_info(view->columns[i])->name);
	fprintf(file, "\nsort = %s%s\n", view->ascending ? "-" : "",
		top_column_info(view->sort)->name);
	fprintf(file, "tree = %s\ngraphs = %s\nmouse = %s\n", yes(view->tree),
		yes(settings->graphs), yes(settings->mouse));
	fprintf(file, "colours = %s\ndelay = %g\n", top_colours_name(settings->colours),
		(double)settings->delay_ns / 1e9);
}

static int refuse(struct gsh_reason *why, const char *path, int error)
{
	gsh_reason_set(why, path, " cannot be written: ", strerror(error), NULL);
	return -error;
}

int top_config_write(const struct top_settings *settings, char *path, size_t bytes,
		     struct gsh_reason *why)
{
	char dir[PATH_MAX], new[PATH_MAX + 32];
	size_t length;
	FILE *file;

	path[0] = '\0';
	if (!config_home(dir, sizeof(dir) - 16)) {
		gsh_reason_set(why,
			       "There is neither HOME nor XDG_CONFIG_HOME to write to",
			       NULL);
		return -ENOENT;
	}
	mkdir(dir, 0700);
	length = strlen(dir);
	snprintf(dir + length, sizeof(dir) - length, "/gpushim");
	mkdir(dir, 0700);
	snprintf(path, bytes, "%s/toprc", dir);
	snprintf(new, sizeof(new), "%s/.toprc.new", dir);
	file = fopen(new, "we");
	if (!file)
		return refuse(why, new, errno);
	print(file, settings);
	if (ferror(file) || fclose(file) != 0 || rename(new, path) < 0) {
		int error = errno;

		unlink(new);
		return refuse(why, path, error);
	}
	return 0;
}
