/* Sockets that listen; see http_listen.h. */
#include "agent/http_listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAITING_MAX = 64 };

static int refuse(struct gsh_reason *why, const char *address, int error)
{
	gsh_reason_set(why, "nobody can be listened to at ", address, ": ",
		       strerror(error), NULL);
	return -error;
}

static int listen_at(const struct sockaddr *address, socklen_t bytes)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int one = 1, error;

	if (fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, address, bytes) == 0 && listen(fd, WAITING_MAX) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* Left by an agent that was killed. */
static bool is_abandoned(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat status;
	bool abandoned = lstat(address->sun_path, &status) == 0 &&
			 S_ISSOCK(status.st_mode) &&
			 connect(fd, (const struct sockaddr *)address, sizeof(*address)) <
				 0 &&
			 errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return abandoned;
}

static int listen_at_path(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	mode_t mask;
	int fd;

	if (length == 0 || length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	if (is_abandoned(&address))
		unlink(path);
	mask = umask(0117);
	fd = listen_at((struct sockaddr *)&address, sizeof(address));
	umask(mask);
	return fd;
}

int agent_http_listen(const char *address, struct gsh_reason *why)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	const char *colon = strrchr(address, ':');
	struct addrinfo *found = NULL;
	char host[80] = "";
	int fd;

	if (strncmp(address, "unix:", 5) == 0) {
		fd = listen_at_path(address + 5);
		return fd < 0 ? refuse(why, address, -fd) : fd;
	}
	if (colon && (size_t)(colon - address) < sizeof(host)) {
		bool bracketed = address[0] == '[' && colon[-1] == ']';

		snprintf(host, sizeof(host), "%.*s",
			 (int)(colon - address) - 2 * bracketed, address + bracketed);
	}
	if (!*host || !colon[1] || getaddrinfo(host, colon + 1, &hints, &found) != 0) {
		gsh_reason_set(why, "'", address,
			       "' is not an address to listen at: "
			       "write a numeric one and a port, such as 127.0.0.1:9464 "
			       "or [::1]:9464, or unix:PATH",
			       NULL);
		return -EINVAL;
	}
	fd = listen_at(found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return fd < 0 ? refuse(why, address, -fd) : fd;
}
