/* plugin_linked.c - a plug-in that is linked to the driver. */
#include "linked.h"

int plugin_run(void);

int plugin_run(void)
{
	int result = linked_run();

	/* In a name space of its own nobody else flushes this C library's output. */
	fflush(stdout);
	return result;
}
