/*
 * model.h - what gpushim-top shows: rows of tenants and their processes, rates, devices,
 * history and events, made of what was read of the tenants' files time after time.
 *
 * Pure: no files, no clock, no terminal. What is not known is TOP_UNKNOWN and never 0.
 * Texts are printable ASCII. The model keeps copies of all it is given. It ends the program,
 * with a sentence, where there is no memory. One thread at a time.
 *
 *	top_model_begin(&model, now_ns, unix_ns);
 *	top_model_add(&model, &look);		for each tenant
 *	top_model_end(&model);
 */
#ifndef GSH_TOOLS_TOP_MODEL_H
#define GSH_TOOLS_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpushim/reader.h"
#include "top/cgroup.h"
#include "top/ring.h"

#define TOP_UNKNOWN GPUSHIM_UNKNOWN

enum {
	TOP_DEVICES_MAX = 64,
	TOP_EVENTS_MAX = 256,
	/* Beyond this a tenant's new events replace its own. */
	TOP_EVENTS_OF_ONE = 128,
};

#define TOP_NO_DEVICE UINT32_MAX
#define TOP_NO_SLOT UINT32_MAX

/* How long what has ended stays on the screen, and a refusal in the state. */
#define TOP_GONE_NS UINT64_C(5000000000)
#define TOP_REFUSED_NS UINT64_C(10000000000)
/* An agent beats more than once in this time. */
#define TOP_AGENT_NS UINT64_C(5000000000)

enum top_column {
#define COLUMN(id, name, heading, align, least, most, rank, help) TOP_COLUMN_##id,
#include "top/columns.def"
	TOP_COLUMNS
};

enum top_state {
#define STATE(id, name, tone, help) TOP_STATE_##id,
#include "top/states.def"
	TOP_STATES
};

enum top_agent { TOP_AGENT_NONE, TOP_AGENT_UNSEEN, TOP_AGENT_ALIVE, TOP_AGENT_SILENT };

/* What this machine says of a process of a tenant; 0 and "": not known. */
struct top_host {
	uint32_t pid;
	char user[24];
	char command[128]; /* with its arguments */
	char container[TOP_CONTAINER_BYTES];
	char pod[TOP_POD_BYTES];
};

/* What one tenant's files say now. Borrowed for the call. */
struct top_look {
	const char *dir;   /* in which they lie */
	const char *name;  /* of the tenant */
	const char *error; /* why they cannot be read; NULL: they can */
	const struct gpushim_snapshot *snapshot; /* NULL with an error */
	const struct top_host *hosts; /* one for each process; NULL: nothing is known */
};

struct top_device {
	uint8_t uuid[16];
	char name[64];	      /* "": not known */
	uint64_t total_bytes; /* as below: over all tenants */
	uint64_t used_bytes;  /* overhead included */
	uint64_t share_ppm;   /* TOP_UNKNOWN while no tenant's is known */
	uint64_t
		driver_limit_bytes; /* the driver's own, smallest seen; TOP_UNKNOWN: none */
	uint64_t used_sample;	    /* the last in which a tenant had it */
	unsigned tenants;	    /* that hold memory or have processes there */
	unsigned waiting;	    /* processes held at the gate */
	enum top_agent agent;
	struct top_ring ring;
};

/* A tenant on one of its devices. */
struct top_part {
	uint32_t device; /* in top_model.devices; TOP_NO_DEVICE: there are too many */
	struct gpushim_device now;
	struct top_ring ring;
};

struct top_tenant {
	uint64_t id; /* never given again */
	char *dir;
	char name[GPUSHIM_NAME_BYTES];
	char error[GPUSHIM_REASON_BYTES]; /* "": none */
	uint64_t seen_sample;		  /* the last in which it was there */
	uint64_t gone_ns; /* since when its files are not there; 0: they are */
	uint64_t created_unix_ns;
	bool has_policy;
	struct gpushim_policy_limits policy;
	uint64_t heartbeat,
		beat_ns; /* the agent's, and when it was first seen as it is */
	enum top_agent agent;
	unsigned processes; /* alive */
	unsigned parts_count;
	struct top_part *parts;
};

struct top_row {
	uint64_t tenant_id;
	uint64_t start_unix_ns; /* of the process */
	uint32_t slot;		/* TOP_NO_SLOT: a tenant's own row */
	uint32_t device;	/* in top_model.devices, or TOP_NO_DEVICE */
	uint32_t
		group; /* rows of processes stand below the tenant's row of their group */
	uint32_t tenant; /* in top_model.tenants */
	uint32_t alive;
	enum top_state state;
	uint64_t gone_ns; /* since when; 0: it is there */
	uint64_t pid_namespace;
	uint64_t quota_bytes; /* TOP_UNKNOWN: none, or not known */
	uint64_t limit_ppm;   /* of GPU time, likewise */
	bool enforced;
	/* By column: bytes, millionths, nanoseconds, or thousandths per second (launches). */
	uint64_t value[TOP_COLUMNS];
	/* For the next time. */
	uint64_t at_ns, gpu_ns, waited_ns, launches, denials;
	char command[96];
	char user[24];
	char container[TOP_CONTAINER_BYTES];
	char pod[TOP_POD_BYTES];
};

enum top_event_kind {
	TOP_EVENT_REFUSED, /* an allocation */
	TOP_EVENT_POLICY,  /* limits have changed */
	TOP_EVENT_STARTED,
	TOP_EVENT_ENDED,
	TOP_EVENT_TROUBLE, /* files that cannot be read, values put right */
};

struct top_event {
	uint64_t number; /* from 1 */
	uint64_t unix_ns;
	uint64_t tenant_id;
	enum top_event_kind kind;
	char tenant[GPUSHIM_NAME_BYTES];
	char text[144];
};

/* All zero is empty. */
struct top_model {
	uint64_t now_ns, unix_ns; /* of the last samples */
	uint64_t samples;
	size_t rows_count, rows_room;
	struct top_row *rows; /* tenants in order, each row followed by its processes */
	size_t tenants_count, tenants_room;
	struct top_tenant **tenants;
	size_t devices_count;
	struct top_device devices[TOP_DEVICES_MAX];
	/*
	 * How many there ever were; the newest is in events[(events_count - 1) % MAX], older
	 * ones before it. Who has had many of them makes room for new ones first.
	 */
	uint64_t events_count;
	struct top_event events[TOP_EVENTS_MAX];
	uint64_t next_id;
	size_t next_tenant; /* where the tenant that comes next probably is */
	/* Of the sample before, and where in it a key is; see rows.c. */
	size_t old_count, old_room, index_room;
	struct top_row *old;
	uint32_t *index;
};

/* Starts a sample. now_ns: any clock that only goes on, the tenants' own if possible. */
void top_model_begin(struct top_model *model, uint64_t now_ns, uint64_t unix_ns);
void top_model_add(struct top_model *model, const struct top_look *look);
/* Ends it: what was there before and is not any more stays for a while as gone. */
void top_model_end(struct top_model *model);
/* Gives back all memory; the model is empty then. */
void top_model_free(struct top_model *model);

/* Names a device; it is made known if it was not. More than TOP_DEVICES_MAX are ignored. */
void top_model_name(struct top_model *model, const uint8_t uuid[16], const char *name);

/* A device by its number, its UUID or the start of that; TOP_NO_DEVICE: there is none. */
uint32_t top_model_find_device(const struct top_model *model, const char *text);

/* The tenant's row, or that of a process; NULL: there is none. Valid until the next sample. */
const struct top_row *top_model_row(const struct top_model *model, uint64_t tenant_id,
				    uint32_t slot, uint32_t device);
/* NULL: gone for good. */
const struct top_tenant *top_model_tenant(const struct top_model *model,
					  uint64_t tenant_id);
/* The tenant's part on a device; NULL: none. */
const struct top_part *top_tenant_part(const struct top_tenant *tenant, uint32_t device);

const char *top_state_name(enum top_state state);

/* Never NULL: the program ends with a sentence if there is no memory. */
void *top_reallocate(void *array, size_t bytes);
/* The same for an array that grows: room for at least count entries of so many bytes. */
void *top_grow(void *array, size_t *room, size_t count, size_t bytes);

#endif
