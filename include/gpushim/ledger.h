/*
 * ledger.h - the ledger: who of a tenant uses how much of which device.
 *
 * Public ABI, version 1. One regular file of GPUSHIM_LEDGER_BYTES per tenant, fully
 * allocated, mapped read-write by every process of the tenant: DIR/ledger/<tenant>/ledger on
 * the node, DIR/ledger/ledger inside a container. A tenant can falsify its own ledger and no
 * other; who reads one from outside reads it with pread(2), bounds every field, and never
 * writes it. libgpushim-reader does that.
 *
 * Creation
 *   Whoever comes first makes the file complete under a temporary name in the same
 *   directory, `ready` included, and link(2)s it to its name; who loses that race uses the
 *   winner's. The size never changes.
 *
 * Slots
 *   Each process owns one slot: it holds an OFD write lock on the byte at
 *   gpushim_ledger_slot_offset(slot), through a descriptor that is close-on-exec and a
 *   mapping made from it. The lock, and nothing else, says that the slot is alive: it goes
 *   when the process and all forked children that kept the descriptor have gone, which is
 *   also when the driver gives the memory back. `pid` is for people.
 *   A slot is taken by locking it, then clearing it, then storing `state`. A dead slot whose
 *   lock somebody can take is cleared by him (reaped) and then unlocked. Who clears a slot
 *   locks two bytes from there, an owner only the first: F_OFD_GETLK tells them apart.
 *   The third byte is locked by the owner through a description that only a mapping keeps
 *   open, which children do not inherit: it says that the process itself lives, and keeps
 *   the slot alive as the first does. `pending`
 *   of one that has died, while its children keep the slot, is zeroed by who locks that byte
 *   and the next and then finds the slot live.
 *   Only slots below `slots_used` were ever taken.
 *
 * Cells
 *   cell [device][slot] holds what the process has on the device. There is no total. To
 *   reserve n bytes under a quota, all processes do the same:
 *     1. pending += n                                      (sequentially consistent)
 *     2. sum `pending` over all cells of the device, then `charged`  (in this order)
 *     3. if pendings + charges <= quota: charged += n, sequence += 1, pending -= n
 *        otherwise pending -= n
 *   so that of two that race at least one sees the other. Who withdraws (otherwise ...)
 *   counts that in `withdrawals`, after the subtraction. Charging without a limit takes the
 *   same steps without 2.
 *   A request is refused if the charges at one instant left no room for it: read `sequence`
 *   of all cells, then for each cell `charged`, `pending` and `sequence` again; a cell whose
 *   `sequence` stands still had at least charged - pending at the instant between the two
 *   passes, any other at least 0. If others' pending alone stands in the way, it is tried
 *   again; `pending` of a cell in which nothing moves counts as charged after a while.
 *   `sequence` and `withdrawals` are never reset, not by reaping either, which takes away
 *   `charged` before `pending`.
 *   Refunds subtract from `charged`. `kind_bytes` says what the charge consists of;
 *   that of linear memory stays 0: it is what the others leave of `charged`.
 *   `exported_bytes` is the part of `charged` that other processes may keep alive after the
 *   owner has gone: when its slot is reaped while some live slot has `imports`, the cell
 *   keeps that much and the slot's state becomes GPUSHIM_SLOT_ORPHAN, until no live slot
 *   has imports on that device.
 *
 * GPU time
 *   bucket [device] is the tenant's credit of GPU time there, shared by its processes: `level`
 *   grows by the clock at the tenant's rate up to `burst_ns`, launches take from it, and below
 *   zero it is a debt that is paid before the next launch. To refill it from refilled_ns to
 *   now a process moves `refilled_ns` by compare-and-swap, and who succeeds adds the credit;
 *   one that dies in between loses some credit for its tenant and gives it none.
 *   use [device][slot] is what the owner of a slot has used and waited for; zero when a slot
 *   is taken. `used_ns` of the bucket holds the sum over all processes there ever were.
 *   wall [device] is the union of the stretches of time that the tenant's processes were charged
 *   for by what they measured: siblings that held the device in turns are together charged
 *   for no more.
 *   A row of costs says what launches of one signature were found to cost.
 *
 * All sizes are bytes, all times nanoseconds; host byte order; every field that changes is
 * accessed atomically. A reader refuses another `version`.
 */
#ifndef GPUSHIM_LEDGER_H
#define GPUSHIM_LEDGER_H

#include "gpushim/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "GSHLEDGR", little-endian. */
#define GPUSHIM_LEDGER_MAGIC UINT64_C(0x524744454c485347)
#define GPUSHIM_LEDGER_VERSION UINT32_C(1)
#define GPUSHIM_SLOTS_MAX 512u

/* What a charge is for. */
enum gpushim_kind {
	GPUSHIM_KIND_LINEAR,  /* cuMemAlloc, cuMemAllocPitch */
	GPUSHIM_KIND_MANAGED, /* cuMemAllocManaged, in full */
	GPUSHIM_KIND_ARRAY,   /* arrays and mipmapped arrays */
	GPUSHIM_KIND_VMM,     /* cuMemCreate */
	GPUSHIM_KIND_POOL,    /* bytes reserved by stream-ordered pools */
	GPUSHIM_KIND_GRAPH,   /* bytes reserved for memory nodes of graphs */
	GPUSHIM_KIND_CONTEXT, /* contexts, at the configured figure */
	GPUSHIM_KIND_COUNT,
	GPUSHIM_KINDS_MAX = 8,
};

enum gpushim_slot_state {
	GPUSHIM_SLOT_FREE = 0,
	GPUSHIM_SLOT_LIVE = 1,
	GPUSHIM_SLOT_ORPHAN = 2, /* no process; charges of exported memory remain */
};

/* Whence the limit that a process obeys on a device. */
enum gpushim_limit_source {
	GPUSHIM_SOURCE_NONE,
	GPUSHIM_SOURCE_PAGE,	 /* policy page */
	GPUSHIM_SOURCE_FILE,	 /* limits.json, read directly */
	GPUSHIM_SOURCE_VARIABLE, /* GPUSHIM_MEMORY */
	GPUSHIM_SOURCE_HAMI,	 /* CUDA_DEVICE_MEMORY_LIMIT[_i] */
	GPUSHIM_SOURCE_NVIDIA,	 /* NVIDIA_GPU_MEMORY_LIMIT */
	GPUSHIM_SOURCE_DRIVER,	 /* the driver's own limit is smaller */
};

enum gpushim_device_state {
	GPUSHIM_DEVICE_FREE = 0,
	GPUSHIM_DEVICE_CLAIMED = 1, /* being filled in */
	GPUSHIM_DEVICE_READY = 2,
};

/* A device that the tenant has used; its index is that of its cells. */
struct gpushim_ledger_device {
	uint32_t state; /* enum gpushim_device_state */
	uint32_t limit_source;
	uint8_t uuid[16];
	uint64_t total_bytes;	   /* of the device */
	uint64_t limit_bytes;	   /* last obeyed; GPUSHIM_UNLIMITED: none */
	uint64_t peak_bytes;	   /* highest sum of charges seen at a reservation */
	uint64_t overhead_bytes;   /* measured, as last seen in the policy page */
	uint64_t request_permille; /* of GPU time, as last published */
	uint64_t limit_permille;
	uint64_t
		claim; /* hash of uuid; taken from 0 first, so that a row has one device */
	uint64_t reserved[6];
};

/* A process. */
struct gpushim_ledger_slot {
	uint32_t state;		/* enum gpushim_slot_state; stored last */
	uint32_t pid;		/* in the process' own namespace */
	uint64_t pid_namespace; /* inode of /proc/self/ns/pid; 0: not known */
	uint64_t start_unix_ns; /* when it took the slot */
	uint64_t incarnation;	/* how often the slot was taken */
	char command[16];	/* as in /proc/self/comm */
	uint64_t reserved0[2];
#define FIELD(name, kind, text) uint64_t name;
#include "gpushim/ledger_fields.def"
	uint64_t reserved[12];
};

/* What a process has on a device. Two cache lines: reserving touches only the first. */
struct gpushim_ledger_cell {
	uint64_t pending;
	uint64_t charged;
	uint64_t sequence; /* counts increases of `charged` */
	uint64_t exported_bytes;
	uint64_t imports;     /* handles and pointers imported from other processes */
	uint64_t peak_bytes;  /* highest `charged` */
	uint64_t withdrawals; /* reservations taken back before they were charged */
	uint64_t reserved;
	uint64_t kind_bytes[GPUSHIM_KINDS_MAX];
};

/* One look at bucket.used_ns; the older of two with the same place is overwritten. */
struct gpushim_ledger_look {
	uint64_t at_ns; /* CLOCK_MONOTONIC; 0: none yet */
	uint64_t used_ns;
};

#define GPUSHIM_LOOKS_MAX 64u
#define GPUSHIM_LOOK_NS UINT64_C(200000000) /* look i is taken at multiples of this */

/* How long nothing has happened that somebody waits for; see libshim/policy/progress.h. */
struct gpushim_ledger_stall {
	uint64_t since_ns; /* CLOCK_MONOTONIC; 0: nobody waits */
	uint64_t at;	   /* what had happened then */
	uint64_t times;	   /* how often one that waited has passed */
};

/* GPU time of the tenant on a device. */
struct gpushim_ledger_bucket {
	uint64_t level;	      /* two's complement: credit, or debt below zero */
	uint64_t refilled_ns; /* CLOCK_MONOTONIC up to which credit was given; 0: never */
	uint64_t earned_ns;   /* credit given in all */
	uint64_t repairs;  /* impossible values of `level` or `refilled_ns` put right */
	uint32_t bell;	   /* futex: changes when waiting may be over */
	uint32_t released; /* CLOCK_MONOTONIC >> 20 when the progress rule last applied */
	struct gpushim_ledger_stall stalled; /* the progress rule, by oldest_ns */
	/* Of another cache line: who settles, not who launches. */
	uint64_t used_ns; /* GPU time, as measured; all processes, those gone too */
	uint64_t limit_permille; /* the rate in force, as last used; 1000: no cap */
	uint64_t burst_ns;
	uint64_t enforced; /* 0: audit, nothing is delayed */
	/* The same of launches of unknown cost, by unknown_done. */
	struct gpushim_ledger_stall unknown_stalled;
	uint64_t unknown_passed; /* the last: CLOCK_MONOTONIC / 1024 << 9 | slot */
	struct gpushim_ledger_look looks[GPUSHIM_LOOKS_MAX];
};

/* What a process has used of a device's time. Display, but for the first, the third
 * and the three last. */
struct gpushim_ledger_use {
	uint64_t in_flight_ns; /* predicted, launched and not known to be done */
	uint64_t completions;  /* counts measured launches that were seen to be done */
	uint64_t
		waiting_since_ns; /* CLOCK_MONOTONIC, of the longest waiting thread; 0: none */
	uint64_t gpu_ns;	  /* as measured */
	uint64_t waited_ns;	  /* at the gate, over all threads */
	uint64_t launches; /* kernels, graphs, memsets and copies within the device */
	uint64_t delayed;  /* launches that waited at the gate */
	uint64_t released; /* launches let through by the progress rule */
	uint64_t learned;  /* launches whose cost was known, */
	uint64_t variable; /* was known to spread, */
	uint64_t unknown;  /* was not known */
	uint64_t samples;  /* launches that were measured */
	uint64_t
		lost_samples; /* measurements given up: context gone, error, never done */
	uint32_t
		overlap_permille; /* GPU time per predicted time, of late; 0: not known */
	uint32_t inflation_permille; /* seen time per learned time of steady kernels; 0 */
	/* CLOCK_MONOTONIC when the longest in flight was launched; 0: none is. */
	uint64_t oldest_ns;
	uint32_t unknown_in_flight; /* launches whose cost was not known, */
	uint32_t unknown_done;	    /* and those of them that are done with; wraps */
};

#define GPUSHIM_WALL_WORDS 8192u

/*
 * Wall time that some process of the tenant was charged for on a device. Word i / 32 % 8192
 * stands for the 32 stretches of 8192 ns of CLOCK_MONOTONIC up from the i-th, its low 32 bits one
 * each; its high ones are i / 32 / 8192, which tells laps apart.
 */
struct gpushim_ledger_wall {
	uint64_t words[GPUSHIM_WALL_WORDS];
};

enum gpushim_cost_class {
	GPUSHIM_COST_UNKNOWN = 0, /* too few samples: charged at a default */
	GPUSHIM_COST_LEARNED = 1, /* steady */
	GPUSHIM_COST_VARIABLE = 2,
};

enum gpushim_launch_kind {
	GPUSHIM_LAUNCH_KERNEL = 0,
	GPUSHIM_LAUNCH_GRAPH = 1,
	GPUSHIM_LAUNCH_MEMSET = 2,
	GPUSHIM_LAUNCH_COPY = 3, /* within a device, or between two */
};

#define GPUSHIM_COSTS_MAX 256u

/* What launches of one signature cost. Display: the process that learned it writes it. */
struct gpushim_ledger_cost {
	uint64_t key;	 /* hash of all that follows up to shared_bytes; 0: free */
	char name[56];	 /* of the kernel, cut; "" if the driver does not tell */
	uint32_t device; /* row */
	uint32_t kind;	 /* enum gpushim_launch_kind */
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t shared_bytes;
	uint32_t cost_class; /* enum gpushim_cost_class */
	uint64_t cost_ns;    /* what a launch is charged in advance */
	uint64_t low_ns;     /* of late samples: low quantile, median, high quantile */
	uint64_t median_ns;
	uint64_t high_ns;
	uint64_t launches;
	uint64_t samples;
	uint64_t gpu_ns;     /* launches times what they were charged */
	uint64_t updated_ns; /* CLOCK_MONOTONIC */
	uint64_t slot;	     /* who wrote it last */
	uint64_t reserved[2];
};

struct gpushim_ledger_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint64_t bytes;
	uint32_t slots;
	uint32_t slot_bytes;
	uint32_t devices_max;
	uint32_t cell_bytes;
	uint64_t slots_offset;
	uint64_t cells_offset;
	uint64_t created_unix_ns;
	char tenant[GPUSHIM_NAME_BYTES];
	uint32_t slots_used; /* atomic: one more than the highest slot ever taken */
	uint32_t ready;
	uint64_t buckets_offset;
	uint64_t uses_offset;
	uint64_t costs_offset;
	uint32_t bucket_bytes;
	uint32_t use_bytes;
	uint32_t cost_bytes;
	uint32_t costs_max;
	uint64_t walls_offset;
	uint32_t wall_bytes;
	uint32_t reserved0;
	struct gpushim_ledger_device devices[GPUSHIM_DEVICES_MAX];
	uint8_t reserved1[1856];
};

#define GPUSHIM_LEDGER_SLOTS_OFFSET sizeof(struct gpushim_ledger_header)
#define GPUSHIM_LEDGER_CELLS_OFFSET    \
	(GPUSHIM_LEDGER_SLOTS_OFFSET + \
	 GPUSHIM_SLOTS_MAX * sizeof(struct gpushim_ledger_slot))
#define GPUSHIM_LEDGER_BUCKETS_OFFSET                                                    \
	(GPUSHIM_LEDGER_CELLS_OFFSET + (size_t)GPUSHIM_DEVICES_MAX * GPUSHIM_SLOTS_MAX * \
					       sizeof(struct gpushim_ledger_cell))
#define GPUSHIM_LEDGER_USES_OFFSET       \
	(GPUSHIM_LEDGER_BUCKETS_OFFSET + \
	 GPUSHIM_DEVICES_MAX * sizeof(struct gpushim_ledger_bucket))
#define GPUSHIM_LEDGER_COSTS_OFFSET                                                     \
	(GPUSHIM_LEDGER_USES_OFFSET + (size_t)GPUSHIM_DEVICES_MAX * GPUSHIM_SLOTS_MAX * \
					      sizeof(struct gpushim_ledger_use))
/* Last: who only looks does not read it. */
#define GPUSHIM_LEDGER_WALLS_OFFSET    \
	(GPUSHIM_LEDGER_COSTS_OFFSET + \
	 (size_t)GPUSHIM_COSTS_MAX * sizeof(struct gpushim_ledger_cost))
#define GPUSHIM_LEDGER_BYTES           \
	(GPUSHIM_LEDGER_WALLS_OFFSET + \
	 (size_t)GPUSHIM_DEVICES_MAX * sizeof(struct gpushim_ledger_wall))

/* Where in the file a slot lies; the byte there is the one that is locked. */
static inline uint64_t gpushim_ledger_slot_offset(uint32_t slot)
{
	return GPUSHIM_LEDGER_SLOTS_OFFSET +
	       (uint64_t)slot * sizeof(struct gpushim_ledger_slot);
}

static inline uint64_t gpushim_ledger_cell_offset(uint32_t device, uint32_t slot)
{
	return GPUSHIM_LEDGER_CELLS_OFFSET + ((uint64_t)device * GPUSHIM_SLOTS_MAX +
					      slot) * sizeof(struct gpushim_ledger_cell);
}

static inline uint64_t gpushim_ledger_use_offset(uint32_t device, uint32_t slot)
{
	return GPUSHIM_LEDGER_USES_OFFSET + ((uint64_t)device * GPUSHIM_SLOTS_MAX +
					     slot) * sizeof(struct gpushim_ledger_use);
}

GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_bucket) == 1152, "bucket");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_bucket, bell) == 32, "bell");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_bucket, used_ns) == 64, "used");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_bucket, looks) == 128, "looks");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_use) == 128, "use");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_cost, device) == 64, "cost device");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_cost, cost_ns) == 104, "cost");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_cost) == 192, "cost row");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_header, buckets_offset) == 136,
		      "offsets");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_device) == 128, "device row");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_device, total_bytes) == 24, "total");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_slot) == 256, "slot");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_slot, denials) == 64, "fields");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_slot, policy_errors) == 152,
		      "fields");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_cell) == 128, "cell");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_cell, kind_bytes) == 64, "kinds");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_header, tenant) == 64, "tenant");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_header, slots_used) == 128, "used");
GPUSHIM_STATIC_ASSERT(offsetof(struct gpushim_ledger_header, devices) == 192, "devices");
GPUSHIM_STATIC_ASSERT(sizeof(struct gpushim_ledger_header) == 4096, "header");

#ifdef __cplusplus
}
#endif
#endif
