/*
 * Initialisation, versions, errors, devices: what the CUDA Driver API manual says of calls
 * before, at and after cuInit. Each test runs in a child, since a process has one cuInit.
 */
#include "common_gpu.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "simgpu.h"

#define IN_CHILD(body, ...) \
	CU_ASSERT_EQUAL(child_run(body, (const char *const[]){ __VA_ARGS__, NULL }), 0)

/* "SIMGPU_STATE=..." for a device process that no other test uses, in `variable`. */
static const char *own_state(const char *name, char variable[300])
{
	const char *state = getenv("SIMGPU_STATE");

	snprintf(variable, 300, "SIMGPU_STATE=%s-%s", state ? state : "/tmp/simgpu-test",
		 name);
	return variable;
}

/* "SIMGPU_DAEMON=..." in `variable`, for a device process that runs a line of shell first.
 * False, with the test skipped, where that cannot be had. */
static bool wrap_device(const char *line, char variable[300])
{
	const char *build = getenv("BUILD"), *tmp = getenv("TMPDIR");
	FILE *script;

	if (build == NULL || tmp == NULL) {
		unit_skip("BUILD and TMPDIR are not set, as tests/run.sh does");
		return false;
	}
	snprintf(variable, 300, "SIMGPU_DAEMON=%s/wrapped-simgpud", tmp);
	script = fopen(strchr(variable, '=') + 1, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(script);
	fprintf(script, "#!/bin/sh\n%s\nexec '%s/sim/simgpud' \"$@\"\n", line, build);
	fclose(script);
	chmod(strchr(variable, '=') + 1, 0700);
	return true;
}

/* ---- before ---- */

static void before_init(void)
{
	CUdevice device;
	CUcontext ctx;
	CUdeviceptr ptr;
	size_t bytes;
	int version = 0, count;

	CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
	CHECK_IS(cuDeviceGet(&device, 0), CUDA_ERROR_NOT_INITIALIZED);
	CHECK_IS(cuCtxGetCurrent(&ctx), CUDA_ERROR_NOT_INITIALIZED);
	CHECK_IS(cuMemGetInfo(&bytes, &bytes), CUDA_ERROR_NOT_INITIALIZED);
	CHECK_IS(cuMemAlloc(&ptr, 4096), CUDA_ERROR_NOT_INITIALIZED);
	CHECK_IS(cuStreamSynchronize(NULL), CUDA_ERROR_NOT_INITIALIZED);
	CHECK_IS(cuDriverGetVersion(&version), CUDA_SUCCESS);
	CHECK(version == 13000);
	CHECK_IS(cuDriverGetVersion(NULL), CUDA_ERROR_INVALID_VALUE);
}

static void calls_before_init_say_so_and_the_version_is_known(void)
{
	IN_CHILD(before_init, "SIMGPU_DRIVER_VERSION");
}

static void version_from_environment(void)
{
	int version = 0;

	CHECK_IS(cuDriverGetVersion(&version), CUDA_SUCCESS);
	CHECK(version == 12040);
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuDriverGetVersion(&version), CUDA_SUCCESS);
	CHECK(version == 12040);
}

static void the_driver_version_can_be_chosen(void)
{
	IN_CHILD(version_from_environment, "SIMGPU_DRIVER_VERSION=12040",
		 "SIMGPU_ZERO_COST=1");
}

/* ---- cuInit ---- */

static void *init_thread(void *result)
{
	*(CUresult *)result = cuInit(0);
	return NULL;
}

static void init_flags_and_threads(void)
{
	pthread_t threads[8];
	CUresult results[8];
	int count = 0;

	CHECK_IS(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, init_thread, &results[i]);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		CHECK(results[i] == CUDA_SUCCESS);
	}
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuInit(1), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_SUCCESS);
	CHECK(count == 1);
}

static void init_takes_no_flags_and_any_number_of_threads(void)
{
	IN_CHILD(init_flags_and_threads, "SIMGPU_DEVICES=1");
	IN_CHILD(init_flags_and_threads, "SIMGPU_DEVICES=1", "SIMGPU_ZERO_COST=1");
}

static void no_device(void)
{
	int count;

	CHECK_IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
	CHECK_IS(cuInit(0), CUDA_ERROR_NO_DEVICE);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
}

static void a_device_that_cannot_be_started_is_no_device(void)
{
	char state[300];

	IN_CHILD(no_device, own_state("none", state),
		 "SIMGPU_DAEMON=/nonexistent/simgpud");
	IN_CHILD(no_device, "SIMGPU_ZERO_COST=1", "SIMGPU_DEVICES=many");
}

/* A program without standard streams, which opens some later, as daemons do. */
static void no_standard_streams(void)
{
	CUdeviceptr ptr;
	int null_fd;

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK(fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0);
	null_fd = open("/dev/null", O_RDWR);
	CHECK(null_fd == 0 && dup2(null_fd, 1) == 1 && dup2(null_fd, 2) == 2);
	CHECK_IS(cuCtxCreate(&(CUcontext){ NULL }, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemAlloc(&ptr, 4096), CUDA_SUCCESS);
}

static void the_connection_takes_no_numbers_of_standard_streams(void)
{
	IN_CHILD(no_standard_streams, NULL);
}

/* A device is started under the limits of one program and serves others. */
static void limited_starter(void)
{
	static const struct {
		int limit;
		rlim_t value;
	} limits[] = { { RLIMIT_NOFILE, 12 }, { RLIMIT_FSIZE, 4096 } };
	struct rlimit limit;
	void *host = NULL;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		CHECK(getrlimit(limits[i].limit, &limit) == 0);
		limit.rlim_cur = limits[i].value;
		CHECK(setrlimit(limits[i].limit, &limit) == 0);
	}
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&(CUcontext){ NULL }, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemHostAlloc(&host, 1 << 20, 0), CUDA_SUCCESS);
	if (host != NULL)
		memset(host, 1, 1 << 20);
}

static void the_device_is_not_held_to_the_limits_of_its_starter(void)
{
	char state[300];

	IN_CHILD(limited_starter, own_state("limits", state));
}

static void little_address_space(void)
{
	struct rlimit limit;
	CUcontext ctx;
	CUevent event;
	CUstream stream;
	void *block;

	CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
	/* A little more than a power of two, which must not all become the driver's. */
	limit.rlim_cur = (rlim_t)129 << 30;
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	block = mmap(NULL, (size_t)16 << 30, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(block != MAP_FAILED);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventCreate(&event, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
}

static void a_limit_of_address_space_leaves_some_for_the_program(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL || fscanf(file, "%lu", &pages) != 1 || pages > 1ul << 24)
		unit_skip(
			"this program has more address space than the limit, as under a "
			"sanitizer");
	else
		IN_CHILD(little_address_space, NULL);
	if (file != NULL)
		fclose(file);
}

/* Its thread and the destructors of threads' values would be called after it has gone. */
static void the_library_stays_when_a_program_unloads_it(void)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	struct link_map *map = NULL;
	bool stays = false;

	CU_ASSERT_PTR_NOT_NULL_FATAL(library);
	CU_ASSERT_EQUAL_FATAL(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_FLAGS_1)
			stays = (d->d_un.d_val & DF_1_NODELETE) != 0;
	CU_ASSERT(stays);
	dlclose(library);
}

/* ---- fork ---- */

static void fork_body(void)
{
	CUcontext ctx;
	CUdevice device;
	CUstream stream;
	int status = -1, count, version;
	pid_t pid;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGet(&device, 0), CUDA_SUCCESS);
	CHECK_IS(cuDevicePrimaryCtxRetain(&ctx, device), CUDA_SUCCESS);
	CHECK_IS(cuCtxSetCurrent(ctx), CUDA_SUCCESS);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		CHECK_IS(cuInit(0), CUDA_ERROR_NOT_INITIALIZED);
		CHECK_IS(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
		CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_NOT_INITIALIZED);
		CHECK_IS(cuStreamCreate(&stream, 0), CUDA_ERROR_NOT_INITIALIZED);
		CHECK_IS(cuDriverGetVersion(&version), CUDA_SUCCESS);
		fflush(NULL);
		exit(0); /* with the destructors of the library */
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamSynchronize(stream), CUDA_SUCCESS);
	CHECK_IS(cuStreamDestroy(stream), CUDA_SUCCESS);
}

/* The device takes its time to start, and meanwhile the process forks. */
static void fork_during_init(void)
{
	const char *started = getenv("STARTED");
	CUresult result = CUDA_ERROR_UNKNOWN;
	pthread_t thread;
	int status = -1;
	pid_t pid;

	pthread_create(&thread, NULL, init_thread, &result);
	while (access(started, F_OK) != 0)
		;
	pid = fork();
	if (pid == 0) {
		alarm(unit_patience_ms(10000) / 1000);
		/* It was forked before cuInit or after it, but has no half of it. */
		cuInit(0);
		/* Past sanitizers, which miss the other thread at an ordinary end. */
		kill(getpid(), SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	      WTERMSIG(status) == SIGKILL);
	pthread_join(thread, NULL);
	CHECK_IS(result, CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&(CUcontext){ NULL }, NULL, 0, 0), CUDA_SUCCESS);
}

static void a_fork_while_another_thread_initialises_harms_nobody(void)
{
	char state[300], wrapped[300], started[300], line[400];

	snprintf(started, sizeof(started), "STARTED=%s/started", getenv("TMPDIR"));
	/* The longer it takes the surer the fork comes meanwhile; nothing depends on it. */
	snprintf(line, sizeof(line), ": >'%s'; sleep 0.2", strchr(started, '=') + 1);
	if (!wrap_device(line, wrapped))
		return;
	IN_CHILD(fork_during_init, own_state("slow", state), wrapped, started);
	unlink(strchr(started, '=') + 1);
}

static void a_forked_child_has_no_cuda_and_its_parent_keeps_it(void)
{
	IN_CHILD(fork_body, "SIMGPU_ZERO_COST");
	IN_CHILD(fork_body, "SIMGPU_ZERO_COST=1");
}

/* ---- the end of devices ---- */

static void lost_device(void)
{
	struct simgpu_monitor *monitor;
	CUcontext ctx;
	CUstream stream;
	CUdeviceptr ptr;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	monitor = simgpu_open(NULL, 0, NULL);
	CHECK(monitor != NULL);
	if (monitor == NULL)
		return;
	CHECK(simgpu_lose_device(monitor, 0) == 0);
	CHECK_IS(cuStreamSynchronize(stream), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuStreamQuery(stream), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuMemAlloc(&ptr, 4096), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
	simgpu_close(monitor);
}

static void a_lost_device_makes_its_clients_calls_fail(void)
{
	char state[300];

	/* Lost devices stay lost. */
	IN_CHILD(lost_device, own_state("lost", state));
}

/* Where the device process of killed_device() writes its number. */
static char pid_file[256];

static void *wait_thread(void *stream)
{
	return (void *)(intptr_t)cuStreamSynchronize(stream);
}

static void signal_device(int sig)
{
	FILE *file = fopen(pid_file, "r");
	int pid = 0;

	CHECK(file != NULL && fscanf(file, "%d", &pid) == 1 && pid > 1);
	if (pid > 1)
		kill(pid, sig);
	if (file != NULL)
		fclose(file);
}

/* A stream held up, in a context of its own. */
static CUstream held_up_stream(void)
{
	CUcontext ctx;
	CUstream stream = NULL;
	CUdeviceptr addr = 0;
	void *host = NULL;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&ctx, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamCreate(&stream, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemHostAlloc(&host, 4, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemHostGetDevicePointer(&addr, host, 0), CUDA_SUCCESS);
	CHECK_IS(cuStreamWaitValue32(stream, addr, 1, CU_STREAM_WAIT_VALUE_EQ),
		 CUDA_SUCCESS);
	return stream;
}

static void wait_for_killed_device(void)
{
	CUstream stream = held_up_stream();
	pthread_t waiter;
	CUdeviceptr ptr;
	void *result;

	pthread_create(&waiter, NULL, wait_thread, stream);
	signal_device(SIGKILL);
	pthread_join(waiter, &result);
	CHECK_IS((CUresult)(intptr_t)result, CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuMemAlloc(&ptr, 4096), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuStreamQuery(stream), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuCtxSynchronize(), CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuStreamDestroy(stream), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

/* Nobody waits, and no call but the queries is made. */
static void poll_killed_device(void)
{
	CUstream stream = held_up_stream();
	CUresult result;
	CUevent event;

	CHECK_IS(cuEventCreate(&event, 0), CUDA_SUCCESS);
	CHECK_IS(cuEventRecord(event, stream), CUDA_SUCCESS);
	signal_device(SIGKILL);
	while ((result = cuEventQuery(event)) == CUDA_ERROR_NOT_READY)
		;
	CHECK_IS(result, CUDA_ERROR_DEVICE_UNAVAILABLE);
	CHECK_IS(cuStreamQuery(stream), CUDA_ERROR_DEVICE_UNAVAILABLE);
}

static sem_t told;

static void CUDA_CB tell(CUstream stream, CUresult status, void *data)
{
	(void)stream;
	*(CUresult *)data = status;
	sem_post(&told);
}

static void callback_of_killed_device(void)
{
	CUstream stream = held_up_stream();
	CUresult status = CUDA_SUCCESS;

	sem_init(&told, 0, 0);
	CHECK_IS(cuStreamAddCallback(stream, tell, &status, 0), CUDA_SUCCESS);
	signal_device(SIGKILL);
	while (sem_wait(&told) != 0)
		;
	CHECK_IS(status, CUDA_ERROR_DEVICE_UNAVAILABLE);
}

/* More than the ring takes, in so many streams that no queue of theirs is full. */
enum { FULL_STREAMS = 24, FULL_WRITES = 1000, RING_AT_LEAST = 5000 };

static struct {
	CUstream streams[FULL_STREAMS];
	uint32_t *words; /* pinned */
	unsigned submitted;
} full;

static void *fill_ring(void *unused)
{
	CUresult res = CUDA_SUCCESS;

	(void)unused;
	for (uint32_t i = 1; i <= FULL_WRITES; i++)
		for (int s = 0; s < FULL_STREAMS && res == CUDA_SUCCESS; s++) {
			CUdeviceptr at = (CUdeviceptr)(uintptr_t)&full.words[s];

			res = cuStreamWriteValue32(full.streams[s], at, i, 0);
			__atomic_fetch_add(&full.submitted, 1, __ATOMIC_RELAXED);
		}
	return (void *)(intptr_t)res;
}

static void ring_of_stopped_device(void)
{
	const struct timespec rest = { .tv_nsec = 50000000 };
	pthread_t thread;
	void *host = NULL, *result;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuCtxCreate(&(CUcontext){ NULL }, NULL, 0, 0), CUDA_SUCCESS);
	CHECK_IS(cuMemHostAlloc(&host, 4096, 0), CUDA_SUCCESS);
	full.words = host;
	for (int s = 0; s < FULL_STREAMS; s++)
		CHECK_IS(cuStreamCreate(&full.streams[s], CU_STREAM_NON_BLOCKING),
			 CUDA_SUCCESS);
	signal_device(SIGSTOP);
	pthread_create(&thread, NULL, fill_ring, NULL);
	while (__atomic_load_n(&full.submitted, __ATOMIC_RELAXED) < RING_AT_LEAST)
		;
	/* Time for a driver that writes over what has not been read to do so. */
	nanosleep(&rest, NULL);
	signal_device(SIGCONT);
	pthread_join(thread, &result);
	CHECK_IS((CUresult)(intptr_t)result, CUDA_SUCCESS);
	CHECK_IS(cuCtxSynchronize(), CUDA_SUCCESS);
	for (int s = 0; s < FULL_STREAMS; s++)
		CHECK(full.words[s] == FULL_WRITES);
}

static void waits_queries_and_callbacks_end_when_the_device_process_is_killed(void)
{
	char state[300], wrapped[300], line[400];

	snprintf(pid_file, sizeof(pid_file), "%s/device-pid", getenv("TMPDIR"));
	snprintf(line, sizeof(line), "echo $$ >'%s'", pid_file);
	if (!wrap_device(line, wrapped))
		return;
	IN_CHILD(wait_for_killed_device, wrapped, own_state("killed", state));
	IN_CHILD(poll_killed_device, wrapped, state);
	IN_CHILD(callback_of_killed_device, wrapped, state);
	unlink(pid_file);
}

static void submissions_wait_for_a_device_process_that_has_no_time(void)
{
	char state[300], wrapped[300], line[400];

	snprintf(pid_file, sizeof(pid_file), "%s/device-pid", getenv("TMPDIR"));
	snprintf(line, sizeof(line), "echo $$ >'%s'", pid_file);
	if (!wrap_device(line, wrapped))
		return;
	IN_CHILD(ring_of_stopped_device, wrapped, own_state("stopped", state));
	unlink(pid_file);
}

/* ---- errors ---- */

static void error_names(void)
{
	const char *text = "";
	int known = 0;

	CHECK_IS(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text), CUDA_SUCCESS);
	CHECK(text != NULL && strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY") == 0);
	CHECK_IS(cuGetErrorName(CUDA_SUCCESS, &text), CUDA_SUCCESS);
	CHECK(text != NULL && strcmp(text, "CUDA_SUCCESS") == 0);
	for (int code = 0; code <= 1000; code++) {
		CUresult name = cuGetErrorName((CUresult)code, &text);

		CHECK((name == CUDA_SUCCESS) == (text != NULL));
		CHECK(cuGetErrorString((CUresult)code, &text) == name);
		CHECK((name == CUDA_SUCCESS) == (text != NULL && text[0] != '\0'));
		CHECK(name == CUDA_SUCCESS || name == CUDA_ERROR_INVALID_VALUE);
		known += name == CUDA_SUCCESS;
	}
	CHECK(known == 101);
	CHECK_IS(cuGetErrorName(CUDA_SUCCESS, NULL), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuGetErrorString(CUDA_SUCCESS, NULL), CUDA_ERROR_INVALID_VALUE);
}

static void every_error_has_a_name_and_a_text_before_init(void)
{
	IN_CHILD(error_names, "SIMGPU_ZERO_COST");
}

/* ---- devices ---- */

/* Some of these calls are deprecated; programs still make them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void devices(void)
{
	int count = 0, value, major, minor, can;
	char name[64] = "", id[32] = "", text[4];
	CUuuid uuid[3];
	CUdevice device;
	CUdevprop prop;
	size_t bytes = 0;

	CHECK_IS(cuInit(0), CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetCount(&count), CUDA_SUCCESS);
	CHECK(count == 3);
	CHECK_IS(cuDeviceGetCount(NULL), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGet(&device, 3), CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceGet(&device, -1), CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceGet(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	for (int i = 0; i < 3; i++) {
		CHECK_IS(cuDeviceGet(&device, i), CUDA_SUCCESS);
		CHECK(device == i);
		CHECK_IS(cuDeviceGetUuid(&uuid[i], i), CUDA_SUCCESS);
		CHECK_IS(cuDeviceGetPCIBusId(id, sizeof(id), i), CUDA_SUCCESS);
		CHECK_IS(cuDeviceGetByPCIBusId(&device, id), CUDA_SUCCESS);
		CHECK(device == i);
		CHECK_IS(cuDeviceGetByPCIBusId(&device, id + strlen("0000:")),
			 CUDA_SUCCESS);
		CHECK(device == i);
	}
	CHECK(memcmp(&uuid[0], &uuid[1], sizeof(uuid[0])) != 0);
	CHECK(memcmp(&uuid[1], &uuid[2], sizeof(uuid[0])) != 0);
	CHECK_IS(cuDeviceGetUuid(NULL, 0), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetByPCIBusId(&device, "0000:7f:00.0"),
		 CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceGetByPCIBusId(&device, "here"), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetByPCIBusId(&device, NULL), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetName(name, sizeof(name), 0), CUDA_SUCCESS);
	CHECK(strcmp(name, "Test GPU") == 0);
	CHECK_IS(cuDeviceGetName(text, sizeof(text), 0), CUDA_SUCCESS);
	CHECK(strcmp(text, "Tes") == 0);
	CHECK_IS(cuDeviceGetName(text, 0, 0), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetName(NULL, 4, 0), CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetName(name, sizeof(name), 9), CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceTotalMem(&bytes, 2), CUDA_SUCCESS);
	CHECK(bytes == 3ull << 30);
	CHECK_IS(cuDeviceTotalMem(&bytes, 3), CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceTotalMem(NULL, 0), CUDA_ERROR_INVALID_VALUE);

	CHECK_IS(
		cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0),
		CUDA_SUCCESS);
	CHECK(value == 40);
	CHECK_IS(cuDeviceGetAttribute(&value,
				      CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0),
		 CUDA_SUCCESS);
	CHECK(value == 8);
	CHECK_IS(cuDeviceComputeCapability(&major, &minor, 1), CUDA_SUCCESS);
	CHECK(major == 8 && minor == 6);
	for (int i = 1; i <= 147; i++)
		CHECK_IS(cuDeviceGetAttribute(&value, (CUdevice_attribute)i, 0),
			 CUDA_SUCCESS);
	CHECK_IS(cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0),
		 CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetAttribute(&value, (CUdevice_attribute)100000, 0),
		 CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetAttribute(&value, (CUdevice_attribute)-1, 0),
		 CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetAttribute(NULL, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 0),
		 CUDA_ERROR_INVALID_VALUE);
	CHECK_IS(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, 3),
		 CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceGetProperties(&prop, 0), CUDA_SUCCESS);
	CHECK(prop.SIMDWidth == 32 && prop.maxThreadsPerBlock == 1024 &&
	      prop.maxGridSize[0] == 0x7fffffff && prop.maxThreadsDim[2] == 64);

	CHECK_IS(cuDeviceCanAccessPeer(&can, 0, 1), CUDA_SUCCESS);
	CHECK(can == 1);
	CHECK_IS(cuDeviceCanAccessPeer(&can, 1, 1), CUDA_SUCCESS);
	CHECK(can == 0);
	CHECK_IS(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED,
					 0, 1),
		 CUDA_SUCCESS);
	CHECK(value == 1);
	CHECK_IS(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED,
					 1, 1),
		 CUDA_ERROR_INVALID_DEVICE);
	CHECK_IS(cuDeviceGetP2PAttribute(&value, (CUdevice_P2PAttribute)77, 0, 1),
		 CUDA_ERROR_INVALID_VALUE);
}

#pragma GCC diagnostic pop

static void devices_are_what_the_environment_says(void)
{
	char state[300];

	IN_CHILD(devices, own_state("three", state), "SIMGPU_DEVICES=3",
		 "SIMGPU_MEMORY=3GiB", "SIMGPU_NAME=Test GPU", "SIMGPU_SMS=40",
		 "SIMGPU_CC=8.6");
	IN_CHILD(devices, "SIMGPU_ZERO_COST=1", "SIMGPU_DEVICES=3", "SIMGPU_MEMORY=3GiB",
		 "SIMGPU_NAME=Test GPU", "SIMGPU_SMS=40", "SIMGPU_CC=8.6");
}

const struct unit_suite unit_suite = {
	.name = "driver initialisation",
	.tests = {
		UNIT_TEST(calls_before_init_say_so_and_the_version_is_known),
		UNIT_TEST(the_driver_version_can_be_chosen),
		UNIT_TEST(init_takes_no_flags_and_any_number_of_threads),
		UNIT_TEST(a_device_that_cannot_be_started_is_no_device),
		UNIT_TEST(the_connection_takes_no_numbers_of_standard_streams),
		UNIT_TEST(the_device_is_not_held_to_the_limits_of_its_starter),
		UNIT_TEST(a_limit_of_address_space_leaves_some_for_the_program),
		UNIT_TEST(the_library_stays_when_a_program_unloads_it),
		UNIT_TEST(a_forked_child_has_no_cuda_and_its_parent_keeps_it),
		UNIT_TEST(a_fork_while_another_thread_initialises_harms_nobody),
		UNIT_TEST(a_lost_device_makes_its_clients_calls_fail),
		UNIT_TEST(waits_queries_and_callbacks_end_when_the_device_process_is_killed),
		UNIT_TEST(submissions_wait_for_a_device_process_that_has_no_time),
		UNIT_TEST(every_error_has_a_name_and_a_text_before_init),
		UNIT_TEST(devices_are_what_the_environment_says),
	},
};
