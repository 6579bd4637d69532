/* linked.h - the work by direct calls, for what is linked to the driver. */
#ifndef TESTS_PRELOAD_PARTS_LINKED_H
#define TESTS_PRELOAD_PARTS_LINKED_H

#include "work.h"

#define X(symbol, base, version, parameters) int symbol parameters;
WORK_ENTRIES(X)
#undef X

static inline int linked_run(void)
{
	const struct work work = {
#define X(symbol, base, version, parameters) .symbol = symbol,
		WORK_ENTRIES(X)
#undef X
	};

	return work_run(&work);
}

#endif
