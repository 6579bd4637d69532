/* One epoll loop; see loop.h. */
#include "agent/loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int agent_loop_open(struct agent_loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->fd < 0 ? -errno : 0;
}

void agent_loop_close(struct agent_loop *loop)
{
	if (loop->fd >= 0)
		close(loop->fd);
	loop->fd = -1;
}

static int control(struct agent_loop *loop, int operation, struct agent_source *source,
		   uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->fd, operation, source->fd, &event) < 0 ? -errno : 0;
}

int agent_loop_add(struct agent_loop *loop, struct agent_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, source, events);
}

int agent_loop_change(struct agent_loop *loop, struct agent_source *source,
		      uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, source, events);
}

void agent_loop_remove(struct agent_loop *loop, struct agent_source *source)
{
	control(loop, EPOLL_CTL_DEL, source, 0);
	for (int i = 0; i < loop->batch_count; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void agent_loop_run(struct agent_loop *loop, bool (*work)(void *data), void *data)
{
	bool more = work(data);

	while (!loop->ending) {
		int count = epoll_wait(loop->fd, loop->batch, AGENT_LOOP_BATCH,
				       more ? 0 : -1);

		loop->batch_count = count < 0 ? 0 : count;
		for (int i = 0; i < loop->batch_count; i++) {
			struct agent_source *source = loop->batch[i].data.ptr;

			if (source)
				source->ready(source, loop->batch[i].events);
		}
		loop->batch_count = 0;
		more = work(data);
	}
}
