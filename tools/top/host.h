/*
 * host.h - what this machine's /proc says of the processes of tenants.
 *
 * A tenant writes its processes' numbers itself, as seen in its own namespace of processes;
 * here they are looked up in ours. What cannot be found out, or may not be looked at, is not
 * known. Read once for each process. One thread at a time.
 */
#ifndef GSH_TOOLS_TOP_HOST_H
#define GSH_TOOLS_TOP_HOST_H

#include "top/model.h"

/* Of all processes in other namespaces; one for all tenants. */
struct top_hosts {
	uint64_t own_namespace;
	uint64_t scanned_ns; /* when; 0: never */
	uint64_t now_ns;
	size_t count, room;
	struct top_host_pid {
		uint64_t pid_namespace;
		uint32_t inner_pid, pid;
	} * pids;
};

/* Of the processes of one tenant, as they were last seen. All zero is empty. */
struct top_host_list {
	size_t count, room, keys_room;
	struct top_host *hosts;
	struct top_host_key {
		uint64_t start_unix_ns, pid_namespace, tried_ns;
		uint32_t slot, inner_pid;
	} * keys;
};

void top_hosts_init(struct top_hosts *hosts);
void top_hosts_free(struct top_hosts *hosts);

/* One for each process of the snapshot; valid until the next call for the list. */
const struct top_host *top_hosts_find(struct top_hosts *hosts, struct top_host_list *list,
				      const struct gpushim_snapshot *snapshot,
				      uint64_t now_ns);
void top_host_list_free(struct top_host_list *list);

/*
 * Whether a process of ours has a file mapped, as those of a tenant have its ledger: nobody
 * is signalled because a tenant wrote a number into it. False as well if it cannot be seen.
 */
bool top_host_maps(uint32_t pid, uint64_t device, uint64_t inode);

#endif
