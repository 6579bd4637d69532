/*
 * init.c - the library's own life, its monitor, and what concerns no single device.
 */
#include "nvml/nvml_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/monitor.h"

/* Handles are the addresses of these; nothing is kept in them. */
struct nvmlDevice_st {
	char unused;
};

static struct {
	pthread_mutex_t lock; /* guards all below */
	unsigned users;	      /* nvmlInit() less nvmlShutdown() */
	pid_t pid;	      /* whose monitor it is: a forked child needs its own */
	struct simgpu_monitor *monitor;
	struct sim_hello hello;
	int64_t epoch_ns; /* of the monotonic clock; fixed, so that time stamps compare */
} nvml = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct nvmlDevice_st devices[SIM_MAX_HELLO_DEVICES];

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Under the lock. Opens the monitor, which starts the device if there is none. */
static bool open_monitor(void)
{
	const char *why = "", *log = getenv("SIMGPU_LOG");

	simgpu_close(nvml.monitor);
	nvml.monitor = simgpu_open(NULL, 1, &why);
	if (!nvml.monitor) {
		if (log && *log)
			fprintf(stderr, "simgpu nvml: %s\n", why);
		return false;
	}
	nvml.hello = *sim_monitor_hello(nvml.monitor);
	nvml.pid = getpid();
	return true;
}

static enum nvml_return init(void)
{
	enum nvml_return res = NVML_SUCCESS;

	pthread_mutex_lock(&nvml.lock);
	if (!nvml.monitor && !open_monitor())
		res = NVML_ERROR_DRIVER_NOT_LOADED;
	if (nvml.epoch_ns == 0)
		nvml.epoch_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	if (res == NVML_SUCCESS)
		nvml.users++;
	pthread_mutex_unlock(&nvml.lock);
	return res;
}

enum nvml_return nvmlInit(void)
{
	return init();
}

enum nvml_return nvmlInit_v2(void)
{
	return init();
}

enum nvml_return nvmlInitWithFlags(unsigned flags)
{
	(void)flags; /* what they tolerate does not happen here */
	return init();
}

enum nvml_return nvmlShutdown(void)
{
	enum nvml_return res = NVML_ERROR_UNINITIALIZED;

	pthread_mutex_lock(&nvml.lock);
	if (nvml.users > 0) {
		res = NVML_SUCCESS;
		if (--nvml.users == 0) {
			simgpu_close(nvml.monitor);
			nvml.monitor = NULL;
		}
	}
	pthread_mutex_unlock(&nvml.lock);
	return res;
}

/* ---- for the other files ---- */

enum nvml_return nvml_check(nvmlDevice_t device, unsigned *index)
{
	unsigned count;
	bool ready;

	pthread_mutex_lock(&nvml.lock);
	ready = nvml.users > 0;
	count = nvml.hello.devices;
	pthread_mutex_unlock(&nvml.lock);
	if (!ready)
		return NVML_ERROR_UNINITIALIZED;
	/* Compared, never followed: an application's handle may be anything. */
	for (unsigned i = 0; i < count; i++) {
		if (device == &devices[i]) {
			*index = i;
			return NVML_SUCCESS;
		}
	}
	return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlDevice_t nvml_handle(unsigned index)
{
	return &devices[index];
}

/* Under the lock. A device that was killed is started again, as a driver is reloaded. */
static struct simgpu_truth *take_books(enum nvml_books books)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		struct simgpu_truth *truth;

		if ((!nvml.monitor || nvml.pid != getpid() || attempt) && !open_monitor())
			return NULL;
		truth = books == NVML_BOOKS_SAMPLES ? simgpu_truth_samples(nvml.monitor)
						    : simgpu_truth(nvml.monitor);
		if (truth)
			return truth;
	}
	return NULL;
}

enum nvml_return nvml_begin(struct nvml_call *call, nvmlDevice_t device,
			    enum nvml_books books)
{
	enum nvml_return res = nvml_check(device, &call->index);

	if (res)
		return res;
	pthread_mutex_lock(&nvml.lock);
	call->truth = take_books(books);
	call->hello = nvml.hello;
	pthread_mutex_unlock(&nvml.lock);
	if (!call->truth || call->index >= call->truth->ndevices) {
		nvml_end(call);
		return NVML_ERROR_UNKNOWN;
	}
	call->device = &call->truth->devices[call->index];
	if (call->device->lost) {
		nvml_end(call);
		return NVML_ERROR_GPU_IS_LOST;
	}
	return NVML_SUCCESS;
}

void nvml_end(struct nvml_call *call)
{
	simgpu_free(call->truth);
	call->truth = NULL;
}

enum nvml_return nvml_hello(struct sim_hello *hello)
{
	enum nvml_return res = NVML_SUCCESS;

	pthread_mutex_lock(&nvml.lock);
	if (nvml.users == 0)
		res = NVML_ERROR_UNINITIALIZED;
	else
		*hello = nvml.hello;
	pthread_mutex_unlock(&nvml.lock);
	return res;
}

static enum nvml_return setting_result(int res)
{
	return res == 0 ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

enum nvml_return nvml_set_accounting(unsigned index, enum simgpu_accounting mode)
{
	int res;

	if (geteuid() != 0)
		return NVML_ERROR_NO_PERMISSION;
	pthread_mutex_lock(&nvml.lock);
	res = simgpu_set_accounting(nvml.monitor, index, mode);
	pthread_mutex_unlock(&nvml.lock);
	return setting_result(res);
}

enum nvml_return nvml_set_limit(unsigned index, uint64_t bytes)
{
	int res;

	if (geteuid() != 0)
		return NVML_ERROR_NO_PERMISSION;
	pthread_mutex_lock(&nvml.lock);
	res = simgpu_set_memory_limit(nvml.monitor, index, bytes);
	pthread_mutex_unlock(&nvml.lock);
	return setting_result(res);
}

enum nvml_return nvml_give(nvmlDevice_t device, unsigned *out, unsigned value)
{
	struct nvml_call call;
	enum nvml_return res = nvml_begin(&call, device, NVML_BOOKS_PLAIN);

	if (res)
		return res;
	nvml_end(&call);
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	*out = value;
	return NVML_SUCCESS;
}

enum nvml_return nvml_give_text(char *out, unsigned length, const char *text)
{
	if (!out)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (strlen(text) >= length)
		return NVML_ERROR_INSUFFICIENT_SIZE;
	memcpy(out, text, strlen(text) + 1);
	return NVML_SUCCESS;
}

unsigned long long nvml_time_us(uint64_t device_ns)
{
	return (unsigned long long)((int64_t)device_ns + nvml.epoch_ns) / 1000;
}

/* ---- the system ---- */

const char *nvmlErrorString(enum nvml_return result)
{
	static const char *const texts[] = {
		[NVML_SUCCESS] = "Success",
		[NVML_ERROR_UNINITIALIZED] = "Uninitialized",
		[NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
		[NVML_ERROR_NOT_SUPPORTED] = "Not Supported",
		[NVML_ERROR_NO_PERMISSION] = "Insufficient Permissions",
		[NVML_ERROR_NOT_FOUND] = "Not Found",
		[NVML_ERROR_INSUFFICIENT_SIZE] = "Insufficient Size",
		[NVML_ERROR_DRIVER_NOT_LOADED] = "Driver Not Loaded",
		[NVML_ERROR_FUNCTION_NOT_FOUND] = "Function Not Found",
		[NVML_ERROR_GPU_IS_LOST] = "GPU is lost",
		[NVML_ERROR_MEMORY] = "Insufficient Memory",
		[NVML_ERROR_ARGUMENT_VERSION_MISMATCH] = "Argument version mismatch",
	};

	if ((size_t)result < sizeof(texts) / sizeof(texts[0]) && texts[result])
		return texts[result];
	return "Unknown Error";
}

enum nvml_return nvmlSystemGetDriverVersion(char *version, unsigned length)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	return res ? res : nvml_give_text(version, length, hello.driver_string);
}

enum nvml_return nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);
	char text[64];

	if (res)
		return res;
	snprintf(text, sizeof(text), "%" PRIu32 ".%s", hello.driver_version / 1000,
		 hello.driver_string);
	return nvml_give_text(version, length, text);
}

static enum nvml_return cuda_version(int *version)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);

	if (res)
		return res;
	if (!version)
		return NVML_ERROR_INVALID_ARGUMENT;
	*version = (int)hello.driver_version;
	return NVML_SUCCESS;
}

enum nvml_return nvmlSystemGetCudaDriverVersion(int *version)
{
	return cuda_version(version);
}

enum nvml_return nvmlSystemGetCudaDriverVersion_v2(int *version)
{
	return cuda_version(version);
}

enum nvml_return nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length)
{
	struct sim_hello hello;
	enum nvml_return res = nvml_hello(&hello);
	char path[64], text[4096];
	ssize_t n;
	int fd;

	if (res)
		return res;
	if (!name || length == 0)
		return NVML_ERROR_INVALID_ARGUMENT;
	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NVML_ERROR_NOT_FOUND;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return NVML_ERROR_NOT_FOUND;
	text[n] = '\0';
	return nvml_give_text(name, length, text);
}
