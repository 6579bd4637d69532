/*
 * ledger_reader.c - ledgers and policy pages that were written to mislead whoever reads them
 * from outside, also by cutting them off and changing them between two reads: every figure
 * stays in its bounds, every text ends and can be printed, and what is refused leaves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common_input.h"
#include "gpushim/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char ledger_path[256], policy_path[256];
static int ledger_fd = -1, policy_fd = -1;
static struct input *input; /* what happens between reads; NULL: nothing */

static int make_file(char *path, size_t bytes, const char *name)
{
	const char *base = getenv("TMPDIR");
	int fd;

	snprintf(path, bytes, "%s/%s-XXXXXX", base ? base : "/dev/shm", name);
	fd = mkstemp(path);
	if (fd < 0)
		abort();
	return fd;
}

static void put(int fd, const void *bytes, size_t count, uint64_t offset)
{
	if (pwrite(fd, bytes, count, (off_t)offset) != (ssize_t)count)
		abort();
}

static void resize(int fd, uint64_t bytes)
{
	if (ftruncate(fd, (off_t)bytes) < 0)
		abort();
}

/* A number somewhere: mostly where numbers are. */
static void scribble(struct input *in)
{
	uint64_t value = input_number(in), at = 0;
	size_t bytes = 1 + input_u8(in) % sizeof(value);

	switch (input_u8(in) % 8) {
	case 0:
		put(policy_fd, &value, bytes, input_u16(in) % 4096);
		return;
	case 1:
		at = input_u16(in) % 192;
		break;
	case 2:
	case 3:
		at = 192 + input_u16(in) % 2048;
		break;
	case 4:
	case 5:
		at = gpushim_ledger_slot_offset(input_u8(in) % 4) + input_u8(in);
		break;
	default:
		at = gpushim_ledger_cell_offset(input_u8(in) % 16, input_u8(in) % 4) +
		     input_u8(in) % 128;
		break;
	}
	put(ledger_fd, &value, bytes, at);
}

/* Texts without an end. */
static void scribble_texts(struct input *in)
{
	char text[192];

	memset(text, input_u8(in) | 1, sizeof(text));
	put(ledger_fd, text, 64, offsetof(struct gpushim_ledger_header, tenant));
	put(ledger_fd, text, 16,
	    gpushim_ledger_slot_offset(input_u8(in) % 3) +
		    offsetof(struct gpushim_ledger_slot, command));
}

/* In place of libc's: the file's owner acts right before the read, and cuts it short. */
ssize_t pread(int fd, void *buf, size_t nbytes, off_t offset)
{
	if (input && input->size > 0) {
		uint8_t what = input_u8(input);

		if (what % 16 == 0)
			resize(ledger_fd,
			       input_number(input) % (2 * GPUSHIM_LEDGER_BYTES));
		else if (what % 16 == 1)
			resize(policy_fd, input_u16(input));
		else if (what % 16 < 8)
			scribble(input);
		if (what >= 240 && nbytes > 1)
			nbytes /= 2;
	}
	/* A system call writes where it is told; this does not go unnoticed. */
	memset(buf, 0x5a, nbytes);
	return syscall(SYS_pread64, fd, buf, nbytes, offset);
}

static void put_ledger(struct input *in)
{
	static const struct gpushim_ledger_header header = {
		.magic = GPUSHIM_LEDGER_MAGIC,
		.version = GPUSHIM_LEDGER_VERSION,
		.header_bytes = sizeof(header),
		.bytes = GPUSHIM_LEDGER_BYTES,
		.slots = GPUSHIM_SLOTS_MAX,
		.slot_bytes = sizeof(struct gpushim_ledger_slot),
		.devices_max = GPUSHIM_DEVICES_MAX,
		.cell_bytes = sizeof(struct gpushim_ledger_cell),
		.slots_offset = GPUSHIM_LEDGER_SLOTS_OFFSET,
		.cells_offset = GPUSHIM_LEDGER_CELLS_OFFSET,
		.tenant = "t",
		.slots_used = 3,
		.ready = 1,
		.devices = { { .state = GPUSHIM_DEVICE_READY },
			     { .state = GPUSHIM_DEVICE_READY } },
	};

	resize(ledger_fd, 0);
	resize(ledger_fd, GPUSHIM_LEDGER_BYTES);
	put(ledger_fd, &header, sizeof(header), 0);
	for (uint32_t slot = 0; slot < 3; slot++) {
		uint32_t state = input_u8(in) % 4;

		put(ledger_fd, &state, sizeof(state), gpushim_ledger_slot_offset(slot));
	}
	resize(policy_fd, 0);
	resize(policy_fd, GPUSHIM_POLICY_BYTES);
	for (int i = input_u8(in) % 32; i > 0; i--)
		scribble(in);
	if (input_u8(in) % 4 == 0)
		scribble_texts(in);
}

/* Slots are alive when somebody holds their locks. */
static void lock_slots(struct input *in)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(ledger_fd, F_OFD_SETLK, &lock);
	lock.l_type = F_WRLCK;
	lock.l_start = (off_t)gpushim_ledger_slot_offset(input_u8(in) % 3);
	lock.l_len = (off_t)(input_u8(in) * sizeof(struct gpushim_ledger_slot)) + 1;
	fcntl(ledger_fd, F_OFD_SETLK, &lock);
}

static void check_text(const char *text, size_t bytes)
{
	size_t length = strnlen(text, bytes);

	if (length == bytes)
		abort();
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			abort();
}

static void check_snapshot(const struct gpushim_snapshot *s)
{
	if (s->devices_count > GPUSHIM_DEVICES_MAX ||
	    s->processes_count > GPUSHIM_SLOTS_MAX ||
	    s->usages_count > GPUSHIM_SLOTS_MAX * 4 ||
	    s->policy.device_count > GPUSHIM_DEVICES_MAX || s->has_policy > 1)
		abort();
	check_text(s->tenant, sizeof(s->tenant));
	check_text(s->policy.tenant, sizeof(s->policy.tenant));
	check_text(s->policy.source, sizeof(s->policy.source));
	check_text(s->policy.reason, sizeof(s->policy.reason));
	for (uint32_t i = 0; i < s->processes_count; i++) {
		if (s->processes[i].slot >= GPUSHIM_SLOTS_MAX ||
		    (i > 0 && s->processes[i].slot <= s->processes[i - 1].slot))
			abort();
		check_text(s->processes[i].command, sizeof(s->processes[i].command));
	}
	for (uint32_t i = 0; i < s->usages_count; i++)
		if (s->usages[i].device >= s->devices_count ||
		    s->usages[i].slot >= GPUSHIM_SLOTS_MAX ||
		    s->devices[s->usages[i].device].charged_bytes <
			    s->usages[i].charged_bytes)
			abort();
}

static bool is_empty(const void *bytes, size_t count)
{
	const char *p = bytes;

	return p[0] == 0 && memcmp(p, p + 1, count - 1) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gpushim_snapshot snapshot;
	struct input in = { data, size };
	struct gpushim_reader *reader;

	if (ledger_fd < 0) {
		ledger_fd = make_file(ledger_path, sizeof(ledger_path), "ledger");
		policy_fd = make_file(policy_path, sizeof(policy_path), "policy");
	}
	put_ledger(&in);
	lock_slots(&in);
	input = &in;
	if (gpushim_reader_open_files(&reader, ledger_path, policy_path) == 0) {
		for (int i = 0; i < 3; i++) {
			memset(&snapshot, 0xff, sizeof(snapshot));
			if (gpushim_reader_snapshot(reader, &snapshot) == 0)
				check_snapshot(&snapshot);
			else if (!gpushim_reader_reason()[0] ||
				 !is_empty(&snapshot, sizeof(snapshot)))
				abort();
		}
		gpushim_reader_close(reader);
	} else if (!gpushim_reader_reason()[0] || reader) {
		abort();
	}
	input = NULL;
	return 0;
}
