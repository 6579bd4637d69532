/*
 * json.c - the device's books as JSON. Members are named as in simgpu.h.
 */
#include "tool/tool.h"

#include <inttypes.h>
#include <stddef.h>

/* A numeric field of a row. */
struct field {
	const char *name;
	size_t offset, size;
};

#define FIELD(type, field)                                                              \
	{                                                                               \
#field, offsetof(struct type, field), sizeof(((struct type *)0)->field) \
	}

static const struct field device_fields[] = {
	FIELD(simgpu_device, lost),
	FIELD(simgpu_device, contexts),
	FIELD(simgpu_device, total_bytes),
	FIELD(simgpu_device, used_bytes),
	FIELD(simgpu_device, requested_bytes),
	FIELD(simgpu_device, requested_peak_bytes),
	FIELD(simgpu_device, memory_limit_bytes),
	FIELD(simgpu_device, since_ns),
	FIELD(simgpu_device, idle_ns),
	FIELD(simgpu_device, switch_ns),
	FIELD(simgpu_device, busy_ns),
	FIELD(simgpu_device, switches),
	FIELD(simgpu_device, copy_in_ns),
	FIELD(simgpu_device, copy_out_ns),
	FIELD(simgpu_device, late),
	FIELD(simgpu_device, late_max_ns),
	{ 0 },
};

static const struct field client_fields[] = {
	FIELD(simgpu_client, gone),
	FIELD(simgpu_client, sticky),
	FIELD(simgpu_client, connected_ns),
	FIELD(simgpu_client, gone_ns),
	FIELD(simgpu_client, kernels),
	FIELD(simgpu_client, copies),
	FIELD(simgpu_client, copy_bytes),
	FIELD(simgpu_client, graph_launches),
	FIELD(simgpu_client, allocs),
	FIELD(simgpu_client, frees),
	FIELD(simgpu_client, refusals),
	FIELD(simgpu_client, bad_records),
	{ 0 },
};

static const struct field memory_fields[] = {
	FIELD(simgpu_bytes, requested),	  FIELD(simgpu_bytes, requested_peak),
	FIELD(simgpu_bytes, used),	  FIELD(simgpu_bytes, plain),
	FIELD(simgpu_bytes, array),	  FIELD(simgpu_bytes, managed),
	FIELD(simgpu_bytes, vmm),	  FIELD(simgpu_bytes, pool),
	FIELD(simgpu_bytes, graph),	  FIELD(simgpu_bytes, context),
	FIELD(simgpu_bytes, code),	  FIELD(simgpu_bytes, host),
	FIELD(simgpu_bytes, allocations), { 0 },
};

static const struct field context_fields[] = {
	FIELD(simgpu_context, client),
	FIELD(simgpu_context, id),
	FIELD(simgpu_context, device),
	FIELD(simgpu_context, gone),
	FIELD(simgpu_context, gpu_ns),
	FIELD(simgpu_context, kernel_ns),
	FIELD(simgpu_context, copy_in_ns),
	FIELD(simgpu_context, copy_out_ns),
	FIELD(simgpu_context, kernels),
	FIELD(simgpu_context, copies),
	FIELD(simgpu_context, slices),
	FIELD(simgpu_context, pending),
	{ 0 },
};

static void write_fields(FILE *out, const struct field *fields, const void *row)
{
	for (const struct field *f = fields; f->name; f++) {
		const char *at = (const char *)row + f->offset;
		uint64_t value = f->size == 8 ? *(const uint64_t *)at
					      : *(const uint32_t *)at;

		fprintf(out, "%s\"%s\": %" PRIu64, f == fields ? "" : ", ", f->name,
			value);
	}
}

/* Writes up to `size` characters. A process may be called anything; what is not ASCII is
 * written as the characters of Latin-1, so that the output is always valid. */
static void write_string(FILE *out, const char *text, size_t size)
{
	fputc('"', out);
	for (size_t i = 0; i < size && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ' || c > '~')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void write_client(FILE *out, const struct simgpu_client *client, uint32_t ndevices)
{
	fprintf(out, "{\"id\": %" PRIu32 ", \"pid\": %" PRId32 ", \"name\": ", client->id,
		client->pid);
	write_string(out, client->name, sizeof(client->name));
	fputs(", ", out);
	write_fields(out, client_fields, client);
	fputs(", \"devices\": [", out);
	for (uint32_t d = 0; d < ndevices; d++) {
		fprintf(out,
			"%s{\"gpu_ns\": %" PRIu64 ", \"kernel_ns\": %" PRIu64
			", \"copy_ns\": %" PRIu64 ", \"memory\": {",
			d ? ", " : "", client->gpu_ns[d], client->kernel_ns[d],
			client->copy_ns[d]);
		write_fields(out, memory_fields, &client->memory[d]);
		fputs("}}", out);
	}
	fputs("]}", out);
}

void tool_json(FILE *out, const struct simgpu_truth *truth, const struct sim_hello *hello,
	       bool all)
{
	const char *comma = "";

	fprintf(out,
		"{\"version\": %" PRIu32 ", \"now_ns\": %" PRIu64
		", \"started_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64
		", \"forgotten\": %" PRIu64 ",\n \"devices\": [",
		truth->version, truth->now_ns, truth->started_ns, truth->cpu_ns,
		truth->forgotten);
	for (uint32_t i = 0; i < truth->ndevices; i++) {
		const struct simgpu_device *device = &truth->devices[i];

		fprintf(out,
			"%s\n  {\"index\": %" PRIu32 ", \"uuid\": \"%s\", \"name\": ",
			i ? "," : "", device->index, tool_uuid(device->uuid));
		write_string(out, hello->name, sizeof(hello->name));
		fprintf(out, ", \"state\": \"%s\", ", tool_state(device));
		write_fields(out, device_fields, device);
		fputc('}', out);
	}
	fputs("],\n \"clients\": [", out);
	for (uint32_t i = 0; i < truth->nclients; i++) {
		if (truth->clients[i].gone && !all)
			continue;
		fprintf(out, "%s\n  ", comma);
		write_client(out, &truth->clients[i], truth->ndevices);
		comma = ",";
	}
	fputs("],\n \"contexts\": [", out);
	comma = "";
	for (uint32_t i = 0; i < truth->ncontexts; i++) {
		if (truth->contexts[i].gone && !all)
			continue;
		fprintf(out, "%s\n  {", comma);
		write_fields(out, context_fields, &truth->contexts[i]);
		fputc('}', out);
		comma = ",";
	}
	fputs("]}\n", out);
}
