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

#include "common/uuid.h"
#include "device/server.h"

/* Connections taken in a row before anybody else is looked at. */
#define ACCEPT_MAX 64
#define EVENTS_MAX 1024

uint64_t sim_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
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

/* ---- events ---- */

static void export_closed(struct sim_server *server, struct sim_export *export)
{
	struct sim_export **link = &server->exports;

	while (*link != export)
		link = &(*link)->next;
	*link = export->next;
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, export->fd, NULL);
	close(export->fd);
	if (export->phys != NULL)
		sim_phys_unref(&server->memory, export->phys);
	free(export);
}

static void handle(struct sim_server *server, const struct epoll_event *event)
{
	const uint64_t tag = event->data.u64;
	struct sim_client *client;
	uint64_t count;
	int taken = 0;

	if (event->data.ptr == &server->listen_fd) {
		while (taken++ < ACCEPT_MAX && sim_server_accept(server) == 0)
			;
	} else if (event->data.ptr == &server->timer_fd) {
		if (read(server->timer_fd, &count, sizeof(count)) < 0)
			return;
	} else if (tag & 2) {
		export_closed(server, (struct sim_export *)(uintptr_t)(tag & ~2ull));
	} else if (!(tag & 1)) { /* a kick has done its work by waking us */
		client = event->data.ptr;
		if (!sim_client_request(server, client))
			sim_client_gone(server, client);
	}
}

/* Ends the device if nobody is left: under the lock that connecting clients take. */
static bool try_leave(struct sim_server *server)
{
	if (flock(server->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (sim_server_accept(server) == 0) {
		flock(server->lock_fd, LOCK_UN);
		return false;
	}
	unlinkat(server->state_fd, "device.sock", 0);
	close(server->listen_fd);
	flock(server->lock_fd, LOCK_UN);
	return true;
}

static bool is_socket(const struct sim_server *server, const struct epoll_event *event)
{
	return !(event->data.u64 & 3) && event->data.ptr != &server->timer_fd;
}

/*
 * Which socket to serve next. One that was closed comes before all requests: whoever knows
 * that a process has gone and then asks for its memory finds it free, as on a card, where
 * closing is what frees it. Among the rest, who is always ready is not always the first.
 */
static int pick(const struct sim_server *server, const struct epoll_event *events, int n,
		unsigned turn)
{
	for (int i = 0; i < n; i++)
		if (is_socket(server, &events[i]) && (events[i].events & EPOLLHUP))
			return i;
	for (int i = 0; i < n; i++) {
		int at = (int)((turn + (unsigned)i) % (unsigned)n);

		if (is_socket(server, &events[at]))
			return at;
	}
	return -1;
}

static int loop(struct sim_server *server)
{
	static struct epoll_event events[EVENTS_MAX];
	unsigned turn = 0;

	for (;;) {
		uint64_t at;
		int n, i, timeout = -1;

		sim_server_catch_up(server);
		if (server->clients == NULL) {
			if (try_leave(server))
				return 0;
			timeout = 1; /* somebody holds the lock: it is about to connect */
		}
		at = sim_server_deadline(server);
		if (sim_server_want_kicks(server, at == SIM_NEVER))
			at = 0;
		if (at > sim_clock_ns() + SIM_SLEEP_MIN_NS) {
			arm_timer(server, at);
			n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, timeout);
		} else {
			do
				n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, 0);
			while (n == 0 && sim_clock_ns() < at);
		}
		if (n < 0 && errno != EINTR)
			return 1;
		for (i = 0; i < n; i++)
			if (!is_socket(server, &events[i]))
				handle(server, &events[i]);
		/* One socket event at a time, since a client that goes may be in later ones,
		 * and with everything done that was submitted before it. */
		i = pick(server, events, n, turn++);
		if (i >= 0) {
			sim_server_catch_up(server);
			handle(server, &events[i]);
		}
	}
}

/* ---- start ---- */

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
	char why[256];
	unsigned d;

	if (sim_config_read(&server->config, why, sizeof(why)) < 0) {
		fprintf(stderr, "simgpud: %s\n", why);
		return -1;
	}
	server->state_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	server->lock_fd = openat(server->state_fd, "lock",
				 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	server->listen_fd = listen_fd;
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (server->lock_fd < 0 || server->epoll_fd < 0 || server->timer_fd < 0 ||
	    fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0 ||
	    watch(server, listen_fd, &server->listen_fd) < 0 ||
	    watch(server, server->timer_fd, &server->timer_fd) < 0) {
		fprintf(stderr, "simgpud: cannot start on descriptor %d in %s: %s\n",
			listen_fd, state, strerror(errno));
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
	engine = (struct sim_engine_config){
		.devices = server->config.devices,
		.slice_ns = server->config.slice_ns,
		.switch_ns = server->config.switch_ns,
		.max_concurrent = server->config.concurrent
	};
	sim_execute_calls(server, &calls);
	server->started_ns = sim_clock_ns();
	sim_history_init(&server->history, server->started_ns);
	server->engine = sim_engine_new(&engine, &calls, server->started_ns);
	server->memory.devices = server->config.devices;
	server->memory.host_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) *
				    (uint64_t)sysconf(_SC_PAGESIZE);
	for (d = 0; d < server->config.devices; d++) {
		server->memory.device[d].total = server->config.memory_bytes;
		sim_uuid_make(server->uuid[d], d);
	}
	return server->engine == NULL ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct sim_server server;

	if (argc != 5 || strcmp(argv[1], "--fd") != 0 ||
	    strcmp(argv[3], "--state") != 0) {
		fprintf(stderr,
			"simgpud is the simulated GPU's device process. Programs that "
			"use the simulated libcuda.so.1 start it; it ends with the "
			"last of them. To keep one running, use: simgpu hold\n");
		return 2;
	}
	if (start(&server, atoi(argv[2]), argv[4]) < 0)
		return 1;
	return loop(&server);
}
