/* One cell, measured; see measure.h. */
#include "measure.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "files.h"

#define LOOK_NS UINT64_C(50000000)
/* A change of limits is looked at more closely. */
#define LOOK_SET_NS UINT64_C(20000000)
/* The driver alone has nothing to learn and no bucket to empty. */
#define WARM_UP_BARE_S 0.5
/* To make a place and processes. */
#define START_S 0.1

struct child {
	pid_t pid;
	int in, out;
};

struct cell {
	const struct scenario *scenario;
	enum load_kind kind;
	const char *build;
	char dir[256];
	struct simgpu_monitor *monitor;
	unsigned nchildren;
	struct child children[PROCESSES_MAX];
	pid_t pids[PROCESSES_MAX];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const struct cell *cell, const char *sentence)
{
	fprintf(stderr, "%s.%s: %s\n", cell->scenario->name, load_facts[cell->kind].name,
		sentence);
	return -1;
}

/* ---- the load's side ---- */

int measure_load(const char *kind, const char *seconds)
{
	enum load_kind which = load_find(kind);
	char word;

	/* Whoever measures may be killed; its loads are not to go on. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	load_prepare(which == LOAD_KINDS ? LOAD_20US : which);
	if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &word, 1) != 1)
		return 1;
	if (which != LOAD_KINDS)
		load_run(which, now_ns() + (uint64_t)(strtod(seconds, NULL) * 1e9));
	/* What is enqueued runs on until the process is killed. */
	return read(STDIN_FILENO, &word, 1) != 0;
}

/* ---- directory and limits ---- */

static int remove_one(const char *path, const struct stat *stat, int flag,
		      struct FTW *where)
{
	(void)stat;
	(void)flag;
	(void)where;
	return remove(path);
}

static int make_place(struct cell *cell)
{
	const char *base = getenv("TMPDIR");
	char state[300];

	snprintf(cell->dir, sizeof(cell->dir), "%s/share-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(cell->dir))
		return fail(cell, "No directory could be made; see TMPDIR.");
	snprintf(state, sizeof(state), "%s/sim", cell->dir);
	if (mkdir(state, 0700) < 0 || setenv("SIMGPU_STATE", state, 1) < 0 ||
	    setenv("GPUSHIM_DIR", cell->dir, 1) < 0)
		return fail(cell, "No directory could be made for the device.");
	return 0;
}

/* gpushim-ctl with these words; silent unless it fails. */
static int ctl(const struct cell *cell, const char *words)
{
	char command[1024];

	snprintf(command, sizeof(command), "'%s/bin/gpushim-ctl' %s >'%s/ctl' 2>&1",
		 cell->build, words, cell->dir);
	if (system(command) == 0)
		return 0;
	snprintf(command, sizeof(command), "cat '%s/ctl' >&2", cell->dir);
	if (system(command) != 0)
		fputs("What gpushim-ctl said cannot be shown.\n", stderr);
	return fail(cell, "gpushim-ctl failed; its words are above.");
}

static int apply(const struct cell *cell)
{
	char path[300], words[400];
	FILE *file;

	snprintf(path, sizeof(path), "%s/limits.json", cell->dir);
	file = fopen(path, "w");
	if (!file)
		return fail(cell, "limits.json cannot be written.");
	fputs("{ \"version\": 1, \"tenants\": {", file);
	for (unsigned t = 0; t < scenario_tenants(cell->scenario); t++)
		fprintf(file, "%s\n\"t%u\": { \"compute\": %g }", t ? "," : "", t,
			cell->scenario->tenants[t].limit_permille / 10.0);
	fputs("\n} }\n", file);
	if (fclose(file) != 0)
		return fail(cell, "limits.json cannot be written.");
	snprintf(words, sizeof(words), "apply '%s'", path);
	return ctl(cell, words);
}

static int set(const struct cell *cell, uint32_t limit_permille)
{
	char words[64];

	snprintf(words, sizeof(words), "set t0 compute=%g", limit_permille / 10.0);
	return ctl(cell, words);
}

/* ---- processes ---- */

static void become_load(const struct cell *cell, unsigned process, double seconds)
{
	unsigned t = scenario_tenant_of(cell->scenario, process);
	char preload[600], tenant[16], lasts[32];

	snprintf(preload, sizeof(preload), "%s/lib/libgpushim.so", cell->build);
	snprintf(tenant, sizeof(tenant), "t%u", t);
	snprintf(lasts, sizeof(lasts), "%.3f", seconds);
	if (cell->scenario->group == GROUP_BARE) {
		unsetenv("GPUSHIM_DIR");
	} else {
		setenv("LD_PRELOAD", preload, 1);
		setenv("GPUSHIM_TENANT", tenant, 1);
	}
	execl("/proc/self/exe", "load", "--load",
	      cell->scenario->tenants[t].idle ? "idle" : load_facts[cell->kind].name,
	      lasts, NULL);
	_exit(127);
}

static int start(struct cell *cell, double seconds)
{
	struct child *child = &cell->children[cell->nchildren];
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0)
		return fail(cell, "There are no pipes left.");
	fflush(NULL);
	child->pid = fork();
	if (child->pid == 0) {
		dup2(down[0], STDIN_FILENO);
		dup2(up[1], STDOUT_FILENO);
		become_load(cell, cell->nchildren, seconds);
	}
	close(down[0]);
	close(up[1]);
	child->in = up[0];
	child->out = down[1];
	cell->pids[cell->nchildren++] = child->pid;
	return 0;
}

static int start_all(struct cell *cell, double seconds)
{
	char word;

	while (cell->nchildren < scenario_processes(cell->scenario))
		if (start(cell, seconds) < 0)
			return -1;
	for (unsigned i = 0; i < cell->nchildren; i++)
		if (read(cell->children[i].in, &word, 1) != 1)
			return fail(cell, "A load ended before it was ready.");
	for (unsigned i = 0; i < cell->nchildren; i++)
		if (write(cell->children[i].out, "g", 1) != 1)
			return fail(cell, "A load has gone.");
	return 0;
}

static void end_all(struct cell *cell)
{
	for (unsigned i = 0; i < cell->nchildren; i++) {
		kill(cell->children[i].pid, SIGKILL);
		waitpid(cell->children[i].pid, NULL, 0);
		close(cell->children[i].in);
		close(cell->children[i].out);
	}
}

/* ---- looking ---- */

/* Rows at a fixed step up to a time, the last one at or after it. */
static int look_until(const struct cell *cell, struct books *books, uint64_t end_ns)
{
	uint64_t step_ns = cell->scenario->group == GROUP_SET ? LOOK_SET_NS : LOOK_NS;

	do {
		uint64_t next_ns = (now_ns() / step_ns + 1) * step_ns;
		struct timespec next = { (time_t)(next_ns / 1000000000u),
					 (long)(next_ns % 1000000000u) };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		if (books_look(books, cell->monitor, cell->pids) < 0)
			return fail(cell, "A load or the device has gone.");
	} while (books->rows[books->nrows - 1].at_ns < end_ns);
	return 0;
}

static double warm_s(const struct scenario *scenario, const struct span *span)
{
	return scenario->group == GROUP_BARE && span->warm_s > WARM_UP_BARE_S
		       ? WARM_UP_BARE_S
		       : span->warm_s;
}

static int look(const struct cell *cell, const struct span *span, struct books *books)
{
	uint64_t end_ns = now_ns() + (uint64_t)(warm_s(cell->scenario, span) * 1e9);

	books->begin_ns = end_ns;
	if (look_until(cell, books, end_ns) < 0)
		return -1;
	if (cell->scenario->group != GROUP_SET)
		return look_until(cell, books,
				  end_ns + (uint64_t)(span->measured_s * 1e9));
	for (unsigned step = 0; step < STEPS_MAX; step++) {
		books->set_ns[step] = now_ns();
		if (set(cell, cell->scenario->steps_permille[step]) < 0 ||
		    look_until(cell, books,
			       books->set_ns[step] + (uint64_t)(span->step_s * 1e9)) < 0)
			return -1;
	}
	return 0;
}

double measure_seconds(const struct scenario *scenario, const struct span *span)
{
	return START_S + warm_s(scenario, span) +
	       (scenario->group == GROUP_SET ? STEPS_MAX * span->step_s
					     : span->measured_s);
}

bool measure_is_whole(const struct scenario *scenario, const struct span *span,
		      const struct books *books)
{
	bool set = scenario->group == GROUP_SET;
	uint64_t from_ns = set ? books->set_ns[STEPS_MAX - 1] : books->begin_ns;
	double seconds = set ? span->step_s : span->measured_s;

	return from_ns && books->nrows > 0 &&
	       books->rows[books->nrows - 1].at_ns >= from_ns + (uint64_t)(seconds * 1e9);
}

int measure(const struct scenario *scenario, enum load_kind kind, const struct span *span,
	    struct books *books)
{
	struct cell cell = { .scenario = scenario, .kind = kind };
	double seconds = span->warm_s + span->measured_s + STEPS_MAX * span->step_s + 10;
	const char *why = "";
	int result = -1;

	*books = (struct books){ .nprocesses = scenario_processes(scenario) };
	cell.build = files_build();
	if (make_place(&cell) < 0)
		return -1;
	cell.monitor = simgpu_open(NULL, 1, &why);
	if (!cell.monitor)
		fail(&cell, why);
	else if ((scenario->group == GROUP_BARE || apply(&cell) == 0) &&
		 start_all(&cell, seconds) == 0)
		result = look(&cell, span, books);
	end_all(&cell);
	simgpu_close(cell.monitor);
	nftw(cell.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (result < 0)
		books_free(books);
	return result;
}
