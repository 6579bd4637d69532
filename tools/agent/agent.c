/* gpushim-agent from its start to its end; see agent.h. */
#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/notify.h"
#include "common/control.h"
#include "common/publish.h"

#define BEAT_NS (AGENT_BEAT_MS * UINT64_C(1000000))

/* ---- what happens ---- */

static void beat(struct agent_source *source, uint32_t events)
{
	struct agent *agent = AGENT_OF(source, struct agent, beats);
	uint64_t times;

	(void)events;
	if (read(source->fd, &times, sizeof(times)) != sizeof(times))
		return;
	agent->beats_count++;
	agent_tenants_beat(&agent->tenants);
	if (agent->watchdog_beats && agent->beats_count % agent->watchdog_beats == 0)
		agent_notify("WATCHDOG=1");
	if (agent->beats_count % AGENT_CHECK_BEATS != 0)
		return;
	agent_watch_check(&agent->watch);
	agent_tenants_check(&agent->tenants);
	agent_control_check(&agent->control);
	if (agent->http.daemon)
		agent_observe_some(&agent->observer);
	agent_http_check(&agent->http);
}

static void hear_signal(struct agent_source *source, uint32_t events)
{
	struct agent *agent = AGENT_OF(source, struct agent, signals);
	struct signalfd_siginfo signal;

	(void)events;
	if (read(source->fd, &signal, sizeof(signal)) != sizeof(signal))
		return;
	if (signal.ssi_signo == SIGHUP) {
		agent_log(AGENT_NOTICE, "Reading the limits again, as asked.");
		agent_limits_load(&agent->limits);
		return;
	}
	agent_log(AGENT_NOTICE, "Ending, as asked; limits stay in force.");
	agent_notify("STOPPING=1");
	agent->loop.ending = true;
}

static bool serve(void *data)
{
	struct agent *agent = data;
	bool more = agent_limits_serve(&agent->limits);

	return agent_http_work(&agent->http) || more;
}

/* ---- beginning ---- */

static int fail(const char *sentence)
{
	agent_log(AGENT_ERROR, "%s.", sentence);
	return -1;
}

static int choose_dir(const struct agent_options *options, char dir[PATH_MAX])
{
	const char *given = options->dir ? options->dir : getenv("GPUSHIM_DIR");
	struct gsh_reason why;

	if (!given || !*given)
		return gsh_publish_dir(dir, PATH_MAX, &why) < 0 ? fail(why.text) : 0;
	if (snprintf(dir, PATH_MAX, "%s", given) >= PATH_MAX)
		return fail("--dir is too long a name");
	return 0;
}

/* Of two agents the second has nothing to do. */
static int become_writer(struct agent *agent)
{
	struct gsh_reason why;
	long other;

	other = gsh_control_server(agent->dir);
	if (other == 0) {
		agent->lock_fd = gsh_publish_lock(agent->dir, &why);
		if (agent->lock_fd >= 0)
			return 0;
		if (agent->lock_fd != -EBUSY)
			return fail(why.text);
		other = gsh_control_server(agent->dir);
	}
	if (other == 0)
		return fail(why.text);
	agent_log(AGENT_ERROR,
		  "Another gpushim-agent (process %ld) serves %s: end it first, or serve "
		  "another directory with --dir.",
		  other, agent->dir);
	return -1;
}

static int open_beats(struct agent *agent)
{
	const struct itimerspec every = {
		.it_interval = { .tv_nsec = BEAT_NS },
		.it_value = { .tv_nsec = BEAT_NS },
	};
	uint64_t watchdog_ns = agent_notify_watchdog_ns();

	/* Twice as often as the manager asks, as it recommends. */
	if (watchdog_ns > 0) {
		agent->watchdog_beats = watchdog_ns / 2 / BEAT_NS;
		agent->watchdog_beats += agent->watchdog_beats == 0;
	}
	agent->beats.ready = beat;
	agent->beats.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (agent->beats.fd < 0 || timerfd_settime(agent->beats.fd, 0, &every, NULL) < 0)
		return -errno;
	return agent_loop_add(&agent->loop, &agent->beats, EPOLLIN);
}

static int open_signals(struct agent *agent)
{
	sigset_t heard;

	sigemptyset(&heard);
	sigaddset(&heard, SIGTERM);
	sigaddset(&heard, SIGINT);
	sigaddset(&heard, SIGHUP);
	sigprocmask(SIG_BLOCK, &heard, NULL);
	signal(SIGPIPE, SIG_IGN);
	agent->signals.ready = hear_signal;
	agent->signals.fd = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	if (agent->signals.fd < 0)
		return -errno;
	return agent_loop_add(&agent->loop, &agent->signals, EPOLLIN);
}

/* Where the usual address is taken nobody asked for, limits are what matters. */
static int open_http(struct agent *agent, const struct agent_options *options)
{
	const char *address = options->listen ? options->listen : AGENT_HTTP_ADDRESS;
	struct gsh_reason why;

	if (agent_observe_start(&agent->observer, &agent->tenants, &agent->limits,
				&agent->beats_count) < 0)
		return fail("There is no memory");
	if (strcmp(address, "none") == 0 ||
	    agent_http_open(&agent->http, &agent->loop, &agent->observer, address,
			    &why) == 0)
		return 0;
	if (options->listen)
		return fail(why.text);
	agent_log(AGENT_WARNING, "No metrics are served: %s. Say --listen.", why.text);
	return 0;
}

static int open_parts(struct agent *agent, const struct agent_options *options)
{
	struct gsh_reason why;
	int result = agent_loop_open(&agent->loop);

	if (result == 0)
		result = open_signals(agent);
	if (result < 0)
		return fail(strerror(-result));
	if (agent_tenants_open(&agent->tenants, agent->dir, AGENT_BEAT_MS, &why) < 0)
		return fail(why.text);
	agent_limits_open(&agent->limits, &agent->tenants, options->limits);
	/* Listening before looking: who comes in between is seen by one or the other. */
	result = agent_watch_open(&agent->watch, &agent->loop, &agent->tenants,
				  &agent->limits);
	if (result < 0)
		return fail(strerror(-result));
	agent_tenants_scan(&agent->tenants);
	agent_tenants_beat(&agent->tenants);
	agent_limits_load(&agent->limits);
	if (agent_control_open(&agent->control, &agent->loop, agent->dir, &agent->tenants,
			       &agent->limits, &why) < 0)
		return fail(why.text);
	if (open_http(agent, options) < 0)
		return -1;
	result = open_beats(agent);
	return result < 0 ? fail(strerror(-result)) : 0;
}

/* ---- the whole ---- */

static void close_parts(struct agent *agent)
{
	agent_http_close(&agent->http);
	agent_observe_end(&agent->observer);
	agent_control_close(&agent->control);
	agent_watch_close(&agent->watch);
	agent_limits_close(&agent->limits);
	agent_tenants_close(&agent->tenants);
	if (agent->beats.fd >= 0)
		close(agent->beats.fd);
	if (agent->signals.fd >= 0)
		close(agent->signals.fd);
	agent_loop_close(&agent->loop);
}

static int serve_dir(struct agent *agent, const struct agent_options *options)
{
	int result = open_parts(agent, options);

	if (result == 0) {
		agent_log(AGENT_NOTICE, "Serving %s: %zu tenants.", agent->dir,
			  agent->tenants.count);
		agent_notify("READY=1\nSTATUS=Serving %s", agent->dir);
		agent_loop_run(&agent->loop, serve, agent);
	}
	close_parts(agent);
	close(agent->lock_fd); /* and with it the lock */
	return result;
}

int agent_run(const struct agent_options *options)
{
	static struct agent agent;

	agent.loop.fd = agent.beats.fd = agent.signals.fd = -1;
	agent.watch.source.fd = agent.control.source.fd = -1;
	agent.control.directory_fd = agent.tenants.directory_fd = -1;
	agent_log_start(options->journal);
	if (!agent_notify_start())
		agent_log(AGENT_WARNING, "NOTIFY_SOCKET is not the name of a socket, so "
					 "nobody is told that the agent is ready.");
	if (choose_dir(options, agent.dir) < 0 || become_writer(&agent) < 0)
		return EXIT_FAILURE;
	return serve_dir(&agent, options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
