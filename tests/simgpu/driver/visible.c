/*
 * visible.c - CUDA_VISIBLE_DEVICES. See visible.h.
 *
 * Knows: the variable as the CUDA Programming Guide documents it (a list of ordinals and
 * UUIDs, abbreviated as long as they are unambiguous; the first entry that names no device
 * ends the list) and which requests name a device. A device named twice leaves none: the
 * guide is silent about it, and this is how frameworks that predict the driver (PyTorch)
 * read it. MIG instances are not devices here. All devices are alike, so CUDA_DEVICE_ORDER
 * changes nothing.
 */
#include "driver/visible.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/uuid.h"

/* By ordinal: the device process's number. */
static unsigned numbers[SIM_MAX_LOCAL_DEVICES];

/* Where a request and its reply name a device: the index of the word plus 1, 0: nowhere. */
static const struct {
	unsigned char asked, answered;
} places[SIM_RPC_MAX] = {
	[SIM_RPC_CTX_CREATE] = { 1, 0 },  [SIM_RPC_MEM_ALLOC] = { 2, 0 },
	[SIM_RPC_MEM_INFO] = { 1, 0 },	  [SIM_RPC_MEM_RANGE] = { 0, 4 },
	[SIM_RPC_PHYS_CREATE] = { 1, 0 }, [SIM_RPC_PHYS_INFO] = { 0, 2 },
	[SIM_RPC_PHYS_IMPORT] = { 0, 3 }, [SIM_RPC_IPC_OPEN] = { 0, 3 },
	[SIM_RPC_POOL_EXPORT] = { 1, 0 }, [SIM_RPC_POOL_IMPORT] = { 0, 1 },
};

/* ---- the variable ---- */

/* The one device of `all` whose UUID begins with the text, else SIM_HIDDEN. */
static unsigned by_uuid(const struct sim_hello *all, const char *item, size_t length)
{
	char text[SIM_UUID_TEXT_BYTES];
	unsigned found = SIM_HIDDEN;

	for (unsigned i = 0; i < all->devices; i++) {
		sim_uuid_text(all->uuid[i], text);
		if (strncmp(item, text, length) != 0)
			continue;
		if (found != SIM_HIDDEN)
			return SIM_HIDDEN;
		found = i;
	}
	return found;
}

/* The device that an entry of the list names, or SIM_HIDDEN. */
static unsigned identify(const struct sim_hello *all, const char *item, size_t length)
{
	unsigned number = 0;

	if (length >= 4 && strncmp(item, "GPU-", 4) == 0)
		return by_uuid(all, item, length);
	for (size_t i = 0; i < length; i++) {
		if (item[i] < '0' || item[i] > '9')
			return SIM_HIDDEN;
		number = number * 10 + (unsigned)(item[i] - '0');
		if (number >= all->devices)
			return SIM_HIDDEN;
	}
	return length > 0 ? number : SIM_HIDDEN;
}

static bool is_listed(unsigned number, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Fills numbers[] from the list. Returns how many there are; for none, why. */
static unsigned read_list(const struct sim_hello *all, const char *list, char *why,
			  size_t why_bytes)
{
	const char *item = list;
	unsigned count = 0;

	if (strcmp(list, "") != 0 && strcmp(list, "-1") != 0)
		snprintf(
			why, why_bytes,
			"CUDA_VISIBLE_DEVICES=\"%s\" leaves no device visible: its first "
			"entry names none of the %u there are, or more than one",
			list, all->devices);
	for (;;) {
		const char *end = item + strcspn(item, ",");
		size_t length = (size_t)(end - item);
		unsigned number;

		while (length > 0 && is_blank(item[length - 1]))
			length--;
		for (; length > 0 && is_blank(*item); length--)
			item++;
		number = identify(all, item, length);
		if (number == SIM_HIDDEN)
			return count;
		if (is_listed(number, count)) {
			snprintf(
				why, why_bytes,
				"CUDA_VISIBLE_DEVICES=\"%s\" leaves no device visible: it "
				"names device %u twice",
				list, number);
			return 0;
		}
		numbers[count++] = number;
		if (*end == '\0')
			return count;
		item = end + 1;
	}
}

CUresult sim_visible_init(char *why, size_t why_bytes)
{
	const struct sim_hello all = sim.hello;
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	unsigned count = all.devices;

	for (unsigned i = 0; i < all.devices; i++)
		numbers[i] = i;
	if (list != NULL)
		count = read_list(&all, list, why, why_bytes);
	if (count == 0)
		return CUDA_ERROR_NO_DEVICE;
	sim.hello.devices = count;
	for (unsigned i = 0; i < count; i++)
		memcpy(sim.hello.uuid[i], all.uuid[numbers[i]], SIM_UUID_BYTES);
	return CUDA_SUCCESS;
}

/* ---- translation ---- */

unsigned sim_visible_number(unsigned ordinal)
{
	return numbers[ordinal];
}

uint32_t sim_visible_bits(uint32_t devices)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < sim.hello.devices; i++)
		if ((devices & 1u << numbers[i]) != 0)
			bits |= 1u << i;
	return bits;
}

void sim_visible_request(struct sim_request *request)
{
	unsigned place = places[request->op].asked;

	/* What is no device here stays none there. */
	if (place != 0)
		request->a[place - 1] = request->a[place - 1] < sim.hello.devices
						? numbers[request->a[place - 1]]
						: SIM_HIDDEN;
}

void sim_visible_reply(enum sim_request_op op, struct sim_reply *reply)
{
	unsigned place = places[op].answered;
	uint64_t number;

	if (place == 0)
		return;
	number = reply->v[place - 1];
	reply->v[place - 1] = SIM_HIDDEN;
	for (unsigned i = 0; i < sim.hello.devices; i++)
		if (numbers[i] == number)
			reply->v[place - 1] = i;
}
