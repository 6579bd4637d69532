/*
 * multiprocess.c - several processes hold memory on one device at once; each must find its own
 * words in it and nobody else's.
 *
 * Knows: processes and pipes. The parent never calls the driver, since a context does not
 * survive a fork.
 * Refuses to know: what share each child gets.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

enum { CHILDREN_MAX = 256, BUFFER_WORDS = 1 << 18 };

struct report {
	uint64_t words, foreign_fresh, foreign, wrong;
};

struct child {
	pid_t pid;
	int up; /* the child writes one byte when it holds its memory, a report at the end */
	bool ready, reported;
	int status;
	struct report report;
};

static uint64_t children = 4, rounds = 4, size_bytes = UINT64_C(64) << 20;

/* The word that child index writes in a round: its upper half is the same for all. */
static uint32_t word_of(unsigned index, uint64_t round)
{
	return 0xc5a70000u | index << 8 | (uint32_t)(round & 0xff);
}

/* Whether two words that stand side by side were written by another child. Two, because one
 * may be chance: fresh memory may hold anything that this process itself left there. */
static bool is_foreign(const uint32_t *words, unsigned index)
{
	return words[0] == words[1] && words[0] >> 16 == 0xc5a7 &&
	       (words[0] >> 8 & 0xff) != index && (words[0] >> 8 & 0xff) < children;
}

/* Reads the memory back; counts words of others into foreign and, when expected is not
 * NULL, words that differ from it into wrong. */
static void inspect(CUdeviceptr memory, const struct report *shape, unsigned index,
		    const uint32_t *expected, uint64_t *foreign, uint64_t *wrong)
{
	static uint32_t words[BUFFER_WORDS];
	uint64_t done;

	for (done = 0; done < shape->words; done += BUFFER_WORDS) {
		uint64_t left = shape->words - done;
		uint64_t now = left < BUFFER_WORDS ? left : BUFFER_WORDS, i;

		EX_TRY(cuMemcpyDtoH(words, memory + done * 4, now * 4));
		for (i = 0; i < now; i++) {
			*foreign += i + 1 < now && is_foreign(words + i, index);
			*wrong += expected && words[i] != *expected;
		}
	}
}

/* What one child does between its start and its report. */
static struct report take_part(int device, unsigned index, int up, int go)
{
	struct report report = { .words = size_bytes / 4 };
	struct ex_gpu gpu;
	CUdeviceptr memory;
	uint64_t round;
	uint32_t word = word_of(index, 0);
	char byte = 0;

	ex_open(&gpu, device, EX_OWN_CONTEXT);
	EX_TRY(cuMemAlloc(&memory, report.words * 4));
	inspect(memory, &report, index, NULL, &report.foreign_fresh, &report.wrong);
	ex_fill(&gpu, memory, word, report.words, NULL);
	EX_TRY(cuCtxSynchronize());

	/* Nobody checks before everybody holds memory; then the pipe is closed. */
	if (write(up, &byte, 1) != 1)
		ex_fail("The parent process is gone.");
	while (read(go, &byte, 1) > 0)
		;
	for (round = 1; round <= rounds; round++) {
		inspect(memory, &report, index, &word, &report.foreign, &report.wrong);
		word = word_of(index, round);
		ex_fill(&gpu, memory, word, report.words, NULL);
	}
	inspect(memory, &report, index, &word, &report.foreign, &report.wrong);
	EX_TRY(cuMemFree(memory));
	ex_close(&gpu);
	return report;
}

static void start(struct child *child, int device, unsigned index, const int go[2])
{
	int up[2];

	if (pipe(up) < 0)
		ex_fail("pipe: %s. Start fewer --children, or raise ulimit -n.",
			strerror(errno));
	/* Or the child would print the parent's lines a second time. */
	fflush(stdout);
	child->pid = fork();
	if (child->pid < 0)
		ex_fail("fork: %s. Start fewer --children, or raise ulimit -u.",
			strerror(errno));
	if (!child->pid) {
		struct report report;

		close(up[0]);
		close(go[1]);
		report = take_part(device, index, up[1], go[0]);
		exit(write(up[1], &report, sizeof(report)) == sizeof(report)
			     ? EX_EXIT_OK
			     : EX_EXIT_FAILED);
	}
	close(up[1]);
	child->up = up[0];
}

/* Waits for a child's report and end. Returns whether it found what it should. */
static bool finish(struct child *child, unsigned index)
{
	const struct report *report = &child->report;
	char text[32];

	child->reported = read(child->up, &child->report, sizeof(child->report)) ==
			  (ssize_t)sizeof(child->report);
	close(child->up);
	waitpid(child->pid, &child->status, 0);
	printf("process %u (pid %d): ", index, (int)child->pid);
	if (!child->ready || !child->reported || child->status) {
		if (WIFSIGNALED(child->status))
			printf("ended by signal %d\n", WTERMSIG(child->status));
		else
			printf("ended early with exit status %d\n",
			       WEXITSTATUS(child->status));
		return false;
	}
	printf("%s, %" PRIu64 " rounds: ", ex_bytes(text, report->words * 4), rounds);
	if (!report->wrong && !report->foreign && !report->foreign_fresh) {
		printf("only its own words\n");
		return true;
	}
	printf("WRONG: %" PRIu64 " words were not its own, %" PRIu64
	       " of another process; "
	       "fresh memory held %" PRIu64 "\n",
	       report->wrong, report->foreign, report->foreign_fresh);
	return false;
}

int main(int argc, char **argv)
{
	static struct child list[CHILDREN_MAX];
	const struct ex_option options[] = {
		{ "children", EX_COUNT, &children, 1, "N",
		  "number of processes, up to 256" },
		{ "size", EX_BYTES, &size_bytes, 8, "SIZE", "memory of each" },
		{ "rounds", EX_COUNT, &rounds, 0, "N", "times to check and write anew" },
		{ 0 }
	};
	int device = ex_options(
		argc, argv,
		"Several processes, each with a context of its own, hold memory "
		"at once; each\nchecks that it sees its own words and nobody "
		"else's.",
		options);
	unsigned i, bad = 0, without = 0;
	int go[2];
	char byte;

	if (children > CHILDREN_MAX)
		ex_usage("--children %" PRIu64 " is more than %d.", children,
			 CHILDREN_MAX);
	if (pipe(go) < 0)
		ex_fail("pipe: %s. Raise ulimit -n.", strerror(errno));
	for (i = 0; i < children; i++)
		start(&list[i], device, i, go);
	for (i = 0; i < children; i++)
		list[i].ready = read(list[i].up, &byte, 1) == 1;
	close(go[1]);
	close(go[0]);
	for (i = 0; i < children; i++) {
		bad += !finish(&list[i], i);
		without += WIFEXITED(list[i].status) &&
			   WEXITSTATUS(list[i].status) == EX_EXIT_NO_GPU;
	}
	if (without == children)
		return EX_EXIT_NO_GPU;
	if (bad)
		printf("%u of %u processes did not find what they should\n", bad,
		       (unsigned)children);
	else
		printf("all %u processes saw only their own data\n", (unsigned)children);
	return bad ? EX_EXIT_FAILED : EX_EXIT_OK;
}
