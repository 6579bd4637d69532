/* The agent's HTTP; see http.h. */
#include "agent/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microhttpd.h>

#include "agent/http_listen.h"

enum { CONNECTIONS_MAX = 32, CONNECTION_S = 10, CONNECTION_BYTES = 16 * 1024 };

static const char plain[] = "text/plain; charset=utf-8";
static const char prometheus[] = "text/plain; version=0.0.4; charset=utf-8";
static const char open_metrics[] =
	"application/openmetrics-text; version=1.0.0; charset=utf-8";

/* ---- answers ---- */

/* Takes text, from malloc(); NULL: there was no memory. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
			      const char *type, char *text, size_t bytes)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", type);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned status,
			   const char *sentence)
{
	char *text = strdup(sentence);

	return answer(connection, status, plain, text, strlen(sentence));
}

static enum MHD_Result metrics(struct agent_http *http, struct MHD_Connection *connection)
{
	const char *accepted = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							   "Accept");
	bool open = accepted && strstr(accepted, "application/openmetrics-text");
	size_t bytes = 0;
	char *text = agent_observe_metrics(http->observer, open, &bytes);

	return answer(connection, MHD_HTTP_OK, open ? open_metrics : prometheus, text,
		      bytes);
}

static enum MHD_Result tenants(struct agent_http *http, struct MHD_Connection *connection)
{
	size_t bytes = 0;
	char *text = agent_observe_json(http->observer, &bytes);

	return answer(connection, MHD_HTTP_OK, "application/json", text, bytes);
}

static enum MHD_Result health(struct agent_http *http, struct MHD_Connection *connection)
{
	(void)http;
	return say(connection, MHD_HTTP_OK, "The agent is alive.\n");
}

static enum MHD_Result readiness(struct agent_http *http,
				 struct MHD_Connection *connection)
{
	const struct agent_limits *limits = http->observer->limits;

	if (limits->path && !limits->file)
		return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "No limits.json is in force yet.\n");
	return say(connection, MHD_HTTP_OK, "Limits are in force.\n");
}

static const struct page {
	const char *path;
	enum MHD_Result (*answer)(struct agent_http *http,
				  struct MHD_Connection *connection);
} pages[] = {
	{ "/metrics", metrics },
	{ "/healthz", health },
	{ "/readyz", readiness },
	{ "/api/v1/tenants", tenants },
};

static enum MHD_Result handle(void *data, struct MHD_Connection *connection,
			      const char *url, const char *method, const char *version,
			      const char *upload, size_t *upload_bytes, void **state)
{
	static char begun;

	(void)version;
	(void)upload;
	/* First its head is shown, then its body, of which none is wanted. */
	if (*state != &begun) {
		*state = &begun;
		return MHD_YES;
	}
	if (*upload_bytes > 0) {
		*upload_bytes = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			   "Nothing can be changed here.\n");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (strcmp(pages[i].path, url) == 0)
			return pages[i].answer(data, connection);
	return say(connection, MHD_HTTP_NOT_FOUND,
		   "There is /metrics, /healthz, /readyz and /api/v1/tenants.\n");
}

/* ---- the daemon ---- */

static void ready(struct agent_source *source, uint32_t events)
{
	(void)events;
	MHD_run(AGENT_OF(source, struct agent_http, source)->daemon);
}

bool agent_http_work(struct agent_http *http)
{
	MHD_UNSIGNED_LONG_LONG ms;

	if (!http->daemon || MHD_get_timeout(http->daemon, &ms) != MHD_YES || ms > 0)
		return false;
	MHD_run(http->daemon);
	return true;
}

void agent_http_check(struct agent_http *http)
{
	if (http->daemon)
		MHD_run(http->daemon);
}

static void remember_path(struct agent_http *http, const char *address)
{
	struct stat status;

	if (strncmp(address, "unix:", 5) != 0 || lstat(address + 5, &status) < 0)
		return;
	strncpy(http->path, address + 5, sizeof(http->path) - 1);
	http->device = status.st_dev;
	http->inode = status.st_ino;
}

int agent_http_open(struct agent_http *http, struct agent_loop *loop,
		    struct agent_observer *observer, const char *address,
		    struct gsh_reason *why)
{
	const union MHD_DaemonInfo *info = NULL;
	int fd = agent_http_listen(address, why);

	if (fd < 0)
		return fd;
	remember_path(http, address);
	http->observer = observer;
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, handle, http, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
		MHD_OPTION_END);
	if (http->daemon)
		info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info) {
		if (!http->daemon)
			close(fd);
		gsh_reason_set(why, "libmicrohttpd does not start", NULL);
		return -EIO;
	}
	http->source.fd = info->epoll_fd;
	http->source.ready = ready;
	return agent_loop_add(loop, &http->source, EPOLLIN);
}

void agent_http_close(struct agent_http *http)
{
	struct stat status;

	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
	if (http->path[0] && lstat(http->path, &status) == 0 &&
	    status.st_dev == http->device && status.st_ino == http->inode)
		unlink(http->path);
}
