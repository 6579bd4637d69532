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
 * Threads: a reader may be used by one thread at a time.
 */
#ifndef GPUSHIM_READER_H
#define GPUSHIM_READER_H

#include "gpushim/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gpushim_reader;

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
	uint32_t reserved;
};

/* About 350 KiB: for the heap. Dead slots are left out. */
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
	struct gpushim_usage
		usages[GPUSHIM_SLOTS_MAX * 4]; /* cells that are not all zero */
	uint32_t usages_left_out;	       /* more cells than fit */
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

/* NULL is allowed. */
void gpushim_reader_close(struct gpushim_reader *reader);

/* Why the last call of this thread to a function above failed: a sentence; "" if none did. */
const char *gpushim_reader_reason(void);

/* Names of enum values: "linear", "live", "limits.json"; "?" for values out of range. */
const char *gpushim_kind_name(uint32_t kind);
const char *gpushim_slot_state_name(uint32_t state);
const char *gpushim_limit_source_name(uint32_t source);

#ifdef __cplusplus
}
#endif
#endif
