/*
 * slices.c - section "slices": how the device divides its time between processes that all
 * have work without end.
 *
 * Knows: what a pause is made of: with k processes in turn, the runs of the k - 1 others and
 * k changes. Refuses to know why a slice has its length.
 */
#include "slices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSES = 3 };
#define LADDER_NS 600000000ull
#define CLOCK_NS 500000000ull

static struct worker workers[PROCESSES];
static struct answer answers[PROCESSES];

static void ask(int worker, enum order_kind kind, uint64_t ns)
{
	struct order order;

	memset(&order, 0, sizeof order); /* it is sent, padding included */
	order.kind = kind;
	order.ns = ns;
	say(workers[worker].to, &order, sizeof order);
}

static void take(int worker)
{
	if (!hear(workers[worker].from, &answers[worker], sizeof answers[worker]))
		stop("worker %d is gone", worker);
}

/* --- the ladder ---------------------------------------------------------------------- */

static void by_ladder(int k)
{
	char id[60], question[120];
	double runs = 0, pauses = 0, least = HUGE_VAL, most = 0;

	for (int i = 0; i < k; i++)
		ask(i, ORDER_LADDER, LADDER_NS);
	for (int i = 0; i < k; i++)
		take(i);
	for (int i = 0; i < k; i++) {
		char key[40];
		double share = answers[i].run_ns /
			       (answers[i].run_ns + answers[i].pause_ns);

		snprintf(key, sizeof key, "process_%d", i);
		note_text(
			key,
			"%ld pauses, mean run %.0f ns, mean pause %.0f ns (median %.0f), "
			"kernel %.0f ns",
			answers[i].pauses, answers[i].run_ns, answers[i].pause_ns,
			answers[i].pause_median_ns, answers[i].rung_ns);
		runs += answers[i].run_ns;
		pauses += answers[i].pause_ns;
		least = share < least ? share : least;
		most = share > most ? share : most;
	}
	snprintf(id, sizeof id, "slices.ladder_%d_slice", k);
	snprintf(question, sizeof question,
		 "Mean run of one of %d processes between pauses, by events", k);
	for (int i = 0; i < k; i++) {
		if (answers[i].pauses >= 10)
			continue;
		fact_unknown(id, question, "process %d saw only %ld pauses", i,
			     answers[i].pauses);
		return;
	}
	fact_number(id, question, runs / k, "ns");
	snprintf(id, sizeof id, "slices.ladder_%d_switch", k);
	snprintf(question, sizeof question,
		 "Time lost at one change between %d processes, by events", k);
	/* Sums over the processes: a pause is the others' runs and k changes. */
	fact_number(id, question, (pauses - (k - 1) * runs) / k / k, "ns");
	note("least", least);
	note("most", most);
	snprintf(id, sizeof id, "slices.ladder_%d_share", k);
	snprintf(question, sizeof question,
		 "Part of the time that each of %d gets, on average", k);
	fact_number(id, question, runs / (runs + pauses), "");
}

static void two_contexts(void)
{
	double share;

	ask(1, ORDER_TWO_CONTEXTS, 3 * LADDER_NS + 500000000ull);
	hear_go(workers[1].from);
	ask(0, ORDER_LADDER, LADDER_NS);
	take(0);
	take(1);
	share = answers[0].run_ns / (answers[0].run_ns + answers[0].pause_ns);
	note("pauses", (double)answers[0].pauses);
	note("mean_run_ns", answers[0].run_ns);
	note("mean_pause_ns", answers[0].pause_ns);
	if (answers[0].pauses < 10)
		fact_unknown("slices.two_contexts",
			     "Share of a process beside one with two contexts",
			     "it saw only %ld pauses", answers[0].pauses);
	else
		fact_number("slices.two_contexts",
			    "Share of a process beside one with two contexts", share, "");
}

/* --- the clock ----------------------------------------------------------------------- */

struct run {
	uint64_t from, to;
	int process;
};

static int by_start(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Whole runs of all k within the time that all of them ran. Returns their number. */
static size_t whole_runs(int k, struct run *runs)
{
	uint64_t from = 0, to = UINT64_MAX;
	size_t n = 0;

	for (int i = 0; i < k; i++) {
		from = answers[i].first > from ? answers[i].first : from;
		to = answers[i].last < to ? answers[i].last : to;
	}
	for (int i = 0; i < k; i++) {
		for (long p = 0; p + 1 < answers[i].pauses; p++) {
			struct run run = { answers[i].pairs[2 * p + 1],
					   answers[i].pairs[2 * p + 2], i };
			if (run.from >= from && run.to <= to)
				runs[n++] = run;
		}
	}
	qsort(runs, n, sizeof *runs, by_start);
	return n;
}

static void by_clock(int k)
{
	static struct run runs[PROCESSES * GAPS_MAX];
	static double lengths[PROCESSES * GAPS_MAX], changes[PROCESSES * GAPS_MAX];
	char id[60], question[120];
	size_t n, changes_n = 0, overlaps = 0, in_turn = 0;
	int last_of[PROCESSES] = { -1, -1, -1 };

	for (int i = 0; i < k; i++)
		ask(i, ORDER_CLOCK, CLOCK_NS);
	for (int i = 0; i < k; i++)
		take(i);
	snprintf(id, sizeof id, k == 1 ? "slices.clock_alone" : "slices.clock_%d_slice",
		 k);
	snprintf(
		question, sizeof question,
		k == 1 ? "Pauses over 15 us of %d process alone, by the device's clock"
		       : "Run of one of %d processes between pauses, by the device's clock",
		k);
	if (answers[0].pauses < 0) {
		fact_unknown(id, question, "the device does not run the probe's kernel");
		return;
	}
	if (k == 1) {
		note("ns", (double)(answers[0].last - answers[0].first));
		fact_number("slices.clock_alone", question, (double)answers[0].pauses,
			    "pauses");
		return;
	}
	n = whole_runs(k, runs);
	for (size_t i = 0; i < n; i++) {
		lengths[i] = (double)(runs[i].to - runs[i].from);
		if (i > 0 && runs[i].process != runs[i - 1].process) {
			double change = (double)runs[i].from - (double)runs[i - 1].to;
			bool oldest = true;

			overlaps += change < 0;
			changes[changes_n++] = change;
			for (int p = 0; p < k; p++)
				oldest &= last_of[runs[i].process] <= last_of[p];
			in_turn += oldest;
		}
		last_of[runs[i].process] = (int)i;
	}
	note("runs", (double)n);
	note_samples("run_ns", lengths, n);
	fact_number(id, question, quantile(lengths, n, 0.5), "ns");
	snprintf(id, sizeof id, "slices.clock_%d_switch", k);
	snprintf(question, sizeof question,
		 "From the end of one's run to the next's begin, %d processes, median",
		 k);
	note("overlaps", (double)overlaps);
	note("to_who_waited_longest", (double)in_turn);
	note_samples("change_ns", changes, changes_n);
	fact_number(id, question, quantile(changes, changes_n, 0.5), "ns");
}

/* --- event brackets ------------------------------------------------------------------ */

static void by_brackets(int others)
{
	static const uint64_t long_enough[] = { 0, 1600000000, 2400000000 };
	char id[60], question[120];

	for (int i = 1; i <= others; i++)
		ask(i, ORDER_BURN, long_enough[others]);
	for (int i = 1; i <= others; i++)
		hear_go(workers[i].from);
	ask(0, ORDER_BRACKETS, 0);
	for (int i = 0; i <= others; i++)
		take(i);
	for (int k = 0; k < BRACKETS; k++) {
		char key[40];
		snprintf(key, sizeof key, "%.0f_us_of_work", bracket_us[k]);
		note(key, answers[0].inflation[k]);
	}
	snprintf(id, sizeof id, "slices.bracket_%d_others", others);
	snprintf(
		question, sizeof question,
		"Event time around 20 ms of work, over that work's time alone, %d others",
		others);
	fact_number(id, question, answers[0].inflation[BRACKETS - 1], "times");
}

void section_slices(void)
{
	for (int i = 0; i < PROCESSES; i++)
		workers[i] = worker_start(slices_worker, NULL);
	for (int i = 0; i < PROCESSES; i++) {
		say_go(workers[i].to);
		hear_go(workers[i].from);
	}
	by_clock(1);
	for (int k = 2; k <= PROCESSES; k++) {
		by_ladder(k);
		by_clock(k);
	}
	for (int others = 0; others < PROCESSES; others++)
		by_brackets(others);
	two_contexts();
}
