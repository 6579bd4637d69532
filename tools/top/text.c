/*
 * text.c - figures in the few characters that a column has.
 */
#include "top/text.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "gpushim/reader.h"

static void unknown(char text[TOP_TEXT_BYTES])
{
	memcpy(text, "-", 2);
}

/* Up to two digits with one after the point, more without: ten times the value is given. */
static void short_number(char text[TOP_TEXT_BYTES], uint64_t tenths, const char *unit)
{
	if (tenths < 1000 && tenths % 10)
		snprintf(text, TOP_TEXT_BYTES, "%u.%u%s", (unsigned)(tenths / 10),
			 (unsigned)(tenths % 10), unit);
	else
		snprintf(text, TOP_TEXT_BYTES, "%llu%s",
			 (unsigned long long)(tenths / 10), unit);
}

void top_text_bytes(char text[TOP_TEXT_BYTES], uint64_t bytes)
{
	static const char *const units[] = { "", "K", "M", "G", "T", "P", "E" };
	unsigned unit = 0;

	if (bytes == GPUSHIM_UNKNOWN) {
		unknown(text);
		return;
	}
	while (unit < 6 && bytes >> (10 * (unit + 1)) > 0)
		unit++;
	if (unit == 0)
		short_number(text, bytes * 10, bytes ? "B" : "");
	else
		short_number(text, (bytes >> (10 * (unit - 1))) * 10 >> 10, units[unit]);
}

void top_text_share(char text[TOP_TEXT_BYTES], uint64_t ppm)
{
	if (ppm == GPUSHIM_UNKNOWN)
		unknown(text);
	else
		short_number(text, (ppm + 500) / 1000, "%");
}

void top_text_time(char text[TOP_TEXT_BYTES], uint64_t ns)
{
	uint64_t seconds = ns / 1000000000;

	if (ns == GPUSHIM_UNKNOWN)
		unknown(text);
	else if (ns < 1000000)
		short_number(text, ns / 100, ns ? "us" : "");
	else if (ns < 1000000000)
		short_number(text, ns / 100000, "ms");
	else if (seconds < 60)
		short_number(text, ns / 100000000, "s");
	else if (seconds < 3600)
		snprintf(text, TOP_TEXT_BYTES, "%um%02u", (unsigned)(seconds / 60),
			 (unsigned)(seconds % 60));
	else if (seconds < 360000)
		snprintf(text, TOP_TEXT_BYTES, "%uh%02u", (unsigned)(seconds / 3600),
			 (unsigned)(seconds / 60 % 60));
	else
		snprintf(text, TOP_TEXT_BYTES, "%llud",
			 (unsigned long long)(seconds / 86400));
}

void top_text_credit(char text[TOP_TEXT_BYTES], int64_t ns)
{
	char size[TOP_TEXT_BYTES];

	if (ns >= 0 || ns == GPUSHIM_UNKNOWN_LEVEL) {
		top_text_time(text, ns < 0 ? GPUSHIM_UNKNOWN : (uint64_t)ns);
		return;
	}
	top_text_time(size, -(uint64_t)ns);
	snprintf(text, TOP_TEXT_BYTES, "-%.46s", size);
}

static void decimal(char text[TOP_TEXT_BYTES], uint64_t milli)
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P" };
	unsigned unit = 0;

	/* A whole number below 1000 is shown as it is. */
	while (unit < 5 && milli >= 1000000) {
		milli /= 1000;
		unit++;
	}
	short_number(text, (milli + 50) / 100, units[unit]);
}

void top_text_count(char text[TOP_TEXT_BYTES], uint64_t count)
{
	if (count == GPUSHIM_UNKNOWN)
		unknown(text);
	else if (count < 10000)
		snprintf(text, TOP_TEXT_BYTES, "%u", (unsigned)count);
	else
		decimal(text, count < UINT64_MAX / 1000 ? count * 1000 : UINT64_MAX);
}

void top_text_rate(char text[TOP_TEXT_BYTES], uint64_t milli)
{
	if (milli == GPUSHIM_UNKNOWN)
		unknown(text);
	else
		decimal(text, milli);
}

void top_text_uuid(char text[TOP_TEXT_BYTES], const uint8_t uuid[16])
{
	struct gsh_text to;

	gsh_text_init(&to, text, TOP_TEXT_BYTES);
	gsh_text_add_uuid(&to, uuid);
}
