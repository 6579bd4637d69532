/*
 * show.h - the parts of gpushim-ctl show: one file for each table, and what they share.
 *
 * Snapshots are what the reader library gives: bounded, printable, and marked where a value
 * is not known. That is shown as "-" (null in JSON), never as 0.
 */
#ifndef GSH_TOOLS_CTL_SHOW_H
#define GSH_TOOLS_CTL_SHOW_H

#include "ctl/ctl.h"
#include "gpushim/reader.h"

/* Quotas and memory in use: a table on standard output. */
void show_memory(struct gpushim_snapshot *const *snapshots, size_t count);
/* Targets, achieved shares, credit and waiting: another. */
void show_time(struct gpushim_snapshot *const *snapshots, size_t count);
/* What launches of a tenant cost, the dearest first. */
void show_costs(struct gpushim_snapshot *snapshot);
/* All of it as one document; costs: with the rows of costs. Returns an exit status. */
int show_json(const char *dir, struct gpushim_snapshot *const *snapshots, size_t count,
	      bool costs);

/* The rows of costs by GPU time, the dearest first. */
void show_sort_costs(struct gpushim_snapshot *snapshot);

/* ---- show_text.c: as people read it, valid for the next 16 calls ---- */

const char *show_count(uint64_t value);
/* "12.3 ms", "-4.56 s" */
const char *show_duration(int64_t ns);
/* The same; GPUSHIM_UNKNOWN: "-". */
const char *show_time_ns(uint64_t ns);
/* "29.9%"; GPUSHIM_UNKNOWN_PPM: "-". */
const char *show_share(uint32_t ppm);
/* part of whole in percent, never above 100; of nothing: "-". */
const char *show_part(uint64_t part, uint64_t whole);
/* "  1234 python3" */
const char *show_process(const struct gpushim_process *process);

/* The process that owns a slot; NULL: none that lives. */
const struct gpushim_process *show_process_in(const struct gpushim_snapshot *snapshot,
					      uint32_t slot);

#endif
