/*
 * reader.h - reading the ledgers and policies of tenants from outside. Library:
 * libgpushim-reader (pkg-config gpushim-reader).
 *
 *	struct gpushim_reader *reader;
 *	struct gpushim_snapshot *snapshot = malloc(sizeof(*snapshot));
 *
 *	if (gpushim_reader_open(&reader, "/run/gpushim", "train") < 0)
 *		...
 *	gpushim_reader_snapshot(reader, snapshot);
 *	gpushim_reader_close(reader);
 *
 * What is read belongs to the tenant and is taken for hostile: files are opened without
 * following links, must be regular and of the right size, are read with pread(2) and never
 * mapped or written; every count and string is bounded before it is shown. Nothing here
 * prints, exits, or keeps state outside the reader.
 *
 * What is not known is marked, and never 0: GPUSHIM_UNKNOWN and its kin below. Times are
 * nanoseconds; ages and waits are reckoned by this machine's CLOCK_MONOTONIC, so that those
 * of a tenant in a time namespace of its own are not known.
 *
 * Threads: a reader may be used by one thread at a time.
 */
#ifndef GPUSHIM_READER_H
#define GPUSHIM_READER_H

#include "gpushim/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GPUSHIM_UNKNOWN UINT64_MAX
#define GPUSHIM_UNKNOWN_LEVEL INT64_MIN
#define GPUSHIM_UNKNOWN_PPM UINT32_MAX

struct gpushim_reader;

/* GPU time, of one process or summed up. */
struct gpushim_time {
	/* gpu_ns is GPUSHIM_UNKNOWN while there are launches and none was measured. */
#define FIELD(name, kind, text) uint64_t name;
#include "gpushim/time_fields.def"
	uint64_t waiting; /* processes of which a thread waits at the gate now */
	uint64_t
		waiting_ns; /* for how long, the longest; 0: none; may be GPUSHIM_UNKNOWN */
};

/* A process of the tenant on one device. */
struct gpushim_usage {
	uint32_t slot;
	uint32_t device; /* index in gpushim_snapshot.devices */
	uint64_t charged_bytes;
	uint64_t pending_bytes;
	uint64_t peak_bytes;
	uint64_t exported_bytes;
	uint64_t imports;
	uint64_t kind_bytes[GPUSHIM_KINDS_MAX];
	struct gpushim_time time;
	uint64_t overlap_permille;   /* GPU time per predicted time; or GPUSHIM_UNKNOWN */
	uint64_t inflation_permille; /* seen per learned time; or GPUSHIM_UNKNOWN */
};

/* A process of the tenant: one whose slot is alive, or what an exporter left behind. */
struct gpushim_process {
	uint32_t slot;
	uint32_t state; /* enum gpushim_slot_state */
	uint32_t pid;
	uint32_t alive; /* its lock is held */
	uint64_t pid_namespace;
	uint64_t start_unix_ns;
	char command[16]; /* printable ASCII, ends with NUL */
#define FIELD(name, kind, text) uint64_t name;
#include "gpushim/ledger_fields.def"
};

struct gpushim_device {
	uint8_t uuid[16];
	uint64_t total_bytes;
	uint64_t limit_bytes;	 /* GPUSHIM_UNLIMITED: none */
	uint64_t charged_bytes;	 /* sum over the processes listed */
	uint64_t overhead_bytes; /* measured beyond the ledger */
	uint64_t peak_bytes;
	uint64_t request_permille;
	uint64_t limit_permille;
	uint32_t limit_source; /* enum gpushim_limit_source */
	uint32_t enforced;     /* 0: audit, GPU time is counted and nothing is delayed */
	/* The tenant's credit of GPU time; each GPUSHIM_UNKNOWN while nothing used it. */
	uint64_t rate_permille; /* in force, as last used: 1 to 1000, which is no cap */
	uint64_t burst_ns;	/* most credit saved up */
	uint64_t used_ns;	/* measured; processes that have gone as well */
	int64_t level_ns; /* credit now, debt below zero; or GPUSHIM_UNKNOWN_LEVEL */
	uint64_t repairs; /* impossible values in the ledger that were put right */
	/* GPU time used per time, in millionths; or GPUSHIM_UNKNOWN_PPM. */
	uint32_t share_1s_ppm;
	uint32_t share_10s_ppm;
	struct gpushim_time time; /* sum over the live processes */
};

/* What launches of one signature were found to cost. */
struct gpushim_cost {
	char name[56]; /* of the kernel; printable ASCII, ends with NUL; "": not known */
	uint32_t device; /* index in gpushim_snapshot.devices; UINT32_MAX: none of them */
	uint32_t kind;	 /* enum gpushim_launch_kind */
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t shared_bytes;
	uint32_t cost_class; /* enum gpushim_cost_class */
	/* Of late samples; GPUSHIM_UNKNOWN while there are none. */
	uint64_t cost_ns; /* what a launch is charged in advance */
	uint64_t low_ns;
	uint64_t median_ns;
	uint64_t high_ns;
	uint64_t launches;
	uint64_t samples;
	uint64_t gpu_ns; /* launches times what they were charged */
	uint64_t age_ns; /* since it was written; or GPUSHIM_UNKNOWN */
};

/* About 600 KiB: for the heap. Dead slots are left out. */
struct gpushim_snapshot {
	char tenant[GPUSHIM_NAME_BYTES];
	uint64_t created_unix_ns;
	uint32_t has_policy; /* `policy` is valid */
	uint32_t devices_count;
	uint32_t processes_count;
	uint32_t usages_count;
	struct gpushim_policy_limits policy;
	uint64_t heartbeat;
	struct gpushim_device devices[GPUSHIM_DEVICES_MAX];
	struct gpushim_process processes[GPUSHIM_SLOTS_MAX];
	/* Cells and uses that are not all zero. */
	struct gpushim_usage usages[GPUSHIM_SLOTS_MAX * 4];
	uint32_t usages_left_out; /* more than fit; they are in the sums */
	uint32_t costs_count;
	struct gpushim_cost costs[GPUSHIM_COSTS_MAX];
	struct gpushim_time time; /* sum over the live processes and all devices */
};

/*
 * Opens the tenant's files under dir: dir/ledger/TENANT/ledger and, if there is one,
 * dir/policy/TENANT/policy. tenant NULL: dir/ledger/ledger and dir/policy/policy, as inside
 * a container. Returns a reader for gpushim_reader_close(), and 0, or a negative errno:
 * -ENOENT no ledger, -EPROTO not a ledger, -EPROTONOSUPPORT of another version, -ELOOP a
 * link, -EINVAL a tenant's name that cannot be one. gpushim_reader_reason() says it in words.
 */
int gpushim_reader_open(struct gpushim_reader **reader, const char *dir,
			const char *tenant);

/* The files by name; policy_path may be NULL. */
int gpushim_reader_open_files(struct gpushim_reader **reader, const char *ledger_path,
			      const char *policy_path);

/*
 * Fills *snapshot with what the ledger says now. Returns 0 or a negative errno; -EPROTO if
 * the file is no valid ledger any more (then *snapshot is all zero).
 */
int gpushim_reader_snapshot(struct gpushim_reader *reader,
			    struct gpushim_snapshot *snapshot);

/*
 * The same for who looks every second: without costs, and without clearing the long arrays,
 * in which only as many entries are valid as the counts say. A failure leaves the counts 0.
 * It reads some kilobytes for each device and process of the tenant, not the whole file.
 */
int gpushim_reader_glance(struct gpushim_reader *reader,
			  struct gpushim_snapshot *snapshot);

/* NULL is allowed. */
void gpushim_reader_close(struct gpushim_reader *reader);

/* Why the last call of this thread to a function above failed: a sentence; "" if none did. */
const char *gpushim_reader_reason(void);

/* Names of enum values: "linear", "live", "limits.json", "learned"; "?" out of range. */
const char *gpushim_kind_name(uint32_t kind);
const char *gpushim_slot_state_name(uint32_t state);
const char *gpushim_limit_source_name(uint32_t source);
const char *gpushim_launch_kind_name(uint32_t kind);
const char *gpushim_cost_class_name(uint32_t cost_class);

#ifdef __cplusplus
}
#endif
#endif
