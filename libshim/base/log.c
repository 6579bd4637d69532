/*
 * log.c - one line on standard error, written so that it harms nobody.
 *
 * Knows descriptor 2 and SIGPIPE. Does not know what is said, or whether it should be.
 */
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

/* Size of a signal set as the kernel counts it. */
enum { KERNEL_SIGSET_BYTES = 8 };

/*
 * A program whose standard error is a pipe that nobody reads any more would be killed by
 * our line: the signal is held back for the write, and taken if it is ours.
 */
static void write_quietly(const char *line, size_t bytes)
{
	static const struct timespec no_wait;
	sigset_t broken_pipe, before, pending;

	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	if (sigpending(&pending) != 0 ||
	    sigprocmask(SIG_BLOCK, &broken_pipe, &before) != 0)
		return;
	/* By number: write(3) and sigtimedwait(3) are points of cancellation. */
	if (syscall(SYS_write, 2, line, bytes) < 0 && errno == EPIPE &&
	    sigismember(&pending, SIGPIPE) == 0)
		syscall(SYS_rt_sigtimedwait, &broken_pipe, NULL, &no_wait,
			KERNEL_SIGSET_BYTES);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void gsh_log(const char *sentence)
{
	char line[512];
	struct gsh_text text;
	int saved = errno;

	gsh_text_init(&text, line, sizeof(line) - 1); /* room for the newline */
	gsh_text_add(&text, "gpushim: ");
	gsh_text_add(&text, sentence);
	*text.at++ = '\n';
	write_quietly(line, (size_t)(text.at - line));
	errno = saved;
}
