/*
 * config.h - settings that last: $XDG_CONFIG_HOME/gpushim/toprc, else ~/.config/gpushim/toprc.
 *
 * Lines "key = value"; '#' begins a comment. A line that is not understood is skipped: a
 * newer version may have written it.
 */
#ifndef GSH_TOOLS_TOP_CONFIG_H
#define GSH_TOOLS_TOP_CONFIG_H

#include "base/text.h"
#include "top/options.h"

/* What holds without any file. */
void top_settings_init(struct top_settings *settings);

/* Changes what the file speaks of; no file is no failure. */
void top_config_read(struct top_settings *settings);

/* Writes the file anew, in one step. 0, or -errno with a reason; path gets its name. */
int top_config_write(const struct top_settings *settings, char *path, size_t bytes,
		     struct gsh_reason *why);

/* In lower case, as filters are. */
void top_filter_set(struct top_view *view, const char *text);

#endif
