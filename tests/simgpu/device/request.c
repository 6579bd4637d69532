/*
 * request.c - the messages of a client's socket: HELLO, who may ask what, and how a message
 * comes and its reply goes. The other handlers are in request_*.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device/request.h"

/* ---- hello ---- */

static struct sim_channel *channel_new(int *fd)
{
	struct sim_channel *chan = MAP_FAILED;

	*fd = memfd_create("simgpu-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return NULL;
	if (ftruncate(*fd, sizeof(*chan)) == 0 &&
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		chan = mmap(NULL, sizeof(*chan), PROT_READ | PROT_WRITE, MAP_SHARED, *fd,
			    0);
	if (chan == MAP_FAILED) {
		close(*fd);
		return NULL;
	}
	chan->magic = SIM_MAGIC;
	chan->version = SIM_PROTO_VERSION;
	return chan;
}

/* Whether we may read the client's memory: a cookie of its choice is tried. */
static bool direct_access(pid_t pid, uint64_t addr, uint64_t expected)
{
	uint64_t value = 0;
	struct iovec local = { &value, sizeof(value) };
	struct iovec remote = { (void *)(uintptr_t)addr, sizeof(value) };

	return addr != 0 &&
	       process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof(value) &&
	       value == expected;
}

static void hello_fill(struct sim_server *server, struct sim_hello *hello)
{
	const struct sim_config *config = &server->config;

	*hello = (struct sim_hello){ .devices = config->devices,
				     .driver_version = config->driver_version,
				     .sm_count = config->sm_count,
				     .cc_major = config->cc_major,
				     .cc_minor = config->cc_minor,
				     .max_concurrent = config->concurrent,
				     .memory_bytes = config->memory_bytes,
				     .context_bytes = config->context_bytes,
				     .pool_granule_bytes = config->pool_granule_bytes,
				     .copy_bytes_per_s = config->copy_bytes_per_s };
	memcpy(hello->name, config->name, sizeof(hello->name));
	memcpy(hello->driver_string, config->driver_string, sizeof(hello->driver_string));
	memcpy(hello->uuid, server->uuid, sizeof(hello->uuid));
}

static int do_hello(struct exchange *x)
{
	struct sim_client *client = x->client;
	/* By edges: reading what the client can read too might never return. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	const uint64_t *a = x->request.a;

	if (client->hello || a[1] != SIM_PROTO_VERSION)
		return SIM_NOT_SUPPORTED;
	hello_fill(x->server, &x->hello);
	x->with_hello = true;
	client->hello = true;
	client->role = a[0] == SIM_ROLE_CLIENT ? SIM_ROLE_CLIENT : SIM_ROLE_MONITOR;
	if (client->role == SIM_ROLE_MONITOR)
		return SIM_OK;
	if (a[2] == 0 || a[3] < SIM_PAGE_BYTES * 2 || a[2] > UINT64_MAX - a[3])
		return SIM_INVALID_VALUE;
	client->chan = channel_new(&x->fds_out[0]);
	if (client->chan == NULL)
		return SIM_OUT_OF_MEMORY;
	client->id = ++x->server->next_client;
	client->books.id = client->id;
	client->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* The low bit tells the loop that a client's kick, not its socket, is ready. */
	event.data.u64 = (uint64_t)(uintptr_t)client | 1;
	epoll_ctl(x->server->epoll_fd, EPOLL_CTL_ADD, client->kick_fd, &event);
	x->fds_out[1] = dup(client->kick_fd);
	x->nfds_out = 2;
	x->close_out = true;
	sim_space_init(&client->space, a[2], a[3]);
	client->direct = direct_access(client->pid, a[4], a[5]);
	atomic_store(&client->chan->lost, x->server->lost);
	x->reply.v[0] = client->id;
	x->reply.v[1] = client->direct;
	return SIM_OK;
}

/* Who may ask what: monitors have no channel, and sticky clients get no more work done but
 * may give back what they hold. */
static const struct {
	int (*handler)(struct exchange *x);
	bool monitor, sticky;
} requests[SIM_RPC_MAX] = {
	[SIM_RPC_HELLO] = { do_hello, true, false },
	[SIM_RPC_CTX_CREATE] = { sim_do_ctx_create, false, false },
	[SIM_RPC_CTX_DESTROY] = { sim_do_ctx_destroy, false, true },
	[SIM_RPC_CTX_LIMIT] = { sim_do_ctx_limit, false, false },
	[SIM_RPC_STREAM_CREATE] = { sim_do_stream_create, false, false },
	[SIM_RPC_STREAM_DESTROY] = { sim_do_stream_destroy, false, true },
	[SIM_RPC_MEM_ALLOC] = { sim_do_mem_alloc, false, false },
	[SIM_RPC_MEM_FREE] = { sim_do_mem_free, false, true },
	[SIM_RPC_MEM_INFO] = { sim_do_mem_info, true, true },
	[SIM_RPC_MEM_RANGE] = { sim_do_mem_range, false, true },
	[SIM_RPC_VA_RESERVE] = { sim_do_va_reserve, false, false },
	[SIM_RPC_VA_FREE] = { sim_do_va_free, false, true },
	[SIM_RPC_PHYS_CREATE] = { sim_do_phys_create, false, false },
	[SIM_RPC_PHYS_RELEASE] = { sim_do_phys_release, false, true },
	[SIM_RPC_PHYS_RETAIN] = { sim_do_phys_retain, false, false },
	[SIM_RPC_PHYS_INFO] = { sim_do_phys_info, false, true },
	[SIM_RPC_PHYS_EXPORT] = { sim_do_phys_export, false, false },
	[SIM_RPC_PHYS_IMPORT] = { sim_do_phys_import, false, false },
	[SIM_RPC_MAP] = { sim_do_map, false, false },
	[SIM_RPC_UNMAP] = { sim_do_unmap, false, true },
	[SIM_RPC_ACCESS] = { sim_do_access, false, false },
	[SIM_RPC_CODE_LOAD] = { sim_do_code_load, false, false },
	[SIM_RPC_CODE_UNLOAD] = { sim_do_code_unload, false, true },
	[SIM_RPC_GRAPH_CREATE] = { sim_do_graph_create, false, false },
	[SIM_RPC_GRAPH_DESTROY] = { sim_do_graph_destroy, false, true },
	[SIM_RPC_HOST_DONE] = { sim_do_host_done, false, true },
	[SIM_RPC_IPC_GET] = { sim_do_ipc_get, false, false },
	[SIM_RPC_IPC_OPEN] = { sim_do_ipc_open, false, false },
	[SIM_RPC_IPC_CLOSE] = { sim_do_ipc_close, false, true },
	[SIM_RPC_POOL_EXPORT] = { sim_do_pool_export, false, false },
	[SIM_RPC_POOL_IMPORT] = { sim_do_pool_import, false, false },
	[SIM_RPC_IPC_EVENT_GET] = { sim_do_ipc_event_get, false, false },
	[SIM_RPC_IPC_EVENT_OPEN] = { sim_do_ipc_event_open, false, false },
	[SIM_RPC_EVENT_FORGET] = { sim_do_event_forget, false, true },
	[SIM_RPC_STICKY] = { sim_do_sticky, false, false },
	[SIM_RPC_FAULT] = { sim_do_fault, true, true },
	[SIM_RPC_TRUTH] = { sim_do_truth, true, true },
};

static int dispatch(struct exchange *x)
{
	const uint32_t op = x->request.op;

	if (op >= SIM_RPC_MAX || requests[op].handler == NULL)
		return SIM_NOT_SUPPORTED;
	if (op != SIM_RPC_HELLO && !x->client->hello)
		return SIM_NOT_PERMITTED;
	if (!requests[op].monitor && x->client->chan == NULL)
		return SIM_NOT_PERMITTED;
	if (!requests[op].sticky && x->client->sticky != 0)
		return (int)x->client->sticky;
	return requests[op].handler(x);
}

/* Receives one message; false when the connection has ended. x->request.op 0: nothing was
 * there, or it was no request. */
static bool take_message(struct exchange *x)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { &x->request, sizeof(x->request) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg;
	ssize_t got = recvmsg(x->client->sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (got < 0 && errno != EAGAIN && errno != EINTR)
		return false;
	for (cmsg = got >= 0 ? CMSG_FIRSTHDR(&msg) : NULL; cmsg != NULL;
	     cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		size_t i, n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (x->fd_in < 0)
				x->fd_in = fd;
			else
				close(fd);
		}
	}
	if (got != sizeof(x->request))
		x->request.op = 0;
	return got != 0;
}

static bool send_reply(struct exchange *x)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov[2] = { { &x->reply, sizeof(x->reply) },
				{ &x->hello, sizeof(x->hello) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = x->with_hello ? 2 : 1 };
	ssize_t sent;
	int i;

	if (x->nfds_out > 0) {
		struct cmsghdr *cmsg = &control.align;
		size_t bytes = (size_t)x->nfds_out * sizeof(int);

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(bytes);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(cmsg), x->fds_out, bytes);
	}
	sent = sendmsg(x->client->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (x->close_out)
		for (i = 0; i < x->nfds_out; i++)
			close(x->fds_out[i]);
	return sent >= 0;
}

bool sim_client_request(struct sim_server *server, struct sim_client *client)
{
	struct exchange x = { .server = server, .client = client, .fd_in = -1 };
	bool alive = take_message(&x);

	if (alive && x.request.op != 0) {
		if (client->chan != NULL)
			sim_client_drain(client);
		x.reply.result = dispatch(&x);
		alive = send_reply(&x);
	}
	if (x.fd_in >= 0)
		close(x.fd_in);
	return alive;
}
