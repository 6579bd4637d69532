/*
 * doctor_skipped.c - what is not covered: entry points that are passed on, and programs that
 * a preloaded library cannot reach.
 *
 * hooks.def is the list itself, so this cannot say something else than what is built. Of
 * libshim/cuda nothing else is seen here.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

static const struct skipped {
	const char *symbol, *reason; /* NULL: hooked */
} entries[] = {
#define HOOK(symbol, base, since, flavour, family) { #symbol, NULL },
#define SKIP(symbol, base, since, flavour, because) { #symbol, because },
#include "cuda/hooks.def"
};

enum { ENTRIES = sizeof(entries) / sizeof(entries[0]) };

/* Ways around a preloaded library, whatever its hooks. */
static const char *const out_of_reach[] = {
	"programs linked statically, or that call the kernel driver without libcuda.so.1",
	"programs that gain privileges (setuid, capabilities): for them LD_PRELOAD is ignored",
	"code that dlmopen(3) has loaded into a namespace of its own",
	"programs that take LD_PRELOAD out of the environment of those they start",
	"what other interfaces allocate: Vulkan, OpenGL, display servers",
};

/* How many entries have the reason of this one, which is the first of them; else 0. */
static unsigned count_from(size_t entry)
{
	const char *reason = entries[entry].reason;
	unsigned count = 0;

	for (size_t i = 0; i < ENTRIES && reason; i++) {
		bool same = entries[i].reason && strcmp(entries[i].reason, reason) == 0;

		if (same && i < entry)
			return 0;
		count += same;
	}
	return count;
}

/* Reasons, the commonest first. */
static void print_reasons(void)
{
	unsigned counts[ENTRIES];

	for (size_t i = 0; i < ENTRIES; i++)
		counts[i] = count_from(i);
	for (unsigned count = ENTRIES; count > 0; count--)
		for (size_t i = 0; i < ENTRIES; i++)
			if (counts[i] == count)
				printf("           %4u  %s\n", count, entries[i].reason);
}

void ctl_skipped_summary(void)
{
	unsigned hooked = 0;

	for (size_t i = 0; i < ENTRIES; i++)
		hooked += !entries[i].reason;
	printf("coverage   %u of %u entry points of the driver are hooked, the others passed "
	       "on:\n",
	       hooked, (unsigned)ENTRIES);
	print_reasons();
	puts("           (gpushim-ctl doctor --skipped names them)");
	puts("           Out of reach:");
	for (size_t i = 0; i < sizeof(out_of_reach) / sizeof(out_of_reach[0]); i++)
		printf("           -  %s\n", out_of_reach[i]);
}

void ctl_skipped_list(void)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (entries[i].reason)
			printf("%s\t%s\n", entries[i].symbol, entries[i].reason);
}
