/*
 * scribble.c - a client that breaks every rule of the protocol harms itself only.
 *
 * Knows: the channel, its records and the socket's messages (proto.h), from the side of a
 * client that has gone mad. Refuses to know: what the device makes of it; it is judged by a
 * neighbour's results and by the device's books.
 *
 * Every iteration is a process of its own with a seed of its own: `scribble SEED` in the
 * output is all it takes to see one again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common_stress.h"
#include "cunit_main.h"
#include "proto.h"

enum { CLIENTS = 2000, AT_ONCE = 4, WHILE_US = 300000 };

/* ---- one mad client ---- */

struct mad {
	struct stress_random random;
	struct stress_gpu gpu;
	struct sim_channel *chan;
	int sock, kick;
	CUdeviceptr memory; /* 1 MiB that is its own */
	void *pinned;
};

static struct sim_channel *find_channel(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long from = 0;

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "simgpu-channel")) {
			from = strtoul(line, NULL, 16);
			break;
		}
	if (maps)
		fclose(maps);
	return (struct sim_channel *)from;
}

/* The connection is the one socket of this kind with a peer, the kick the one eventfd. */
static void find_descriptors(struct mad *mad)
{
	for (int fd = 3; fd < 256; fd++) {
		char path[64], text[64] = "";
		int type = 0;
		socklen_t size = sizeof(type);
		struct ucred peer;
		socklen_t peer_size = sizeof(peer);

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, text, sizeof(text) - 1) < 0)
			continue;
		if (strstr(text, "eventfd"))
			mad->kick = fd;
		/* The monitor's connection was inherited, and is older. */
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
		    type == SOCK_SEQPACKET &&
		    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0)
			mad->sock = fd;
	}
}

static void kick(const struct mad *mad)
{
	const uint64_t one = 1;

	if (write(mad->kick, &one, sizeof(one)) < 0)
		return;
}

static uint64_t below(struct mad *mad, uint64_t n)
{
	return stress_below(&mad->random, n);
}

/* A number that somebody might not have thought of. */
static uint64_t odd_number(struct mad *mad)
{
	switch (below(mad, 10)) {
	case 0:
		return stress_random(&mad->random);
	case 1:
		return UINT64_MAX - below(mad, 64);
	case 2:
		return 1ull << below(mad, 64);
	case 3:
		return mad->memory + below(mad, 1 << 20);
	case 4:
		return mad->memory;
	case 5:
		return (uintptr_t)mad->pinned + below(mad, 8192);
	case 6:
		return (uintptr_t)mad->chan + below(mad, sizeof(*mad->chan));
	case 7:
		return below(mad, 1 << 16) * 4096;
	default:
		return below(mad, 40);
	}
}

static void fill(struct mad *mad, void *at, size_t bytes)
{
	unsigned char *to = at;

	while (bytes > 0) {
		uint64_t value = odd_number(mad);
		size_t step = bytes < sizeof(value) ? bytes : sizeof(value);

		memcpy(to, &value, step);
		to += step;
		bytes -= step;
	}
}

/* ---- ways to be mad ---- */

static void scribble_anywhere(struct mad *mad)
{
	unsigned char *channel = (unsigned char *)mad->chan;
	const size_t header = offsetof(struct sim_channel, streams);

	for (uint64_t n = 1 + below(mad, 200); n > 0; n--) {
		size_t room = below(mad, 2) ? header : sizeof(*mad->chan);
		size_t bytes = 1 + below(mad, 64), at = below(mad, room);

		if (bytes > sizeof(*mad->chan) - at)
			bytes = sizeof(*mad->chan) - at;
		fill(mad, channel + at, bytes);
	}
}

static void scribble_in_the_ring(struct mad *mad)
{
	uint64_t head = atomic_load(&mad->chan->head);

	fill(mad, mad->chan->ring + head % SIM_RING_BYTES,
	     below(mad, SIM_RING_BYTES - head % SIM_RING_BYTES) / 64);
	atomic_store(&mad->chan->tail, head + below(mad, SIM_RING_BYTES / 16) * 16);
}

/* Records that are right in every field the device can check at once, and odd in all
 * others. */
static void records(struct mad *mad)
{
	struct sim_channel *chan = mad->chan;
	uint64_t tail = atomic_load(&chan->tail), seq = 0;
	uint32_t slot = 0;

	/* The context's own stream is in use; its sequence tells where it stands. */
	while (slot < 8 && atomic_load(&chan->streams[slot].completed) == 0)
		slot++;
	seq = atomic_load(&chan->streams[slot % 8].completed);
	for (uint64_t n = 1 + below(mad, 30); n > 0; n--) {
		unsigned char bytes[512];
		struct sim_record *record = (struct sim_record *)bytes;
		uint32_t length = 32 + (uint32_t)below(mad, 14) * 32;

		fill(mad, bytes, sizeof(bytes));
		record->bytes = length;
		record->kind = (uint16_t)(below(mad, 20)
						  ? 2 + below(mad, SIM_REC_KINDS - 2)
						  : below(mad, 65536));
		record->stream = slot % 8;
		record->seq = ++seq;
		record->submit_ns = below(mad, 4) ? 1 : odd_number(mad);
		if (record->kind == SIM_REC_KERNEL && length >= 128) {
			struct sim_rec_kernel *kernel = (struct sim_rec_kernel *)(record +
										  1);

			kernel->builtin = (uint32_t)below(mad, SIM_K_BUILTINS);
			kernel->param_bytes = 32;
			for (int i = 0; i < 3; i++) {
				kernel->grid[i] = 1 + (uint32_t)below(mad, 3);
				kernel->block[i] = 1 + (uint32_t)below(mad, 8);
			}
		}
		if (SIM_RING_BYTES - tail % SIM_RING_BYTES < length)
			return;
		memcpy(chan->ring + tail % SIM_RING_BYTES, bytes, length);
		tail += length;
		atomic_store(&chan->tail, tail);
	}
}

/* A submission that never ends: everybody's time must go on. */
static void hold_back_time(struct mad *mad)
{
	atomic_store(&mad->chan->intent, 1);
	kick(mad);
	stress_pause_us(2000);
}

static void send_bytes(struct mad *mad, const void *bytes, size_t length, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { (void *)(uintptr_t)bytes, length };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	char reply[1024];

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}
	sendmsg(mad->sock, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* Mostly it does listen, or the device would only ever see its queue full. */
	if (below(mad, 8))
		while (recv(mad->sock, reply, sizeof(reply), MSG_DONTWAIT) > 0)
			;
}

static void send_noise(struct mad *mad)
{
	unsigned char bytes[300];

	for (uint64_t n = 1 + below(mad, 20); n > 0; n--) {
		fill(mad, bytes, sizeof(bytes));
		send_bytes(mad, bytes, below(mad, sizeof(bytes)),
			   below(mad, 4) ? -1 : STDERR_FILENO);
	}
}

static void send_requests(struct mad *mad)
{
	struct sim_request request;

	for (uint64_t n = 1 + below(mad, 60); n > 0; n--) {
		fill(mad, &request, sizeof(request));
		request.op = 1 + (uint32_t)below(mad, SIM_RPC_MAX);
		/* What these two do to everybody, or to itself for good, is their purpose. */
		if (request.op == SIM_RPC_FAULT || request.op == SIM_RPC_STICKY)
			continue;
		/* Memory of others is not to be starved: that is no harm but a full card. */
		if ((request.op == SIM_RPC_MEM_ALLOC ||
		     request.op == SIM_RPC_PHYS_CREATE ||
		     request.op == SIM_RPC_CTX_LIMIT ||
		     request.op == SIM_RPC_CODE_LOAD) &&
		    below(mad, 4))
			for (int i = 0; i < 6; i++)
				request.a[i] %= 1 << 22;
		send_bytes(mad, &request, sizeof(request),
			   below(mad, 8) ? -1 : STDERR_FILENO);
	}
}

/* A graph whose structure holds and whose content does not, or the other way round. */
static void send_graphs(struct mad *mad)
{
	union {
		unsigned char bytes[4096];
		struct sim_graph_image head;
		uint64_t align;
	} image;
	struct sim_request request = { .op = SIM_RPC_GRAPH_CREATE };
	size_t at = sizeof(image.head);
	int fd = memfd_create("graph", MFD_CLOEXEC);

	fill(mad, &image, sizeof(image));
	image.head.magic = SIM_MAGIC;
	image.head.nnodes = 0;
	for (uint64_t n = below(mad, 12); n > 0; n--) {
		struct sim_graph_node *node = (struct sim_graph_node *)(image.bytes + at);

		node->payload_bytes = (uint32_t)below(mad, 26) * 8;
		node->ndeps = image.head.nnodes ? (uint32_t)below(mad, 2) : 0;
		node->bytes = (uint32_t)(sizeof(*node) + node->payload_bytes +
					 node->ndeps * 8u);
		node->kind = (uint32_t)(below(mad, 4) ? 2 + below(mad, SIM_REC_KINDS)
						      : 100 + below(mad, 4));
		node->enabled = below(mad, 8) != 0;
		if (node->ndeps) {
			uint32_t on = (uint32_t)below(mad, image.head.nnodes);

			memcpy(image.bytes + at + sizeof(*node) + node->payload_bytes,
			       &on, sizeof(on));
		}
		at += node->bytes;
		image.head.nnodes++;
		if (at > sizeof(image) - 512)
			break;
	}
	image.head.bytes = at;
	if (below(mad, 4) == 0)
		fill(mad, image.bytes + below(mad, at), 8);
	request.a[0] = below(mad, 8) ? at : odd_number(mad);
	request.a[1] = mad->pinned ? 1 + below(mad, 400)
				   : 0; /* a context, if it guesses it */
	if (fd < 0 || write(fd, &image, sizeof(image)) < 0)
		return;
	/* Context numbers count up over all clients, so try a few. */
	for (uint64_t id = 1; id < 700; id += 1 + below(mad, 3)) {
		request.a[1] = id;
		send_bytes(mad, &request, sizeof(request), fd);
	}
	close(fd);
}

/* Launches graphs of any number. */
static void launch_graphs(struct mad *mad)
{
	struct sim_channel *chan = mad->chan;
	uint64_t tail = atomic_load(&chan->tail), seq = 0;
	uint32_t slot = 0;

	while (slot < 8 && atomic_load(&chan->streams[slot].completed) == 0)
		slot++;
	seq = atomic_load(&chan->streams[slot % 8].completed);
	for (uint32_t id = 1; id < 4; id++) {
		struct {
			struct sim_record record;
			struct sim_rec_graph graph;
			uint64_t pad[2];
		} launch = { .record = { .bytes = 64,
					 .kind = SIM_REC_GRAPH,
					 .stream = slot % 8,
					 .seq = ++seq,
					 .submit_ns = 1 },
			     .graph = { .graph = id } };

		if (SIM_RING_BYTES - tail % SIM_RING_BYTES < sizeof(launch))
			return;
		memcpy(chan->ring + tail % SIM_RING_BYTES, &launch, sizeof(launch));
		tail += sizeof(launch);
		atomic_store(&chan->tail, tail);
	}
	kick(mad);
}

static void go_mad(struct mad *mad)
{
	switch (below(mad, 8)) {
	case 0:
		scribble_anywhere(mad);
		break;
	case 1:
		scribble_in_the_ring(mad);
		break;
	case 2:
	case 3:
		records(mad);
		break;
	case 4:
		send_noise(mad);
		break;
	case 5:
		send_requests(mad);
		break;
	case 6:
		send_graphs(mad);
		launch_graphs(mad);
		break;
	default:
		hold_back_time(mad);
		break;
	}
	kick(mad);
}

static int mad_client(void *arg)
{
	static struct mad mad;
	uint64_t steps = 200;
	CUdeviceptr sink = 0;
	void *work[] = { &steps, &sink };

	mad.random.state = *(uint64_t *)arg;
	if (stress_gpu_open(&mad.gpu) ||
	    cuMemAlloc(&mad.memory, 1 << 20) != CUDA_SUCCESS ||
	    cuMemHostAlloc(&mad.pinned, 8192, 0) != CUDA_SUCCESS ||
	    stress_launch(mad.gpu.work, NULL, 1, work) != CUDA_SUCCESS ||
	    cuCtxSynchronize() != CUDA_SUCCESS)
		return 1;
	mad.chan = find_channel();
	mad.sock = -1;
	find_descriptors(&mad);
	if (!mad.chan || mad.sock < 0 || mad.kick <= 0)
		return 2;
	for (uint64_t n = 1 + below(&mad, 4); n > 0; n--)
		go_mad(&mad);
	/* Some stay for a moment, so that the device must live with them. */
	stress_pause_us((unsigned)below(&mad, 3) * 1000);
	return 0;
}

/* ---- the tests ---- */

static struct simgpu_monitor *monitor;

static void open_monitor(void)
{
	monitor = stress_monitor();
}

static void close_monitor(void)
{
	simgpu_close(monitor);
}

static void a_mad_client_harms_itself_only(void)
{
	struct stress_neighbour neighbour = stress_neighbour_start();
	struct simgpu_truth *before = stress_truth(monitor), *after;
	uint64_t rounds = *neighbour.rounds, bad = 0, sticky = 0;
	unsigned clients = unit_rounds(CLIENTS), odd = 0;

	for (uint64_t seed = 1; seed <= clients; seed += AT_ONCE) {
		pid_t pids[AT_ONCE];

		for (unsigned i = 0; i < AT_ONCE; i++) {
			uint64_t own = seed + i;

			pids[i] = stress_child(mad_client, &own);
		}
		for (unsigned i = 0; i < AT_ONCE; i++) {
			int res = stress_wait(pids[i]);

			if (res != 0)
				printf("      scribble %llu ended with %d\n",
				       (unsigned long long)seed + i, res);
			odd += res != 0;
		}
	}
	CU_ASSERT_EQUAL(odd, 0);
	CU_ASSERT_TRUE(stress_await_clients(monitor, 1));
	CU_ASSERT_TRUE(stress_neighbour_end(&neighbour, rounds));
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
	after = stress_truth(monitor);
	CU_ASSERT_EQUAL(after->started_ns, before->started_ns);
	for (uint32_t i = 0; i < after->nclients; i++) {
		bad += after->clients[i].bad_records;
		sticky += after->clients[i].sticky != 0;
	}
	printf("      %u mad clients: %llu bad records, %llu ended in error\n", clients,
	       (unsigned long long)bad, (unsigned long long)sticky);
	CU_ASSERT_TRUE(bad > 0);
	CU_ASSERT_TRUE(sticky > clients / 10);
	simgpu_free(before);
	simgpu_free(after);
}

/* ---- records that would never end, if they were taken at their word ---- */

static const struct endless {
	enum sim_record_kind kind;
	struct sim_rec_memset set;
	struct sim_rec_copy copy;
	struct sim_rec_kernel kernel;
	uint64_t arguments[4];
	bool accepted; /* else the client is in error */
} endless[] = {
	{ .kind = SIM_REC_MEMSET,
	  .set = { .height = UINT64_MAX, .element_bytes = 1 },
	  .accepted = true },
	{ .kind = SIM_REC_MEMSET,
	  .set = { .width = 1, .height = 1ull << 39, .element_bytes = 1 } },
	{ .kind = SIM_REC_MEMSET,
	  .set = { .width = 1ull << 63, .height = 2, .pitch = 8, .element_bytes = 4 } },
	{ .kind = SIM_REC_COPY,
	  .copy = { .height = UINT64_MAX, .depth = UINT64_MAX },
	  .accepted = true },
	{ .kind = SIM_REC_COPY,
	  .copy = { .width_bytes = 1, .height = 1ull << 39, .depth = 1 } },
	{ .kind = SIM_REC_COPY,
	  .copy = { .width_bytes = 1, .height = 1, .depth = 1ull << 39 } },
	{ .kind = SIM_REC_KERNEL,
	  .kernel = { .builtin = SIM_K_FILL_U32, .param_bytes = 32 },
	  .arguments = { 0, 7, UINT64_MAX } },
	{ .kind = SIM_REC_KERNEL,
	  .kernel = { .builtin = SIM_K_REDUCE_U32, .param_bytes = 32 },
	  .arguments = { 0, 0, 1ull << 62 } },
};
enum { ENDLESS = sizeof(endless) / sizeof(endless[0]) };

/* Submits one of them, working on the client's own memory, and waits for its fate. */
static int submit_endless(void *arg)
{
	const struct endless *e = arg;
	struct {
		struct sim_record record;
		union {
			struct sim_rec_memset set;
			struct sim_rec_copy copy;
			struct {
				struct sim_rec_kernel kernel;
				uint64_t arguments[4];
			};
		};
		uint64_t room[4];
	} all = { .record = { .bytes = sizeof(all) / 32 * 32,
			      .kind = (uint16_t)e->kind } };
	static struct mad mad;
	struct sim_channel *chan;
	uint64_t steps = 1;
	CUdeviceptr sink = 0;
	void *work[] = { &steps, &sink };
	uint32_t slot = 0;

	if (stress_gpu_open(&mad.gpu) ||
	    cuMemAlloc(&mad.memory, 1 << 20) != CUDA_SUCCESS ||
	    stress_launch(mad.gpu.work, NULL, 1, work) != CUDA_SUCCESS ||
	    cuCtxSynchronize() != CUDA_SUCCESS)
		return 99;
	chan = mad.chan = find_channel();
	find_descriptors(&mad);
	while (atomic_load(&chan->streams[slot].completed) == 0)
		slot++;
	all.record.stream = slot;
	all.record.seq = atomic_load(&chan->streams[slot].completed) + 1;
	if (e->kind == SIM_REC_MEMSET) {
		all.set = e->set;
		all.set.dst = mad.memory;
	} else if (e->kind == SIM_REC_COPY) {
		all.copy = e->copy;
		all.copy.dst.addr = mad.memory;
		all.copy.src.addr = mad.memory + 4096;
	} else {
		all.kernel = e->kernel;
		for (int i = 0; i < 3; i++)
			all.kernel.grid[i] = all.kernel.block[i] = 1;
		memcpy(all.arguments, e->arguments, sizeof(all.arguments));
		all.arguments[0] = mad.memory;
	}
	memcpy(chan->ring + atomic_load(&chan->tail) % SIM_RING_BYTES, &all,
	       all.record.bytes);
	atomic_fetch_add(&chan->tail, all.record.bytes);
	kick(&mad);
	for (unsigned tries = e->kind == SIM_REC_KERNEL ? 500 : 5000; tries > 0;
	     tries--) {
		if (atomic_load(&chan->sticky) != 0)
			return e->accepted ? 1 : 0;
		if (atomic_load(&chan->streams[slot].completed) >= all.record.seq)
			return e->accepted ? 0 : 1;
		kick(&mad);
		stress_pause_us(1000);
	}
	/* A kernel may have that much work; it only must not hold up the device. */
	return e->kind == SIM_REC_KERNEL ? 0 : 2;
}

static void work_without_end_does_not_stop_the_device(void)
{
	struct stress_neighbour neighbour = stress_neighbour_start();
	uint64_t rounds;
	pid_t pids[ENDLESS];

	for (unsigned i = 0; i < ENDLESS; i++)
		pids[i] = stress_child(submit_endless, (void *)(uintptr_t)&endless[i]);
	for (unsigned i = 0; i < ENDLESS; i++) {
		int res = stress_wait(pids[i]);

		if (res != 0)
			printf("      record %u of the table: %d\n", i, res);
		CU_ASSERT_EQUAL(res, 0);
	}
	rounds = *neighbour.rounds;
	CU_ASSERT_TRUE(stress_neighbour_end(&neighbour, rounds));
	CU_ASSERT_TRUE(stress_await_clients(monitor, 0));
	CU_ASSERT_TRUE(stress_nothing_left(monitor, 0, 0, 0));
}

/* ---- a client that stops in the middle of a submission ---- */

static int stop_in_submission(void *arg)
{
	static struct mad mad;

	if (stress_gpu_open(&mad.gpu))
		return 1;
	mad.chan = find_channel();
	find_descriptors(&mad);
	atomic_store(&mad.chan->intent, 1);
	kick(&mad);
	if (write(*(int *)arg, "r", 1) != 1)
		return 1;
	for (;;)
		pause();
}

/* CPU time of the device process in a third of a second. */
static uint64_t cpu_for_a_while(void)
{
	struct simgpu_truth *before = stress_truth(monitor), *after;
	uint64_t cpu_ns;

	stress_pause_us(WHILE_US);
	after = stress_truth(monitor);
	cpu_ns = after->cpu_ns - before->cpu_ns;
	simgpu_free(before);
	simgpu_free(after);
	return cpu_ns;
}

static void a_stopped_client_holds_up_time_for_a_moment_only(void)
{
	struct stress_neighbour neighbour = stress_neighbour_start();
	uint64_t rounds, usual_ns = cpu_for_a_while();
	int ready[2];
	char byte;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
	pid = stress_child(stop_in_submission, &ready[1]);
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	stress_pause_us(SIM_INTENT_LIMIT_NS / 1000 * 2);
	rounds = *neighbour.rounds;
	/* The neighbour goes on, and the device does not try again and again instead. */
	CU_ASSERT_TRUE(cpu_for_a_while() < 2 * usual_ns + WHILE_US * 100);
	CU_ASSERT_TRUE(*neighbour.rounds > rounds + 10);
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(stress_wait(pid), 128 + SIGKILL);
	CU_ASSERT_TRUE(stress_neighbour_end(&neighbour, rounds));
	close(ready[0]);
	close(ready[1]);
}

/* ---- what a mad client itself is told ---- */

static int told_of_its_error(void *arg)
{
	static struct mad mad;

	(void)arg;
	if (stress_gpu_open(&mad.gpu) || cuCtxSynchronize() != CUDA_SUCCESS)
		return 1;
	mad.chan = find_channel();
	find_descriptors(&mad);
	/* A record longer than the ring. */
	memset(mad.chan->ring, 0xff, 64);
	atomic_store(&mad.chan->tail, atomic_load(&mad.chan->head) + 64);
	kick(&mad);
	for (unsigned tries = 10000; tries > 0 && cuCtxSynchronize() == CUDA_SUCCESS;
	     tries--)
		stress_pause_us(100);
	return cuCtxSynchronize() != CUDA_ERROR_LAUNCH_FAILED;
}

static void a_client_that_broke_its_ring_is_in_error_for_good(void)
{
	CU_ASSERT_EQUAL(stress_wait(stress_child(told_of_its_error, NULL)), 0);
}

const struct unit_suite unit_suite = {
	.name = "clients that break the rules",
	.setup = open_monitor,
	.teardown = close_monitor,
	.tests = {
		UNIT_TEST(a_mad_client_harms_itself_only),
		UNIT_TEST(work_without_end_does_not_stop_the_device),
		UNIT_TEST(a_stopped_client_holds_up_time_for_a_moment_only),
		UNIT_TEST(a_client_that_broke_its_ring_is_in_error_for_good),
	},
};
