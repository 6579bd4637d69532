/*
 * ctl.h - the parts of gpushim-ctl: one file for each command, and what they share.
 */
#ifndef GSH_TOOLS_CTL_H
#define GSH_TOOLS_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/devices.h"
#include "gpushim/policy.h"

enum { EXIT_OK = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* Commands: argv[0] is the command's name. They return an exit status. */
int ctl_check(int argc, char **argv);
int ctl_apply(int argc, char **argv);
int ctl_show(int argc, char **argv);
int ctl_set(int argc, char **argv);
int ctl_doctor(int argc, char **argv);

/* ---- main.c ---- */

/* "gpushim-ctl: ...", a line on standard error. Returns EXIT_REFUSED. */
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same and how the command is used. Returns EXIT_USAGE. */
int ctl_misused(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- dir.c ---- */

/*
 * The directory to work in: what was given with --dir, else GPUSHIM_DIR, else the usual one.
 * NULL after saying why. Valid until the next call.
 */
const char *ctl_dir(const char *given);

/* ---- text.c: numbers as people read them, valid for the next 16 calls ---- */

const char *ctl_bytes(
	uint64_t bytes); /* "8 GiB", "139.8 GiB", GPUSHIM_UNLIMITED: "none" */
const char *ctl_uuid(const uint8_t uuid[16]);
const char *ctl_quota(const struct gpushim_policy_device *row, uint64_t total_bytes);
const char *ctl_compute(const struct gpushim_policy_device *row);
const char *ctl_priority(uint32_t priority);
const char *ctl_burst(const struct gpushim_policy_device *row); /* "20 ms" */
/* ", not enforced", or "". */
const char *ctl_unenforced(const struct gpushim_policy_limits *limits);

/* The row that holds for a device. */
const struct gpushim_policy_device *ctl_row(const struct gpushim_policy_limits *limits,
					    const uint8_t uuid[16]);
/* The quota in bytes; GPUSHIM_UNLIMITED: none, or not known without the total (0). */
uint64_t ctl_quota_bytes(const struct gpushim_policy_device *row, uint64_t total_bytes);

/* A table that is as wide as what is in it. Rows have `columns` cells, NULL: empty. */
struct ctl_table {
	size_t columns, rows;
	bool right[12]; /* numbers stand to the right */
	char *(*cells)[12];
};
void ctl_table_add(struct ctl_table *table, ...); /* const char * for each column */
/* Prints and empties it. */
void ctl_table_print(struct ctl_table *table);

/* ---- doctor_child.c, doctor_skipped.c ---- */

/* What a program sees that uses the driver here: lines "key=value" on standard output. */
int ctl_doctor_child(void);
void ctl_skipped_summary(void);
void ctl_skipped_list(void);

#endif
