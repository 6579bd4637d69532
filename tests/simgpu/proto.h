/*
 * proto.h - what a client of the simulated GPU and the device process say to each other.
 *
 * Knows: the shared channel (one per client: ring, stream and event slots), its records,
 * and the messages of the socket. Private to this directory: both sides are built from one
 * tree, and a client of another version is refused at HELLO. Refuses to know: CUDA types.
 *
 * Protocol
 *  - A client connects to the Unix socket (SOCK_SEQPACKET) of the state directory, sends
 *    HELLO and receives the channel (memfd) and its kick (eventfd). The connection is the
 *    client's life: when its last descriptor closes, the device frees what the client had.
 *  - Requests on the socket are synchronous, one at a time per client. The device drains
 *    the ring before it acts on a request, so the two never overtake each other.
 *  - Work goes through the ring without a system call. The device looks at the rings of all
 *    clients whenever it wakes; it sleeps at most SIM_TICK_NS while it has work. A client
 *    kicks it (writes to the eventfd) only when chan->want_kick is set, when it has begun to
 *    wait, or when it polls.
 *  - Doorbell order: a client sets chan->intent (sequentially consistent) before it reads
 *    the clock for submit_ns and clears it after publishing the record. The device reads the
 *    clock, then the intents: what is not visible by then carries a later time. So the
 *    device never simulates past a submission, unless a client stays in that window longer
 *    than SIM_INTENT_LIMIT_NS (stopped, killed); its record then counts as late.
 *  - Completion: the device stores streams[].completed (release) and, if wait_seq has been
 *    reached, clears it and wakes the futex. Stream slots are reused with their sequence
 *    going on, so a pair (slot, seq) never becomes ambiguous.
 *  - The channel is hostile input to the device: records are copied before they are
 *    checked, indexes bounded, and nothing in it is trusted for accounting.
 */
#ifndef SIM_PROTO_H
#define SIM_PROTO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PROTO_VERSION 1u
#define SIM_MAGIC 0x55504753u /* "SGPU" */

#define SIM_RING_BYTES (1u << 20)
#define SIM_RECORD_MAX (64u << 10) /* one record with its payload */
#define SIM_STREAMS 2048u	   /* stream slots of a client */
#define SIM_EVENTS 65536u	   /* event slots of a client */
#define SIM_CALLBACKS 1024u	   /* host functions announced and not yet taken */
#define SIM_LAUNCH_QUEUE 1024u	   /* operations a stream holds before launches block */
#define SIM_TICK_NS 1000000ull
#define SIM_INTENT_LIMIT_NS 50000000ull
#define SIM_UUID_BYTES 16
#define SIM_MAX_HELLO_DEVICES 16

/* ---- the channel ---- */

struct sim_stream_slot {
	_Atomic uint64_t completed; /* device: operations done, in order */
	_Atomic uint64_t
		wait_seq;	/* client: wake when completed >= this; 0: nobody waits */
	_Atomic uint32_t futex; /* device: incremented with each wake */
	uint32_t pad0;
	uint64_t pad[5];
};

struct sim_event_slot {
	_Atomic uint64_t done_gen; /* device: generation of the last record completed */
	_Atomic uint64_t time_ns;  /* device clock at that completion */
	uint64_t pad[2];
};

struct sim_channel {
	uint32_t magic, version;
	_Atomic uint32_t intent;       /* client: a submission is being written */
	_Atomic uint32_t want_kick;    /* device: asleep without a deadline */
	_Atomic uint64_t caught_up_ns; /* device: everything is simulated up to here */
	_Atomic uint32_t
		sticky; /* device: CUresult that every later call returns, 0: none */
	_Atomic uint32_t lost;	     /* device: bit per device that fell off the bus */
	_Atomic uint32_t ring_futex; /* device: incremented when the ring was drained */
	_Atomic uint32_t ring_wait;  /* client: wants that wake */
	uint64_t pad0[2];
	_Atomic uint64_t tail; /* client: bytes ever written, multiple of 16 */
	uint64_t pad1[7];
	_Atomic uint64_t head; /* device: bytes ever taken */
	uint64_t pad2[7];
	_Atomic uint32_t cb_tail; /* device: host functions announced (also the futex) */
	_Atomic uint32_t cb_head; /* client: host functions taken */
	uint64_t pad3[7];
	uint64_t callbacks[SIM_CALLBACKS]; /* tokens */
	struct sim_stream_slot streams[SIM_STREAMS];
	struct sim_event_slot events[SIM_EVENTS];
	_Alignas(64) unsigned char ring[SIM_RING_BYTES];
};

/* ---- ring records: 16-byte aligned, never wrapped (a PAD record fills the end) ---- */

enum sim_record_kind {
	SIM_REC_PAD = 1,
	SIM_REC_KERNEL,
	SIM_REC_MEMSET,
	SIM_REC_COPY,
	SIM_REC_EVENT_RECORD,
	SIM_REC_EVENT_WAIT,
	SIM_REC_WAIT_VALUE,
	SIM_REC_WRITE_VALUE,
	SIM_REC_HOST_FUNC,
	SIM_REC_GRAPH,
	SIM_REC_MARKER,
	SIM_REC_KINDS
};

struct sim_record {
	uint32_t bytes;	 /* header and payload, multiple of 16 */
	uint16_t kind;	 /* enum sim_record_kind */
	uint16_t device; /* a hint for readers of traces; the stream decides */
	uint32_t stream; /* slot */
	uint32_t pad;
	uint64_t seq;	    /* 1, 2, 3 ... per stream slot */
	uint64_t submit_ns; /* CLOCK_MONOTONIC */
};

/* Kernels the device computes; any other takes a modelled time. */
enum sim_builtin {
	SIM_K_MODELLED,
	SIM_K_FILL_U32,
	SIM_K_SAXPY_F32,
	SIM_K_REDUCE_U32,
	SIM_K_WORK,
	SIM_K_SPIN_NS,
	SIM_K_SPIN_WORD,
	SIM_K_COUNT,
	SIM_K_SET_CONDITIONAL,
	SIM_K_BUILTINS
};

struct sim_rec_kernel {
	uint32_t builtin; /* enum sim_builtin */
	uint32_t flags;	  /* SIM_KF_* */
	uint32_t grid[3], block[3];
	uint32_t shared_bytes;
	uint32_t
		param_bytes; /* <= 4096 for builtins: arguments follow, laid out as in PTX */
	uint64_t function; /* identity for traces and variation */
			   /* unsigned char params[param_bytes] */
};
#define SIM_KF_COOPERATIVE 1u

struct sim_rec_memset {
	uint64_t dst, pitch, width, height; /* width in elements; pitch in bytes */
	uint32_t value, element_bytes;	    /* 1, 2 or 4 */
};

enum sim_space {
	SIM_SPACE_DEVICE, /* an address the device handed out (memory, managed, pinned) */
	SIM_SPACE_HOST	  /* any other address of the client: read by process_vm_readv */
};

struct sim_rec_copy {
	struct {
		uint64_t addr, pitch, slice; /* bytes; of the first byte copied */
		uint32_t space, pad;
	} dst, src;
	uint64_t width_bytes, height, depth;
};

struct sim_rec_event {
	uint32_t slot;
	uint32_t flags; /* SIM_EF_* */
	uint64_t gen; /* of this record; for a wait: of the record waited for, 0: none */
};
#define SIM_EF_EXTERNAL 1u /* the wait orders against the event's last record anywhere */

enum sim_compare { SIM_CMP_GEQ, SIM_CMP_EQ, SIM_CMP_AND, SIM_CMP_NOR };

struct sim_rec_value {
	uint64_t addr, value;
	uint32_t bytes;	  /* 4 or 8 */
	uint32_t compare; /* enum sim_compare; waits only */
};

struct sim_rec_host {
	uint64_t token;
};

struct sim_rec_graph {
	uint32_t graph; /* id from GRAPH_CREATE */
	uint32_t pad;
	uint64_t gen; /* of the records that its event record nodes make */
};

/* ---- graph images, sent as the content of a memfd with GRAPH_CREATE ---- */

enum sim_node_kind {
	SIM_NODE_EMPTY = 100, /* others: enum sim_record_kind with the same payload */
	SIM_NODE_CONDITIONAL, /* payload: struct sim_node_conditional */
	SIM_NODE_CHILD	      /* payload: struct sim_node_child */
};

/* An image: struct sim_graph_image, then nnodes x { struct sim_graph_node, payload, deps }.
 * Nodes stand in topological order; dependencies are indexes of earlier nodes. Bodies of
 * conditionals and child graphs are images nested as payload. All 8-byte aligned. */
struct sim_graph_image {
	uint32_t magic, nnodes;
	uint64_t bytes; /* of this image with all that is nested */
};

struct sim_graph_node {
	uint32_t bytes; /* node header, payload and dependencies */
	uint32_t kind;
	uint32_t payload_bytes;
	uint32_t ndeps; /* uint32_t indexes after the payload, padded to 8 bytes */
	uint32_t enabled;
	int32_t priority; /* SIM_PRIORITY_STREAM: that of the stream it is launched in */
};
#define SIM_PRIORITY_STREAM INT32_MIN

enum sim_conditional { SIM_COND_IF, SIM_COND_WHILE, SIM_COND_SWITCH };

struct sim_node_conditional {
	uint64_t handle;		     /* client-wide id */
	uint32_t type;			     /* enum sim_conditional */
	uint32_t nbodies;		     /* images follow, each 8-byte aligned */
	uint32_t has_default, default_value; /* assigned at each launch of the graph */
};

/* SIM_NODE_CHILD: the nested image alone. */

/* ---- socket messages ---- */

enum sim_request_op {
	SIM_RPC_HELLO = 1, /* a0 role, a1 version, a2 arena base, a3 arena bytes,
	                      a4 address of a 64-bit cookie, a5 its value
	                      -> v0 client id, v1 direct access works; struct sim_hello; 2 fds */
	SIM_RPC_CTX_CREATE, /* a0 device, a1 flags -> v0 ctx, v1 legacy slot, whose sequence
	                        starts at v2 */
	SIM_RPC_CTX_DESTROY, /* a0 ctx */
	SIM_RPC_CTX_LIMIT, /* a0 ctx, a1 extra bytes that its limits cost now (absolute) */
	SIM_RPC_STREAM_CREATE,	/* a0 ctx, a1 SIM_SF_*, a2 priority (int64) -> v0 slot,
	                           v1 sequence so far */
	SIM_RPC_STREAM_DESTROY, /* a0 slot; freed once its work is done */
	SIM_RPC_MEM_ALLOC, /* a0 ctx (0: none), a1 device, a2 bytes, a3 enum sim_mem_kind,
	                        a4 alignment -> v0 address, v1 bytes reserved for it;
	                        fd for host and managed memory, to map at v0 */
	SIM_RPC_MEM_FREE,  /* a0 address -> v0 kind, v1 bytes */
	SIM_RPC_MEM_INFO,  /* a0 device -> v0 free, v1 total */
	SIM_RPC_MEM_RANGE, /* a0 address -> v0 base, v1 bytes, v2 kind, v3 device, v4 ctx,
	                        v5 allocation id */
	SIM_RPC_VA_RESERVE,  /* a0 bytes, a1 alignment, a2 wished address -> v0 address */
	SIM_RPC_VA_FREE,     /* a0 address, a1 bytes */
	SIM_RPC_PHYS_CREATE, /* a0 device, a1 bytes, a2 1: host memory, a3 SIM_MEM_GRAPH if
	                        it is a graph's, else 0 -> v0 handle */
	SIM_RPC_PHYS_RELEASE, /* a0 handle */
	SIM_RPC_PHYS_RETAIN,  /* a0 handle, or 0 and a1 mapped address -> v0 handle */
	SIM_RPC_PHYS_INFO, /* a0 handle -> v0 bytes, v1 device, v2 references, v3 mappings */
	SIM_RPC_PHYS_EXPORT, /* a0 handle -> fd */
	SIM_RPC_PHYS_IMPORT, /* fd -> v0 handle, v1 bytes, v2 device */
	SIM_RPC_MAP,	     /* a0 address, a1 bytes, a2 offset, a3 handle */
	SIM_RPC_UNMAP,	     /* a0 address, a1 bytes */
	SIM_RPC_ACCESS,	     /* a0 address, a1 bytes, a2 0 none, 1 read, 3 read-write */
	SIM_RPC_CODE_LOAD, /* a0 ctx, a1 bytes, a2 1: addressable (global variables) -> v0 id
	                        of these device bytes held by code, v1 address if asked for */
	SIM_RPC_CODE_UNLOAD,   /* a0 id */
	SIM_RPC_GRAPH_CREATE,  /* fd, a0 bytes, a1 ctx -> v0 id */
	SIM_RPC_GRAPH_DESTROY, /* a0 id; freed once its launches are done */
	SIM_RPC_HOST_DONE,     /* a0 token: the host function has returned */
	SIM_RPC_IPC_GET,     /* a0 address -> v0..v3 the handle's 32 significant bytes */
	SIM_RPC_IPC_OPEN,    /* a0..a3 of the handle, a4 ctx, 0 for a pool's memory
	                        -> v0 address, v1 bytes, v2 device */
	SIM_RPC_IPC_CLOSE,   /* a0 address */
	SIM_RPC_POOL_EXPORT, /* a0 device, a1 number of the client's choice -> fd */
	SIM_RPC_POOL_IMPORT, /* fd -> v0 device, v1 the exporter's client id, v2 that number */
	SIM_RPC_IPC_EVENT_GET,	/* a0 event slot -> v0..v3 */
	SIM_RPC_IPC_EVENT_OPEN, /* a0..a3, a4 event slot that becomes an alias */
	SIM_RPC_EVENT_FORGET,	/* a0 event slot: it will be reused for another event */
	SIM_RPC_STICKY, /* a0 CUresult: this client's work is dropped, it is in error */
	SIM_RPC_FAULT,	/* a0 enum sim_fault_kind, a1 device, a2 value */
	SIM_RPC_TRUTH,	/* a0 SIM_TRUTH_SAMPLES or 0 -> fd: see api/truth_image.h */
	SIM_RPC_MAX
};

enum sim_role { SIM_ROLE_CLIENT, SIM_ROLE_MONITOR };

enum sim_mem_kind {
	SIM_MEM_PLAIN,	 /* freed with its context */
	SIM_MEM_ARRAY,	 /* the same, shown apart */
	SIM_MEM_MANAGED, /* the same, also mapped in the client */
	SIM_MEM_HOST,  /* no device bytes; mapped in the client; freed with its context */
	SIM_MEM_POOL,  /* survives its context */
	SIM_MEM_GRAPH, /* the same */
	SIM_MEM_CODE,  /* global variables of modules; asked for with CODE_LOAD */
	SIM_MEM_KINDS
};

#define SIM_SF_NONBLOCKING 1u
#define SIM_SF_LEGACY 2u
#define SIM_SF_PER_THREAD 4u

enum sim_fault_kind {
	SIM_FAULT_LOST, /* the device falls off the bus; all its clients are in error */
	SIM_FAULT_MEMORY_LIMIT, /* a driver-native limit per client, bytes; 0: none */
	SIM_FAULT_ACCOUNTING /* no fault, a setting: enum simgpu_accounting (simgpu.h) */
};

struct sim_request {
	uint32_t op; /* enum sim_request_op */
	uint32_t pad;
	uint64_t a[6];
};

struct sim_reply {
	int32_t result; /* a CUresult value */
	uint32_t pad;
	uint64_t v[6];
};

/* Follows the reply to HELLO: what the client must know of the devices. */
struct sim_hello {
	uint32_t devices;
	uint32_t driver_version; /* 13000 */
	uint32_t nvml_version;	 /* 13 * 1000 + ... as printed: see config.h */
	uint32_t sm_count;
	uint32_t cc_major, cc_minor;
	uint32_t max_concurrent;
	uint32_t pad;
	uint64_t memory_bytes; /* per device */
	uint64_t context_bytes;
	uint64_t pool_granule_bytes;
	uint64_t copy_bytes_per_s;
	char name[64];
	unsigned char uuid[SIM_MAX_HELLO_DEVICES][SIM_UUID_BYTES];
	char driver_string[32]; /* the driver's version as NVML says it */
};

#endif
