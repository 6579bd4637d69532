/*
 * probe.c - runs the sections, each in a process of its own, and writes down what they say.
 *
 * Knows: options, time limits, the table and the JSON document. A section that hangs or dies
 * is a line of the report. Refuses to know the driver: this process never loads it.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct options options = { .limit_bytes = 2ull << 30, .device = 0 };

enum { EXIT_NO_GPU = 77, WHOLE_SECONDS = 90, FACTS = 600 };

struct fact {
	char *id, *question, *answer, *unit, *evidence;
};

static struct fact facts[FACTS];
static size_t facts_n;

/* What is most wanted comes first: a section that hangs uses up the time of the last. */
static const struct section {
	const char *name;
	void (*run)(void);
	unsigned seconds;
	const char *about;
} sections[] = {
	{ "device", section_device, 20, "what card and driver this is" },
	{ "identity", section_identity, 20,
	  "cuGetProcAddress against dlsym, all symbols" },
	{ "capture", section_capture, 20, "stream capture: who is refused, what dies" },
	{ "slices", section_slices, 30, "time slices, their change, events across them" },
	{ "cost", section_cost, 25, "nanoseconds of calls" },
	{ "kill", section_kill, 30, "when the memory of a killed process is back" },
	{ "pools", section_pools, 15, "reserved bytes of pools and graphs" },
	{ "footprint", section_footprint, 25, "what contexts, code and limits take" },
	{ "plt", section_plt, 20, "does the driver call its own exports" },
	{ "blocks", section_blocks, 15, "granularity of allocations" },
	{ "managed", section_managed, 15, "managed memory, frees of the other kind" },
	{ "fds", section_fds, 15, "descriptors and mappings of the driver" },
	{ "nvml", section_nvml, 20, "NVML: processes, utilisation, accounting" },
	{ "limits", section_limits, 10, "limits that the driver itself brings" },
};
enum { SECTIONS = sizeof sections / sizeof *sections };

/* --- facts that arrive --------------------------------------------------------------- */

static void take_line(char *line)
{
	char *part[5], *at = line;

	for (int i = 0; i < 5; i++) {
		part[i] = at;
		at = strchr(at, '\x1f');
		if (at != NULL)
			*at++ = '\0';
		else if (i < 4)
			return;
	}
	if (facts_n < FACTS)
		facts[facts_n++] = (struct fact){ strdup(part[0]), strdup(part[1]),
						  strdup(part[2]), strdup(part[3]),
						  strdup(part[4]) };
}

static void take_unknown(const char *section, const char *format, int value)
{
	char line[400], why[200];

	snprintf(why, sizeof why, format, value);
	snprintf(line, sizeof line,
		 "%s.stopped\x1fThe rest of this section\x1f\"%s\"\x1f?\x1f{}", section,
		 why);
	take_line(line);
}

static bool is_unknown(const struct fact *fact)
{
	return strcmp(fact->unit, "?") == 0;
}

/* Reads lines until the section's end or the deadline; true at its end, with its status.
 * Whoever of its group is left then, and holds the pipe, is killed. */
static bool take_facts(int fd, pid_t pid, uint64_t deadline, int *status)
{
	static char buffer[65536];
	size_t have = 0;
	bool ended = false;

	for (;;) {
		uint64_t now = now_ns();
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		ssize_t got;
		char *end;

		if (now >= deadline)
			return ended;
		if (!ended && waitpid(pid, status, WNOHANG) == pid) {
			ended = true;
			kill(-pid, SIGKILL);
		}
		if (poll(&poll_fd, 1, 20) <= 0)
			continue;
		got = read(fd, buffer + have, sizeof buffer - 1 - have);
		if (got <= 0) {
			if (!ended)
				waitpid(pid, status, 0);
			return true;
		}
		have += (size_t)got;
		buffer[have] = '\0';
		while ((end = strchr(buffer, '\n')) != NULL) {
			*end = '\0';
			take_line(buffer);
			have -= (size_t)(end + 1 - buffer);
			memmove(buffer, end + 1, have + 1);
		}
	}
}

/* --- sections ------------------------------------------------------------------------ */

static void run_section(const struct section *section, uint64_t deadline)
{
	uint64_t own = now_ns() + section->seconds * 1000000000ull;
	int link[2], status = 0;
	bool ended;
	pid_t pid;

	if (pipe2(link, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		take_unknown(section->name, "not run: no process (errno %d)", errno);
		return;
	}
	if (pid == 0) {
		/* A group of its own: its workers, and their children, end with it. */
		setpgid(0, 0);
		close(link[0]);
		/* Kernels print too. */
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(4);
		signal(SIGPIPE, SIG_IGN);
		facts_to(link[1]);
		section_name(section->name);
		section->run();
		/* Without the driver's exit handlers: they are no part of a section. */
		_exit(0);
	}
	setpgid(pid, pid);
	close(link[1]);
	ended = take_facts(link[0], pid, own < deadline ? own : deadline, &status);
	close(link[0]);
	kill(-pid, SIGKILL);
	if (!ended) {
		waitpid(pid, &status, 0);
		take_unknown(section->name,
			     "stopped after %d s: it hung, or was too slow",
			     (int)section->seconds);
	} else if (WIFSIGNALED(status)) {
		take_unknown(section->name, "the section died of signal %d",
			     WTERMSIG(status));
	}
}

static bool wanted(const char *only, const char *name)
{
	size_t n = strlen(name);

	if (only == NULL || strcmp(name, "device") == 0)
		return true;
	for (const char *at = only; (at = strstr(at, name)) != NULL; at += n)
		if ((at == only || at[-1] == ',') && (at[n] == '\0' || at[n] == ','))
			return true;
	return false;
}

/* --- reports ------------------------------------------------------------------------- */

static const char *answer_of(const char *id)
{
	for (size_t i = 0; i < facts_n; i++)
		if (strcmp(facts[i].id, id) == 0 && !is_unknown(&facts[i]))
			return facts[i].answer;
	return "null";
}

static void write_table(bool verbose)
{
	const char *last = "";

	for (size_t i = 0; i < facts_n; i++) {
		const struct fact *fact = &facts[i];
		size_t group = strcspn(fact->id, ".");
		bool text = fact->answer[0] == '"';
		int quotes = text ? 1 : 0;

		if (strlen(last) < group || strncmp(last, fact->id, group + 1) != 0)
			printf("\n%.*s\n", (int)group, fact->id);
		last = fact->id;
		printf("  %-26s %s\n  %26s %s%.*s%s%s\n", fact->id + group + 1,
		       fact->question, "", is_unknown(fact) ? "not known: " : "= ",
		       (int)strlen(fact->answer) - 2 * quotes, fact->answer + quotes,
		       is_unknown(fact) || fact->unit[0] == '\0' ? "" : " ",
		       is_unknown(fact) ? "" : fact->unit);
		if (verbose && strcmp(fact->evidence, "{}") != 0)
			printf("  %26s   %s\n", "", fact->evidence);
	}
}

static bool write_json(const char *path, const char *date, double seconds)
{
	FILE *file = fopen(path, "w");

	if (file == NULL) {
		fprintf(stderr, "probe: %s cannot be written: %s\n", path,
			strerror(errno));
		return false;
	}
	fprintf(file,
		"{\n  \"format\": 1,\n  \"date\": \"%s\",\n  \"gpu\": %s,\n"
		"  \"driver\": %s,\n  \"cuda\": %s,\n  \"executes_ptx\": %s,\n"
		"  \"seconds\": %.1f,\n  \"facts\": [",
		date, answer_of("device.name"), answer_of("device.driver"),
		answer_of("device.cuda"), answer_of("device.executes_ptx"), seconds);
	for (size_t i = 0; i < facts_n; i++) {
		const struct fact *fact = &facts[i];
		bool known = !is_unknown(fact);

		fprintf(file,
			"%s\n    {\"id\": \"%s\", \"question\": \"%s\", \"known\": %s, "
			"\"%s\": %s, \"unit\": \"%s\",\n     \"evidence\": %s}",
			i > 0 ? "," : "", fact->id, fact->question,
			known ? "true" : "false", known ? "answer" : "why", fact->answer,
			known ? fact->unit : "", fact->evidence);
	}
	fprintf(file, "\n  ]\n}\n");
	if (fclose(file) != 0) {
		fprintf(stderr, "probe: %s was not written whole: %s\n", path,
			strerror(errno));
		return false;
	}
	return true;
}

/* 768MiB, 2GiB; 0 for anything else. */
static uint64_t size_of(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (n < 1u << 20 && strcmp(end, "MiB") == 0)
		return n << 20;
	if (n < 1u << 10 && strcmp(end, "GiB") == 0)
		return n << 30;
	return 0;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: probe [--json FILE] [--date YYYY-MM-DD] [--only SECTION,...]\n"
		"             [--limit SIZE] [--device N] [--verbose] [--list]\n"
		"Asks a GPU and its driver what the documentation leaves open. Changes no\n"
		"setting. Ends with 77 when there is no driver or device.\n\n"
		"  --json FILE   writes the facts, with evidence, as JSON\n"
		"  --limit SIZE  device memory to hold at once (default 2GiB)\n"
		"  --only ...    these sections alone; device is always one of them\n"
		"  --verbose     evidence in the table too\n\nsections:\n");
	for (size_t i = 0; i < SECTIONS; i++)
		fprintf(to, "  %-13s %s\n", sections[i].name, sections[i].about);
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "date", required_argument, NULL, 'd' },
		{ "only", required_argument, NULL, 'o' },
		{ "limit", required_argument, NULL, 'l' },
		{ "device", required_argument, NULL, 'n' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "list", no_argument, NULL, 'L' },
		{ "help", no_argument, NULL, 'h' },
		{ "counted", no_argument, NULL, 'C' }, /* for section_plt alone */
		{ NULL, 0, NULL, 0 },
	};
	const char *json = NULL, *only = NULL;
	static char self[4096];
	char date[32];
	uint64_t start = now_ns();
	bool verbose = false;
	time_t now = time(NULL);
	ssize_t length;
	int option;

	strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
	length = readlink("/proc/self/exe", self, sizeof self - 1);
	self[length > 0 ? length : 0] = '\0';
	options.self = self;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = optarg;
			break;
		case 'd':
			snprintf(date, sizeof date, "%.31s", optarg);
			if (strspn(date, "0123456789-") != strlen(date)) {
				usage(stderr);
				return 2;
			}
			break;
		case 'o':
			only = optarg;
			break;
		case 'l':
			options.limit_bytes = size_of(optarg);
			break;
		case 'n':
			options.device = atoi(optarg);
			break;
		case 'v':
			verbose = true;
			break;
		case 'C':
			return plt_counted();
		case 'h':
		case 'L':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (options.limit_bytes < 512ull << 20) {
		fprintf(stderr,
			"probe: --limit must be a size of at least 512MiB, such as 2GiB.\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < SECTIONS; i++) {
		uint64_t deadline = start + WHOLE_SECONDS * 1000000000ull;

		if (!wanted(only, sections[i].name))
			continue;
		if (now_ns() + 2000000000ull > deadline)
			take_unknown(sections[i].name, "not run: %d s are used up",
				     WHOLE_SECONDS);
		else
			run_section(&sections[i], deadline);
		/* The first section is "device". */
		if (i == 0 && strcmp(answer_of("device.name"), "null") == 0) {
			write_table(verbose);
			printf("\nThere is no GPU to ask.\n");
			return EXIT_NO_GPU;
		}
	}
	write_table(verbose);
	if (json != NULL && !write_json(json, date, (double)(now_ns() - start) / 1e9))
		return 1;
	return 0;
}
