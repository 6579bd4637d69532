/*
 * worker.c - other processes of a section, and the clock.
 *
 * Knows: pipes and process ids. Refuses to know the driver: it is not loaded yet when a
 * worker is forked, so that each has its own.
 */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct worker worker_start(void (*body)(int in, int out, void *argument), void *argument)
{
	struct worker worker;
	int down[2], up[2];

	if (pipe(down) != 0 || pipe(up) != 0)
		stop("pipe failed");
	worker.pid = fork();
	if (worker.pid < 0)
		stop("fork failed");
	if (worker.pid == 0) {
		close(down[1]);
		close(up[0]);
		body(down[0], up[1], argument);
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	worker.to = down[1];
	worker.from = up[0];
	return worker;
}

bool hear(int fd, void *data, size_t n)
{
	char *at = data;

	while (n > 0) {
		ssize_t got = read(fd, at, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		n -= (size_t)got;
	}
	return true;
}

void say(int fd, const void *data, size_t n)
{
	const char *at = data;

	while (n > 0) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		at += done;
		n -= (size_t)done;
	}
}

void hear_go(int in)
{
	char byte;

	if (!hear(in, &byte, 1))
		_exit(1);
}

void say_go(int out)
{
	say(out, "g", 1);
}

void worker_kill(struct worker *worker, int signal)
{
	kill(worker->pid, signal);
	waitpid(worker->pid, NULL, 0);
	close(worker->to);
	close(worker->from);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void sleep_ms(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
			      .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}
