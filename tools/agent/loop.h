/*
 * loop.h - the agent's one loop: descriptors and who is called when they are ready.
 *
 * Knows epoll, and nothing of what the descriptors are for. One thread.
 */
#ifndef GSH_AGENT_LOOP_H
#define GSH_AGENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { AGENT_LOOP_BATCH = 32 };

/* A part of whoever is called. */
struct agent_source {
	int fd; /* -1: none */
	void (*ready)(struct agent_source *source, uint32_t events);
};

struct agent_loop {
	int fd;
	bool ending; /* set it to end the loop */
	int batch_count;
	struct epoll_event batch[AGENT_LOOP_BATCH];
};

/* 0 or -errno. */
int agent_loop_open(struct agent_loop *loop);
void agent_loop_close(struct agent_loop *loop);

/*
 * Calls source->ready() while its descriptor has any of the events (EPOLLIN ...). The source
 * is borrowed until it is removed. 0 or -errno.
 */
int agent_loop_add(struct agent_loop *loop, struct agent_source *source, uint32_t events);
int agent_loop_change(struct agent_loop *loop, struct agent_source *source,
		      uint32_t events);
/* Not called any more, not for what is ready already either. The descriptor stays open. */
void agent_loop_remove(struct agent_loop *loop, struct agent_source *source);

/*
 * Runs until `ending`. work(data) is called after each round and returns whether there is
 * more to do: then the loop looks for who is ready and does not wait.
 */
void agent_loop_run(struct agent_loop *loop, bool (*work)(void *data), void *data);

/* The struct of which a source is the member called `member`. */
#define AGENT_OF(source, type, member) \
	((type *)(void *)((char *)(source)-offsetof(type, member)))

#endif
