/*
 * main.c - the device process: one loop that looks at rings, simulates up to now, and
 * sleeps until something may change.
 *
 * It is started by its first client with a listening socket and ends with its last one.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "device/server.h"

/* Conditions in memory (spinning kernels, stream waits) are looked at between so often and
 * once a tick, the less often the longer nothing comes of it. */
#define POLL_NS 20000ull
#define POLL_PART 16 /* a condition is noticed late by this part of the wait for it */
/* A sleep shorter than this would end later than it should: awaiting it costs no more. */
#define SLEEP_MIN_NS 40000ull
/* How often to look whether a client has left the middle of a submission. */
#define INTENT_NS 50000ull

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

uint64_t sim_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

struct sim_client *sim_memory_heir(struct sim_client *going, struct sim_phys *phys)
{
	struct sim_client *client;
	unsigned i;

	for (client = going->server->clients; client != NULL; client = client->next) {
		if (client == going || client->chan == NULL)
			continue;
		for (i = 0; i < client->space.nmaps; i++)
			if (client->space.maps[i].phys == phys)
				return client;
		for (i = 0; i < client->space.nhandles; i++)
			if (client->space.handles[i].phys == phys)
				return client;
	}
	return NULL;
}

/* How far it is safe to simulate: not past a submission that a client is just writing
 * (proto.h, "Doorbell order"). */
static uint64_t horizon(struct sim_server *server)
{
	const uint64_t now = sim_clock_ns();
	uint64_t until = now;
	struct sim_client *client;

	atomic_thread_fence(memory_order_seq_cst);
	server->held_back = false;
	for (client = server->clients; client != NULL; client = client->next) {
		int spins = 0;

		if (client->chan == NULL)
			continue;
		while (atomic_load(&client->chan->intent) != 0 && spins++ < 64)
			cpu_relax();
		if (atomic_load(&client->chan->intent) == 0) {
			client->intent_since_ns = 0;
			client->clear_ns = now;
			continue;
		}
		if (client->intent_since_ns == 0)
			client->intent_since_ns = now;
		if (now - client->intent_since_ns >= SIM_INTENT_LIMIT_NS)
			continue; /* stopped or killed there: nobody waits for it */
		server->held_back = true;
		if (client->clear_ns < until)
			until = client->clear_ns;
	}
	return until;
}

/* Drains all rings and simulates up to now, then lets failures take effect. */
static void catch_up(struct sim_server *server)
{
	const uint64_t until = horizon(server);
	struct sim_client *client;

	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL)
			sim_client_drain(client);
	sim_history_advance(server, until);
	for (client = server->clients; client != NULL; client = client->next) {
		if (client->chan == NULL)
			continue;
		if (client->sticky_next != 0 && client->sticky == 0)
			sim_client_stick(client, client->sticky_next);
		sim_host_announce(client);
		atomic_store_explicit(&client->chan->caught_up_ns,
				      sim_engine_now(server->engine), memory_order_release);
	}
}

/* ---- sleeping ---- */

/* How much of its work an operation has behind it. */
static uint64_t passed_ns(const struct sim_op *op, uint64_t now)
{
	uint64_t passed = 0;

	if (op->state == SIM_OP_RUNNING)
		passed = op->kind == SIM_OP_CLOCK || op->kind == SIM_OP_EXTERNAL
				 ? now - op->start_ns
				 : op->executed_ns;
	return passed < op->work_ns ? passed : op->work_ns;
}

/* No earlier than this can the sequence that a stream's waiter wants be complete: what lies
 * before it in the stream runs one after the other. */
static uint64_t wait_bound(const struct sim_dstream *stream, uint64_t wanted, uint64_t now)
{
	uint64_t left;

	if (wanted > stream->ingested)
		wanted = stream->ingested;
	if (wanted <= stream->completed || stream->first == NULL ||
	    stream->cumulative == NULL || wanted - stream->completed >= SIM_CUMULATIVE)
		return now;
	left = stream->cumulative[wanted % SIM_CUMULATIVE] - stream->executing_ns -
	       passed_ns(&stream->first->op, now);
	return left > SIM_NEVER - now ? SIM_NEVER : now + left;
}

/* When a client waits for a completion, the instant before which there is nothing to tell. */
static uint64_t first_wait(const struct sim_client *client, uint64_t now)
{
	const struct sim_dstream *stream;
	uint64_t at = SIM_NEVER;

	for (stream = client->active; stream != NULL; stream = stream->active_next) {
		uint64_t wanted =
			atomic_load(&client->chan->streams[stream->slot].wait_seq);
		uint64_t bound = wanted == 0 ? SIM_NEVER : wait_bound(stream, wanted, now);

		if (bound < at)
			at = bound;
	}
	return at;
}

/* When the device must look again, if nobody kicks it before. */
static uint64_t deadline(const struct sim_server *server)
{
	const uint64_t clock = sim_clock_ns(), now = sim_engine_now(server->engine);
	const uint64_t next = sim_engine_next(server->engine);
	const struct sim_client *client;
	uint64_t at = SIM_NEVER;

	if (server->held_back)
		return clock + INTENT_NS;
	if (!sim_engine_idle(server->engine))
		at = clock + SIM_TICK_NS;
	if (sim_engine_polling(server->engine) > 0) {
		uint64_t pause = (now - server->condition_ns) / POLL_PART;

		if (pause < POLL_NS)
			pause = POLL_NS;
		if (clock + pause < at)
			at = clock + pause;
	}
	for (client = server->clients; client != NULL; client = client->next) {
		uint64_t bound;

		if (client->chan == NULL)
			continue;
		bound = first_wait(client, now);
		if (bound == SIM_NEVER)
			continue;
		if (bound < next)
			bound = next;
		if (bound < at)
			at = bound;
	}
	return at;
}

static void arm_timer(struct sim_server *server, uint64_t at)
{
	struct itimerspec when = { .it_value = { 0, 0 } };

	if (at != SIM_NEVER) {
		when.it_value.tv_sec = (time_t)(at / 1000000000ull);
		when.it_value.tv_nsec = (long)(at % 1000000000ull);
		if (at == 0)
			when.it_value.tv_nsec = 1;
	}
	timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Tells all clients whether a submission must be announced by a kick. True if somebody
 * submitted in the meantime, so that it is too early to sleep. */
static bool want_kicks(struct sim_server *server, bool want)
{
	struct sim_client *client;
	bool missed = false;

	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL)
			atomic_store(&client->chan->want_kick, want);
	if (!want)
		return false;
	atomic_thread_fence(memory_order_seq_cst);
	for (client = server->clients; client != NULL; client = client->next)
		if (client->chan != NULL && client->sticky == 0 &&
		    atomic_load(&client->chan->tail) != atomic_load(&client->chan->head))
			missed = true;
	return missed;
}

/* ---- events ---- */

static void export_closed(struct sim_server *server, struct sim_export *export)
{
	struct sim_export **link = &server->exports;

	while (*link != export)
		link = &(*link)->next;
	*link = export->next;
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, export->fd, NULL);
	close(export->fd);
	sim_phys_unref(&server->memory, export->phys);
	free(export);
}

static void handle(struct sim_server *server, const struct epoll_event *event)
{
	const uint64_t tag = event->data.u64;
	struct sim_client *client;
	uint64_t count;

	if (event->data.ptr == &server->listen_fd) {
		while (sim_server_accept(server) == 0)
			;
	} else if (event->data.ptr == &server->timer_fd) {
		if (read(server->timer_fd, &count, sizeof(count)) < 0)
			return;
	} else if (tag & 1) {
		client = (struct sim_client *)(uintptr_t)(tag & ~1ull);
		if (read(client->kick_fd, &count, sizeof(count)) < 0)
			return;
	} else if (tag & 2) {
		export_closed(server, (struct sim_export *)(uintptr_t)(tag & ~2ull));
	} else {
		client = event->data.ptr;
		if (!sim_client_request(server, client))
			sim_client_gone(server, client);
	}
}

/* Ends the device if nobody is left: under the lock that connecting clients take. */
static bool try_leave(struct sim_server *server)
{
	char path[sizeof(server->state) + 32];

	if (flock(server->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (sim_server_accept(server) == 0) {
		flock(server->lock_fd, LOCK_UN);
		return false;
	}
	snprintf(path, sizeof(path), "%s/device.sock", server->state);
	unlink(path);
	close(server->listen_fd);
	flock(server->lock_fd, LOCK_UN);
	return true;
}

static bool is_socket(const struct sim_server *server, const struct epoll_event *event)
{
	return !(event->data.u64 & 3) && event->data.ptr != &server->timer_fd;
}

static int loop(struct sim_server *server)
{
	struct epoll_event events[64];

	for (;;) {
		uint64_t at;
		int n, i, timeout = -1;

		catch_up(server);
		if (server->clients == NULL) {
			if (try_leave(server))
				return 0;
			timeout = 1; /* somebody holds the lock: it is about to connect */
		}
		at = deadline(server);
		if (want_kicks(server, at == SIM_NEVER))
			continue;
		if (at > sim_clock_ns() + SLEEP_MIN_NS) {
			arm_timer(server, at);
			n = epoll_wait(server->epoll_fd, events, 64, timeout);
		} else {
			do
				n = epoll_wait(server->epoll_fd, events, 64, 0);
			while (n == 0 && sim_clock_ns() < at);
		}
		if (n < 0 && errno != EINTR)
			return 1;
		/* One socket event at a time, since a client that goes may be in later ones,
		 * and with everything done that was submitted before it. */
		for (i = 0; i < n; i++) {
			bool socket = is_socket(server, &events[i]);

			if (socket)
				catch_up(server);
			handle(server, &events[i]);
			if (socket)
				break;
		}
	}
}

/* ---- start ---- */

static void uuid_make(unsigned char uuid[SIM_UUID_BYTES], unsigned device)
{
	/* Fixed and recognisable: version 8 (free form), "simgpu", the device's number. */
	static const unsigned char base[SIM_UUID_BYTES] = { 0x53, 0x69, 0x6d, 0x47, 0x50, 0x55,
							    0x80, 0x00, 0x80, 0x00, 0,    0,
							    0,    0,    0,    0 };

	memcpy(uuid, base, SIM_UUID_BYTES);
	uuid[15] = (unsigned char)device;
}

static int watch(struct sim_server *server, int fd, void *tag)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.ptr = tag;
	return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int start(struct sim_server *server, int listen_fd, const char *state)
{
	struct sim_engine_config engine;
	struct sim_engine_calls calls;
	struct rlimit files;
	char why[256], path[sizeof(server->state) + 32];
	unsigned d;

	if (sim_config_read(&server->config, why, sizeof(why)) < 0) {
		fprintf(stderr, "simgpud: %s\n", why);
		return -1;
	}
	if (snprintf(server->state, sizeof(server->state), "%s", state) >=
	    (int)sizeof(server->state)) {
		fprintf(stderr, "simgpud: the state directory's name is too long: %s\n", state);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/lock", state);
	server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	server->listen_fd = listen_fd;
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (server->lock_fd < 0 || server->epoll_fd < 0 || server->timer_fd < 0 ||
	    fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0 ||
	    watch(server, listen_fd, &server->listen_fd) < 0 ||
	    watch(server, server->timer_fd, &server->timer_fd) < 0) {
		fprintf(stderr, "simgpud: cannot start on descriptor %d in %s: %s\n", listen_fd,
			state, strerror(errno));
		return -1;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	prctl(PR_SET_TIMERSLACK, 1ul);
	signal(SIGPIPE, SIG_IGN);
	if (getrandom(server->secret, sizeof(server->secret), 0) < 0)
		return -1;
	engine = (struct sim_engine_config){ .devices = server->config.devices,
					     .slice_ns = server->config.slice_ns,
					     .switch_ns = server->config.switch_ns,
					     .max_concurrent = server->config.concurrent };
	sim_execute_calls(server, &calls);
	server->started_ns = sim_clock_ns();
	sim_history_init(&server->history, server->started_ns);
	server->engine = sim_engine_new(&engine, &calls, server->started_ns);
	server->memory.devices = server->config.devices;
	for (d = 0; d < server->config.devices; d++) {
		server->memory.device[d].total = server->config.memory_bytes;
		uuid_make(server->uuid[d], d);
	}
	return server->engine == NULL ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct sim_server server;

	if (argc != 5 || strcmp(argv[1], "--fd") != 0 || strcmp(argv[3], "--state") != 0) {
		fprintf(stderr, "simgpud is the simulated GPU's device process. Programs that "
				"use the simulated libcuda.so.1 start it; it ends with the "
				"last of them. To keep one running, use: simgpu hold\n");
		return 2;
	}
	if (start(&server, atoi(argv[2]), argv[4]) < 0)
		return 1;
	return loop(&server);
}
