/* Processes of a tenant; see common_ledger.h. */
#include "common_ledger.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cunit_main.h"

static char directory[256];

void ledger_setup(void)
{
	const char *base = getenv("TMPDIR");

	/* What a killed peer leaves behind becomes our child, so that we can wait for it. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	snprintf(directory, sizeof(directory), "%s/ledger.XXXXXX", base ? base : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	char name[512];

	for (struct dirent *e; d && (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (unlink(name) < 0)
			remove_all(name);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

void ledger_teardown(void)
{
	remove_all(directory);
	/* A peer that a failed test has forgotten. */
	while (waitpid(-1, NULL, WNOHANG) == 0) {
		char name[64];
		FILE *f;
		int pid;

		snprintf(name, sizeof(name), "/proc/self/task/%d/children",
			 (int)getpid());
		f = fopen(name, "r");
		if (!f)
			break;
		while (fscanf(f, "%d", &pid) == 1)
			orphan_kill(pid);
		fclose(f);
	}
}

const char *ledger_file(const char *name)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

const char *ledger_path(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/ledger", directory);
	return path;
}

void ledger_opened(struct gsh_ledger *ledger)
{
	struct gsh_reason why = { "" };
	int res = gsh_ledger_open(ledger, ledger_path(), "t", &why);

	if (res < 0)
		fprintf(stderr, "      %s\n", why.text);
	CU_ASSERT_EQUAL_FATAL(res, 0);
}

uint32_t ledger_row(struct gsh_ledger *ledger)
{
	static const uint8_t uuid[16] = { 1, 2, 3 };

	return (uint32_t)gsh_ledger_device(ledger, uuid, UINT64_C(80) << 30);
}

/* ---- peers: one message each way, 'm' meets, 'n' and a number tells ---- */

void peer_meet(struct peer *self)
{
	char byte = 'm';

	if (write(self->fd, &byte, 1) != 1 || read(self->fd, &byte, 1) != 1)
		_exit(98);
}

void peer_tell(struct peer *self, uint64_t number)
{
	char message[1 + sizeof(number)] = "n", byte;

	memcpy(message + 1, &number, sizeof(number));
	if (write(self->fd, message, sizeof(message)) != (ssize_t)sizeof(message) ||
	    read(self->fd, &byte, 1) != 1)
		_exit(98);
}

static void ended(struct peer *peer)
{
	int status;

	while (waitpid(peer->pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	peer->result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	peer->pid = 0;
	close(peer->fd);
}

/* A child that it has forked may hold its end of the socket, so its own end is watched too. */
bool peer_stops(struct peer *peer)
{
	struct pollfd watched[2] = { { .fd = peer->fd, .events = POLLIN },
				     { .fd = (int)syscall(SYS_pidfd_open, peer->pid, 0),
				       .events = POLLIN } };
	char kind = 0;
	ssize_t n;

	do
		poll(watched, 2, -1);
	while (!watched[0].revents && !watched[1].revents);
	close(watched[1].fd);
	n = recv(peer->fd, &kind, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n == 1 && kind == 'm')
		n = read(peer->fd, &kind, 1);
	if (n != 1)
		ended(peer);
	return n == 1;
}

struct peer peer_begin(int (*run)(struct peer *self, void *arg), void *arg)
{
	struct peer peer = { .result = -1 };
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends),
			      0);
	fflush(stdout);
	peer.pid = fork();
	CU_ASSERT_TRUE_FATAL(peer.pid >= 0);
	if (peer.pid == 0) {
		struct peer self = { .pid = getpid(), .fd = ends[1] };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		_exit(run(&self, arg));
	}
	close(ends[1]);
	peer.fd = ends[0];
	return peer;
}

struct peer peer_start(int (*run)(struct peer *self, void *arg), void *arg)
{
	struct peer peer = peer_begin(run, arg);

	peer_stops(&peer);
	return peer;
}

bool peer_go(struct peer *peer)
{
	if (peer->pid <= 0)
		return false;
	/* It may have ended without waiting for this. */
	send(peer->fd, "g", 1, MSG_NOSIGNAL);
	return peer_stops(peer);
}

uint64_t peer_number(struct peer *peer)
{
	uint64_t number = 0;
	char kind = 0;

	CU_ASSERT_TRUE_FATAL(peer->pid > 0);
	CU_ASSERT_EQUAL_FATAL(read(peer->fd, &kind, 1), 1);
	CU_ASSERT_EQUAL_FATAL(kind, 'n');
	CU_ASSERT_EQUAL_FATAL(read(peer->fd, &number, sizeof(number)),
			      (ssize_t)sizeof(number));
	return number;
}

int peer_end(struct peer *peer)
{
	while (peer->pid > 0 && peer_go(peer))
		;
	return peer->result;
}

void peer_kill(struct peer *peer)
{
	if (peer->pid > 0) {
		kill(peer->pid, SIGKILL);
		ended(peer);
	}
}

void orphan_kill(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- what peers do with the ledger ---- */

struct gsh_ledger peer_ledger;
uint32_t peer_row;

void peer_opens(void)
{
	struct gsh_reason why;

	if (gsh_ledger_open(&peer_ledger, ledger_path(), "t", &why) < 0)
		_exit(90);
	peer_row = ledger_row(&peer_ledger);
}

void peer_reserves(uint64_t mib)
{
	if (gsh_ledger_reserve(&peer_ledger, peer_row, GPUSHIM_KIND_LINEAR,
			       mib * LEDGER_MIB, LEDGER_LIMIT) < 0)
		_exit(91);
}

pid_t peer_forks_keeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

int peer_holds_60_mib(struct peer *self, void *arg)
{
	(void)arg;
	peer_opens();
	peer_reserves(60);
	peer_tell(self, peer_ledger.slot);
	return 0;
}

bool ledger_fits(struct gsh_ledger *ledger, uint64_t mib)
{
	uint32_t row = ledger_row(ledger);
	bool granted = gsh_ledger_reserve(ledger, row, GPUSHIM_KIND_LINEAR,
					  mib * LEDGER_MIB, LEDGER_LIMIT) == 0;

	if (granted)
		gsh_ledger_refund(ledger, row, GPUSHIM_KIND_LINEAR, mib * LEDGER_MIB);
	return granted;
}

uint64_t ledger_used_mib(struct gsh_ledger *ledger)
{
	return gsh_ledger_used(ledger, ledger_row(ledger)) / LEDGER_MIB;
}
