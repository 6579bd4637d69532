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
#include <time.h>
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

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void resize(int fd, uint64_t bytes)
{
	if (ftruncate(fd, (off_t)bytes) < 0)
		abort();
}

/* Looks one after the other, about when there could be some. */
static void put_looks(struct input *in)
{
	uint64_t number = now_ns() / GPUSHIM_LOOK_NS - input_u8(in) % 80;
	uint64_t step_ns = input_number(in), used_ns = input_number(in);
	uint64_t bucket = GPUSHIM_LEDGER_BUCKETS_OFFSET +
			  input_u8(in) % 2 * sizeof(struct gpushim_ledger_bucket);

	for (int i = input_u8(in) % 80; i >= 0; i--, number++, used_ns += step_ns) {
		struct gpushim_ledger_look look = { number * GPUSHIM_LOOK_NS, used_ns };

		put(ledger_fd, &look, sizeof(look),
		    bucket + offsetof(struct gpushim_ledger_bucket, looks) +
			    number % GPUSHIM_LOOKS_MAX * sizeof(look));
	}
	put(ledger_fd, &used_ns, sizeof(used_ns),
	    bucket + offsetof(struct gpushim_ledger_bucket, used_ns));
}

/* A number somewhere: mostly where numbers are. */
static void scribble(struct input *in)
{
	uint64_t value = input_number(in), at = 0;
	size_t bytes = 1 + input_u8(in) % sizeof(value);

	switch (input_u8(in) % 11) {
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
	case 6:
		at = gpushim_ledger_cell_offset(input_u8(in) % 16, input_u8(in) % 4) +
		     input_u8(in) % 128;
		break;
	case 7:
		at = gpushim_ledger_use_offset(input_u8(in) % 2, input_u8(in) % 4) +
		     input_u8(in) % 128;
		break;
	case 8: /* mostly what is not one of the looks */
		at = GPUSHIM_LEDGER_BUCKETS_OFFSET +
		     input_u8(in) % 2 * sizeof(struct gpushim_ledger_bucket) +
		     input_u8(in) % 192;
		break;
	case 9:
		at = GPUSHIM_LEDGER_COSTS_OFFSET +
		     input_u16(in) % (4 * sizeof(struct gpushim_ledger_cost));
		break;
	default:
		put_looks(in);
		return;
	}
	put(ledger_fd, &value, bytes, at);
}

/* Texts without an end. */
static void scribble_texts(struct input *in)
{
	struct gpushim_ledger_cost cost = { .key = 1 };
	char text[192];

	memset(text, input_u8(in) | 1, sizeof(text));
	put(ledger_fd, text, 64, offsetof(struct gpushim_ledger_header, tenant));
	put(ledger_fd, text, 16,
	    gpushim_ledger_slot_offset(input_u8(in) % 3) +
		    offsetof(struct gpushim_ledger_slot, command));
	memcpy(cost.name, text, sizeof(cost.name));
	put(ledger_fd, &cost, sizeof(cost), GPUSHIM_LEDGER_COSTS_OFFSET);
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
		.buckets_offset = GPUSHIM_LEDGER_BUCKETS_OFFSET,
		.uses_offset = GPUSHIM_LEDGER_USES_OFFSET,
		.costs_offset = GPUSHIM_LEDGER_COSTS_OFFSET,
		.bucket_bytes = sizeof(struct gpushim_ledger_bucket),
		.use_bytes = sizeof(struct gpushim_ledger_use),
		.cost_bytes = sizeof(struct gpushim_ledger_cost),
		.costs_max = GPUSHIM_COSTS_MAX,
		.tenant = "t",
		.slots_used = 3,
		.ready = 1,
		.devices = { { .state = GPUSHIM_DEVICE_READY },
			     { .state = GPUSHIM_DEVICE_READY } },
	};

	const struct gpushim_ledger_bucket bucket = { .limit_permille = 300,
						      .burst_ns = 20000000,
						      .refilled_ns = now_ns() };

	resize(ledger_fd, 0);
	resize(ledger_fd, GPUSHIM_LEDGER_BYTES);
	put(ledger_fd, &header, sizeof(header), 0);
	put(ledger_fd, &bucket, sizeof(bucket), GPUSHIM_LEDGER_BUCKETS_OFFSET);
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

/* A sum is no less than one of what it sums up, but where it is not known. */
static void check_time(const struct gpushim_time *part, const struct gpushim_time *sum)
{
#define FIELD(name, kind, text)                                      \
	if (part->name != GPUSHIM_UNKNOWN && sum->name < part->name) \
		abort();
#include "gpushim/time_fields.def"
	if (part->waiting > 1 || (part->waiting > 0) != (part->waiting_ns > 0) ||
	    sum->waiting < part->waiting || sum->waiting_ns < part->waiting_ns)
		abort();
}

static void check_devices(const struct gpushim_snapshot *s)
{
	for (const struct gpushim_device *device = s->devices;
	     device < s->devices + s->devices_count; device++) {
		int64_t debt_max_ns = INT64_C(600000000000);
		bool known = device->level_ns != GPUSHIM_UNKNOWN_LEVEL;

		if (device->request_permille > 1000 || device->limit_permille > 1000 ||
		    device->enforced > 1 || device->rate_permille == 0 ||
		    (device->rate_permille > 1000 &&
		     device->rate_permille != GPUSHIM_UNKNOWN) ||
		    device->burst_ns == 0 ||
		    (known && (device->rate_permille == GPUSHIM_UNKNOWN ||
			       device->burst_ns == GPUSHIM_UNKNOWN ||
			       device->level_ns < -debt_max_ns ||
			       device->level_ns > (int64_t)device->burst_ns)))
			abort();
		/* A thousand times the device's time is more than anybody can use. */
		if ((device->share_1s_ppm > 1000000000 &&
		     device->share_1s_ppm != GPUSHIM_UNKNOWN_PPM) ||
		    (device->share_10s_ppm > 1000000000 &&
		     device->share_10s_ppm != GPUSHIM_UNKNOWN_PPM))
			abort();
	}
}

static void check_usages(const struct gpushim_snapshot *s)
{
	for (const struct gpushim_usage *usage = s->usages;
	     usage < s->usages + s->usages_count; usage++) {
		if (usage->device >= s->devices_count ||
		    usage->slot >= GPUSHIM_SLOTS_MAX ||
		    s->devices[usage->device].charged_bytes < usage->charged_bytes ||
		    usage->overlap_permille == 0 || usage->inflation_permille == 0)
			abort();
		check_time(&usage->time, &s->devices[usage->device].time);
		check_time(&usage->time, &s->time);
	}
}

static void check_snapshot(const struct gpushim_snapshot *s)
{
	if (s->devices_count > GPUSHIM_DEVICES_MAX ||
	    s->processes_count > GPUSHIM_SLOTS_MAX ||
	    s->usages_count > GPUSHIM_SLOTS_MAX * 4 ||
	    s->costs_count > GPUSHIM_COSTS_MAX ||
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
	check_devices(s);
	check_usages(s);
	for (uint32_t i = 0; i < s->costs_count; i++) {
		check_text(s->costs[i].name, sizeof(s->costs[i].name));
		if (s->costs[i].device >= s->devices_count &&
		    s->costs[i].device != UINT32_MAX)
			abort();
	}
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
