/*
 * status.c - `simgpu status`: the books once, as tables or as JSON.
 */
#include "tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

static void show_device(const struct simgpu_device *device, const struct sim_hello *hello,
			uint64_t now_ns)
{
	uint64_t age_ns = now_ns - device->since_ns;

	printf("Device %" PRIu32 ": %s, %s, %s\n", device->index, hello->name,
	       tool_uuid(device->uuid), tool_state(device));
	printf("  memory: %s of %s used, %s requested (at most %s)",
	       tool_bytes(device->used_bytes), tool_bytes(device->total_bytes),
	       tool_bytes(device->requested_bytes),
	       tool_bytes(device->requested_peak_bytes));
	if (device->memory_limit_bytes)
		printf(", limited to %s per process",
		       tool_bytes(device->memory_limit_bytes));
	printf("\n  time:   %s, of it busy %s %%, switching %s %%, idle %s %%; %" PRIu64
	       " switches\n",
	       tool_time(age_ns), tool_percent(device->busy_ns, age_ns),
	       tool_percent(device->switch_ns, age_ns),
	       tool_percent(device->idle_ns, age_ns), device->switches);
	if (device->late)
		printf("  late:   %" PRIu64
		       " submissions were seen too late, by at most %s\n",
		       device->late, tool_time(device->late_max_ns));
}

static bool concerns(const struct simgpu_client *client, uint32_t device)
{
	const struct simgpu_bytes *memory = &client->memory[device];

	return memory->used || memory->requested_peak || client->gpu_ns[device] ||
	       client->copy_ns[device];
}

static void show_clients(const struct simgpu_truth *truth, uint32_t device, bool all)
{
	bool any = false;

	for (uint32_t i = 0; i < truth->nclients; i++) {
		const struct simgpu_client *client = &truth->clients[i];
		const struct simgpu_bytes *memory = &client->memory[device];

		/* A client of no device yet is shown with the first. */
		if ((client->gone && !all) || (device && !concerns(client, device)))
			continue;
		if (!any)
			printf("  %8s %-15s %-6s %9s %9s %9s %9s %9s %7s %9s %9s\n",
			       "PID", "PROGRAM", "STATE", "REQUESTED", "PEAK", "USED",
			       "CONTEXT", "HOST", "ALLOCS", "GPU TIME", "COPYING");
		any = true;
		printf("  %8" PRId32 " %-15.*s %-6s %9s %9s %9s %9s %9s %7" PRIu64
		       " %9s %9s\n",
		       client->pid, (int)sizeof(client->name), client->name,
		       client->gone	? "gone"
		       : client->sticky ? "error"
					: "alive",
		       tool_bytes(memory->requested), tool_bytes(memory->requested_peak),
		       tool_bytes(memory->used),
		       tool_bytes(memory->context + memory->code),
		       tool_bytes(memory->host), memory->allocations,
		       tool_time(client->gpu_ns[device]),
		       tool_time(client->copy_ns[device]));
	}
	if (!any)
		puts("  No process uses it.");
}

int tool_status(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' },
						 { "all", no_argument, NULL, 'a' },
						 { 0 } };
	bool json = false, all = false;
	struct simgpu_monitor *monitor;
	struct simgpu_truth *truth;
	int option;

	while ((option = getopt_long(argc, argv, "ja", options, NULL)) >= 0) {
		if (option == 'j')
			json = true;
		else if (option == 'a')
			all = true;
		else
			return tool_usage("status");
	}
	if (optind < argc)
		return tool_usage("status");
	monitor = tool_open(0);
	if (!monitor)
		return EXIT_FAILED;
	truth = simgpu_truth(monitor);
	if (!truth) {
		simgpu_close(monitor);
		return tool_fail("The device did not tell its books: %s.",
				 strerror(errno));
	}
	if (json) {
		tool_json(stdout, truth, sim_monitor_hello(monitor), all);
	} else {
		for (uint32_t d = 0; d < truth->ndevices; d++) {
			show_device(&truth->devices[d], sim_monitor_hello(monitor),
				    truth->now_ns);
			show_clients(truth, d, all);
		}
	}
	simgpu_free(truth);
	simgpu_close(monitor);
	return EXIT_OK;
}
