/* One client of the agent's socket; see client.h. */
#include "agent/client.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/log.h"

/* ---- answers ---- */

static void answer(struct agent_client *client, const char *text)
{
	size_t bytes = strlen(text), room = client->answer_room;
	char *grown;

	while (client->answer_bytes + bytes > room)
		room = room ? 2 * room : 4096;
	if (room != client->answer_room) {
		grown = realloc(client->answer, room);
		/* It hears less than all, and notices that by the missing end. */
		if (!grown)
			return;
		client->answer = grown;
		client->answer_room = room;
	}
	memcpy(client->answer + client->answer_bytes, text, bytes);
	client->answer_bytes += bytes;
}

static void answer_words(struct agent_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line; the newline is added, and none is left within. */
static void answer_words(struct agent_client *client, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = '?';
	answer(client, text);
	answer(client, "\n");
}

static void answer_error(struct agent_client *client, int error, const char *sentence)
{
	answer_words(client, "error %d %s", error, sentence);
}

/* ---- requests ---- */

static void publish(struct agent_client *client, const char *words)
{
	struct gpushim_policy_limits limits;
	struct gsh_reason why = { "" };
	int result;

	if (gsh_control_from_hex(words, &limits, sizeof(limits)) < 0) {
		answer_error(client, EPROTO,
			     "the agent was asked to publish what it does not know: use "
			     "programs of one release");
		return;
	}
	limits.tenant[sizeof(limits.tenant) - 1] = '\0';
	limits.source[sizeof(limits.source) - 1] = '\0';
	result = agent_tenants_publish(client->control->tenants, &limits, &why);
	if (result < 0) {
		answer_error(client, -result, why.text);
		return;
	}
	answer(client, "ok\n");
	agent_log(AGENT_INFO,
		  "Tenant %s has limits by %s, as process %d of user %u asked.",
		  limits.tenant, limits.source, (int)client->who.pid,
		  (unsigned)client->who.uid);
}

static void answer_row(void *data, const struct gsh_apply_row *row)
{
	char text[GSH_CONTROL_LIMITS_BYTES + sizeof(row->why) + 32];
	int begun = snprintf(text, sizeof(text), "row %d %d ", (int)row->outcome,
			     (int)row->templated);

	gsh_control_to_hex(text + begun, &row->limits, sizeof(row->limits));
	answer(data, text);
	answer_words(data, " %s", row->why.text);
}

/* The line has been taken apart before its content was read. */
static void apply(struct agent_client *client)
{
	const struct gsh_apply_way way = { .report = answer_row, .data = client };
	const struct agent_limits *limits = client->control->limits;
	struct gsh_limits_error error = { "" };
	char path[PATH_MAX + 1] = "";
	const char *hex = strrchr(client->line, ' ') + 1;
	size_t bytes = strlen(hex) / 2;

	if (bytes > PATH_MAX || gsh_control_from_hex(hex, path, bytes) < 0) {
		answer_error(client, EPROTO, "the name of the file is none");
		return;
	}
	agent_log(AGENT_INFO, "Process %d of user %u applies %s.", (int)client->who.pid,
		  (unsigned)client->who.uid, path);
	if (agent_limits_apply(client->control->limits, client->content,
			       client->content_bytes, path, way, &error) < 0) {
		answer_words(client, "refused %s", error.text);
		return;
	}
	answer_words(client, "devices %zu %s", limits->devices.count,
		     limits->no_devices.text);
	answer(client, "ok\n");
}

/* "BYTES PATH": how much is to come. False: it is answered. */
static bool expect_content(struct agent_client *client, const char *words)
{
	char *end;
	unsigned long bytes = strtoul(words, &end, 10);

	if (end == words || *end != ' ' || strchr(end + 1, ' ')) {
		answer_error(client, EPROTO, "the request is incomplete");
		return false;
	}
	if (bytes > GSH_CONTROL_CONTENT_MAX) {
		answer_error(client, EFBIG, "the file is longer than 1 MiB");
		return false;
	}
	client->content = malloc(bytes + 1);
	if (!client->content) {
		answer_error(client, ENOMEM, "there is no memory for the file");
		return false;
	}
	client->content_bytes = bytes;
	return true;
}

/* False: there is more to come. */
static bool obey(struct agent_client *client)
{
	static const char greeting[] = GSH_CONTROL_GREETING;
	const char *words = client->line + sizeof(greeting) - 1;

	if (strncmp(client->line, greeting, sizeof(greeting) - 1) != 0)
		answer_error(client, EPROTONOSUPPORT,
			     "the agent is of another release than the program that "
			     "asks: use programs of one release");
	else if (strncmp(words, "publish ", 8) == 0)
		publish(client, words + 8);
	else if (strncmp(words, "apply ", 6) == 0)
		return !expect_content(client, words + 6);
	else
		answer_error(client, EPROTONOSUPPORT,
			     "the agent does not know this request: use programs of one "
			     "release");
	return true;
}

/* ---- input and output ---- */

/* More of the line or the content. False: there is nothing more, for now or at all (*ended). */
static bool receive(struct agent_client *client, bool *ended)
{
	char *to = client->content ? client->content + client->content_filled
				   : client->line + client->line_filled;
	size_t room = client->content ? client->content_bytes - client->content_filled
				      : sizeof(client->line) - 1 - client->line_filled;
	ssize_t got = room > 0 ? recv(client->source.fd, to, room, 0) : 0;

	if (got <= 0) {
		*ended = got == 0 || (errno != EAGAIN && errno != EINTR);
		return false;
	}
	if (client->content)
		client->content_filled += (size_t)got;
	else
		client->line_filled += (size_t)got;
	return true;
}

/* Ends the line; what follows it is the beginning of the content. */
static void read_line(struct agent_client *client, char *end)
{
	size_t rest = client->line_filled - (size_t)(end + 1 - client->line);

	*end = '\0';
	/* A line is text. */
	client->is_answering = strlen(client->line) != (size_t)(end - client->line);
	if (client->is_answering)
		answer_error(client, EPROTO, "the request is no text");
	else
		client->is_answering = obey(client);
	if (client->is_answering)
		return;
	if (rest > client->content_bytes)
		rest = client->content_bytes;
	memcpy(client->content, end + 1, rest);
	client->content_filled = rest;
}

/* False: the client has gone before it said all. */
static bool listen_to(struct agent_client *client)
{
	bool ended = false;

	while (!client->is_answering) {
		char *end = client->content
				    ? NULL
				    : memchr(client->line, '\n', client->line_filled);

		if (end) {
			read_line(client, end);
		} else if (client->content &&
			   client->content_filled == client->content_bytes) {
			client->is_answering = true;
			apply(client);
		} else if (!client->content &&
			   client->line_filled == sizeof(client->line) - 1) {
			client->is_answering = true;
			answer_error(client, EMSGSIZE, "the request is too long");
		} else if (!receive(client, &ended)) {
			return !ended;
		}
	}
	return true;
}

/* False: all is said, or nobody hears it. */
static bool speak(struct agent_client *client)
{
	ssize_t sent = send(client->source.fd, client->answer + client->answer_sent,
			    client->answer_bytes - client->answer_sent, MSG_NOSIGNAL);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	client->idle_checks = 0;
	client->answer_sent += (size_t)sent;
	return client->answer_sent < client->answer_bytes;
}

bool agent_client_go_on(struct agent_client *client, uint32_t events)
{
	if (!client->is_answering && !listen_to(client))
		return false;
	if (!client->is_answering)
		return !(events & EPOLLERR);
	return client->answer_bytes > 0 && speak(client);
}

void agent_client_free(struct agent_client *client)
{
	free(client->content);
	free(client->answer);
	free(client);
}
