/*
 * reader.c - libgpushim-reader: a tenant's ledger, read from outside.
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
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "ledger/reader_file.h"
#include "ledger/reader_private.h"
#include "ledger/reader_time.h"

enum { ALL_PERMILLE = 1000 };

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
	    header->cells_offset != GPUSHIM_LEDGER_CELLS_OFFSET ||
	    header->buckets_offset != GPUSHIM_LEDGER_BUCKETS_OFFSET ||
	    header->uses_offset != GPUSHIM_LEDGER_USES_OFFSET ||
	    header->costs_offset != GPUSHIM_LEDGER_COSTS_OFFSET ||
	    header->bucket_bytes != sizeof(struct gpushim_ledger_bucket) ||
	    header->use_bytes != sizeof(struct gpushim_ledger_use) ||
	    header->cost_bytes != sizeof(struct gpushim_ledger_cost) ||
	    header->costs_max != GPUSHIM_COSTS_MAX ||
	    header->walls_offset != GPUSHIM_LEDGER_WALLS_OFFSET ||
	    header->wall_bytes != sizeof(struct gpushim_ledger_wall))
		return refuse("the ledger", -EPROTO,
			      "has sizes that this version does not");
	return 0;
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

	reader->rows = 0;
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
		reader->rows = i + 1;
		process->state = slot->state == GPUSHIM_SLOT_ORPHAN ? GPUSHIM_SLOT_ORPHAN
								    : GPUSHIM_SLOT_LIVE;
		process->alive = alive;
		process->pid = slot->pid;
		process->pid_namespace = slot->pid_namespace;
		process->start_unix_ns = slot->start_unix_ns;
		gsh_reader_copy_text(process->command, slot->command,
				     sizeof(process->command));
#define FIELD(name, kind, text) process->name = slot->name;
#include "gpushim/ledger_fields.def"
	}
	return 0;
}

static bool is_zero(const void *bytes, size_t count)
{
	const char *first = bytes;

	return *first == 0 && memcmp(first, first + 1, count - 1) == 0;
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

static void show_cell(struct gpushim_usage *usage, struct gpushim_device *device,
		      const struct gpushim_ledger_cell *cell)
{
	usage->charged_bytes = cell->charged;
	usage->pending_bytes = cell->pending;
	usage->peak_bytes = cell->peak_bytes;
	usage->exported_bytes = cell->exported_bytes;
	usage->imports = cell->imports;
	memcpy(usage->kind_bytes, cell->kind_bytes, sizeof(usage->kind_bytes));
	usage->kind_bytes[GPUSHIM_KIND_LINEAR] = linear_bytes(cell);
	if (__builtin_add_overflow(device->charged_bytes, cell->charged,
				   &device->charged_bytes))
		device->charged_bytes = UINT64_MAX;
}

/* What a process has and has used on the device of index; of an orphan only memory is left. */
static void add_usage(const struct gpushim_reader *reader,
		      struct gpushim_snapshot *snapshot, uint32_t index,
		      const struct gpushim_process *process, uint64_t now_ns)
{
	static const struct gpushim_ledger_use none;
	const struct gpushim_ledger_cell *cell = &reader->cells[process->slot];
	const struct gpushim_ledger_use *use = process->alive
						       ? &reader->uses[process->slot]
						       : &none;
	struct gpushim_device *device = &snapshot->devices[index];
	struct gpushim_usage usage = { .slot = process->slot, .device = index };

	if (is_zero(cell, sizeof(*cell)) && is_zero(use, sizeof(*use)))
		return;
	show_cell(&usage, device, cell);
	gsh_reader_show_use(&usage, &device->time, use, now_ns);
	if (snapshot->usages_count <
	    sizeof(snapshot->usages) / sizeof(snapshot->usages[0]))
		snapshot->usages[snapshot->usages_count++] = usage;
	else
		snapshot->usages_left_out++;
}

static uint64_t share(uint64_t permille)
{
	return permille < ALL_PERMILLE ? permille : ALL_PERMILLE;
}

static int read_row(struct gpushim_reader *reader, uint32_t row)
{
	uint32_t used = reader->rows;
	int result = read_ledger(reader, reader->cells, used * sizeof(reader->cells[0]),
				 gpushim_ledger_cell_offset(row, 0));

	if (result == 0)
		result = read_ledger(reader, reader->uses, used * sizeof(reader->uses[0]),
				     gpushim_ledger_use_offset(row, 0));
	if (result == 0)
		result = read_ledger(reader, &reader->bucket, sizeof(reader->bucket),
				     GPUSHIM_LEDGER_BUCKETS_OFFSET +
					     row * sizeof(reader->bucket));
	return result;
}

static int read_device(struct gpushim_reader *reader, uint32_t row,
		       struct gpushim_snapshot *snapshot)
{
	const struct gpushim_ledger_device *device = &reader->header.devices[row];
	uint32_t index = snapshot->devices_count++;
	struct gpushim_device *shown = &snapshot->devices[index];
	int result = read_row(reader, row);
	uint64_t now_ns;

	if (result < 0)
		return result;
	now_ns = gsh_clock_now_ns();
	memset(shown, 0, sizeof(*shown));
	memcpy(shown->uuid, device->uuid, sizeof(shown->uuid));
	shown->total_bytes = device->total_bytes;
	shown->limit_bytes = device->limit_bytes;
	shown->overhead_bytes = device->overhead_bytes;
	shown->peak_bytes = device->peak_bytes;
	shown->request_permille = share(device->request_permille);
	shown->limit_permille = share(device->limit_permille);
	shown->limit_source = device->limit_source;
	gsh_reader_show_bucket(shown, &reader->bucket, now_ns);
	for (uint32_t i = 0; i < snapshot->processes_count; i++)
		add_usage(reader, snapshot, index, &snapshot->processes[i], now_ns);
	gsh_reader_add_time(&snapshot->time, &shown->time);
	gsh_reader_mark_time(&shown->time);
	return 0;
}

/* Devices are shown in the order of their rows, those left out that are not ready. */
static int read_devices(struct gpushim_reader *reader, struct gpushim_snapshot *snapshot,
			uint32_t index_of_row[GPUSHIM_DEVICES_MAX])
{
	int result = 0;

	for (uint32_t row = 0; row < GPUSHIM_DEVICES_MAX && result == 0; row++) {
		index_of_row[row] = UINT32_MAX;
		if (reader->header.devices[row].state != GPUSHIM_DEVICE_READY)
			continue;
		index_of_row[row] = snapshot->devices_count;
		result = read_device(reader, row, snapshot);
	}
	gsh_reader_mark_time(&snapshot->time);
	return result;
}

static int read_costs(struct gpushim_reader *reader, struct gpushim_snapshot *snapshot,
		      const uint32_t index_of_row[GPUSHIM_DEVICES_MAX])
{
	int result = read_ledger(reader, reader->costs, sizeof(reader->costs),
				 GPUSHIM_LEDGER_COSTS_OFFSET);
	uint64_t now_ns;

	if (result < 0)
		return result;
	now_ns = gsh_clock_now_ns();
	for (uint32_t i = 0; i < GPUSHIM_COSTS_MAX; i++) {
		const struct gpushim_ledger_cost *cost = &reader->costs[i];
		uint32_t device = cost->device < GPUSHIM_DEVICES_MAX
					  ? index_of_row[cost->device]
					  : UINT32_MAX;

		if (gsh_reader_show_cost(&snapshot->costs[snapshot->costs_count], cost,
					 device, now_ns))
			snapshot->costs_count++;
	}
	return 0;
}

/* Of the long arrays only the counts: most of their pages are never touched. */
static void clear(struct gpushim_snapshot *snapshot)
{
	memset(snapshot, 0, offsetof(struct gpushim_snapshot, processes));
	memset(&snapshot->time, 0, sizeof(snapshot->time));
	snapshot->usages_left_out = 0;
	snapshot->costs_count = 0;
}

static int read_all(struct gpushim_reader *reader, struct gpushim_snapshot *snapshot,
		    bool costs)
{
	uint32_t index_of_row[GPUSHIM_DEVICES_MAX];
	int result = read_header(reader);

	if (result == 0)
		result = read_processes(reader, snapshot);
	if (result == 0)
		result = read_devices(reader, snapshot, index_of_row);
	if (result == 0 && costs)
		result = read_costs(reader, snapshot, index_of_row);
	if (result < 0)
		return result;
	gsh_reader_copy_text(snapshot->tenant, reader->header.tenant,
			     sizeof(snapshot->tenant));
	snapshot->created_unix_ns = reader->header.created_unix_ns;
	gsh_reader_show_policy(reader, snapshot);
	return 0;
}

int gpushim_reader_snapshot(struct gpushim_reader *reader,
			    struct gpushim_snapshot *snapshot)
{
	int result;

	last_reason.text[0] = '\0';
	memset(snapshot, 0, sizeof(*snapshot));
	result = read_all(reader, snapshot, true);
	if (result < 0)
		memset(snapshot, 0, sizeof(*snapshot));
	return result;
}

int gpushim_reader_glance(struct gpushim_reader *reader,
			  struct gpushim_snapshot *snapshot)
{
	int result;

	last_reason.text[0] = '\0';
	clear(snapshot);
	result = read_all(reader, snapshot, false);
	if (result < 0)
		clear(snapshot);
	return result;
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
	gsh_reader_open_policy(reader);
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
