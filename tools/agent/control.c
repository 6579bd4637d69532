/* The socket of gpushim-ctl: connections and their bounds; see control.h. */
#include "agent/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/client.h"
#include "agent/log.h"

/* Checks come once in a second. */
enum { CLIENTS_MAX = 32, IDLE_CHECKS_MAX = 5 };

/* ---- clients ---- */

static void drop(struct agent_control *control, struct agent_client *client)
{
	struct agent_client **link = &control->clients;

	while (*link && *link != client)
		link = &(*link)->next;
	if (*link)
		*link = client->next;
	control->clients_count--;
	agent_loop_remove(control->loop, &client->source);
	close(client->source.fd);
	agent_client_free(client);
}

static void ready(struct agent_source *source, uint32_t events)
{
	struct agent_client *client = AGENT_OF(source, struct agent_client, source);
	struct agent_control *control = client->control;
	bool answering = client->is_answering;

	if (!agent_client_go_on(client, events)) {
		drop(control, client);
		return;
	}
	if (client->is_answering != answering)
		(void)agent_loop_change(control->loop, source, EPOLLOUT);
}

/* Root, and who could end us anyway. */
static bool may_ask(const struct ucred *who)
{
	return who->uid == 0 || who->uid == geteuid();
}

static void welcome(struct agent_control *control, int fd)
{
	struct agent_client *client = NULL, *oldest = control->clients;
	socklen_t bytes = sizeof(client->who);
	struct ucred who;

	/* Who has been silent for longest makes room. */
	while (oldest && oldest->next)
		oldest = oldest->next;
	if (oldest && control->clients_count == CLIENTS_MAX)
		drop(control, oldest);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 && may_ask(&who))
		client = calloc(1, sizeof(*client));
	if (!client) {
		close(fd);
		return;
	}
	client->control = control;
	client->who = who;
	client->source.fd = fd;
	client->source.ready = ready;
	if (agent_loop_add(control->loop, &client->source, EPOLLIN) < 0) {
		close(fd);
		agent_client_free(client);
		return;
	}
	client->next = control->clients;
	control->clients = client;
	control->clients_count++;
}

static void accept_next(struct agent_source *source, uint32_t events)
{
	struct agent_control *control = AGENT_OF(source, struct agent_control, source);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		welcome(control, fd);
}

void agent_control_check(struct agent_control *control)
{
	struct agent_client *next;

	for (struct agent_client *client = control->clients; client; client = next) {
		next = client->next;
		if (client->idle_checks++ >= IDLE_CHECKS_MAX)
			drop(control, client);
	}
}

/* ---- the socket ---- */

static int refuse(struct gsh_reason *why, const char *dir, const char *what, int error)
{
	gsh_reason_set(why, dir, "/" GSH_CONTROL_NAME " ", what, ": ", strerror(error),
		       NULL);
	return -error;
}

/* Of an agent that was killed. Anything but a socket is not ours to take away. */
static void remove_old(const struct agent_control *control)
{
	struct stat status;

	if (fstatat(control->directory_fd, GSH_CONTROL_NAME, &status,
		    AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(status.st_mode))
		unlinkat(control->directory_fd, GSH_CONTROL_NAME, 0);
}

static int bind_socket(struct agent_control *control)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	mode_t mask;
	int result;

	/* By way of the descriptor, as an address has room for short names only. */
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/" GSH_CONTROL_NAME, control->directory_fd);
	remove_old(control);
	/* It has its mode from the first moment on. */
	mask = umask(0177);
	result = bind(control->source.fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (result < 0 || fstatat(control->directory_fd, GSH_CONTROL_NAME, &status,
				  AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	control->device = status.st_dev;
	control->inode = status.st_ino;
	return listen(control->source.fd, CLIENTS_MAX) < 0 ? -errno : 0;
}

int agent_control_open(struct agent_control *control, struct agent_loop *loop,
		       const char *dir, struct agent_tenants *tenants,
		       struct agent_limits *limits, struct gsh_reason *why)
{
	int result;

	memset(control, 0, sizeof(*control));
	control->loop = loop;
	control->tenants = tenants;
	control->limits = limits;
	control->source.ready = accept_next;
	control->source.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				    0);
	control->directory_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (control->source.fd < 0 || control->directory_fd < 0)
		return refuse(why, dir, "cannot be made", errno);
	result = bind_socket(control);
	if (result < 0)
		return refuse(why, dir, "cannot be made", -result);
	result = agent_loop_add(loop, &control->source, EPOLLIN);
	return result < 0 ? refuse(why, dir, "cannot be watched", -result) : 0;
}

void agent_control_close(struct agent_control *control)
{
	struct stat status;

	while (control->clients)
		drop(control, control->clients);
	if (control->inode != 0 &&
	    fstatat(control->directory_fd, GSH_CONTROL_NAME, &status,
		    AT_SYMLINK_NOFOLLOW) == 0 &&
	    status.st_ino == control->inode && status.st_dev == control->device)
		unlinkat(control->directory_fd, GSH_CONTROL_NAME, 0);
	if (control->source.fd >= 0)
		close(control->source.fd);
	if (control->directory_fd >= 0)
		close(control->directory_fd);
	control->source.fd = control->directory_fd = -1;
}
