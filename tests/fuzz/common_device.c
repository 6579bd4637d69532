/* A small device with a client, for fuzzers. */
#include "common_device.h"

#include <stdlib.h>

#define MIB (1ull << 20)

void device_open(struct device *device)
{
	memset(device, 0, sizeof(*device));
	device->server = open_server(1, 32 * MIB);
	device->client = open_client(device->server);
	device_equip(device);
}

void device_equip(struct device *device)
{
	uint64_t used;
	int fd;

	device->ctx = sim_dctx_new(device->client, 0);
	if (device->ctx == NULL)
		abort();
	device->streams[0] = device->ctx->legacy;
	for (int i = 1; i < DEVICE_STREAMS; i++)
		device->streams[i] = sim_dstream_new(device->client, device->ctx,
						     i % 2 ? SIM_SF_NONBLOCKING : 0, -i);
	device->memory_bytes = 64 * 1024;
	if (sim_memory_alloc(&device->server->memory, device->client, device->ctx->id, 0,
			     device->memory_bytes, SIM_MEM_PLAIN, 512, &device->memory,
			     &used, &fd) != SIM_OK)
		abort();
}

void device_close(struct device *device)
{
	close_server(device->server);
}

uint64_t device_address(const struct device *device, struct input *in)
{
	uint64_t offset = input_u16(in);

	return offset % 16 == 15 ? input_number(in)
				 : device->memory + offset % (device->memory_bytes + 64);
}

static void fill_kernel(const struct device *device, struct input *in,
			struct kernel_record *record)
{
	/* The shapes of all arguments are addresses and numbers, at multiples of 8. */
	uint64_t params[4] = { device_address(device, in), input_number(in),
			       input_u16(in), input_u16(in) };

	if (input_u8(in) % 2)
		params[1] = device_address(device, in);
	*record = kernel(input_u8(in) % (SIM_K_BUILTINS + 1), params, sizeof(params));
	record->head.grid[0] = 1 + input_u8(in);
	if (input_u8(in) % 8 == 0)
		record->head.param_bytes = input_u8(in);
	if (input_u8(in) % 32 == 0)
		input_bytes(in, &record->head, sizeof(record->head));
}

static struct sim_rec_copy any_copy(const struct device *device, struct input *in)
{
	struct sim_rec_copy record = {
		.dst = { .addr = device_address(device, in),
			 .pitch = input_u8(in),
			 .slice = input_u16(in),
			 .space = input_u8(in) % 16 == 0 },
		.src = { .addr = device_address(device, in),
			 .pitch = input_u8(in),
			 .slice = input_u16(in),
			 .space = input_u8(in) % 16 == 0 },
		.width_bytes = input_u8(in),
		.height = input_u8(in),
		.depth = input_u8(in) % 8,
	};

	switch (input_u8(in) % 8) {
	case 0:
		record.width_bytes = input_number(in);
		record.depth = 1;
		break;
	case 1: /* never 1 wide and endlessly high, for that takes its time */
		record.width_bytes = 0;
		record.height = input_number(in);
		break;
	case 2:
		record.dst.pitch = input_number(in);
		record.src.slice = input_number(in);
		break;
	default:
		break;
	}
	return record;
}

static struct sim_rec_memset any_memset(const struct device *device, struct input *in)
{
	struct sim_rec_memset record = {
		.dst = device_address(device, in),
		.pitch = input_u16(in),
		.width = input_u8(in),
		.height = input_u8(in),
		.value = input_u16(in),
		.element_bytes = 1u << input_u8(in) % 3,
	};

	if (input_u8(in) % 8 == 0)
		record.width = input_number(in);
	if (input_u8(in) % 8 == 0)
		record.pitch = input_number(in);
	return record;
}

size_t device_payload(const struct device *device, struct input *in, uint32_t kind,
		      unsigned char payload[PAYLOAD_MAX])
{
	union {
		struct kernel_record kernel;
		struct sim_rec_memset memset;
		struct sim_rec_copy copy;
		struct sim_rec_event event;
		struct sim_rec_value value;
		struct sim_rec_graph graph;
		uint64_t token;
		unsigned char any[PAYLOAD_MAX];
	} u;
	size_t bytes = 0;

	memset(&u, 0, sizeof(u));
	switch (kind) {
	case SIM_REC_KERNEL:
		fill_kernel(device, in, &u.kernel);
		bytes = sizeof(u.kernel);
		break;
	case SIM_REC_MEMSET:
		u.memset = any_memset(device, in);
		bytes = sizeof(u.memset);
		break;
	case SIM_REC_COPY:
		u.copy = any_copy(device, in);
		bytes = sizeof(u.copy);
		break;
	case SIM_REC_EVENT_RECORD:
	case SIM_REC_EVENT_WAIT:
		u.event.slot = input_u8(in) % 32 ? input_u8(in) % 4 : input_u16(in) * 2u;
		u.event.gen = input_u8(in);
		bytes = sizeof(u.event);
		break;
	case SIM_REC_WAIT_VALUE:
	case SIM_REC_WRITE_VALUE:
		u.value.addr = device_address(device, in);
		u.value.value = input_u8(in) % 2;
		u.value.bytes = input_u8(in) % 16 ? 4 : input_u8(in);
		u.value.compare = input_u8(in) % 5;
		bytes = sizeof(u.value);
		break;
	case SIM_REC_HOST_FUNC:
		u.token = input_u8(in) % 4;
		bytes = sizeof(u.token);
		break;
	case SIM_REC_GRAPH:
		u.graph.graph = input_u8(in) % 4;
		bytes = sizeof(u.graph);
		break;
	default:
		bytes = input_u8(in);
		input_bytes(in, u.any, bytes);
		break;
	}
	/* Now and then cut short, or longer. */
	if (input_u8(in) % 16 == 0)
		bytes = input_u8(in);
	memcpy(payload, &u, sizeof(u));
	return bytes;
}
