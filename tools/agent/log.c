/* Lines on standard error; see log.h. */
#include "agent/log.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bool for_journal;
static unsigned long lost;

void agent_log_start(bool journal)
{
	for_journal = journal;
}

/* A pipe that can be written takes so much without making us wait. */
static bool can_write(void)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT);
}

static void put(enum agent_level level, const char *format, va_list args)
{
	char line[PIPE_BUF];
	int begun, count;

	begun = for_journal ? snprintf(line, sizeof(line), "<%d>", (int)level)
			    : snprintf(line, sizeof(line), "gpushim-agent: ");
	count = vsnprintf(line + begun, sizeof(line) - (size_t)begun - 1, format, args);
	count = count < 0 ? begun : begun + count;
	if (count > (int)sizeof(line) - 2)
		count = (int)sizeof(line) - 2;
	for (int i = 0; i < count; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[count] = '\n';
	if (write(STDERR_FILENO, line, (size_t)count + 1) < 0)
		lost++;
}

void agent_log(enum agent_level level, const char *format, ...)
{
	va_list args;

	if (!can_write()) {
		lost++;
		return;
	}
	va_start(args, format);
	put(level, format, args);
	va_end(args);
	if (lost > 0 && can_write()) {
		unsigned long before = lost;

		lost = 0;
		agent_log(AGENT_WARNING,
			  "%lu lines before this one were lost: nobody "
			  "read them.",
			  before);
	}
}
