/*
 * reader.c - libgpushim-reader: a tenant's ledger and policy, read from outside.
 *
 * Knows that whoever owns the files may lie: every number is bounded before it is used,
 * every text made printable. Refuses to know what is done with the figures, and to write
 * anything. It allocates, so guests go without it.
 */
#pragma GCC visibility push(default)
#include "gpushim/reader.h"
#pragma GCC visibility pop

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "ledger/page.h"
#include "ledger/reader_file.h"

/* Tries to read a page's limits while somebody writes them. */
enum { POLICY_TRIES = 4 };

struct gpushim_reader {
	int ledger_fd;
	int policy_fd; /* -1: there was no page yet */
	/* Where the page would be: below dir, or a file by name; "": nowhere. */
	char dir[PATH_MAX], policy_path[PATH_MAX];
	char tenant[GPUSHIM_NAME_BYTES]; /* "": as in a container */
	/* What was read last, before any of it is believed. */
	struct gpushim_ledger_header header;
	struct gpushim_ledger_slot slots[GPUSHIM_SLOTS_MAX];
	struct gpushim_ledger_cell cells[GPUSHIM_SLOTS_MAX];
	struct gpushim_policy_page page;
};

static _Thread_local struct gsh_reason last_reason;

static int refuse(const char *what, int error, const char *sentence)
{
	gsh_reason_set(&last_reason, what, " ", sentence, NULL);
	return error;
}

const char *gpushim_reader_reason(void)
{
	return last_reason.text;
}

/* ---- opening ---- */

static void open_policy(struct gpushim_reader *reader)
{
	struct gsh_reason before = last_reason;
	struct stat status;
	int fd = -ENOENT;

	if (reader->policy_path[0])
		fd = gsh_file_open(reader->policy_path, O_RDONLY, &last_reason);
	else if (reader->dir[0])
		fd = gsh_reader_open_below(reader->dir, "policy", reader->tenant,
					   &last_reason);
	if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) {
		close(fd);
		fd = -EPROTO;
	}
	reader->policy_fd = fd < 0 ? -1 : fd;
	/* No page is no failure. */
	last_reason = before;
}

/* ---- reading, and believing ---- */

static int read_ledger(const struct gpushim_reader *reader, void *to, size_t bytes,
		       uint64_t offset)
{
	return gsh_reader_read(reader->ledger_fd, to, bytes, offset, "the ledger",
			       &last_reason);
}

static int read_header(struct gpushim_reader *reader)
{
	const struct gpushim_ledger_header *header = &reader->header;
	struct stat status;
	int result;

	if (fstat(reader->ledger_fd, &status) < 0)
		return refuse("the ledger", -errno, "cannot be examined");
	if (!S_ISREG(status.st_mode))
		return refuse("the ledger", -EPROTO, "is not a regular file");
	result = read_ledger(reader, &reader->header, sizeof(reader->header), 0);
	if (result < 0)
		return result;
	if (header->magic != GPUSHIM_LEDGER_MAGIC || !header->ready)
		return refuse("the ledger", -EPROTO, "is not a ledger");
	if (header->version != GPUSHIM_LEDGER_VERSION)
		return refuse("the ledger", -EPROTONOSUPPORT,
			      "is of another version: use programs of one release");
	if ((uint64_t)status.st_size != GPUSHIM_LEDGER_BYTES ||
	    header->header_bytes != sizeof(*header) ||
	    header->bytes != GPUSHIM_LEDGER_BYTES || header->slots != GPUSHIM_SLOTS_MAX ||
	    header->slot_bytes != sizeof(struct gpushim_ledger_slot) ||
	    header->devices_max != GPUSHIM_DEVICES_MAX ||
	    header->cell_bytes != sizeof(struct gpushim_ledger_cell) ||
	    header->slots_offset != GPUSHIM_LEDGER_SLOTS_OFFSET ||
	    header->cells_offset != GPUSHIM_LEDGER_CELLS_OFFSET)
		return refuse("the ledger", -EPROTO,
			      "has sizes that this version does not");
	return 0;
}

/* For terminals and logs: printable ASCII, ended and filled up with NUL. */
static void copy_text(char *to, const char *from, size_t bytes)
{
	size_t count = 0;

	memset(to, 0, bytes);
	for (; count < bytes - 1 && from[count]; count++)
		to[count] = from[count] >= ' ' && from[count] <= '~' ? from[count] : '?';
}

static uint32_t slots_used(const struct gpushim_reader *reader)
{
	return reader->header.slots_used < GPUSHIM_SLOTS_MAX ? reader->header.slots_used
							     : GPUSHIM_SLOTS_MAX;
}

static int read_processes(struct gpushim_reader *reader,
			  struct gpushim_snapshot *snapshot)
{
	uint32_t used = slots_used(reader);
	int result = read_ledger(reader, reader->slots, used * sizeof(reader->slots[0]),
				 GPUSHIM_LEDGER_SLOTS_OFFSET);

	if (result < 0)
		return result;
	for (uint32_t i = 0; i < used; i++) {
		const struct gpushim_ledger_slot *slot = &reader->slots[i];
		struct gpushim_process *process;
		bool alive;

		if (slot->state == GPUSHIM_SLOT_FREE)
			continue;
		alive = gsh_ledger_slot_alive(reader->ledger_fd, i);
		if (!alive && slot->state != GPUSHIM_SLOT_ORPHAN)
			continue;
		process = &snapshot->processes[snapshot->processes_count++];
		process->slot = i;
		process->state = slot->state == GPUSHIM_SLOT_ORPHAN ? GPUSHIM_SLOT_ORPHAN
								    : GPUSHIM_SLOT_LIVE;
		process->alive = alive;
		process->pid = slot->pid;
		process->pid_namespace = slot->pid_namespace;
		process->start_unix_ns = slot->start_unix_ns;
		copy_text(process->command, slot->command, sizeof(process->command));
#define FIELD(name, kind, text) process->name = slot->name;
#include "gpushim/ledger_fields.def"
	}
	return 0;
}

static bool is_zero(const struct gpushim_ledger_cell *cell)
{
	static const struct gpushim_ledger_cell zero;

	return memcmp(cell, &zero, sizeof(zero)) == 0;
}

/* What the kinds that are kept leave of the charge; never more than it. */
static uint64_t linear_bytes(const struct gpushim_ledger_cell *cell)
{
	uint64_t left = cell->charged;

	for (unsigned kind = 0; kind < GPUSHIM_KINDS_MAX; kind++)
		if (kind != GPUSHIM_KIND_LINEAR)
			left -= cell->kind_bytes[kind] < left ? cell->kind_bytes[kind]
							      : left;
	return left;
}

static void add_usage(struct gpushim_snapshot *snapshot, uint32_t device, uint32_t slot,
		      const struct gpushim_ledger_cell *cell)
{
	struct gpushim_device *shown = &snapshot->devices[device];
	struct gpushim_usage *usage;

	if (__builtin_add_overflow(shown->charged_bytes, cell->charged,
				   &shown->charged_bytes))
		shown->charged_bytes = UINT64_MAX;
	if (snapshot->usages_count ==
	    sizeof(snapshot->usages) / sizeof(snapshot->usages[0])) {
		snapshot->usages_left_out++;
		return;
	}
	usage = &snapshot->usages[snapshot->usages_count++];
	usage->slot = slot;
	usage->device = device;
	usage->charged_bytes = cell->charged;
	usage->pending_bytes = cell->pending;
	usage->peak_bytes = cell->peak_bytes;
	usage->exported_bytes = cell->exported_bytes;
	usage->imports = cell->imports;
	memcpy(usage->kind_bytes, cell->kind_bytes, sizeof(usage->kind_bytes));
	usage->kind_bytes[GPUSHIM_KIND_LINEAR] = linear_bytes(cell);
}

static int read_device(struct gpushim_reader *reader, uint32_t row,
		       struct gpushim_snapshot *snapshot)
{
	const struct gpushim_ledger_device *device = &reader->header.devices[row];
	uint32_t index = snapshot->devices_count++;
	struct gpushim_device *shown = &snapshot->devices[index];
	int result = read_ledger(reader, reader->cells,
				 slots_used(reader) * sizeof(reader->cells[0]),
				 gpushim_ledger_cell_offset(row, 0));

	if (result < 0)
		return result;
	memcpy(shown->uuid, device->uuid, sizeof(shown->uuid));
	shown->total_bytes = device->total_bytes;
	shown->limit_bytes = device->limit_bytes;
	shown->overhead_bytes = device->overhead_bytes;
	shown->peak_bytes = device->peak_bytes;
	shown->request_permille = device->request_permille;
	shown->limit_permille = device->limit_permille;
	shown->limit_source = device->limit_source;
	for (uint32_t i = 0; i < snapshot->processes_count; i++) {
		uint32_t slot = snapshot->processes[i].slot;

		if (!is_zero(&reader->cells[slot]))
			add_usage(snapshot, index, slot, &reader->cells[slot]);
	}
	return 0;
}

/* What a single reading of the page says, if it is right. */
static bool page_limits(const struct gpushim_policy_page *page,
			struct gpushim_policy_limits *limits)
{
	if (page->magic != GPUSHIM_POLICY_MAGIC || !page->ready ||
	    page->version != GPUSHIM_POLICY_VERSION || page->generation == 0)
		return false;
	*limits = page->limits[page->generation & 1];
	return limits->generation == page->generation && gsh_policy_limits_valid(limits);
}

static void read_policy(struct gpushim_reader *reader, struct gpushim_snapshot *snapshot)
{
	struct gpushim_policy_limits *shown = &snapshot->policy, limits;

	if (reader->policy_fd < 0)
		open_policy(reader);
	for (int i = 0; reader->policy_fd >= 0 && i < POLICY_TRIES; i++) {
		if (pread(reader->policy_fd, &reader->page, sizeof(reader->page), 0) !=
		    (ssize_t)sizeof(reader->page))
			return;
		if (!page_limits(&reader->page, &limits))
			continue;
		*shown = limits;
		copy_text(shown->tenant, limits.tenant, sizeof(shown->tenant));
		copy_text(shown->source, limits.source, sizeof(shown->source));
		copy_text(shown->reason, limits.reason, sizeof(shown->reason));
		snapshot->heartbeat = reader->page.heartbeat;
		snapshot->has_policy = 1;
		return;
	}
}

int gpushim_reader_snapshot(struct gpushim_reader *reader,
			    struct gpushim_snapshot *snapshot)
{
	int result;

	last_reason.text[0] = '\0';
	memset(snapshot, 0, sizeof(*snapshot));
	result = read_header(reader);
	if (result == 0)
		result = read_processes(reader, snapshot);
	for (uint32_t i = 0; result == 0 && i < GPUSHIM_DEVICES_MAX; i++)
		if (reader->header.devices[i].state == GPUSHIM_DEVICE_READY)
			result = read_device(reader, i, snapshot);
	if (result < 0) {
		memset(snapshot, 0, sizeof(*snapshot));
		return result;
	}
	copy_text(snapshot->tenant, reader->header.tenant, sizeof(snapshot->tenant));
	snapshot->created_unix_ns = reader->header.created_unix_ns;
	read_policy(reader, snapshot);
	return 0;
}

/* ---- the reader itself ---- */

/* Takes ledger_fd, which may be a failure already said. */
static int start(struct gpushim_reader **made, struct gpushim_reader *reader,
		 int ledger_fd)
{
	int result = ledger_fd;

	reader->ledger_fd = ledger_fd;
	reader->policy_fd = -1;
	if (result >= 0)
		result = read_header(reader);
	if (result < 0) {
		gpushim_reader_close(reader);
		return result;
	}
	open_policy(reader);
	*made = reader;
	return 0;
}

static bool copy_path(char *to, const char *path)
{
	size_t bytes = strlen(path) + 1;

	if (bytes > PATH_MAX)
		return false;
	memcpy(to, path, bytes);
	return true;
}

int gpushim_reader_open(struct gpushim_reader **reader, const char *dir,
			const char *tenant)
{
	struct gpushim_reader *made;

	last_reason.text[0] = '\0';
	*reader = NULL;
	if (tenant && !gsh_parse_is_tenant(tenant))
		return refuse(tenant, -EINVAL, "cannot be the name of a tenant");
	made = calloc(1, sizeof(*made));
	if (!made)
		return refuse("the reader", -ENOMEM, "does not fit in memory");
	if (!copy_path(made->dir, dir)) {
		free(made);
		return refuse("the directory", -ENAMETOOLONG, "has too long a name");
	}
	if (tenant)
		memcpy(made->tenant, tenant, strlen(tenant) + 1);
	return start(reader, made,
		     gsh_reader_open_below(dir, "ledger", made->tenant, &last_reason));
}

int gpushim_reader_open_files(struct gpushim_reader **reader, const char *ledger_path,
			      const char *policy_path)
{
	struct gpushim_reader *made;

	last_reason.text[0] = '\0';
	*reader = NULL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return refuse("the reader", -ENOMEM, "does not fit in memory");
	if (policy_path && !copy_path(made->policy_path, policy_path)) {
		free(made);
		return refuse("the policy page", -ENAMETOOLONG, "has too long a name");
	}
	return start(reader, made, gsh_file_open(ledger_path, O_RDONLY, &last_reason));
}

void gpushim_reader_close(struct gpushim_reader *reader)
{
	if (!reader)
		return;
	if (reader->ledger_fd >= 0)
		close(reader->ledger_fd);
	if (reader->policy_fd >= 0)
		close(reader->policy_fd);
	free(reader);
}

/* ---- names ---- */

static const char *name_of(const char *const *names, size_t count, uint32_t value)
{
	return value < count && names[value] ? names[value] : "?";
}

const char *gpushim_kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[GPUSHIM_KIND_LINEAR] = "linear",   [GPUSHIM_KIND_MANAGED] = "managed",
		[GPUSHIM_KIND_ARRAY] = "array",	    [GPUSHIM_KIND_VMM] = "vmm",
		[GPUSHIM_KIND_POOL] = "pool",	    [GPUSHIM_KIND_GRAPH] = "graph",
		[GPUSHIM_KIND_CONTEXT] = "context",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), kind);
}

const char *gpushim_slot_state_name(uint32_t state)
{
	static const char *const names[] = {
		[GPUSHIM_SLOT_FREE] = "free",
		[GPUSHIM_SLOT_LIVE] = "live",
		[GPUSHIM_SLOT_ORPHAN] = "orphan",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), state);
}

const char *gpushim_limit_source_name(uint32_t source)
{
	static const char *const names[] = {
		[GPUSHIM_SOURCE_NONE] = "none",
		[GPUSHIM_SOURCE_PAGE] = "policy",
		[GPUSHIM_SOURCE_FILE] = "limits.json",
		[GPUSHIM_SOURCE_VARIABLE] = "GPUSHIM_MEMORY",
		[GPUSHIM_SOURCE_HAMI] = "CUDA_DEVICE_MEMORY_LIMIT",
		[GPUSHIM_SOURCE_NVIDIA] = "NVIDIA_GPU_MEMORY_LIMIT",
		[GPUSHIM_SOURCE_DRIVER] = "driver",
	};

	return name_of(names, sizeof(names) / sizeof(names[0]), source);
}
