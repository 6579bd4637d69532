/* Where the books of a cell lie; see files.h. */
#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *files_build(void)
{
	return getenv("BUILD") ? getenv("BUILD") : "build";
}

const char *files_path(const struct scenario *scenario, enum load_kind kind,
		       unsigned repeat)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/bench", files_build());
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/bench/share", files_build());
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/bench/share/%s.%s.%u.csv", files_build(),
		 scenario->name, load_facts[kind].name, repeat);
	return path;
}

/* Whether the file of the build is there and no younger than the books. */
static bool is_older(const char *name, const struct timespec *books)
{
	char path[512];
	struct stat stat_;

	snprintf(path, sizeof(path), "%s/%s", files_build(), name);
	return stat(path, &stat_) == 0 && (stat_.st_mtim.tv_sec < books->tv_sec ||
					   (stat_.st_mtim.tv_sec == books->tv_sec &&
					    stat_.st_mtim.tv_nsec <= books->tv_nsec));
}

bool files_fresh(const struct scenario *scenario, enum load_kind kind, unsigned repeat)
{
	struct stat books;

	return stat(files_path(scenario, kind, repeat), &books) == 0 &&
	       is_older("sim/simgpud", &books.st_mtim) &&
	       is_older("sim/libcuda.so.1", &books.st_mtim) &&
	       (scenario->group == GROUP_BARE ||
		is_older("lib/libgpushim.so", &books.st_mtim));
}

void files_forget(const struct scenario *scenario, enum load_kind kind, bool stale_only)
{
	for (unsigned repeat = 1; repeat <= REPEATS_MAX; repeat++)
		if (!stale_only || !files_fresh(scenario, kind, repeat))
			unlink(files_path(scenario, kind, repeat));
}
