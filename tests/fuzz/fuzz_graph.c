/*
 * fuzz_graph.c - graph images of any content, launched: no crash, no hang, no access outside
 * the image.
 *
 * An input is a recipe for an image that is mostly well formed, and for what is then broken
 * in it.
 */
#include <stdlib.h>

#include "common_device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE_MAX = 32 << 10, NODES_MAX = 40, DEPTH_MAX = 18 };

struct builder {
	const struct device *device;
	struct input *in;
	_Alignas(8) unsigned char image[IMAGE_MAX];
	size_t used;
	unsigned nodes;
};

/* Space for a structure, or NULL when the image is full. */
static void *append(struct builder *b, const void *what, size_t bytes)
{
	unsigned char *at = b->image + b->used;
	size_t padded = (bytes + 7) / 8 * 8;

	if (padded > IMAGE_MAX - b->used)
		return NULL;
	memset(at, 0, padded);
	if (bytes > 0)
		memcpy(at, what, bytes);
	b->used += padded;
	return at;
}

static void build_image(struct builder *b, unsigned depth);

static void build_conditional(struct builder *b, unsigned depth)
{
	uint8_t shape = input_u8(b->in);
	struct sim_node_conditional head = { .handle = input_u8(b->in) % 4,
					     .type = shape % 4 % 3,
					     .nbodies = shape / 4 % 4,
					     .has_default = shape / 16 % 2,
					     .default_value = input_u8(b->in) % 4 };

	if (append(b, &head, sizeof(head)) == NULL)
		return;
	for (uint32_t i = 0; i < head.nbodies; i++)
		build_image(b, depth + 1);
}

static void build_node(struct builder *b, unsigned index, unsigned depth)
{
	struct sim_graph_node head = { .enabled = input_u8(b->in) % 8 != 0,
				       .priority = input_u8(b->in) % 4
							   ? SIM_PRIORITY_STREAM
							   : input_u8(b->in) };
	size_t start = b->used, payload_start;
	unsigned char payload[PAYLOAD_MAX];
	struct sim_graph_node *node = append(b, &head, sizeof(head));
	uint8_t kind = input_u8(b->in) % 16;

	if (node == NULL)
		return;
	payload_start = b->used;
	if (kind >= 14) {
		node->kind = SIM_NODE_CHILD;
		build_image(b, depth + 1);
	} else if (kind >= 12) {
		node->kind = SIM_NODE_CONDITIONAL;
		build_conditional(b, depth);
	} else {
		node->kind = kind == 0 ? SIM_NODE_EMPTY : kind;
		append(b, payload, device_payload(b->device, b->in, node->kind, payload));
	}
	node->payload_bytes = (uint32_t)(b->used - payload_start);
	if (index > 0) {
		uint32_t deps[4];

		node->ndeps = input_u8(b->in) % 5;
		for (uint32_t i = 0; i < node->ndeps; i++)
			deps[i] = input_u8(b->in) % (index + (input_u8(b->in) % 16 == 0));
		if (append(b, deps, node->ndeps * sizeof(deps[0])) == NULL)
			node->ndeps = 0;
	}
	node->bytes = (uint32_t)(b->used - start);
}

static void build_image(struct builder *b, unsigned depth)
{
	struct sim_graph_image head = { .magic = SIM_MAGIC };
	size_t start = b->used;
	struct sim_graph_image *image = append(b, &head, sizeof(head));
	uint8_t wanted = input_u8(b->in) % 8;

	if (image == NULL)
		return;
	for (uint8_t i = 0; i < wanted && b->nodes < NODES_MAX && depth < DEPTH_MAX;
	     i++) {
		build_node(b, i, depth);
		image->nnodes++;
		b->nodes++;
	}
	image->bytes = b->used - start;
}

/* Overwrites some bytes. */
static void spoil(struct builder *b)
{
	for (int n = input_u8(b->in) % 4; n > 0; n--) {
		size_t at = input_u16(b->in) % b->used;

		b->image[at] = input_u8(b->in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct builder *b = calloc(1, sizeof(*b));
	unsigned char *image;
	struct device device;

	if (b == NULL)
		abort();
	device_open(&device);
	b->device = &device;
	b->in = &in;
	build_image(b, 0);
	if (input_u8(&in) % 2)
		spoil(b);
	/* Of its own size, so that a read past the end is seen. */
	image = malloc(b->used);
	if (image == NULL)
		abort();
	memcpy(image, b->image, b->used);
	if (sim_graph_new(device.client, image, b->used) != NULL) {
		struct sim_rec_graph record = { .graph = sim_graph_id(
							device.client->graphs) };

		for (int i = 0; i < 3; i++)
			publish(device.client, device.streams[1 + i % 2], SIM_REC_GRAPH,
				&record, sizeof(record));
		for (int i = 0; i < 20; i++) {
			clock_step(i == 7 ? 10000000 : 0); /* no patience */
			pass_ns(device.server, 20000);
			sim_host_done(device.client, input_u8(&in) % 4);
			if (i == 10 && device.client->graphs != NULL)
				sim_graph_forget(device.client, device.client->graphs);
		}
	}
	clock_step(0);
	device_close(&device);
	free(b);
	return 0;
}
