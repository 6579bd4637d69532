/*
 * live.h - the tenants of this machine, read from their files again and again.
 *
 * Knows where ledgers and policies lie and keeps a reader for each. Nothing is made, written
 * or locked. One thread at a time.
 */
#ifndef GSH_TOOLS_TOP_LIVE_H
#define GSH_TOOLS_TOP_LIVE_H

#include "top/feed.h"

struct top_live;

/*
 * dirs NULL: the usual places, which are $GPUSHIM_DIR or else /run/gpushim, and the caller's
 * own below /dev/shm if it is there. Returns it, for top_live_close().
 */
struct top_live *top_live_open(const char *const *dirs, size_t count);
void top_live_close(struct top_live *live);

/* Reads all of them as one sample. */
void top_live_read(struct top_live *live, struct top_feed *feed);

/* "/run/gpushim and /dev/shm/gpushim-1000" */
const char *top_live_places(const struct top_live *live);

/* All of one tenant, its costs included. 0 or -errno. */
int top_live_whole(struct top_live *live, const struct top_tenant *tenant,
		   struct gpushim_snapshot *snapshot);

/* The tenant's ledger, for top_host_maps(). 0, or -ENOENT. */
int top_live_ledger(struct top_live *live, const struct top_tenant *tenant,
		    uint64_t *device, uint64_t *inode);

/* Makes the machine's devices known to the model by their names, where the driver says. */
void top_live_names(struct top_model *model);

#endif
