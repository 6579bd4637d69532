/*
 * turn.c - reading turns from the policy page, and ringing the bell.
 *
 * Knows that an agent lives by its heartbeat alone. No descriptor is kept: a program may close
 * it, and what it opens next would be written to.
 */
#include "ledger/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"

#define DEAD_NS (GPUSHIM_TURN_DEAD_MS * UINT64_C(1000000))
/* Everybody who may use the ledger may ring; see GUEST_MODE there. */
enum { BELL_MODE = 0666 };

/* ---- turns ---- */

static const uint32_t nobody = GPUSHIM_TURN_OFF;

/* Who sees the heartbeat change notes when; in the meantime all believe that it goes on. */
static bool agent_lives(struct gsh_tenant *tenant, uint64_t now_ns)
{
	uint64_t beat = gsh_page_heartbeat(&tenant->page);

	if (!beat)
		return false;
	if (beat != gsh_load_relaxed(&tenant->turn_beat)) {
		gsh_store_relaxed(&tenant->turn_beat_ns, now_ns);
		gsh_store_relaxed(&tenant->turn_beat, beat);
		return true;
	}
	return now_ns < gsh_load_relaxed(&tenant->turn_beat_ns) + DEAD_NS;
}

static const struct gpushim_policy_turn *find(const struct gsh_tenant *tenant, int row)
{
	const struct gpushim_policy_page *page = tenant->page.page;
	const uint8_t *uuid = tenant->devices[row].uuid;

	for (unsigned i = 0; page && i < GPUSHIM_DEVICES_MAX; i++)
		if (memcmp(page->turns[i].uuid, uuid, sizeof(page->turns[i].uuid)) == 0)
			return &page->turns[i];
	return NULL;
}

void gsh_turn_look(struct gsh_tenant *tenant, int row, uint64_t now_ns,
		   struct gsh_turn *turn)
{
	const struct gpushim_policy_turn *found = find(tenant, row);

	turn->state = GPUSHIM_TURN_OFF;
	turn->word = found ? &found->word : &nobody;
	/* Pairs with the agent's release. */
	turn->seen = gsh_load_acquire(turn->word);
	turn->window_ns = 0;
	if (!found || !agent_lives(tenant, now_ns))
		return;
	turn->state = GPUSHIM_TURN_STATE(turn->seen);
	turn->window_ns = gsh_load_relaxed(&found->window_us) * UINT64_C(1000);
}

/* ---- the bell ---- */

static bool bell_path(const struct gsh_tenant *tenant, char path[600])
{
	const char *ledger = tenant->ledger.path, *slash = strrchr(ledger, '/');
	size_t directory = slash ? (size_t)(slash + 1 - ledger) : 0;

	if (!directory || directory + sizeof(GPUSHIM_BELL_NAME) > 600)
		return false;
	memcpy(path, ledger, directory);
	memcpy(path + directory, GPUSHIM_BELL_NAME, sizeof(GPUSHIM_BELL_NAME));
	return true;
}

void gsh_turn_ring(const struct gsh_tenant *tenant)
{
	/* Also for reading: who writes where nobody reads is killed by a signal. */
	const int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
	char path[600];
	int fd;

	if (!bell_path(tenant, path))
		return;
	fd = open(path, flags);
	if (fd < 0 && errno == ENOENT) {
		if (syscall(SYS_mknodat, AT_FDCWD, path, S_IFIFO | BELL_MODE, 0) == 0)
			syscall(SYS_fchmodat, AT_FDCWD, path, BELL_MODE);
		fd = open(path, flags);
	}
	if (fd < 0)
		return;
	/* Only what cannot be sought in is a bell. If it is full it rings already. */
	if (syscall(SYS_lseek, fd, 0, SEEK_CUR) < 0)
		syscall(SYS_write, fd, "", 1);
	close(fd);
}
