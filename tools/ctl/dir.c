/*
 * dir.c - where policies and ledgers lie.
 */
#include "ctl/ctl.h"

#include <limits.h>
#include <stdlib.h>

#include "common/publish.h"

const char *ctl_dir(const char *given)
{
	static char dir[PATH_MAX];
	struct gsh_reason why;

	if (!given)
		given = getenv("GPUSHIM_DIR");
	if (given && *given)
		return given;
	if (gsh_publish_dir(dir, sizeof(dir), &why) == 0)
		return dir;
	ctl_fail("%s.", why.text);
	return NULL;
}
