/*
 * arbiter.h - whose turn it is on one device, and until when.
 *
 * Tenants with work take exclusive turns of about a quantum, in weighted fair order. The
 * caller (an agent) tells what happens and when; the arbiter says what to do. It knows no
 * clock, no file, no process: a tenant is a small number that the caller chose.
 *
 * How to call it. Something has happened (a bell, a timer, a death, new terms): feed the
 * events; give a fresh report of each tenant that gsh_arbiter_watches();
 * gsh_arbiter_decide(); carry out its actions in their order; call again at `wake_ns`, or
 * when something happens. While one tenant is active, without a limit, and while none is,
 * wake_ns is GSH_ARBITER_NEVER.
 *
 * Order. Within a priority class: least charged time per share first. Who had no demand
 *   for a while comes back at most a burst behind the others, and may then end a turn of
 *   his class after min_turn_ns. A higher class comes before a lower one, and ends its
 *   turns at once; but tenants of lower classes who are a quantum short of their
 *   guarantee come before those who have had theirs and a burst more. A guarantee is the
 *   request, 1 % for those who asked for less, all scaled down while those of active
 *   tenants add up to more than the device. So of tenants who always have work nobody is
 *   ahead of its part w of the time by more than Q * (1 - w), or behind by more than Q *
 *   w * (n - 1), where Q is a quantum and what drains after it; and a latency tenant
 *   within its guarantee waits for yield_ns at most.
 * Limits. A bucket per tenant is charged with all of its time from grant to release: in
 *   no stretch of time does it hold more than limit * time + burst, and what was in
 *   flight when a turn ended, which is paid back. A turn is granted when there is credit
 *   for one. What a tenant earns while somebody's long kernel keeps it waiting is not
 *   lost above the burst.
 * Somebody has the device while anybody within his limit wants it.
 * The end of a turn: until_ns; a gap, foreseen or grown, longer than keep_ns; a higher
 *   class. The guest then launches no more, and the next turn is granted when what is in
 *   flight is predicted to last handover_ns. A long kernel may take stretch_ns, or
 *   yield_ns if a higher class waits. Whose work is predicted, or said, to take longer
 *   is overtaken: the next turn begins beside it, and the driver slices. From then until
 *   it has drained both are charged a part of the time (their limits: all of it).
 *
 * Lies. Reports come from ledgers, which tenants can falsify; charges come from now_ns
 *   alone. Who pretends work in flight, short gaps or demand prolongs his own turn, by
 *   stretch_ns at most, and each nanosecond is charged. Turns given back at once are
 *   charged keep_ns; who leaves two in a row unused is barred for some quanta. Who
 *   pretends to be idle or drained ends his own turn. Who pretends to overrun is charged
 *   for a part of others' turns, whose limits see nothing of that. Who hides work that
 *   goes on takes what no ledger shows, like one who launches without turns: the caller,
 *   if it can measure that, charges it by gsh_arbiter_charge().
 *
 * Times are nanoseconds of the caller's clock, of any value; if it goes back it stands.
 * Pure; not thread-safe; the caller owns the storage; a decision takes O(tenants).
 */
#ifndef GSH_POLICY_ARBITER_H
#define GSH_POLICY_ARBITER_H

#include <stdbool.h>
#include <stdint.h>

#include "gpushim/policy.h"

enum { GSH_ARBITER_TENANTS_MAX = 256, GSH_ARBITER_ACTIONS_MAX = 8 };

#define GSH_ARBITER_NOBODY UINT32_MAX
/* As until_ns: free for all. As wake_ns: no wake-up. */
#define GSH_ARBITER_NEVER UINT64_MAX

/* Bounded by gsh_arbiter_init() to what makes sense. */
struct gsh_arbiter_tuning {
	uint64_t quantum_ns; /* a turn; 100 us ... 1 s */
	/* From a decision to the first work of the next tenant on the device. */
	uint64_t handover_ns;
	uint64_t keep_ns;     /* gaps up to this are kept; the least charge of a turn */
	uint64_t min_turn_ns; /* before a sleeper of the same class ends a turn */
	uint64_t look_ns;     /* between looks at a holder while others wait */
	uint64_t no_show_ns;  /* without a launch from its beginning, a turn is over */
	uint64_t yield_ns;    /* most that draining takes while a higher class waits, */
	uint64_t stretch_ns;  /* and otherwise */
};

/* Defaults: what is said above, with turns of quantum_ns (0: 10 ms). */
struct gsh_arbiter_tuning gsh_arbiter_tuning(uint64_t quantum_ns);

/* Of one tenant; bounded to what makes sense. request 0: best effort. */
struct gsh_arbiter_terms {
	uint32_t request_permille; /* guarantee, and weight */
	uint32_t limit_permille;   /* cap; 1000: none */
	enum gpushim_priority priority;
	uint64_t burst_ns; /* most credit, of a limit and for sleep; 0: the default */
};

/* What a ledger says of a tenant now, all its processes together. */
struct gsh_arbiter_report {
	/*
	 * Predicted to be left of what has been launched; at least 1 until all of it is
	 * known to be done, 0 from then on. One long kernel or many short ones: no
	 * matter.
	 */
	uint64_t in_flight_ns;
	/* Nothing in flight and nobody waiting since then; 0: not so, or not known. */
	uint64_t idle_since_ns;
	/* Predicted, of the present gap or the one after what is in flight; 0: none. */
	uint64_t gap_ns;
	/* Launches ever: whether a turn is used at all. */
	uint64_t launches;
	bool waits; /* a thread waits at the gate */
};

enum gsh_arbiter_verb {
	/*
	 * The tenant may launch until until_ns. Also said again, with the same turn, when
	 * that changes. GSH_ARBITER_NEVER: until revoked.
	 */
	GSH_ARBITER_GRANT,
	/* Its turn is over before its time: no more launches, until it has rung. */
	GSH_ARBITER_REVOKE,
	/* Its work goes on beside the turns of others. For metrics and logs. */
	GSH_ARBITER_OVERTAKE,
};

struct gsh_arbiter_action {
	enum gsh_arbiter_verb verb;
	uint32_t tenant;
	uint64_t turn; /* counts grants from 1; of OVERTAKE: the one overrun */
	uint64_t until_ns;
};

struct gsh_arbiter_decision {
	uint32_t count;
	struct gsh_arbiter_action actions[GSH_ARBITER_ACTIONS_MAX];
	uint64_t wake_ns; /* decide again then, if not before; never in the past */
};

/* For display. */
struct gsh_arbiter_view {
	bool holds, waits, throttled, overruns;
	uint64_t turns;	     /* granted */
	uint64_t overtaken;  /* how often */
	uint64_t held_ns;    /* from grants to releases, and overruns */
	uint64_t charged_ns; /* in fair order: least charges added, shared time divided */
	uint64_t waited_ns;  /* for turns, up to now */
	int64_t credit_ns;   /* under the limit; below zero: debt; 0 without a limit */
};

/* arbiter*.c's; here so that the caller can own it. About 60 KB. */
struct gsh_arbiter_tenant {
	bool present;
	bool waits;	/* demands a turn and has none */
	bool throttled; /* waits, and lacks credit, or is barred */
	bool joined;	/* its demand began within the turn of somebody else */
	bool lingers;	/* its turn is over, and it is not known to be drained */
	bool overruns;	/* lingers, and was overtaken */
	bool reported;	/* since its turn began */
	bool used;	/* it has launched in its turn, or so it says */
	bool aligned;	/* takes turns on several devices at once, */
	bool again;	/* and wants this one next, as soon as its last has drained */
	struct gsh_arbiter_terms terms;
	struct gsh_arbiter_report report;
	uint32_t weight; /* permille */
	/* Charged time * 1000 / weight, on the clock of its class. */
	uint64_t virtual_ns;
	/* Up to when, on the clock of guarantees, it has had its own. */
	uint64_t assured_ns;
	/* How far that was behind when its demand ended. */
	uint64_t owed_ns;
	/* Used beyond turns, and not made good yet. */
	uint64_t spilt_ns;
	int64_t credit_pm;   /* under its limit, ns * 1000 */
	uint64_t drained_ns; /* when what is in flight is predicted to be done */
	uint64_t launches;   /* in the first report of its turn */
	uint64_t looked_ns;  /* of that report */
	uint64_t lingers_ns; /* since when it lingers */
	uint64_t barred_ns;  /* gets no turn before: it does not use them */
	uint32_t no_shows;   /* in a row */
	uint64_t last_turn;
	uint64_t turns, overtaken, held_ns, charged_ns, waited_ns;
};

struct gsh_arbiter {
	struct gsh_arbiter_tuning tuning;
	uint64_t now_ns;
	uint64_t turn; /* the last granted */
	/* The clock of guarantees: slower while they add up to more than the device. */
	uint64_t assured_ns;
	/* Clocks of classes: where the last of the active is; they never go back. */
	uint64_t virtual_ns[3];
	uint32_t tenants_end; /* one more than the highest ever present */
	uint32_t holder;      /* or GSH_ARBITER_NOBODY */
	bool ending;	      /* the holder launches no more */
	bool assured;	      /* its turn is to meet its guarantee */
	bool pinned;	      /* it lacks other devices yet */
	bool dropped;	      /* aligned turns of which one has ended */
	bool announce;	      /* until_ns has changed */
	uint64_t begin_ns, until_ns, end_ns;
	uint64_t begin_virtual_ns; /* of the holder */
	struct gsh_arbiter_tenant tenants[GSH_ARBITER_TENANTS_MAX];
};

/* Nobody present. */
void gsh_arbiter_init(struct gsh_arbiter *arbiter,
		      const struct gsh_arbiter_tuning *tuning, uint64_t now_ns);

/*
 * A tenant appears (without demand), or its terms change: what it owes and is owed stays.
 * number: below GSH_ARBITER_TENANTS_MAX; here and below others are ignored, as are those
 * not present.
 */
void gsh_arbiter_enter(struct gsh_arbiter *arbiter, uint32_t number,
		       const struct gsh_arbiter_terms *terms, uint64_t now_ns);

/*
 * It is no tenant any more: its turn is over, its debts are forgotten. While it may come
 * back, they are not to be: then what ends the turn of its dead processes is a report of
 * nothing in flight, nobody waiting and a gap without end.
 */
void gsh_arbiter_leave(struct gsh_arbiter *arbiter, uint32_t number, uint64_t now_ns);

/* It has rung its bell: one of its threads waits for a turn. Said again: no matter. */
void gsh_arbiter_demand(struct gsh_arbiter *arbiter, uint32_t number, uint64_t now_ns);

/* Wanted before each decision: of the holder, and of who may still drain. */
bool gsh_arbiter_watches(const struct gsh_arbiter *arbiter, uint32_t tenant);

/*
 * What its ledger says now. Of a tenant that is not watched only `waits` counts: false
 * takes its demand back.
 */
void gsh_arbiter_report(struct gsh_arbiter *arbiter, uint32_t number,
			const struct gsh_arbiter_report *report, uint64_t now_ns);

/*
 * Charges used_ns that the caller has measured outside of turns (bypass, hidden work),
 * bounded to a minute at once; limits and order both see it.
 */
void gsh_arbiter_charge(struct gsh_arbiter *arbiter, uint32_t number, uint64_t used_ns,
			uint64_t now_ns);

/*
 * Decides. Borrows both. Without fresh reports it goes by the last ones, and by its
 * bounds: nothing is ever waited for that only a report could bring.
 */
void gsh_arbiter_decide(struct gsh_arbiter *arbiter, uint64_t now_ns,
			struct gsh_arbiter_decision *decision);

/*
 * Aligned turns for a tenant that uses several devices in one process, with the arbiters
 * of those, in one fixed order, the same for all tenants. To be called when the tenant
 * rings (its demand is this call's to announce), and whenever a decision has granted it a
 * turn on one of them, or one has ended, while it demands; then decide for each of them,
 * and call again if that granted it another. Each device is had in its own fair order, a
 * second one only while the first is held: nobody waits for a lower device than one he
 * holds. True: it holds all of them, and only now the caller passes its grants on; they
 * end together. One part is kept for others to come for four quanta at most while
 * somebody else wants it.
 */
bool gsh_arbiter_align(struct gsh_arbiter *const arbiters[], uint32_t count,
		       uint32_t tenant, uint64_t now_ns);

void gsh_arbiter_view(const struct gsh_arbiter *arbiter, uint32_t number, uint64_t now_ns,
		      struct gsh_arbiter_view *view);

#endif
