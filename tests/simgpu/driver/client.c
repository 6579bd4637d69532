/*
 * client.c - this process' connection to the device process.
 *
 * Knows: the socket, the channel, the kick, the arena, and when the device has gone. Refuses
 * to know: what requests mean, and how records are written (ring.c).
 */
#include "driver/client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/connect.h"
#include "common/uuid.h"
#include "driver/visible.h"

#define GIB (1ull << 30)
#define ARENA_MOST (1024 * GIB)
#define ARENA_LEAST (64 * GIB)
#define CAUGHT_UP_NS 20000u  /* a look at the device younger than this needs no kick */
#define SILENT_NS 100000000u /* one that has not looked for so long may have gone */
#define FIRST_FD 3	     /* those below are the application's standard streams */

struct sim_state sim = {
	.slow = 1,
	.sock = -1,
	.kick_fd = -1,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.submit_lock = PTHREAD_MUTEX_INITIALIZER,
	.rpc_lock = PTHREAD_MUTEX_INITIALIZER,
};

/* The device process has gone; the connection is of no use any more. */
static _Atomic uint32_t gone;
/* Stands in for the channel's in zero-cost mode. */
static _Atomic uint32_t own_sticky;
/* Read by the device process through process_vm_readv, to learn whether it can. */
static uint64_t cookie;

static bool instrumented(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
	return true;
#endif
#endif
	return false;
}

uint64_t sim_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Address space that nobody else will be given; the driver's addresses lie in it. */
static bool reserve_arena(void)
{
	/* Sanitizers leave less room for one mapping. */
	size_t bytes = instrumented() ? ARENA_MOST / 8 : ARENA_MOST;

	for (; bytes >= ARENA_LEAST; bytes /= 2) {
		/* Where address space is limited, the program needs some as well. */
		size_t spare = bytes > ARENA_LEAST ? bytes / 4 : 0;
		char *base = mmap(NULL, bytes + spare, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (base == MAP_FAILED)
			continue;
		if (spare != 0)
			munmap(base + bytes, spare);
		madvise(base, bytes, MADV_DONTDUMP);
		sim.arena_base = (uintptr_t)base;
		sim.arena_bytes = bytes;
		return true;
	}
	return false;
}

/* What a device process would have answered, from the environment. */
static CUresult hello_from_config(char *why, size_t why_bytes)
{
	struct sim_config config;

	if (sim_config_read(&config, why, why_bytes) != 0)
		return CUDA_ERROR_NO_DEVICE;
	sim.hello = (struct sim_hello){
		.devices = config.devices,
		.driver_version = config.driver_version,
		.sm_count = config.sm_count,
		.cc_major = config.cc_major,
		.cc_minor = config.cc_minor,
		.max_concurrent = config.concurrent,
		.memory_bytes = config.memory_bytes,
		.context_bytes = config.context_bytes,
		.pool_granule_bytes = config.pool_granule_bytes,
		.copy_bytes_per_s = config.copy_bytes_per_s,
	};
	memcpy(sim.hello.name, config.name, sizeof(sim.hello.name));
	for (unsigned i = 0; i < config.devices; i++)
		sim_uuid_make(sim.hello.uuid[i], i);
	return CUDA_SUCCESS;
}

/* Says HELLO on sim.sock; fds[0] is the channel, fds[1] the kick. */
static CUresult say_hello(int fds[2], char *why, size_t why_bytes)
{
	struct sim_request request = {
		.op = SIM_RPC_HELLO,
		.a = { SIM_ROLE_CLIENT, SIM_PROTO_VERSION, sim.arena_base,
		       sim.arena_bytes, (uintptr_t)&cookie, 0 },
	};
	struct sim_reply reply = { 0 };
	const char *direct;
	int err;

	/* Where the Yama security module restricts who may read a process's memory, let the
	 * device process: it is no parent of ours, and its pid is not known here. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0ul, 0ul, 0ul);
	cookie = sim_now_ns() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
	request.a[5] = cookie;
	err = sim_send(sim.sock, &request, -1);
	if (err == 0)
		err = sim_receive(sim.sock, &reply, &sim.hello, sizeof(sim.hello), fds,
				  2);
	if (err != 0) {
		snprintf(why, why_bytes, "the device process did not answer: %s",
			 strerror(-err));
		return CUDA_ERROR_NO_DEVICE;
	}
	if (reply.result != 0 || fds[0] < 0 || fds[1] < 0) {
		snprintf(why, why_bytes,
			 "the device process refused this client (error %d)",
			 reply.result);
		return reply.result != 0 ? (CUresult)reply.result : CUDA_ERROR_NO_DEVICE;
	}
	if (sim.hello.devices == 0 || sim.hello.devices > SIM_MAX_LOCAL_DEVICES) {
		snprintf(why, why_bytes, "the device process has %u devices",
			 sim.hello.devices);
		return CUDA_ERROR_NO_DEVICE;
	}
	sim.client_id = (uint32_t)reply.v[0];
	/* SIMGPU_DIRECT=0 shows how it goes where the device may not reach this process. */
	direct = getenv("SIMGPU_DIRECT");
	sim.direct = reply.v[1] != 0 && (direct == NULL || strcmp(direct, "0") != 0);
	return CUDA_SUCCESS;
}

static CUresult map_channel(int fd, char *why, size_t why_bytes)
{
	struct sim_channel *chan = mmap(NULL, sizeof(*chan), PROT_READ | PROT_WRITE,
					MAP_SHARED, fd, 0);

	if (chan == MAP_FAILED) {
		snprintf(why, why_bytes, "cannot map the channel to the device: %s",
			 strerror(errno));
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (chan->magic != SIM_MAGIC || chan->version != SIM_PROTO_VERSION) {
		munmap(chan, sizeof(*chan));
		snprintf(
			why, why_bytes,
			"the device process is of another version; end it and try again");
		return CUDA_ERROR_NO_DEVICE;
	}
	sim.chan = chan;
	return CUDA_SUCCESS;
}

/* The same descriptor, moved if it has the number of a standard stream: a program that was
 * started without those may write to them, and opens others there sooner or later. */
static int above_standard_streams(int fd)
{
	int moved;

	if (fd < 0 || fd >= FIRST_FD)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	if (moved < 0) /* none is left: better this one than none */
		return fd;
	close(fd);
	return moved;
}

CUresult sim_client_start(char *why, size_t why_bytes)
{
	int fds[2] = { -1, -1 };
	CUresult res;

	if (sim.arena_base == 0 && !reserve_arena()) {
		snprintf(why, why_bytes, "cannot reserve %llu GiB of address space: %s",
			 ARENA_LEAST / GIB, strerror(errno));
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (sim.zero_cost) {
		res = hello_from_config(why, why_bytes);
		return res == CUDA_SUCCESS ? sim_visible_init(why, why_bytes) : res;
	}
	sim.sock = above_standard_streams(sim_connect(NULL, 1, why, why_bytes));
	if (sim.sock < 0)
		return CUDA_ERROR_NO_DEVICE;
	res = say_hello(fds, why, why_bytes);
	fds[1] = above_standard_streams(fds[1]);
	if (res == CUDA_SUCCESS)
		res = sim_visible_init(why, why_bytes);
	if (res == CUDA_SUCCESS)
		res = map_channel(fds[0], why, why_bytes);
	if (fds[0] >= 0)
		close(fds[0]);
	if (res != CUDA_SUCCESS) {
		if (fds[1] >= 0)
			close(fds[1]);
		close(sim.sock);
		sim.sock = -1;
		return res;
	}
	sim.kick_fd = fds[1];
	return CUDA_SUCCESS;
}

/* ---- errors that stay ---- */

static void mark_gone(void)
{
	if (atomic_exchange_explicit(&gone, 1, memory_order_relaxed) == 0)
		fprintf(stderr,
			"simgpu: the device process has gone; every call fails from here "
			"on (CUDA_ERROR_DEVICE_UNAVAILABLE)\n");
}

/* Whether the device process has hung up. */
static bool hung_up(void)
{
	struct pollfd pfd = { .fd = sim.sock };

	return poll(&pfd, 1, 0) == 1 &&
	       (pfd.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

CUresult sim_client_error(void)
{
	uint32_t sticky, lost;

	if (sim.chan == NULL)
		return (CUresult)atomic_load_explicit(&own_sticky, memory_order_relaxed);
	if (atomic_load_explicit(&gone, memory_order_relaxed) != 0)
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	sticky = atomic_load_explicit(&sim.chan->sticky, memory_order_relaxed);
	if (sticky != 0)
		return (CUresult)sticky;
	lost = atomic_load_explicit(&sim.chan->lost, memory_order_relaxed);
	if (lost != 0 &&
	    (sim_visible_bits(lost) &
	     atomic_load_explicit(&sim_context_devices, memory_order_relaxed)) != 0)
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	return CUDA_SUCCESS;
}

void sim_client_stick(CUresult error)
{
	const uint64_t a[6] = { (uint64_t)error };

	if (sim.chan == NULL)
		atomic_store_explicit(&own_sticky, (uint32_t)error, memory_order_relaxed);
	else
		sim_rpc(SIM_RPC_STICKY, a, NULL, -1, NULL);
}

/* ---- requests ---- */

CUresult sim_rpc(enum sim_request_op op, const uint64_t a[6], uint64_t v[6], int fd_in,
		 int *fd_out)
{
	struct sim_request request = { .op = op };
	struct sim_reply reply;
	int err, fd = -1;

	if (fd_out != NULL)
		*fd_out = -1;
	if (sim.chan == NULL)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (atomic_load_explicit(&gone, memory_order_relaxed) != 0)
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	if (a != NULL)
		memcpy(request.a, a, sizeof(request.a));
	sim_visible_request(&request);
	pthread_mutex_lock(&sim.rpc_lock);
	err = sim_send(sim.sock, &request, fd_in);
	if (err == 0)
		err = sim_receive(sim.sock, &reply, NULL, 0, &fd, fd_out != NULL ? 1 : 0);
	pthread_mutex_unlock(&sim.rpc_lock);
	if (err != 0) {
		mark_gone();
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	}
	sim_visible_reply(op, &reply);
	if (v != NULL)
		memcpy(v, reply.v, sizeof(reply.v));
	if (fd_out != NULL)
		*fd_out = fd;
	return (CUresult)reply.result;
}

/* ---- kicks and waits ---- */

void sim_kick(void)
{
	const uint64_t one = 1;

	/* Fails only when the counter is full, and then the device is being woken. */
	if (sim.kick_fd >= 0 && write(sim.kick_fd, &one, sizeof(one)) < 0)
		return;
}

void sim_kick_if_wanted(void)
{
	if (sim.chan == NULL)
		return;
	/* With the device: it sets want_kick, then looks at the ring once more. */
	if (atomic_load_explicit(&sim.chan->want_kick, memory_order_seq_cst) != 0 &&
	    atomic_exchange_explicit(&sim.chan->want_kick, 0, memory_order_relaxed) != 0)
		sim_kick();
}

void sim_poll_kick(void)
{
	uint64_t caught_up, now;

	if (sim.chan == NULL)
		return;
	caught_up = atomic_load_explicit(&sim.chan->caught_up_ns, memory_order_acquire);
	now = sim_now_ns();
	if (now <= caught_up || now - caught_up <= CAUGHT_UP_NS)
		return;
	sim_kick();
	/* It slept, or it will never look again: who only polls must learn of that too. */
	if (now - caught_up > SILENT_NS && hung_up())
		mark_gone();
}

void sim_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	const struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000u),
		.tv_nsec = (long)(timeout_ns % 1000000000u),
	};

	if (syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) != 0 &&
	    errno == ETIMEDOUT && hung_up())
		mark_gone();
}
