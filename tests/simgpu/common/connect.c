/*
 * connect.c - reaching the device process, and messages with descriptors.
 *
 * The lock: whoever connects, starts a device, or ends one holds flock() on DIR/lock. So a
 * connection never lands in the queue of a device that has decided to end. It is released
 * explicitly, since a forked copy of the descriptor would keep it.
 */
#include "common/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/start.h"

#define PATIENCE_NS 10000000000ull
#define SOCKET_NAME "device.sock"

enum { MAX_PASSED = 16 };

/* One attempt: the state directory it is about, and where its sentence goes. */
struct attempt {
	char dir[PATH_MAX];
	int dirfd, lock_fd;
	uint64_t deadline_ns;
	char *why;
	size_t why_bytes;
};

__attribute__((format(printf, 3, 4))) static int fail(struct attempt *a, int res,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (a->why && a->why_bytes)
		vsnprintf(a->why, a->why_bytes, format, args);
	va_end(args);
	return res;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Waits a little for another process; false once patience is at its end. */
static bool pause_briefly(const struct attempt *a)
{
	struct timespec ms = { 0, 1000000 };

	nanosleep(&ms, NULL);
	return now_ns() < a->deadline_ns;
}

static int open_dir(struct attempt *a, bool start)
{
	struct stat st;
	int res;

	if (start && mkdir(a->dir, 0700) < 0 && errno != EEXIST)
		return fail(a, -errno, "The state directory %s could not be created: %s.",
			    a->dir, strerror(errno));
	a->dirfd = open(a->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a->dirfd < 0) {
		res = -errno;
		if (res == -ENOENT)
			return fail(a, res,
				    "No simulated device is running: %s does not exist.",
				    a->dir);
		if (res == -ELOOP || res == -ENOTDIR)
			return fail(a, res,
				    "%s is not a directory (links are not followed).",
				    a->dir);
		return fail(a, res, "The state directory %s could not be opened: %s.",
			    a->dir, strerror(-res));
	}
	if (fstat(a->dirfd, &st) < 0)
		return fail(a, -errno, "%s: %s.", a->dir, strerror(errno));
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return fail(
			a, -EPERM,
			"The state directory %s belongs to user %u; name one of your own "
			"in SIMGPU_STATE.",
			a->dir, (unsigned)st.st_uid);
	return 0;
}

static int lock_dir(struct attempt *a)
{
	a->lock_fd = openat(a->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			    0600);
	if (a->lock_fd < 0)
		return fail(a, -errno, "%s/lock could not be opened: %s.", a->dir,
			    strerror(errno));
	while (flock(a->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail(a, -errno, "%s/lock could not be taken: %s.", a->dir,
				    strerror(errno));
		if (!pause_briefly(a))
			return fail(a, -ETIMEDOUT, "%s/lock was held for 10 s.", a->dir);
	}
	return 0;
}

static void unlock_dir(struct attempt *a)
{
	if (a->lock_fd < 0)
		return;
	flock(a->lock_fd, LOCK_UN);
	close(a->lock_fd);
	a->lock_fd = -1;
}

static void socket_address(const struct attempt *a, struct sockaddr_un *address)
{
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	length = snprintf(address->sun_path, sizeof(address->sun_path), "%s/" SOCKET_NAME,
			  a->dir);
	/* A socket's address is short; the directory's descriptor stands for a long path. */
	if (length < 0 || (size_t)length >= sizeof(address->sun_path))
		snprintf(address->sun_path, sizeof(address->sun_path),
			 "/proc/self/fd/%d/" SOCKET_NAME, a->dirfd);
}

/* Returns a connected descriptor or -errno: -ECONNREFUSED or -ENOENT when there is no
 * device, -EAGAIN when too many wait to be accepted. */
static int connect_once(const struct attempt *a)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int res;

	if (fd < 0)
		return -errno;
	socket_address(a, &address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    fcntl(fd, F_SETFL, 0) < 0) {
		res = -errno;
		close(fd);
		return res;
	}
	return fd;
}

/* Under the lock, with no device there: makes the socket and starts a device on it. */
static int start_device(struct attempt *a)
{
	struct sockaddr_un address;
	struct sim_config config;
	char real[PATH_MAX], self[64], why[512];
	int listen_fd = -1, log_fd = -1, res;

	/* The device would say it in its log only. */
	res = sim_config_read(&config, why, sizeof(why));
	if (res)
		return fail(a, res, "%s", why);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", a->dirfd);
	if (!realpath(self, real))
		return fail(a, -errno, "%s: %s.", a->dir, strerror(errno));
	log_fd = openat(a->dirfd, "log",
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (log_fd < 0 || listen_fd < 0) {
		res = fail(a, -errno, "%s: the log or a socket could not be opened: %s.",
			   a->dir, strerror(errno));
		goto out;
	}
	unlinkat(a->dirfd, SOCKET_NAME, 0);
	socket_address(a, &address);
	if (bind(listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listen_fd, SOMAXCONN) < 0) {
		res = fail(a, -errno, "%s/" SOCKET_NAME " could not be created: %s.",
			   a->dir, strerror(errno));
		goto out;
	}
	res = sim_start_device(real, listen_fd, log_fd, why, sizeof(why));
	if (res) {
		unlinkat(a->dirfd, SOCKET_NAME, 0);
		fail(a, res, "%s", why);
	}
out:
	if (listen_fd >= 0)
		close(listen_fd);
	if (log_fd >= 0)
		close(log_fd);
	return res;
}

/* One round under the lock. -EAGAIN: try again later. */
static int connect_or_start(struct attempt *a, bool start)
{
	int res = lock_dir(a);

	if (res)
		return res;
	res = connect_once(a);
	if (start && (res == -ENOENT || res == -ECONNREFUSED)) {
		res = start_device(a);
		if (res == 0)
			res = connect_once(a);
		else
			goto out;
	}
	if (res == -ENOENT || res == -ECONNREFUSED)
		res = fail(a, start ? res : -ENOENT,
			   "No simulated device is running in %s.", a->dir);
	else if (res < 0 && res != -EAGAIN)
		fail(a, res, "The simulated device in %s cannot be reached: %s.", a->dir,
		     strerror(-res));
out:
	unlock_dir(a);
	return res;
}

int sim_connect(const char *state, int start, char *why, size_t why_bytes)
{
	struct attempt a = { .dirfd = -1,
			     .lock_fd = -1,
			     .deadline_ns = now_ns() + PATIENCE_NS,
			     .why = why,
			     .why_bytes = why_bytes };
	int res;

	if (state && snprintf(a.dir, sizeof(a.dir), "%s", state) >= (int)sizeof(a.dir))
		res = -ENAMETOOLONG;
	else
		res = state ? 0 : sim_state_dir(a.dir, sizeof(a.dir));
	if (res)
		return fail(&a, res, "The name of the state directory is too long.");
	res = open_dir(&a, start);
	while (res == 0) {
		res = connect_or_start(&a, start);
		if (res != -EAGAIN)
			break;
		res = pause_briefly(&a)
			      ? 0
			      : fail(&a, -ETIMEDOUT,
				     "The simulated device in %s did not answer "
				     "for 10 s; see its log there.",
				     a.dir);
	}
	unlock_dir(&a);
	if (a.dirfd >= 0)
		close(a.dirfd);
	return res;
}

int sim_send(int fd, const struct sim_request *request, int pass_fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	/* sendmsg() does not write to what it sends. */
	struct iovec part = { (void *)(uintptr_t)request, sizeof(*request) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (pass_fd >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &pass_fd, sizeof(int));
	}
	while (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

/* Hands out the descriptors that came with a message; closes what nobody asked for. */
static void take_descriptors(struct msghdr *message, int *fds, int nfds)
{
	int taken = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (taken < nfds)
				fds[taken++] = fd;
			else
				close(fd);
		}
	}
}

int sim_receive(int fd, struct sim_reply *reply, void *extra, size_t extra_bytes,
		int *fds, int nfds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(MAX_PASSED * sizeof(int))];
	} control;
	struct iovec parts[2] = { { reply, sizeof(*reply) }, { extra, extra_bytes } };
	struct msghdr message = { .msg_iov = parts,
				  .msg_iovlen = extra ? 2 : 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n;

	for (int i = 0; i < nfds; i++)
		fds[i] = -1;
	if (extra)
		memset(extra, 0, extra_bytes);
	do
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	take_descriptors(&message, fds, nfds);
	if (n == 0)
		return -EPIPE;
	if ((size_t)n >= sizeof(*reply))
		return 0;
	for (int i = 0; i < nfds; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	return -EPROTO;
}
