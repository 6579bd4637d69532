/* What is still to be measured; see plan.h. */
#include "plan.h"

#include <string.h>

#include "books.h"

static unsigned repeats_of(const struct scenario *scenario,
			   const struct plan_terms *terms)
{
	return scenario->group == GROUP_BARE ? 1 : terms->repeats;
}

/* Whether the books are of this build and reach as far as is wanted now. */
static bool is_here(const struct plan_item *item, const struct plan_terms *terms)
{
	struct books books;
	bool here;

	if (!files_fresh(item->scenario, item->kind, item->repeat) ||
	    books_load(&books, files_path(item->scenario, item->kind, item->repeat)) < 0)
		return false;
	here = books.nprocesses == scenario_processes(item->scenario) &&
	       measure_is_whole(item->scenario, &terms->span, &books);
	books_free(&books);
	return here;
}

/* Also without being asked for: a control that others are judged by. */
static bool is_missing_control(const struct scenario *scenario, enum load_kind kind,
			       const struct plan_terms *terms)
{
	if (strcmp(scenario->name, "bare-1") != 0 || files_fresh(scenario, kind, 1))
		return false;
	for (unsigned s = 0; s < nscenarios; s++)
		if (cell_exists(&scenarios[s], kind) &&
		    cell_wanted(&scenarios[s], kind, terms->cells))
			return true;
	return false;
}

static void add(struct plan *plan, const struct plan_item *item,
		const struct plan_terms *terms)
{
	if (item->repeat > repeats_of(item->scenario, terms) ||
	    !cell_exists(item->scenario, item->kind) ||
	    (!cell_wanted(item->scenario, item->kind, terms->cells) &&
	     !is_missing_control(item->scenario, item->kind, terms)))
		return;
	if (item->repeat == 1)
		files_forget(item->scenario, item->kind, terms->go_on);
	if (terms->go_on && is_here(item, terms))
		plan->kept++;
	else
		plan->items[plan->n++] = *item;
}

void plan_make(struct plan *plan, const struct plan_terms *terms)
{
	plan->n = plan->kept = 0;
	for (unsigned repeat = 1; repeat <= REPEATS_MAX; repeat++)
		for (unsigned s = 0; s < nscenarios; s++)
			for (int kind = 0; kind < LOAD_KINDS; kind++)
				add(plan,
				    &(struct plan_item){ &scenarios[s],
							 (enum load_kind)kind, repeat },
				    terms);
}

double plan_seconds(const struct plan *plan, unsigned from,
		    const struct plan_terms *terms)
{
	double seconds = 0;

	for (unsigned i = from; i < plan->n; i++)
		seconds += measure_seconds(plan->items[i].scenario, &terms->span);
	return seconds;
}
