/*
 * policy.h - the policy page: what a tenant may use, published by one writer, read by every
 * process of the tenant.
 *
 * Public ABI, version 1. One regular file of GPUSHIM_POLICY_BYTES per tenant, which guests
 * map read-only: DIR/policy/<tenant>/policy on the node, DIR/policy/policy inside a
 * container that sees only its own.
 *
 * Protocol
 *   There is one writer at a time; it holds flock(LOCK_EX) on DIR/policy/.lock, which only
 *   writers can open: who can read a page could lock the page itself. The file is written in
 *   place: it is never renamed and never truncated, so that a mapping stays valid.
 *   Limits live in two copies. Copy number `generation & 1` is the one in force. To change
 *   them the writer fills the other copy (each word with a release store), whose
 *   `generation` field is one higher, stores its checksum, and then stores `generation` in
 *   the page (release). A reader loads `generation` (acquire), copies the struct it names
 *   (each word with an acquire load), loads `generation` again, and starts over if it has
 *   changed. It accepts the copy if its own `generation` field and its checksum are right; a
 *   reader that already has limits otherwise keeps those. A page of generation 0 has no
 *   limits yet.
 *   `ready` is stored last when a page is made; a page without it is treated as absent.
 *
 *   Heartbeat, measurements and turns lie outside the copies and their checksums, each on
 *   cache lines of their own. The heartbeat is a counter and not a time: a reader judges its
 *   age by its own clock.
 *
 * All fields are in host byte order; strings end with NUL; unused bytes are zero. Sizes are
 * bytes. A reader refuses another `version`, and accepts a larger `bytes`.
 */
#ifndef GPUSHIM_POLICY_H
#define GPUSHIM_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define GPUSHIM_STATIC_ASSERT static_assert
#else
#define GPUSHIM_STATIC_ASSERT _Static_assert
#endif

/* "GSHPOLCY", little-endian. */
#define GPUSHIM_POLICY_MAGIC UINT64_C(0x59434c4f50485347)
#define GPUSHIM_POLICY_VERSION UINT32_C(1)
#define GPUSHIM_POLICY_BYTES 16384u

#define GPUSHIM_DEVICES_MAX 16u
#define GPUSHIM_NAME_BYTES 64u	  /* of a tenant, NUL included */
#define GPUSHIM_REASON_BYTES 192u /* of a source or a reason, NUL included */
#define GPUSHIM_UNLIMITED UINT64_MAX

/* What cuMemGetInfo and cuDeviceTotalMem show as total. */
enum gpushim_view {
	GPUSHIM_VIEW_QUOTA = 0,	 /* the quota */
	GPUSHIM_VIEW_DEVICE = 1, /* the whole device, as under MPS */
};

enum gpushim_priority {
	GPUSHIM_PRIORITY_NORMAL = 0,
	GPUSHIM_PRIORITY_LATENCY = 1,
	GPUSHIM_PRIORITY_BATCH = 2,
};

/* Limits on one device. The smaller of memory_bytes and memory_ppm holds. */
struct gpushim_policy_device {
	uint8_t uuid[16];	/* as cuDeviceGetUuid_v2; all zero in `others` */
	uint64_t memory_bytes;	/* GPUSHIM_UNLIMITED: not given in bytes */
	uint64_t context_bytes; /* charged for each context; 0: not known */
	uint32_t memory_ppm;	/* millionths of the device's memory; 0: not given so */
	uint32_t view;		/* enum gpushim_view */
	uint32_t request_permille; /* guaranteed share of GPU time, and weight; 0: none */
	uint32_t limit_permille;   /* cap on GPU time; 1000: no cap */
	uint32_t priority;	   /* enum gpushim_priority */
	uint32_t burst_ms;	   /* most credit of GPU time saved up; 0: the default */
	uint32_t reserved[2];
};

#define GPUSHIM_BURST_MS_DEFAULT 20u
#define GPUSHIM_BURST_MS_MAX 1000u

enum gpushim_policy_flags {
	GPUSHIM_POLICY_CLOSED = 1u << 0, /* nothing may be used; `reason` says why */
	GPUSHIM_POLICY_AUDIT = 1u << 1,	 /* all is counted, nothing refused or delayed */
};

/* One copy of the limits. */
struct gpushim_policy_limits {
	uint64_t generation;
	uint32_t flags; /* enum gpushim_policy_flags */
	uint32_t device_count;
	char tenant[GPUSHIM_NAME_BYTES];
	char source[GPUSHIM_REASON_BYTES]; /* where they are from, for people */
	char reason[GPUSHIM_REASON_BYTES];
	struct gpushim_policy_device others; /* devices that have no row */
	struct gpushim_policy_device devices[GPUSHIM_DEVICES_MAX];
	uint64_t checksum; /* 64-bit FNV-1a of all bytes before it */
};

/* What the driver was measured to hold for the tenant beyond what its ledger says. */
struct gpushim_policy_measured {
	uint8_t uuid[16];
	uint64_t overhead_bytes;
	uint64_t count; /* of measurements; 0: none */
};

/* Whether a tenant may use a device now, where an agent hands out turns. */
enum gpushim_turn_state {
	GPUSHIM_TURN_OFF = 0, /* nobody hands out any: limits hold as without an agent */
	GPUSHIM_TURN_FREE =
		1, /* nobody else wants the device: limits hold in the same way */
	GPUSHIM_TURN_WAIT = 2, /* not now; who wants the device rings the bell */
	GPUSHIM_TURN_MINE = 3, /* now, and up to window_us of work in flight */
};

/*
 * Turns on a device. Written by the agent only: window_us first, then word (release), then
 * FUTEX_WAKE on it. A guest believes it while the heartbeat goes on: an agent from which
 * nothing was heard for GPUSHIM_TURN_DEAD_MS is as good as none.
 */
struct gpushim_policy_turn {
	uint8_t uuid[16];   /* all zero: no row */
	uint32_t word;	    /* atomic, futex: number of the change << 2 | state */
	uint32_t window_us; /* atomic; 0: the guest's own */
	uint64_t reserved[5];
};

#define GPUSHIM_TURN_STATE(word) ((enum gpushim_turn_state)((word)&3u))
#define GPUSHIM_TURN_DEAD_MS 1000u

/*
 * The bell: a FIFO beside the ledger, made by who comes first, that the agent reads. A byte of
 * any value says that something has changed for a tenant whose turns are handed out: it
 * wants the device, or has nothing more in flight.
 */
#define GPUSHIM_BELL_NAME "bell"

struct gpushim_policy_page {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes;
	uint64_t generation; /* atomic */
	uint32_t ready;	     /* atomic, stored last */
	uint32_t reserved0[9];
	uint64_t heartbeat; /* atomic; counts while an agent lives; 0: none ever did */
	uint32_t heartbeat_ms;
	uint32_t reserved1[13];
	struct gpushim_policy_measured measured[GPUSHIM_DEVICES_MAX]; /* fields atomic */
	uint8_t reserved2[384];
	struct gpushim_policy_limits limits[2];
	uint8_t reserved3[16];
	struct gpushim_policy_turn turns[GPUSHIM_DEVICES_MAX]; /* from a cache line on */
	uint8_t reserved4[GPUSHIM_POLICY_BYTES - 4160 -
			  GPUSHIM_DEVICES_MAX * sizeof(struct gpushim_policy_turn)];
};

GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_policy_device) == 64, "device row");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_device, memory_ppm) == 32, "ppm");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_limits, tenant) == 16, "tenant");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_limits, source) == 80, "source");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_limits, reason) == 272, "reason");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_limits, others) == 464, "others");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_limits, devices) == 528, "devices");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_limits, checksum) == 1552,
		      "checksum");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_policy_limits) == 1560, "copy");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_page, generation) == 16,
		      "generation");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_page, ready) == 24, "ready");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_page, heartbeat) == 64, "heartbeat");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_page, measured) == 128, "measured");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_page, limits) == 1024, "limits");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_policy_turn) == 64, "turn");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_policy_page, turns) == 4160, "turns");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_policy_page) == GPUSHIM_POLICY_BYTES, "page");

#ifdef __cplusplus
}
#endif
#endif
