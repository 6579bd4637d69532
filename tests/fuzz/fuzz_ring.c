/*
 * fuzz_ring.c - rings, channels and requests of any content, in any order, from one of two
 * clients that share memory and an event: no crash, no hang, no access outside, and the
 * other client does not notice.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common_device.h"
#include "device/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 200, EVENT = 2 };

struct fuzz {
	struct device device;
	struct sim_client *other; /* behaves */
	struct sim_dctx *their_ctx;
	struct exchange event; /* the shared one's handle */
};

/* ---- what a client may do ---- */

static void publish_any(struct fuzz *f, struct input *in)
{
	unsigned char payload[PAYLOAD_MAX];
	uint32_t kind = input_u8(in) % (SIM_REC_KINDS + 1);
	uint8_t stream = input_u8(in) % DEVICE_STREAMS;
	size_t bytes = device_payload(&f->device, in, kind, payload);
	_Atomic uint64_t *tail = &f->device.client->chan->tail;

	/* Where a record can begin, whatever was there before. */
	atomic_store(tail, (atomic_load(tail) + 31) / 32 * 32);
	if (f->device.streams[stream] != NULL)
		publish(f->device.client, f->device.streams[stream],
			(enum sim_record_kind)kind, payload, bytes);
}

/* Anything at the tail, of any length. */
static void publish_raw(struct fuzz *f, struct input *in)
{
	struct sim_channel *chan = f->device.client->chan;
	uint64_t tail = atomic_load(&chan->tail), at = tail % SIM_RING_BYTES;
	size_t bytes = input_u8(in);

	if (bytes > SIM_RING_BYTES - at)
		bytes = SIM_RING_BYTES - at;
	input_bytes(in, chan->ring + at, bytes);
	atomic_store(&chan->tail,
		     tail + (input_u8(in) % 8 ? bytes / 16 * 16 : input_number(in)));
}

static void scribble(struct fuzz *f, struct input *in)
{
	size_t head = offsetof(struct sim_channel, streams) +
		      4 * sizeof(struct sim_stream_slot);
	size_t at = input_u16(in) % head, bytes = 1 + input_u8(in) % 64;

	if (bytes > head - at)
		bytes = head - at;
	input_bytes(in, (unsigned char *)f->device.client->chan + at, bytes);
	/* The clock stands still in the middle of a submission. */
	atomic_store(&f->device.client->chan->intent, 0);
}

static void let_pass(struct fuzz *f, struct input *in)
{
	uint8_t how = input_u8(in);

	/* Now and then the device has no patience at all. */
	clock_step(how % 8 == 0 ? 10000000 : 0);
	pass_ns(f->device.server, (uint64_t)how * 2000);
	sim_server_want_kicks(f->device.server,
			      sim_server_deadline(f->device.server) == SIM_NEVER);
	clock_step(0);
}

static void stream_comes_or_goes(struct fuzz *f, struct input *in)
{
	struct exchange x = { .server = f->device.server, .client = f->device.client };
	uint8_t i = input_u8(in) % DEVICE_STREAMS;

	if (i == 0 || f->device.client->sticky != 0)
		return;
	sim_client_drain(f->device.client);
	if (f->device.client->sticky != 0)
		return;
	if (f->device.streams[i] != NULL) {
		x.request.a[0] = f->device.streams[i]->slot;
		f->device.streams[i] = NULL;
		sim_do_stream_destroy(&x);
		return;
	}
	x.request.a[0] = f->device.ctx->id;
	x.request.a[1] = input_u8(in);
	x.request.a[2] = input_u8(in);
	if (sim_do_stream_create(&x) == SIM_OK)
		f->device.streams[i] = f->device.client->streams[x.reply.v[0]];
}

static void graph_comes_or_goes(struct fuzz *f, struct input *in)
{
	struct exchange x = { .server = f->device.server, .client = f->device.client };
	struct {
		struct sim_graph_image head;
		struct sim_graph_node node;
		struct kernel_record kernel;
	} * image;

	x.request.a[0] = input_u8(in) % 4;
	if (sim_do_graph_destroy(&x) == SIM_OK || f->device.client->ngraphs > 8)
		return;
	image = calloc(1, sizeof(*image));
	if (image == NULL)
		abort();
	image->head = (struct sim_graph_image){ SIM_MAGIC, 1, sizeof(*image) };
	image->node = (struct sim_graph_node){ .bytes = sizeof(image->node) +
							sizeof(image->kernel),
					       .kind = SIM_REC_KERNEL,
					       .payload_bytes = sizeof(image->kernel),
					       .enabled = 1 };
	image->kernel = kernel(SIM_K_WORK, NULL, 0);
	sim_graph_new(f->device.client, (unsigned char *)image, sizeof(*image));
}

static void request_any(struct fuzz *f, struct input *in)
{
	static int (*const handlers[])(struct exchange *) = {
		sim_do_ctx_limit,   sim_do_mem_alloc,	 sim_do_mem_free,
		sim_do_mem_info,    sim_do_mem_range,	 sim_do_va_reserve,
		sim_do_va_free,	    sim_do_phys_create,	 sim_do_phys_release,
		sim_do_phys_retain, sim_do_phys_info,	 sim_do_map,
		sim_do_unmap,	    sim_do_access,	 sim_do_code_load,
		sim_do_code_unload, sim_do_graph_create, sim_do_host_done,
		sim_do_ipc_get,	    sim_do_ipc_open,	 sim_do_ipc_close,
		sim_do_event_forget
	};
	struct exchange x = { .server = f->device.server,
			      .client = f->device.client,
			      .fd_in = -1 };
	uint8_t which = input_u8(in) % (sizeof(handlers) / sizeof(handlers[0]));

	if (f->device.client->sticky != 0)
		return;
	for (int i = 0; i < 6; i++)
		x.request.a[i] = input_u8(in) % 2 ? device_address(&f->device, in)
						  : input_number(in);
	if (input_u8(in) % 4)
		x.request.a[0] = f->device.ctx->id;
	sim_client_drain(f->device.client);
	if (f->device.client->sticky == 0)
		handlers[which](&x);
	for (int i = 0; i < x.nfds_out; i++)
		close(x.fds_out[i]);
}

static void open_event(struct fuzz *f, struct input *in)
{
	struct exchange x = { .server = f->device.server, .client = f->device.client };

	memcpy(x.request.a, f->event.reply.v, 4 * sizeof(uint64_t));
	x.request.a[4] = input_u8(in) % 4;
	sim_do_ipc_event_open(&x);
}

static void context_goes(struct fuzz *f)
{
	struct device *device = &f->device;

	sim_client_drain(device->client);
	sim_dctx_free(device->client, device->ctx);
	if (device->client->sticky != 0) {
		close_client(device->client);
		device->client = open_client(device->server);
	}
	device_equip(device);
}

/* ---- the neighbour ---- */

static void open_neighbour(struct fuzz *f)
{
	struct sim_server *server = f->device.server;

	f->other = open_client(server);
	f->their_ctx = sim_dctx_new(f->other, 0);
	f->event = (struct exchange){ .server = server, .client = f->other };
	f->event.request.a[0] = EVENT;
	if (sim_do_ipc_event_get(&f->event) != SIM_OK)
		abort();
}

static void check_neighbour(struct fuzz *f)
{
	struct sim_channel *chan = f->other->chan;
	struct kernel_record record = kernel(SIM_K_WORK, (uint64_t[]){ 1000 }, 8);
	struct sim_dstream *legacy = f->their_ctx->legacy;
	int patience = 10000;

	publish(f->other, legacy, SIM_REC_KERNEL, &record, sizeof(record));
	while (patience-- > 0 && atomic_load(&chan->streams[legacy->slot].completed) == 0)
		pass_ns(f->device.server, 1000000);
	if (f->other->sticky != 0 || patience <= 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct fuzz f;

	device_open(&f.device);
	open_neighbour(&f);
	for (int step = 0; step < STEPS_MAX && in.size > 0; step++) {
		switch (input_u8(&in) % 16) {
		case 0:
			publish_raw(&f, &in);
			break;
		case 1:
			scribble(&f, &in);
			break;
		case 2:
			stream_comes_or_goes(&f, &in);
			break;
		case 3:
			graph_comes_or_goes(&f, &in);
			break;
		case 4:
			request_any(&f, &in);
			break;
		case 5:
			open_event(&f, &in);
			break;
		case 6:
			sim_host_done(f.device.client, input_u8(&in) % 4);
			break;
		case 7:
			context_goes(&f);
			break;
		case 8:
		case 9:
			let_pass(&f, &in);
			break;
		default:
			publish_any(&f, &in);
			break;
		}
	}
	check_neighbour(&f);
	device_close(&f.device);
	return 0;
}
