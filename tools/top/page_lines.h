/*
 * page_lines.h - adding lines to a page; for the files that make pages.
 */
#ifndef GSH_TOOLS_TOP_PAGE_LINES_H
#define GSH_TOOLS_TOP_PAGE_LINES_H

#include <stdarg.h>

#include "top/page.h"

void top_page_add(struct top_page *page, enum top_tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* With an empty line above, unless it is the first. */
void top_page_heading(struct top_page *page, const char *text);

#endif
