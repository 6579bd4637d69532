/* What the device says of one process; see common_truth.h. */
#include "common_truth.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct simgpu_client truth_of(pid_t pid)
{
	const char *why = "";
	struct simgpu_monitor *monitor = simgpu_open(NULL, 0, &why);
	struct simgpu_truth *truth = monitor ? simgpu_truth(monitor) : NULL;
	const struct simgpu_client *found = truth ? simgpu_find(truth, pid) : NULL;
	struct simgpu_client client;

	memset(&client, 0xff, sizeof(client));
	if (found)
		client = *found;
	else
		fprintf(stderr, "the device does not know process %d %s\n", (int)pid,
			why);
	simgpu_free(truth);
	simgpu_close(monitor);
	return client;
}

struct simgpu_bytes truth_memory(void)
{
	return truth_of(getpid()).memory[0];
}

uint64_t truth_requested(void)
{
	return truth_memory().requested;
}

uint64_t truth_asked(void)
{
	struct simgpu_client client = truth_of(getpid());

	return client.allocs + client.refusals;
}
