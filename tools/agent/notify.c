/* Datagrams to the service manager; see notify.h. */
#include "agent/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/parse.h"

static struct sockaddr_un manager;
static socklen_t manager_bytes;
static uint64_t watchdog_ns;

static void read_watchdog(void)
{
	const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t us, whose = (uint64_t)getpid();

	if (text && (!pid || gsh_parse_u64(pid, &whose) == 0) &&
	    whose == (uint64_t)getpid() && gsh_parse_u64(text, &us) == 0 &&
	    us < UINT64_MAX / 1000)
		watchdog_ns = us * 1000;
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

bool agent_notify_start(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t length = name ? strlen(name) : 0;

	read_watchdog();
	if (length == 0)
		return true;
	if ((*name != '/' && *name != '@') || length < 2 ||
	    length >= sizeof(manager.sun_path))
		return false;
	manager.sun_family = AF_UNIX;
	memcpy(manager.sun_path, name, length);
	/* A name that is in no directory. */
	if (*name == '@')
		manager.sun_path[0] = '\0';
	manager_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	unsetenv("NOTIFY_SOCKET");
	return true;
}

void agent_notify(const char *format, ...)
{
	char text[1024];
	va_list args;
	int fd, count;

	if (manager_bytes == 0)
		return;
	va_start(args, format);
	count = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (count > 0)
		(void)sendto(fd, text, strnlen(text, sizeof(text)), MSG_NOSIGNAL,
			     (struct sockaddr *)&manager, manager_bytes);
	close(fd);
}

uint64_t agent_notify_watchdog_ns(void)
{
	return watchdog_ns;
}
