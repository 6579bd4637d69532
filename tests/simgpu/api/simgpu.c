/*
 * simgpu.c - a monitor: a connection that asks for the device's books.
 *
 * Knows: HELLO as a monitor, the requests a monitor makes, and the image of the books.
 * Refuses to know: how the device is found (common/connect.h) and what the books mean.
 */
#include "simgpu.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/monitor.h"
#include "api/truth_image.h"
#include "common/connect.h"

struct simgpu_monitor {
	int sock;
	struct sim_hello hello;
};

static _Thread_local char sentence[512];

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
}

/* The device answers with numbers of CUresult; here they become those of errno. */
static int result_errno(int32_t result)
{
	switch (result) {
	case 0:
		return 0;
	case 1: /* CUDA_ERROR_INVALID_VALUE */
		return -EINVAL;
	case 2: /* CUDA_ERROR_OUT_OF_MEMORY */
		return -ENOMEM;
	case 101: /* CUDA_ERROR_INVALID_DEVICE */
		return -ENODEV;
	case 800: /* CUDA_ERROR_NOT_PERMITTED */
		return -EPERM;
	case 801: /* CUDA_ERROR_NOT_SUPPORTED */
		return -ENOTSUP;
	default:
		return -EIO;
	}
}

/* One request and its answer. *fd, if wanted, is -1 or a descriptor to be closed. */
static int ask(int sock, const struct sim_request *request, void *extra,
	       size_t extra_bytes, int *fd)
{
	struct sim_reply reply;
	int res = sim_send(sock, request, -1);

	if (res == 0)
		res = sim_receive(sock, &reply, extra, extra_bytes, fd, fd ? 1 : 0);
	return res ? res : result_errno(reply.result);
}

/* Connects and introduces itself. A device that ended just then gets one more chance. */
static int hello(struct simgpu_monitor *monitor, const char *state, int start)
{
	const struct sim_request request = {
		.op = SIM_RPC_HELLO, .a = { SIM_ROLE_MONITOR, SIM_PROTO_VERSION }
	};
	int res = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		monitor->sock = sim_connect(state, start, sentence, sizeof(sentence));
		if (monitor->sock < 0)
			return monitor->sock;
		res = ask(monitor->sock, &request, &monitor->hello,
			  sizeof(monitor->hello), NULL);
		if (res == 0)
			return 0;
		close(monitor->sock);
		if (res != -EPIPE)
			break;
	}
	if (res == -EPIPE)
		say("The simulated device ended at once; the file log in its state directory "
		    "says why.");
	else
		say("The simulated device refused a monitor: %s. Is it of another version?",
		    strerror(-res));
	return res;
}

struct simgpu_monitor *simgpu_open(const char *state, int start, const char **why)
{
	struct simgpu_monitor *monitor = calloc(1, sizeof(*monitor));
	int res = -ENOMEM;

	if (monitor)
		res = hello(monitor, state, start);
	else
		say("There is no memory for a monitor.");
	if (res == 0)
		return monitor;
	free(monitor);
	if (why)
		*why = sentence;
	errno = -res;
	return NULL;
}

const struct sim_hello *sim_monitor_hello(const struct simgpu_monitor *monitor)
{
	return &monitor->hello;
}

int sim_monitor_fd(const struct simgpu_monitor *monitor)
{
	return monitor->sock;
}

static int read_fully(int fd, void *to, size_t bytes, off_t offset)
{
	while (bytes) {
		ssize_t n = pread(fd, to, bytes, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		to = (char *)to + n;
		bytes -= (size_t)n;
		offset += n;
	}
	return 0;
}

static size_t rows_bytes(const struct sim_truth_image *image)
{
	return image->ndevices * sizeof(struct simgpu_device) +
	       image->nclients * sizeof(struct simgpu_client) +
	       image->ncontexts * sizeof(struct simgpu_context) +
	       image->nsamples * sizeof(struct simgpu_sample);
}

/* Makes one allocation of the structure and all its rows. */
static struct simgpu_truth *read_image(int fd, int *error)
{
	struct sim_truth_image image;
	struct simgpu_truth *truth;
	struct stat st;

	*error = read_fully(fd, &image, sizeof(image), 0);
	if (*error)
		return NULL;
	if (fstat(fd, &st) < 0 || image.magic != SIM_TRUTH_MAGIC ||
	    image.version != SIMGPU_TRUTH_VERSION ||
	    image.ndevices > SIMGPU_MAX_DEVICES ||
	    (size_t)st.st_size != sizeof(image) + rows_bytes(&image)) {
		*error = -EPROTO;
		return NULL;
	}
	truth = malloc(sizeof(*truth) + rows_bytes(&image));
	*error = truth ? read_fully(fd, truth + 1, rows_bytes(&image), sizeof(image))
		       : -ENOMEM;
	if (*error) {
		free(truth);
		return NULL;
	}
	*truth = (struct simgpu_truth){
		.version = image.version,
		.ndevices = image.ndevices,
		.nclients = image.nclients,
		.ncontexts = image.ncontexts,
		.nsamples = image.nsamples,
		.now_ns = image.now_ns,
		.started_ns = image.started_ns,
		.cpu_ns = image.cpu_ns,
		.forgotten = image.forgotten,
		.period_ns = image.period_ns,
	};
	truth->devices = (struct simgpu_device *)(truth + 1);
	truth->clients = (struct simgpu_client *)(truth->devices + image.ndevices);
	truth->contexts = (struct simgpu_context *)(truth->clients + image.nclients);
	truth->samples = (struct simgpu_sample *)(truth->contexts + image.ncontexts);
	return truth;
}

static struct simgpu_truth *take(struct simgpu_monitor *monitor, uint64_t flags)
{
	const struct sim_request request = { .op = SIM_RPC_TRUTH, .a = { flags } };
	struct simgpu_truth *truth = NULL;
	int fd = -1, res = ask(monitor->sock, &request, NULL, 0, &fd);

	if (res == 0 && fd < 0)
		res = -EPROTO;
	if (res == 0)
		truth = read_image(fd, &res);
	if (fd >= 0)
		close(fd);
	errno = -res;
	return truth;
}

struct simgpu_truth *simgpu_truth(struct simgpu_monitor *monitor)
{
	return take(monitor, 0);
}

struct simgpu_truth *simgpu_truth_samples(struct simgpu_monitor *monitor)
{
	return take(monitor, SIM_TRUTH_SAMPLES);
}

void simgpu_free(struct simgpu_truth *truth)
{
	free(truth);
}

const struct simgpu_client *simgpu_find(const struct simgpu_truth *truth, int pid)
{
	for (uint32_t i = truth->nclients; i-- > 0;)
		if (truth->clients[i].pid == pid)
			return &truth->clients[i];
	return NULL;
}

static int fault(struct simgpu_monitor *monitor, enum sim_fault_kind kind,
		 unsigned device, uint64_t value)
{
	const struct sim_request request = { .op = SIM_RPC_FAULT,
					     .a = { kind, device, value } };

	return ask(monitor->sock, &request, NULL, 0, NULL);
}

int simgpu_lose_device(struct simgpu_monitor *monitor, unsigned device)
{
	return fault(monitor, SIM_FAULT_LOST, device, 0);
}

int simgpu_set_memory_limit(struct simgpu_monitor *monitor, unsigned device,
			    uint64_t limit_bytes)
{
	return fault(monitor, SIM_FAULT_MEMORY_LIMIT, device, limit_bytes);
}

int simgpu_set_accounting(struct simgpu_monitor *monitor, unsigned device,
			  enum simgpu_accounting mode)
{
	return fault(monitor, SIM_FAULT_ACCOUNTING, device, mode);
}

void simgpu_close(struct simgpu_monitor *monitor)
{
	if (!monitor)
		return;
	close(monitor->sock);
	free(monitor);
}
