/*
 * reader_private.h - what a reader keeps between calls. For the files of the library alone.
 */
#ifndef GSH_LEDGER_READER_PRIVATE_H
#define GSH_LEDGER_READER_PRIVATE_H

#include <limits.h>

#include "gpushim/reader.h"

struct gpushim_reader {
	int ledger_fd;
	int policy_fd; /* -1: there was no page yet */
	/* Where the page would be: below dir, or a file by name; "": nowhere. */
	char dir[PATH_MAX], policy_path[PATH_MAX];
	char tenant[GPUSHIM_NAME_BYTES]; /* "": as in a container */
	/* What was read last, before any of it is believed. */
	struct gpushim_ledger_header header;
	uint32_t rows; /* slots below it hold all that is shown */
	struct gpushim_ledger_slot slots[GPUSHIM_SLOTS_MAX];
	struct gpushim_ledger_cell cells[GPUSHIM_SLOTS_MAX];
	struct gpushim_ledger_use uses[GPUSHIM_SLOTS_MAX];
	struct gpushim_ledger_bucket bucket;
	struct gpushim_ledger_cost costs[GPUSHIM_COSTS_MAX];
	struct gpushim_policy_page page;
};

/* Opens the tenant's page if there is one: that there is none is no failure. */
void gsh_reader_open_policy(struct gpushim_reader *reader);

/* Fills in the policy, opening the page if it has come meanwhile. Leaves it empty without. */
void gsh_reader_show_policy(struct gpushim_reader *reader,
			    struct gpushim_snapshot *snapshot);

/* For terminals and logs: printable ASCII, ended and filled up with NUL. */
void gsh_reader_copy_text(char *to, const char *from, size_t bytes);

#endif
