/*
 * facts.c - facts of a section on their way to the parent, one line each.
 *
 * Knows: the line: id, question, answer, unit, evidence, separated by 0x1f; answer and
 * evidence are JSON. Refuses to know what any of it means.
 */
#include "probe.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int output = -1;
static char evidence[24576];
static size_t evidence_length;

void facts_to(int fd)
{
	output = fd;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double quantile(double *samples, size_t n, double p)
{
	if (n == 0)
		return NAN;
	qsort(samples, n, sizeof *samples, by_value);
	return samples[(size_t)(p * (double)(n - 1) + 0.5)];
}

double mean(const double *samples, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += samples[i];
	return n > 0 ? sum / (double)n : NAN;
}

/* JSON has no NaN; whole numbers stay whole. */
static void number(char text[40], double value)
{
	if (!isfinite(value))
		snprintf(text, 40, "null");
	else if (value == floor(value) && fabs(value) < 1e15)
		snprintf(text, 40, "%.0f", value);
	else
		snprintf(text, 40, "%.9g", value);
}

/* A JSON string; control characters become spaces. */
static void quoted(char *out, size_t size, const char *in)
{
	size_t n = 0;

	out[n++] = '"';
	for (; *in != '\0' && n + 4 < size; in++) {
		if (*in == '"' || *in == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char)*in < 0x20 ? ' ' : *in;
	}
	out[n++] = '"';
	out[n] = '\0';
}

/* Evidence that does not fit any more is left out whole. */
static void add(const char *key, const char *json)
{
	size_t room = sizeof evidence - evidence_length;
	int n = snprintf(evidence + evidence_length, room, "%s\"%s\": %s",
			 evidence_length > 0 ? ", " : "", key, json);

	if (n > 0 && (size_t)n < room)
		evidence_length += (size_t)n;
	else
		evidence[evidence_length] = '\0';
}

void note(const char *key, double value)
{
	char text[40];

	number(text, value);
	add(key, text);
}

void note_text(const char *key, const char *format, ...)
{
	char plain[1024], json[2100];
	va_list list;

	va_start(list, format);
	vsnprintf(plain, sizeof plain, format, list);
	va_end(list);
	quoted(json, sizeof json, plain);
	add(key, json);
}

void note_samples(const char *key, double *samples, size_t n)
{
	static const struct {
		const char *name;
		double p;
	} points[] = { { "min", 0 }, { "median", 0.5 }, { "p99", 0.99 }, { "max", 1 } };
	char json[400], text[40];
	size_t length;

	number(text, mean(samples, n));
	length = (size_t)snprintf(json, sizeof json, "{\"n\": %zu, \"mean\": %s", n,
				  text);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		number(text, quantile(samples, n, points[i].p));
		length += (size_t)snprintf(json + length, sizeof json - length,
					   ", \"%s\": %s", points[i].name, text);
	}
	snprintf(json + length, sizeof json - length, "}");
	add(key, json);
}

static void send_fact(const char *id, const char *question, const char *answer,
		      const char *unit)
{
	static char line[sizeof evidence + 8192];
	int n = snprintf(line, sizeof line, "%s\x1f%s\x1f%s\x1f%s\x1f{%s}\n", id,
			 question, answer, unit, evidence_length > 0 ? evidence : "");
	size_t sent = 0, size = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;

	evidence_length = 0;
	evidence[0] = '\0';
	while (output >= 0 && sent < size) {
		ssize_t done = write(output, line + sent, size - sent);
		if (done <= 0)
			return;
		sent += (size_t)done;
	}
}

void fact_number(const char *id, const char *question, double value, const char *unit)
{
	char text[40];

	if (!isfinite(value)) {
		fact_unknown(id, question, "no sample could be taken");
		return;
	}
	number(text, value);
	send_fact(id, question, text, unit);
}

void fact_yes(const char *id, const char *question, bool yes)
{
	send_fact(id, question, yes ? "true" : "false", "");
}

static void worded(const char *id, const char *question, const char *unit,
		   const char *format, va_list list)
{
	char plain[3000], json[6100];

	vsnprintf(plain, sizeof plain, format, list);
	quoted(json, sizeof json, plain);
	send_fact(id, question, json, unit);
}

void fact_text(const char *id, const char *question, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	worded(id, question, "", format, list);
	va_end(list);
}

void fact_unknown(const char *id, const char *question, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	worded(id, question, "?", format, list);
	va_end(list);
}
