/*
 * kill.c - signals to processes of tenants, for who asked for that when starting.
 *
 * A tenant writes the numbers of its processes itself. So a process is only signalled if it
 * has the tenant's ledger mapped, by a descriptor that cannot come to mean another one.
 */
#include "top/act.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "top/host.h"

void top_kill_ask(struct top_screen *screen)
{
	const struct top_row *row = top_screen_row(screen);
	uint64_t pid;

	if (!screen->options->allow_kill || !screen->source->live) {
		top_screen_say(screen, screen->source->live
					       ? "Signals are sent only if started with "
						 "--allow-kill."
					       : "A recording cannot be sent signals.");
		return;
	}
	if (!row || row->slot == TOP_NO_SLOT || !row->alive) {
		top_screen_say(screen, "Select a process that is there first.");
		return;
	}
	pid = row->value[TOP_COLUMN_HOST_PID];
	if (pid == TOP_UNKNOWN) {
		top_screen_say(screen, "It is not known which process of this machine "
				       "that is.");
		return;
	}
	screen->kill_pid = (uint32_t)pid;
	/* Of the process that is asked about, whoever has its number when the answer comes. */
	screen->kill_fd = (int)syscall(SYS_pidfd_open, screen->kill_pid, 0);
	if (screen->kill_fd < 0) {
		top_screen_say(screen, "%u cannot be signalled: %s.", screen->kill_pid,
			       strerror(errno));
		return;
	}
	screen->kill_tenant = row->tenant_id;
	screen->prompt = TOP_PROMPT_KILL;
	snprintf(screen->message, sizeof(screen->message),
		 "Send a signal to %u (%.40s, of %.20s)?  y SIGTERM  k SIGKILL  n none",
		 screen->kill_pid, row->command, row->user);
}

/*
 * 0 or a positive errno; -1: it is not a process of the tenant. If another has the number by
 * now it is the other's memory that is looked at, and the first, which has gone, that is
 * signalled in vain.
 */
static int send_signal(const struct top_screen *screen, int number)
{
	const struct top_tenant *tenant = top_model_tenant(screen->feed->model,
							   screen->kill_tenant);
	uint64_t device, inode;

	if (!tenant || top_live_ledger(screen->source->live, tenant, &device, &inode) < 0)
		return -1;
	if (!top_host_maps(screen->kill_pid, device, inode))
		return -1;
	return syscall(SYS_pidfd_send_signal, screen->kill_fd, number, NULL, 0) < 0
		       ? errno
		       : 0;
}

void top_kill_answer(struct top_screen *screen, const char *key)
{
	bool term = strcmp(key, "y") == 0, now = strcmp(key, "k") == 0;
	int result;

	screen->prompt = TOP_PROMPT_NONE;
	if (!term && !now) {
		close(screen->kill_fd);
		top_screen_say(screen, "No signal was sent.");
		return;
	}
	result = send_signal(screen, now ? SIGKILL : SIGTERM);
	close(screen->kill_fd);
	if (result < 0)
		top_screen_say(
			screen,
			"%u was not signalled: it cannot be seen to use the tenant's "
			"ledger.",
			screen->kill_pid);
	else if (result > 0)
		top_screen_say(screen, "%u was not signalled: %s.", screen->kill_pid,
			       strerror(result));
	else
		top_screen_say(screen, "%s was sent to %u.", now ? "SIGKILL" : "SIGTERM",
			       screen->kill_pid);
}
