/*
 * watch.c - `simgpu watch`: what each process has and gets, interval by interval.
 *
 * Rates are differences of two books, so that nothing between two frames is missed.
 */
#include "tool/tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/config.h"

static const struct simgpu_client *find_client(const struct simgpu_truth *truth,
					       uint32_t id)
{
	for (uint32_t i = 0; i < truth->nclients; i++)
		if (truth->clients[i].id == id)
			return &truth->clients[i];
	return NULL;
}

static uint64_t count_kernels(const struct simgpu_truth *truth, uint32_t client,
			      uint32_t device)
{
	uint64_t kernels = 0;

	for (uint32_t i = 0; i < truth->ncontexts; i++)
		if (truth->contexts[i].client == client &&
		    truth->contexts[i].device == device)
			kernels += truth->contexts[i].kernels;
	return kernels;
}

static void show_client(const struct simgpu_truth *before, const struct simgpu_truth *now,
			const struct simgpu_client *client, uint32_t device)
{
	static const struct simgpu_client nothing;
	const struct simgpu_client *old = find_client(before, client->id);
	uint64_t wall_ns = now->now_ns - before->now_ns;
	uint64_t busy_ns = now->devices[device].busy_ns - before->devices[device].busy_ns;
	uint64_t kernels = count_kernels(now, client->id, device) -
			   count_kernels(before, client->id, device);
	uint64_t gpu_ns;

	/* Numbers of clients are not used twice: what is new began with nothing. */
	if (!old)
		old = &nothing;
	gpu_ns = client->gpu_ns[device] - old->gpu_ns[device];
	printf("%8" PRId32 " %-15.*s %9s %9s %7s %7s %11.0f %7s\n", client->pid,
	       (int)sizeof(client->name), client->name,
	       tool_bytes(client->memory[device].used),
	       tool_bytes(client->memory[device].requested),
	       tool_percent(gpu_ns, wall_ns), tool_percent(gpu_ns, busy_ns),
	       wall_ns ? (double)kernels * 1e9 / (double)wall_ns : 0.0,
	       tool_percent(client->copy_ns[device] - old->copy_ns[device], wall_ns));
}

static void show_device(const struct simgpu_truth *before, const struct simgpu_truth *now,
			uint32_t index, const char *name)
{
	const struct simgpu_device *device = &now->devices[index];
	const struct simgpu_device *old = &before->devices[index];
	uint64_t wall_ns = now->now_ns - before->now_ns;

	printf("Device %" PRIu32 " (%s): %s of %s used; busy %s %%, switching %s %%, "
	       "idle %s %%\n",
	       device->index, name, tool_bytes(device->used_bytes),
	       tool_bytes(device->total_bytes),
	       tool_percent(device->busy_ns - old->busy_ns, wall_ns),
	       tool_percent(device->switch_ns - old->switch_ns, wall_ns),
	       tool_percent(device->idle_ns - old->idle_ns, wall_ns));
	printf("%8s %-15s %9s %9s %7s %7s %11s %7s\n", "PID", "PROGRAM", "USED",
	       "REQUESTED", "%GPU", "%BUSY", "LAUNCHES/S", "%COPY");
	for (uint32_t i = 0; i < now->nclients; i++)
		if (!now->clients[i].gone)
			show_client(before, now, &now->clients[i], index);
}

/* Waits. False when it is time to end: a signal came, or the device is gone. */
static bool wait_for(int signals, struct simgpu_monitor *monitor, int milliseconds)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = sim_monitor_fd(monitor), .events = 0 } };

	return poll(fds, 2, milliseconds) == 0;
}

static int watch(struct simgpu_monitor *monitor, int signals, int milliseconds,
		 uint64_t frames)
{
	const struct sim_hello *hello = sim_monitor_hello(monitor);
	struct simgpu_truth *before = simgpu_truth(monitor), *now;
	bool screen = isatty(STDOUT_FILENO);

	for (uint64_t n = 0; before && (frames == 0 || n < frames); n++) {
		if (!wait_for(signals, monitor, milliseconds))
			break;
		now = simgpu_truth(monitor);
		if (now) {
			if (screen)
				fputs("\033[H\033[2J", stdout);
			else if (n)
				putchar('\n');
			for (uint32_t d = 0; d < now->ndevices; d++)
				show_device(before, now, d, hello->name);
			fflush(stdout);
		}
		simgpu_free(before);
		before = now;
	}
	if (!before)
		return tool_fail("The device did not tell its books: %s.",
				 strerror(errno));
	simgpu_free(before);
	return EXIT_OK;
}

static bool parse_seconds(const char *text, int *milliseconds)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.01 && seconds <= 86400))
		return false;
	*milliseconds = (int)(seconds * 1000 + 0.5);
	return true;
}

int tool_watch(int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ 0 }
	};
	int option, milliseconds = 1000, signals, res;
	struct simgpu_monitor *monitor;
	uint64_t frames = 0;
	sigset_t set;

	while ((option = getopt_long(argc, argv, "d:n:", options, NULL)) >= 0) {
		if (option == 'd' && parse_seconds(optarg, &milliseconds))
			continue;
		if (option == 'n' && sim_parse_u64(optarg, 1, UINT32_MAX, &frames) == 0)
			continue;
		if (option == 'd' || option == 'n')
			tool_fail("%s is no number that can be used here.", optarg);
		return tool_usage("watch");
	}
	if (optind < argc)
		return tool_usage("watch");
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		return tool_fail("Signals cannot be watched: %s.", strerror(errno));
	monitor = tool_open(1);
	if (!monitor)
		return EXIT_FAILED;
	res = watch(monitor, signals, milliseconds, frames);
	simgpu_close(monitor);
	close(signals);
	return res;
}
