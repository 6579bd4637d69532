/*
 * server.h - what the files of the device process share.
 *
 * Knows: the server, its clients, contexts, streams, events and work, and who owns what.
 * Refuses to know: time slicing (engine.h) and how bytes are kept (memory.h).
 *
 * Threads: one. Nothing here locks. Everything a client sends or shares is hostile: it is
 * copied, bounded and checked before use, and a client that breaks the protocol is made
 * sticky (SIM_BROKEN); nobody else notices.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "device/engine.h"
#include "device/history.h"
#include "device/memory.h"
#include "proto.h"
#include "simgpu.h"

/* CUresult values the device gives out; cuda.h is not needed to build it. */
enum {
	SIM_OK = 0,
	SIM_INVALID_VALUE = 1,
	SIM_OUT_OF_MEMORY = 2,
	SIM_UNAVAILABLE = 46,
	SIM_INVALID_CONTEXT = 201,
	SIM_INVALID_HANDLE = 400,
	SIM_NOT_FOUND = 500,
	SIM_ILLEGAL_ADDRESS = 700,
	SIM_BROKEN = 719,
	SIM_NOT_PERMITTED = 800,
	SIM_NOT_SUPPORTED = 801
};

/* A sleep shorter than this would end later than it should: awaiting it costs no more. */
#define SIM_SLEEP_MIN_NS 40000ull
#define SIM_GONE_MAX 4096 /* books kept of clients that have gone */

struct sim_client;
struct sim_graph;
struct sim_run;

/* A stream of a client: the slot is its number in the channel. */
struct sim_dstream {
	struct sim_dctx *ctx;
	uint32_t slot, flags;
	int32_t priority;
	bool destroyed; /* goes once its work is done */
	bool active;	/* in client->active */
	uint64_t ingested, completed;
	struct sim_work *first, *last; /* submitted and not done; NULL once all is */
	uint64_t first_since_ns;       /* when the first of them became that */
	uint64_t executing_ns;	       /* cumulative work of everything done */
	uint64_t queued_ns;	       /* cumulative work of everything ingested */
	uint64_t *
		cumulative; /* by sequence modulo SIM_CUMULATIVE; lower bound of the wait */
	struct sim_dstream *active_prev, *active_next;
	struct sim_dstream *ctx_next;
};
#define SIM_CUMULATIVE (2 * SIM_LAUNCH_QUEUE)

/* An event; several slots (of importers) may show one. */
struct sim_devent {
	unsigned refs;
	struct sim_work *last; /* last record, NULL once done */
	unsigned nmirrors;
	struct {
		struct sim_client *client;
		uint32_t slot;
	} * mirrors;
	unsigned char key[32];	 /* IPC handle, all zero: not exported */
	uint64_t time_ns, gen;	 /* of the last completed record */
	struct sim_devent *next; /* list of exported ones */
};

struct sim_dctx {
	struct sim_ctx ctx;	   /* the engine's part; .user is this */
	struct sim_ctx_stats seen; /* what history.c has put down of it */
	struct sim_client *client;
	uint32_t id;
	bool removed; /* taken out of the engine, books are final */
	struct sim_dstream *legacy, *streams;
	uint64_t limit_bytes; /* what its limits cost */
	uint64_t context_bytes;
	struct sim_dctx *next;
};

/* One operation with all it needs. Freed in done() or dropped(). */
struct sim_work {
	struct sim_op op;
	struct sim_client *client;
	struct sim_dctx *ctx;
	struct sim_dstream *stream;   /* NULL: part of a graph */
	struct sim_run *run;	      /* the graph run it belongs to */
	struct sim_work *stream_next; /* after it in its stream */
	uint64_t least_ns; /* of a graph that runs: it takes no less (pace.c) */
	uint64_t seq;
	uint32_t kind; /* enum sim_record_kind or sim_node_kind */
	uint32_t node; /* index in run's image */
	struct sim_devent *event;
	struct sim_graph *graph;
	/* Of a launch: what stands for its event nodes; of one of these: its launch. */
	struct sim_work *announced, *announced_next, *launch;
	bool announces;		    /* it is one of these */
	struct sim_host_list *host; /* host functions: the list it stands in, or NULL */
	struct sim_work *host_prev, *host_next;
	uint64_t looked;       /* waiting: when the condition was last looked at */
	uint64_t counter_base; /* gpushim_count: the word before it started */
	bool counter_known;
	const unsigned char
		*params; /* kernel arguments: behind payload, or in the image */
	uint32_t param_bytes;
	union {
		struct sim_rec_kernel kernel;
		struct sim_rec_memset memset;
		struct sim_rec_copy copy;
		struct sim_rec_event event;
		struct sim_rec_value value;
		struct sim_rec_host host;
		struct sim_rec_graph graph;
	} rec;
	unsigned char tail[];
};

/* Graph conditional handles and their values. */
struct sim_condition {
	uint64_t handle;
	uint32_t value;
	bool known;
};

struct sim_conditions {
	struct sim_condition *slots;
	unsigned nslots, count;
};

/* Host functions, the oldest first. */
struct sim_host_list {
	struct sim_work *first, *last;
};

static inline struct sim_work *sim_work_of(struct sim_op *op)
{
	return (struct sim_work *)((char *)op - offsetof(struct sim_work, op));
}

struct sim_code {
	uint64_t id, bytes;
	struct sim_dctx *ctx;
	uint64_t addr; /* of addressable code (globals), else 0 */
	struct sim_code *next;
};

struct sim_client {
	struct sim_server *server;
	uint32_t id;
	pid_t pid;
	enum sim_role role;
	bool hello;
	bool direct; /* its memory can be reached by process_vm_readv */
	int sock, kick_fd;
	struct sim_channel *chan;
	uint64_t head;		    /* of the ring; the channel shows a copy */
	struct sim_space_map space; /* its addresses */
	struct sim_dctx *contexts;
	struct sim_dstream *streams[SIM_STREAMS];
	uint32_t stream_hint;
	uint64_t stream_seq[SIM_STREAMS]; /* where the slot's sequence stands */
	struct sim_devent **events;	  /* by slot, allocated with the first event */
	struct sim_dstream *active;
	struct sim_graph *graphs;
	struct sim_code *codes;
	struct sim_host_list host_waiting, host_running; /* not announced, announced */
	uint64_t writes; /* to its memory, by its own work */
	bool shares;	 /* others may write to it, or it to theirs */
	uint32_t sticky,
		sticky_next; /* the latter takes effect after the present advance */
	uint64_t intent_since_ns, clear_ns;
	struct simgpu_client books;
	uint32_t next_graph, ngraphs, nannounced;
	uint64_t graph_bytes; /* of all its images */
	uint64_t launched;    /* kernels so far, for their variation */
	struct sim_conditions conditions;
	struct sim_client *next;
};

/* A descriptor given out for a physical handle or for a pool: the read end tells when every
 * copy has been closed. */
struct sim_export {
	int fd;
	dev_t dev;
	ino_t ino;
	struct sim_phys *phys; /* NULL: a pool, of which the device knows only: */
	uint32_t client;       /* whose it is, */
	unsigned device;       /* where it allocates */
	uint64_t pool;	       /* and its number there */
	struct sim_export *next;
};

struct sim_server {
	struct sim_config config;
	int state_fd; /* the state directory; its name may be another one's by now */
	int listen_fd, epoll_fd, timer_fd, lock_fd;
	struct sim_engine *engine;
	struct sim_history history;
	uint64_t accounting_since_ns[SIM_MAX_HELLO_DEVICES]; /* 0: off */
	uint64_t accounting_cleared_ns[SIM_MAX_HELLO_DEVICES];
	struct sim_memory memory;
	struct sim_client *clients;
	struct sim_export *exports;
	struct sim_devent *shared_events;
	uint32_t next_client, next_ctx;
	uint64_t next_id;
	uint64_t started_ns;
	bool held_back;		   /* the last advance stopped at a client's intent */
	bool behind;		   /* the last advance was not finished */
	uint64_t enough_ns;	   /* when the present one is stopped */
	unsigned events;	   /* since the clock was looked at */
	bool heavy;		   /* one of them took longer than most */
	uint64_t rounds;	   /* advances so far */
	_Atomic uint64_t clock_ns; /* when the last of them began; see horizon() */
	uint64_t shared_writes;	   /* by clients that share memory */
	uint64_t condition_ns;	   /* when a condition in memory was new or fulfilled */
	uint32_t lost;		   /* bit per device */
	unsigned char uuid[SIM_MAX_HELLO_DEVICES][SIM_UUID_BYTES];
	unsigned char secret[16];
	struct simgpu_client *gone; /* ring of final books */
	unsigned ngone, gone_next;
	uint64_t forgotten;
	struct simgpu_context *gone_contexts;
	unsigned ngone_contexts, cap_gone_contexts;
};

/* client.c: life of clients */
int sim_server_accept(struct sim_server *server);
void sim_client_gone(struct sim_server *server, struct sim_client *client);
/* Makes the client sticky now: drops its work, wakes its waiters. Not from callbacks:
 * those use sim_client_fail(), which takes effect after the advance. */
void sim_client_stick(struct sim_client *client, uint32_t result);
void sim_client_fail(struct sim_client *client, uint32_t result);
struct sim_dctx *sim_client_ctx(struct sim_client *client, uint64_t id);
/* Streams. The legacy stream comes with its context. NULL: no slot or memory left. */
struct sim_dstream *sim_dstream_new(struct sim_client *client, struct sim_dctx *ctx,
				    uint32_t flags, int32_t priority);
void sim_dstream_free(struct sim_client *client, struct sim_dstream *stream);
struct sim_dctx *sim_dctx_new(struct sim_client *client, unsigned device);
void sim_dctx_free(struct sim_client *client, struct sim_dctx *ctx);

/* request.c: one message of a client's socket; false when the client has gone */
bool sim_client_request(struct sim_server *server, struct sim_client *client);

/* ingest.c: takes everything out of a client's ring */
void sim_client_drain(struct sim_client *client);
struct sim_work *sim_work_new(struct sim_client *client, struct sim_dctx *ctx,
			      uint32_t kind, const void *payload, size_t payload_bytes,
			      const unsigned char *tail, size_t tail_bytes,
			      bool copy_tail);
/* Sets the operation's kind, time and demand from its record. False: not acceptable. */
bool sim_work_shape(struct sim_work *work);
void sim_work_free(struct sim_work *work);
/* What one operation may move at most. */
uint64_t sim_bytes_max(const struct sim_config *config);
/* The event behind a slot, made on demand; NULL when out of memory or range. */
struct sim_devent *sim_client_event(struct sim_client *client, uint32_t slot);
void sim_client_event_forget(struct sim_client *client, uint32_t slot);

/* execute.c: the engine's callbacks */
void sim_execute_calls(struct sim_server *server, struct sim_engine_calls *calls);
void sim_host_done(struct sim_client *client, uint64_t token);
void sim_host_announce(struct sim_client *client);

/* move.c: what copies, memsets and words in memory do. False: an address is not there. */
bool sim_move_copy(struct sim_work *work);
bool sim_move_set(struct sim_work *work);
bool sim_move_write(struct sim_work *work);
/* Whether the condition of a wait for a word holds; true, with the client failed, if the
 * word is not there. */
bool sim_move_holds(struct sim_work *work);
/* SIM_SPACE_DEVICE or SIM_SPACE_HOST. */
uint32_t sim_move_space(const struct sim_client *client, uint64_t addr);

/* kernels.c: what builtin kernels do. False: an illegal address. */
bool sim_kernel_run(struct sim_work *work);
bool sim_kernel_ready(struct sim_work *work);	 /* gpushim_spin_word */
void sim_kernel_progress(struct sim_work *work); /* gpushim_count */
/* Modelled duration (ns) and demand (permille) of a launch. */
void sim_kernel_shape(const struct sim_config *config, const struct sim_rec_kernel *rec,
		      const unsigned char *params, uint32_t param_bytes, uint64_t nth,
		      uint64_t *work_ns, uint32_t *demand);

/* dgraph.c: graphs in the device. A new one takes the image, of malloc(), whatever becomes
 * of it; NULL: the image is not well formed or too large, or out of memory. */
struct sim_graph *sim_graph_new(struct sim_client *client, unsigned char *image,
				uint64_t bytes);
struct sim_graph *sim_graph_find(struct sim_client *client, uint32_t id);
uint32_t sim_graph_id(const struct sim_graph *graph);
void sim_graph_unref(struct sim_graph *graph);
void sim_graph_ref(struct sim_graph *graph);
void sim_graph_forget(struct sim_client *client, struct sim_graph *graph);
/* Serialises launches of one graph: the last launch not yet done. */
struct sim_work **sim_graph_last(struct sim_graph *graph);
/* An EXTERNAL operation of a graph begins: the graph itself, a child or a conditional. */
void sim_graph_begin(struct sim_work *work, uint64_t now_ns);
/* dgraph_events.c: the event nodes of a launch that is being ingested take their place in
 * the order of records and waits. False when out of memory or when a node is not
 * acceptable. */
bool sim_graph_announce(struct sim_work *launch);
/* What stands for an event node of a run, once; NULL if it is done or there is none. */
struct sim_work *sim_graph_announced(struct sim_work *node);
/* A launch, or what stands for one of its nodes, is being freed. */
void sim_graph_unannounce(struct sim_work *work);
/* Enters a record as the event's last: waits from now on are for it. */
bool sim_event_pending(struct sim_work *record);
const unsigned char *sim_graph_image(const struct sim_graph *graph);
/* The launch that a run's operation belongs to. */
struct sim_work *sim_run_launch(struct sim_work *work);
/* The joining operation of a run has ended. */
void sim_graph_joined(struct sim_work *join, uint64_t now_ns);
void sim_run_unref(struct sim_run *run);

/* condition.c: the value of a graph conditional handle, 0 if it was never set. Setting one
 * fails when out of memory. */
uint32_t sim_condition_get(const struct sim_client *client, uint64_t handle);
bool sim_condition_set(struct sim_client *client, uint64_t handle, uint32_t value);

/* pace.c: drains all rings and simulates up to now, or for as long as requests can wait,
 * then lets failures take effect. */
void sim_server_catch_up(struct sim_server *server);
/* When the device must look again (of sim_clock_ns()), if nobody kicks it before. */
uint64_t sim_server_deadline(const struct sim_server *server);
/* Tells all clients whether a submission must be announced by a kick. True if somebody
 * submitted in the meantime, so that it is too early to sleep. */
bool sim_server_want_kicks(struct sim_server *server, bool want);

/* truth.c: an image of all books (api/truth_image.h) in a memfd, or -errno */
int sim_truth_image(struct sim_server *server, bool samples);

/* main.c; tests have a clock of their own */
uint64_t sim_clock_ns(void);

#endif
