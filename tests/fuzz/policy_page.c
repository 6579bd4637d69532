/*
 * policy_page.c - policy pages of any content, and any changes of them while they are mapped:
 * what is taken is always sealed and bounded, a change that is not valid changes nothing,
 * and every refusal says why.
 *
 * Checksums would stop a fuzzer at the door, so the input may ask for copies to be sealed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common_input.h"
#include "ledger/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[256];
static int file_fd = -1;

static void make_file(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/page-XXXXXX", base ? base : "/dev/shm");
	file_fd = mkstemp(path);
	if (file_fd < 0)
		abort();
}

static void put(const void *bytes, size_t count, uint64_t offset)
{
	if (pwrite(file_fd, bytes, count, (off_t)offset) != (ssize_t)count)
		abort();
}

/* Writes one of the two copies: anything, from nothing to wholly right. */
static void put_copy(struct input *in)
{
	struct gpushim_policy_limits limits;
	uint8_t how = input_u8(in);
	uint64_t generation = input_number(in);

	memset(&limits, 0, sizeof(limits));
	limits.generation = generation;
	limits.tenant[0] = 't';
	limits.device_count = input_u8(in) % (GPUSHIM_DEVICES_MAX + 2);
	if (how & 1)
		input_bytes(in, (char *)&limits + input_u16(in) % 1400, 160);
	if (how & 8)
		memset((char *)&limits + input_u16(in) % 1000, input_u8(in), 500);
	if (how & 2)
		limits.checksum = gsh_policy_checksum(&limits);
	put(&limits, sizeof(limits),
	    offsetof(struct gpushim_policy_page, limits) +
		    (generation & 1) * sizeof(limits));
	if (how & 4)
		put(&generation, sizeof(generation),
		    offsetof(struct gpushim_policy_page, generation));
}

static void scribble(struct input *in)
{
	uint64_t value = input_number(in);
	size_t bytes = 1 + input_u8(in) % sizeof(value);

	put(&value, bytes, input_u16(in) % (GPUSHIM_POLICY_BYTES - sizeof(value)));
}

static void put_page(struct input *in)
{
	static const struct gpushim_policy_page empty = {
		.magic = GPUSHIM_POLICY_MAGIC,
		.version = GPUSHIM_POLICY_VERSION,
		.bytes = GPUSHIM_POLICY_BYTES,
		.ready = 1,
	};

	if (ftruncate(file_fd, 0) < 0)
		abort();
	put(&empty, sizeof(empty), 0);
	put_copy(in);
	for (int i = input_u8(in) % 4; i > 0; i--)
		scribble(in);
	/* Cut off or longer; never again once it is mapped, as the protocol promises. */
	if (input_u8(in) % 8 == 0 && ftruncate(file_fd, input_u16(in)) < 0)
		abort();
}

static void check(const struct gpushim_policy_limits *limits, bool right)
{
	if (!right || limits->generation == 0 ||
	    limits->device_count > GPUSHIM_DEVICES_MAX ||
	    limits->checksum != gsh_policy_checksum(limits) ||
	    strnlen(limits->tenant, sizeof(limits->tenant)) == sizeof(limits->tenant) ||
	    strnlen(limits->source, sizeof(limits->source)) == sizeof(limits->source) ||
	    strnlen(limits->reason, sizeof(limits->reason)) == sizeof(limits->reason))
		abort();
}

static void change(struct input *in, struct gsh_page *page,
		   struct gpushim_policy_limits *limits)
{
	struct gpushim_policy_limits before = *limits;
	uint64_t errors = 0;
	bool took;

	if (input_u8(in) % 4 == 0)
		scribble(in);
	else
		put_copy(in);
	took = gsh_page_adopt(page, limits, &errors);
	if (took && errors)
		abort();
	if (!took && memcmp(&before, limits, sizeof(before)) != 0)
		abort();
	check(limits, limits->generation == page->adopted);
	/* Whatever it was, it has been looked at. */
	if (gsh_page_changed(page) || gsh_page_adopt(page, limits, &errors) || errors > 1)
		abort();
	gsh_page_overhead(page, (const uint8_t *)limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct gpushim_policy_limits limits;
	struct gsh_reason why = { "" };
	struct gsh_page page;
	int result;

	if (file_fd < 0)
		make_file();
	put_page(&in);
	result = gsh_page_open(&page, path, &limits, &why);
	if (result < 0) {
		if (!why.text[0] || page.page)
			abort();
		return 0;
	}
	check(&limits, limits.generation == page.adopted);
	while (in.size > 0)
		change(&in, &page, &limits);
	gsh_page_close(&page);
	return 0;
}
