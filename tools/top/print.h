/*
 * print.h - the table as plain lines, for --once and --batch.
 */
#ifndef GSH_TOOLS_TOP_PRINT_H
#define GSH_TOOLS_TOP_PRINT_H

#include <stdio.h>

#include "top/view.h"

/*
 * Devices, then the table, width characters wide (0: as wide as all columns would have it).
 * What is wrong with tenants stands below.
 */
void top_print(const struct top_view *view, const struct top_model *model, int width,
	       FILE *to);

/* A device's line, as in the header: at most bytes, NUL included. Returns text. */
const char *top_device_text(const struct top_model *model, uint32_t device, char *text,
			    size_t bytes);

/* "agent: none" and so on. */
const char *top_agent_text(enum top_agent agent);

#endif
