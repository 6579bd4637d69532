/* Asking the agent: one connection, one request, its answer; see control.h. */
#include "common/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* How long an agent that is there may take for each step. */
enum { PATIENCE_S = 10 };

struct conversation {
	const char *dir;
	int fd;
	char buffer[GSH_CONTROL_LINE_MAX];
	size_t filled, taken; /* bytes read, and of these the lines given out */
};

/* ---- hexadecimal ---- */

void gsh_control_to_hex(char *text, const void *from, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *byte = from;

	for (size_t i = 0; i < bytes; i++) {
		*text++ = digits[byte[i] >> 4];
		*text++ = digits[byte[i] & 15];
	}
	*text = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int gsh_control_from_hex(const char *text, void *to, size_t bytes)
{
	unsigned char *byte = to;

	if (strcspn(text, " ") != 2 * bytes)
		return -EINVAL;
	for (size_t i = 0; i < bytes; i++, text += 2) {
		int high = digit(text[0]), low = digit(text[1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		byte[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}

/* ---- the connection ---- */

/* Through a descriptor of the directory, because an address has room for short names only. */
static int connect_in(int dir_fd)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -ENOTCONN;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/" GSH_CONTROL_NAME, dir_fd);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = errno;
	close(fd);
	return error == EAGAIN || error == EINPROGRESS ? -ETIMEDOUT : -ENOTCONN;
}

/* A descriptor; -ENOTCONN: nobody whom we would believe is there; -ETIMEDOUT. */
static int connect_to(const char *dir, struct ucred *server)
{
	int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir_fd < 0 ? -ENOTCONN : connect_in(dir_fd);
	socklen_t bytes = sizeof(*server);

	if (dir_fd >= 0)
		close(dir_fd);
	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, server, &bytes) == 0 &&
	    (server->uid == 0 || server->uid == geteuid()))
		return fd;
	close(fd);
	return -ENOTCONN;
}

static int say(struct conversation *with, const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t sent = send(with->fd, text, bytes, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		/* It may have refused the beginning already: what it said is read. */
		if (sent < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
		text += sent;
		bytes -= (size_t)sent;
	}
	return 0;
}

/* The next line without its end; NULL with errno. */
static char *hear(struct conversation *with)
{
	for (;;) {
		char *line = with->buffer + with->taken;
		char *end = memchr(line, '\n', with->filled - with->taken);
		ssize_t got;

		if (end) {
			*end = '\0';
			with->taken += (size_t)(end - line) + 1;
			return line;
		}
		memmove(with->buffer, line, with->filled - with->taken);
		with->filled -= with->taken;
		with->taken = 0;
		if (with->filled == sizeof(with->buffer)) {
			errno = EPROTO;
			return NULL;
		}
		got = recv(with->fd, with->buffer + with->filled,
			   sizeof(with->buffer) - with->filled, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? EPIPE : errno;
			return NULL;
		}
		with->filled += (size_t)got;
	}
}

static int lost(const struct conversation *with, int error, struct gsh_reason *why)
{
	bool late = error == EAGAIN || error == ETIMEDOUT;

	gsh_reason_set(why, "the agent that serves ", with->dir,
		       late ? " does not answer: see whether it is stopped"
			    : " ended, or answered what this program does not know: try "
			      "again, with programs of one release",
		       NULL);
	return late ? -ETIMEDOUT : -EPROTO;
}

/* Starts with the request line, and the content if there is any. 0 or -errno. */
static int ask(struct conversation *with, const char *dir, const char *line,
	       const char *content, size_t bytes, struct gsh_reason *why)
{
	struct ucred server;
	int result;

	memset(with, 0, offsetof(struct conversation, buffer));
	with->filled = with->taken = 0;
	with->dir = dir;
	with->fd = connect_to(dir, &server);
	if (with->fd == -ENOTCONN)
		return -ENOTCONN;
	if (with->fd < 0)
		return lost(with, -with->fd, why);
	result = say(with, line, strlen(line));
	if (result == 0)
		result = say(with, content, bytes);
	if (result == 0)
		return 0;
	close(with->fd);
	return lost(with, -result, why);
}

/* "error NUMBER SENTENCE": -errno, or 0 if it is none. */
static int read_error(const char *line, struct gsh_reason *why)
{
	char *rest;
	long number;

	if (strncmp(line, "error ", 6) != 0)
		return 0;
	number = strtol(line + 6, &rest, 10);
	if (number <= 0 || number > 4095 || *rest != ' ')
		return 0;
	gsh_reason_set(why, rest + 1, NULL);
	return (int)-number;
}

/* ---- requests ---- */

int gsh_control_publish(const char *dir, const struct gpushim_policy_limits *limits,
			struct gsh_reason *why)
{
	char hex[GSH_CONTROL_LIMITS_BYTES], line[sizeof(hex) + 64];
	struct conversation with;
	const char *answer;
	int result;

	gsh_control_to_hex(hex, limits, sizeof(*limits));
	snprintf(line, sizeof(line), GSH_CONTROL_GREETING "publish %s\n", hex);
	result = ask(&with, dir, line, NULL, 0, why);
	if (result < 0)
		return result;
	answer = hear(&with);
	if (!answer)
		result = lost(&with, errno, why);
	else if (strcmp(answer, "ok") != 0 && (result = read_error(answer, why)) == 0)
		result = lost(&with, EPROTO, why);
	close(with.fd);
	return result;
}

static bool is_word(char **line, const char *word)
{
	size_t bytes = strlen(word);

	if (strncmp(*line, word, bytes) != 0)
		return false;
	*line += bytes;
	return true;
}

/* The next word, NUL in place of the space after it; what follows is "" at the end. */
static char *take(char **line)
{
	char *word = *line, *end = strchr(word, ' ');

	if (end)
		*end = '\0';
	*line = end ? end + 1 : word + strlen(word);
	return word;
}

static bool read_row(char *line, const struct gsh_control_apply *apply)
{
	struct gsh_apply_row row = { 0 };
	unsigned long outcome = strtoul(take(&line), NULL, 10);

	if (outcome >= GSH_APPLY_OUTCOMES)
		return false;
	row.outcome = (enum gsh_apply_outcome)outcome;
	row.templated = *take(&line) == '1';
	if (gsh_control_from_hex(take(&line), &row.limits, sizeof(row.limits)) < 0)
		return false;
	gsh_reason_set(&row.why, line, NULL);
	apply->report(apply->data, &row);
	return true;
}

/* 1: there is more to hear; else what gsh_control_apply() returns. */
static int read_answer(char *line, struct gsh_control_apply *apply)
{
	int error;

	if (strcmp(line, "ok") == 0)
		return 0;
	if (is_word(&line, "row "))
		return read_row(line, apply) ? 1 : -EPROTO;
	if (is_word(&line, "devices ")) {
		apply->devices_count = strtoul(take(&line), NULL, 10);
		gsh_reason_set(&apply->no_devices, line, NULL);
		return 1;
	}
	if (is_word(&line, "refused ")) {
		snprintf(apply->error.text, sizeof(apply->error.text), "%s", line);
		return -EINVAL;
	}
	error = read_error(line, &apply->why);
	/* The file was not refused. */
	return error == 0 || error == -EINVAL ? -EPROTO : error;
}

int gsh_control_apply(const char *dir, const char *path, const char *text, size_t bytes,
		      struct gsh_control_apply *apply)
{
	char line[GSH_CONTROL_LINE_MAX], name[2 * PATH_MAX + 1];
	struct conversation with;
	int result;

	/* A longer one cannot have been opened. */
	gsh_control_to_hex(name, path, strnlen(path, PATH_MAX));
	snprintf(line, sizeof(line), GSH_CONTROL_GREETING "apply %zu %s\n", bytes, name);
	result = ask(&with, dir, line, text, bytes, &apply->why);
	if (result < 0)
		return result;
	do {
		char *answer = hear(&with);

		result = answer ? read_answer(answer, apply)
				: lost(&with, errno, &apply->why);
	} while (result > 0);
	if (result == -EPROTO && !apply->why.text[0])
		result = lost(&with, EPROTO, &apply->why);
	close(with.fd);
	return result;
}

long gsh_control_server(const char *dir)
{
	struct ucred server = { 0 };
	int fd = connect_to(dir, &server);

	if (fd < 0)
		return 0;
	close(fd);
	return server.pid;
}
