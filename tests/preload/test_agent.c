/*
 * test_agent.c - gpushim-agent: limits that come into force, tenants that come and go, and
 * what is left when it ends, by whatever way.
 */
#include "cunit_main.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_agent.h"
#include "common_publish.h"
#include "common_tenant.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static pid_t agent;

/* An agent with the limits.json of the test. */
static bool starts(const char *tenants)
{
	char words[1024];

	snprintf(words, sizeof(words), "--limits %s", agent_limits(tenants));
	agent = agent_start(words);
	return agent > 0;
}

static bool ends_well(void)
{
	return agent_end(agent, SIGTERM) == 0;
}

static void teardown(void)
{
	agent_forget();
	tenant_forget();
}

/* ---- limits.json ---- */

static void who_is_listed_has_limits_before_it_is_ready(void)
{
	CU_ASSERT_FATAL(
		starts("\"a\": {\"memory\": \"64MiB\"}, \"b\": {\"compute\": 30}"));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl show --json"), 0);
	CU_ASSERT(agent_said("\"tenant\":\t\"a\""));
	CU_ASSERT(agent_said("\"tenant\":\t\"b\""));
	CU_ASSERT(agent_heartbeat("a") > 0);
	CU_ASSERT(agent_notified("STATUS=Serving "));
	CU_ASSERT(ends_well());
	CU_ASSERT(agent_notified("STOPPING=1"));
}

/*
 * Changes the quota of a to and fro. Whoever waits for a poll has it after a beat, at which
 * polls are; a busy machine makes some late.
 */
static void is_in_force_before_the_next_beat(void (*change)(const char *memory))
{
	enum { ROUNDS = 7 };
	int early = 0;

	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t before;

		CU_ASSERT_FATAL(agent_beats("a", 1));
		before = agent_heartbeat("a");
		change(i % 2 ? "64MiB" : "128MiB");
		CU_ASSERT(agent_has_memory("a", (i % 2 ? 64 : 128) * MIB));
		early += agent_heartbeat("a") == before;
	}
	printf("%d of %d changes were in force before the next beat\n", early, ROUNDS);
	CU_ASSERT(early > ROUNDS / 2);
	CU_ASSERT_PTR_NULL(strstr(agent_log_text(), "Nothing was changed"));
}

static void write_in_place(const char *memory)
{
	char tenants[128];

	snprintf(tenants, sizeof(tenants), "\"a\": {\"memory\": \"%s\"}", memory);
	agent_limits(tenants);
}

static void a_file_written_in_place_is_in_force(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	is_in_force_before_the_next_beat(write_in_place);
}

static void write_file(const char *path, const char *memory)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"version\": 1, \"tenants\": {\"a\": {\"memory\": \"%s\"}}}", memory);
	tenant_write(path, text);
}

static void rename_over(const char *memory)
{
	write_file(agent_path("new"), memory);
	CU_ASSERT_EQUAL(rename(agent_path("new"), agent_path("limits.json")), 0);
}

static void a_file_renamed_over_it_is_in_force(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	is_in_force_before_the_next_beat(rename_over);
}

/* As a kubelet does with a ConfigMap: only a link is swapped, and the old files go. */
static void swap_link(const char *memory)
{
	mkdir(agent_path("config/..%s", memory), 0755);
	write_file(agent_path("config/..%s/limits.json", memory), memory);
	CU_ASSERT_EQUAL(symlink(agent_path("config/..%s", memory),
				agent_path("config/..data_tmp")),
			0);
	CU_ASSERT_EQUAL(
		rename(agent_path("config/..data_tmp"), agent_path("config/..data")), 0);
	unlink(agent_path("config/..%s/limits.json",
			  strcmp(memory, "64MiB") ? "64MiB" : "128MiB"));
	rmdir(agent_path("config/..%s", strcmp(memory, "64MiB") ? "64MiB" : "128MiB"));
}

static void the_swapped_link_of_a_config_map_is_followed(void)
{
	char words[1024];

	mkdir(agent_path("config"), 0755);
	mkdir(agent_path("config/..64MiB"), 0755);
	write_file(agent_path("config/..64MiB/limits.json"), "64MiB");
	CU_ASSERT_EQUAL(symlink("..64MiB", agent_path("config/..data")), 0);
	CU_ASSERT_EQUAL(symlink("..data/limits.json", agent_path("config/limits.json")),
			0);
	snprintf(words, sizeof(words), "--limits %s", agent_path("config/limits.json"));
	agent = agent_start(words);
	is_in_force_before_the_next_beat(swap_link);
	CU_ASSERT_PTR_NULL(strstr(agent_log_text(), "No such file"));
}

/* The file behind a link elsewhere is written: nothing happens where the link is. */
static void a_file_behind_a_link_is_watched_where_it_is(void)
{
	char words[1024];

	agent_limits("\"a\": {\"memory\": \"64MiB\"}");
	mkdir(agent_path("here"), 0755);
	CU_ASSERT_EQUAL(symlink("../limits.json", agent_path("here/link")), 0);
	snprintf(words, sizeof(words), "--limits %s", agent_path("here/link"));
	agent = agent_start(words);
	is_in_force_before_the_next_beat(write_in_place);
}

static void a_file_that_comes_late_is_in_force(void)
{
	char words[1024];

	snprintf(words, sizeof(words), "--limits %s", agent_path("later/limits.json"));
	agent = agent_start(words);
	CU_ASSERT(agent_says("later/limits.json: cannot be read: No such file or "
			     "directory"));
	CU_ASSERT(agent_says("Nobody gets limits by it"));
	mkdir(agent_path("later"), 0755);
	tenant_write(agent_path("later/limits.json"),
		     "{\"version\": 1, \"tenants\": {\"a\": {\"memory\": \"64MiB\"}}}");
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
}

static void a_file_that_is_refused_changes_nothing(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	agent_limits("\"a\": {\"memory\": \"1GiB\",\n\"compute\": {\"request\": 120}}");
	CU_ASSERT(agent_says("limits.json:3:24: /tenants/a/compute/request: 120 is above "
			     "the limit 100\n"));
	CU_ASSERT(agent_says("Nothing was changed; the limits in force stay.\n"));
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	/* Together they are more than the device has. */
	agent_limits("\"a\": {\"memory\": \"1GiB\"},\n\"u\": {\"memory\": \"16GiB\"}");
	CU_ASSERT(agent_says("limits.json:3:17: /tenants/u/memory: with this the quotas "
			     "come to 17 GiB"));
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	CU_ASSERT(!agent_exists(agent_path("policy/u")));
	/* Who comes now gets what the last good file says. */
	agent_tenant_comes("v");
	CU_ASSERT(agent_says("Tenant v: closed: tenant 'v' is not listed"));
	agent_limits("\"a\": {\"memory\": \"128MiB\"}");
	CU_ASSERT(agent_has_memory("a", 128 * MIB));
}

static void it_is_read_again_when_asked(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=1GiB"), 0);
	CU_ASSERT(agent_has_memory("a", GIB));
	kill(agent, SIGHUP);
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
}

/* ---- tenants ---- */

/*
 * Whoever waits for a poll has it after a beat, at which polls are. A busy machine makes
 * some late.
 */
static void who_comes_has_a_page_before_the_next_beat(void)
{
	enum { TENANTS = 12 };
	int early = 0;

	CU_ASSERT_FATAL(starts("\"a\": {}, \"*\": {\"memory\": \"64MiB\"}"));
	for (int i = 0; i < TENANTS; i++) {
		uint64_t before, after;
		char name[32];

		snprintf(name, sizeof(name), "t%d", i);
		CU_ASSERT_FATAL(agent_beats("a", 1));
		before = agent_heartbeat("a");
		agent_tenant_comes(name);
		CU_ASSERT(agent_has_memory(name, 64 * MIB));
		after = agent_heartbeat("a");
		early += after == before;
		CU_ASSERT(agent_exists(agent_path("ledger/%s/ledger", name)));
	}
	printf("%d of %d had their page before the next beat\n", early, TENANTS);
	CU_ASSERT(early > TENANTS / 2);
}

static void who_leaves_is_cleared_up_and_nothing_else(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {}, \"*\": {\"memory\": \"64MiB\"}"));
	agent_tenant_comes("b");
	agent_tenant_comes("c");
	CU_ASSERT(agent_has_memory("b", 64 * MIB));
	CU_ASSERT(agent_has_memory("c", 64 * MIB));
	tenant_write(agent_path("policy/c/note"), "not the agent's");
	for (const char *t = "abc"; *t; t++) {
		unlink(agent_path("ledger/%c/ledger", *t));
		CU_ASSERT_EQUAL(rmdir(agent_path("ledger/%c", *t)), 0);
	}
	CU_ASSERT(agent_gone(agent_path("policy/b")));
	CU_ASSERT(agent_gone(agent_path("policy/c/policy")));
	CU_ASSERT(agent_exists(agent_path("policy/c/note")));
	CU_ASSERT(agent_says("Tenant a has left.\n"));
	/* Its limits are its own, and there when it comes back. */
	CU_ASSERT(agent_exists(agent_path("policy/a/policy")));
	CU_ASSERT(agent_beats("a", 1));
	agent_tenant_comes("b");
	CU_ASSERT(agent_has_memory("b", 64 * MIB));
}

static void who_was_closed_gets_the_room_of_who_leaves(void)
{
	CU_ASSERT_FATAL(starts("\"*\": {\"memory\": \"6GiB\"}"));
	agent_tenant_comes("a");
	CU_ASSERT(agent_has_memory("a", 6 * GIB));
	agent_tenant_comes("b");
	CU_ASSERT(agent_has_memory("b", 6 * GIB));
	agent_tenant_comes("c");
	CU_ASSERT(agent_says("Tenant c: closed: tenant 'c' does not fit: with this the "
			     "quotas come to 18 GiB"));
	unlink(agent_path("ledger/a/ledger"));
	CU_ASSERT_EQUAL(rmdir(agent_path("ledger/a")), 0);
	CU_ASSERT(agent_has_memory("c", 6 * GIB));
	CU_ASSERT(agent_says("Tenant c: all is well again."));
}

static void a_page_that_was_removed_comes_back(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT_EQUAL(unlink(agent_path("policy/a/policy")), 0);
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	CU_ASSERT(agent_beats("a", 2));
}

static void directories_that_were_removed_come_to_no_harm(void)
{
	char command[1024];

	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	snprintf(command, sizeof(command), "rm -r %s %s", agent_path("ledger"),
		 agent_path("policy/a"));
	CU_ASSERT_EQUAL(system(command), 0);
	CU_ASSERT(agent_says("Tenant a has left.\n"));
	mkdir(agent_path("ledger"), 0755);
	agent_tenant_comes("a");
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	CU_ASSERT(ends_well());
}

static void names_that_no_tenant_has_are_passed_over(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {}, \"*\": {\"memory\": \"64MiB\"}"));
	tenant_write(agent_path("ledger/file"), "");
	CU_ASSERT_EQUAL(symlink("/", agent_path("ledger/link")), 0);
	CU_ASSERT_EQUAL(mkdir(agent_path("ledger/UPPER"), 0755), 0);
	CU_ASSERT_EQUAL(mkdir(agent_path("ledger/.hidden"), 0755), 0);
	agent_tenant_comes("last");
	CU_ASSERT(agent_has_memory("last", 64 * MIB));
	CU_ASSERT(!agent_exists(agent_path("policy/file")));
	CU_ASSERT(!agent_exists(agent_path("policy/link")));
	CU_ASSERT(!agent_exists(agent_path("policy/UPPER")));
	CU_ASSERT(!agent_exists(agent_path("policy/.hidden")));
}

/* What stands in a tenant's directory is the tenant's: it can do without a page by that. */
static void ruined_ledgers_are_named_and_delay_nobody(void)
{
	static const struct {
		const char *name, *make, *sentence;
	} ruins[] = {
		{ "fifo", "mkfifo ledger", "ledger: is not a regular file." },
		{ "link", "ln -s /dev/zero ledger", "ledger: is a symbolic link." },
		{ "loop", "ln -s ledger ledger", "ledger: is a symbolic link." },
		{ "directory", "mkdir ledger", "ledger: Is a directory." },
		{ "short", "head -c 5000 /dev/urandom >ledger", "not the size of" },
		{ "long", "truncate -s 1T ledger", "not the size of" },
		{ "noise", "head -c 4M /dev/urandom >ledger", "not the size of" },
		{ "socket",
		  "python3 -c 'import socket as s; "
		  "s.socket(s.AF_UNIX).bind(\"ledger\")'",
		  "Tenant socket: " },
	};
	enum { RUINS = sizeof(ruins) / sizeof(ruins[0]) };
	char command[1024];

	mkdir(agent_path("ledger"), 0755);
	for (size_t i = 0; i < RUINS; i++) {
		agent_tenant_comes(ruins[i].name);
		snprintf(command, sizeof(command), "cd %s && %s",
			 agent_path("ledger/%s", ruins[i].name), ruins[i].make);
		CU_ASSERT_EQUAL(system(command), 0);
	}
	CU_ASSERT_FATAL(starts("\"*\": {\"memory\": \"64MiB\"}"));
	agent_tenant_comes("good");
	CU_ASSERT(agent_has_memory("good", 64 * MIB));
	for (size_t i = 0; i < RUINS; i++) {
		CU_ASSERT(agent_says(ruins[i].sentence));
		CU_ASSERT(!agent_exists(agent_path("policy/%s/policy", ruins[i].name)));
	}
	/* It is tried again each second, and said once. */
	CU_ASSERT(agent_beats("good", 9));
	CU_ASSERT(agent_said_times("Tenant fifo:") == 1);
	unlink(agent_path("ledger/fifo/ledger"));
	CU_ASSERT(agent_has_memory("fifo", 64 * MIB));
	CU_ASSERT(agent_says("Tenant fifo: all is well again.\n"));
	/* Who ruins it later keeps no old limits by that. */
	unlink(agent_path("ledger/good/ledger"));
	CU_ASSERT_EQUAL(mkfifo(agent_path("ledger/good/ledger"), 0600), 0);
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set good memory=128MiB"), 0);
	CU_ASSERT(agent_has_memory("good", 128 * MIB));
	CU_ASSERT(ends_well());
}

static void what_gpushim_run_starts_is_left_to_it(void)
{
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	agent_tenant_comes("run-4242");
	CU_ASSERT(tenant_publish(tenant_dir(), "run-4243", 64 * MIB));
	CU_ASSERT(agent_beats("run-4243", 5));
	agent_limits("\"a\": {\"memory\": \"128MiB\"}");
	CU_ASSERT(agent_has_memory("a", 128 * MIB));
	CU_ASSERT(agent_has_memory("run-4243", 64 * MIB));
	CU_ASSERT(!agent_exists(agent_path("policy/run-4242")));
	/* The tool itself goes through the agent. */
	CU_ASSERT_EQUAL(agent_tool("gpushim-run --memory 64MiB --tenant mine /bin/true"),
			0);
	CU_ASSERT(agent_beats("mine", 1));
}

/* ---- beginning and end ---- */

static void of_two_agents_the_second_has_nothing_to_do(void)
{
	char sentence[1024];

	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT_EQUAL(agent_refused(""), 1);
	snprintf(sentence, sizeof(sentence),
		 "Another gpushim-agent (process %d) serves %s: end it first, or serve "
		 "another directory with --dir.\n",
		 (int)agent, tenant_dir());
	CU_ASSERT(agent_says(sentence));
	CU_ASSERT(agent_beats("a", 2));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=128MiB"), 0);
}

static void when_it_ends_limits_stay_and_the_heart_stops(void)
{
	uint64_t last;

	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT(agent_exists(agent_path("agent.sock")));
	CU_ASSERT(agent_beats("a", 2));
	CU_ASSERT(ends_well());
	last = agent_heartbeat("a");
	CU_ASSERT(!agent_exists(agent_path("agent.sock")));
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	/* The lock is free: this writes for itself. */
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=128MiB"), 0);
	CU_ASSERT(agent_has_memory("a", 128 * MIB));
	CU_ASSERT_EQUAL(agent_heartbeat("a"), last);
}

static void after_a_kill_another_takes_over(void)
{
	uint64_t last;

	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	CU_ASSERT(agent_beats("a", 1));
	agent_end(agent, SIGKILL);
	last = agent_heartbeat("a");
	CU_ASSERT(agent_exists(agent_path("agent.sock")));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=128MiB"), 0);
	agent_tenant_comes("b");
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}, \"*\": {}"));
	CU_ASSERT(agent_heartbeat("a") > last);
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	CU_ASSERT(agent_has_memory("b", UINT64_MAX));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=1GiB"), 0);
	CU_ASSERT(ends_well());
	CU_ASSERT(!agent_exists(agent_path("agent.sock")));
}

/* The place of the socket is taken by something that is not ours. */
static void what_is_no_socket_is_not_taken_away(void)
{
	tenant_write(agent_path("agent.sock"), "mine");
	CU_ASSERT_EQUAL(agent_refused(""), 1);
	CU_ASSERT(agent_says("/agent.sock cannot be made: Address already in use.\n"));
	CU_ASSERT(agent_exists(agent_path("agent.sock")));
}

/* Holds 32 MiB, and each time it is let go on tries whether it can have 64 more. */
TENANT_BODY(lives_through_agents)
{
	CUdeviceptr held, p;

	tenant_context();
	check_result(cuMemAlloc_v2(&held, 32 * MIB), CUDA_SUCCESS);
	tenant_meet(); /* the agent is killed and another started */
	check_result(cuMemAlloc_v2(&p, 33 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, 32 * MIB), CUDA_SUCCESS);
	check_result(cuMemFree_v2(p), CUDA_SUCCESS);
	tenant_meet(); /* the file is changed */
	check_result(cuMemAlloc_v2(&p, 96 * MIB), CUDA_SUCCESS);
	tenant_meet(); /* the agent ends */
	check_result(cuMemFree_v2(p), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&p, 97 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	check_result(cuMemAlloc_v2(&p, 96 * MIB), CUDA_SUCCESS);
}

static void running_tenants_go_on_through_agents(void)
{
	uint64_t generation;
	pid_t running;

	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	running = tenant_start("lives_through_agents", "GPUSHIM_TENANT=a", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	generation = tenant_snapshot(tenant_dir(), "a")->policy.generation;
	agent_end(agent, SIGKILL);
	CU_ASSERT_FATAL(starts("\"a\": {\"memory\": \"64MiB\"}"));
	/* What is in force already is not written again. */
	CU_ASSERT_EQUAL(tenant_snapshot(tenant_dir(), "a")->policy.generation,
			generation);
	CU_ASSERT_EQUAL(tenant_charged(tenant_dir(), "a"), 32 * MIB);
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(tenant_device_requested(), 32 * MIB);
	agent_limits("\"a\": {\"memory\": \"128MiB\"}");
	CU_ASSERT(agent_has_memory("a", 128 * MIB));
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(tenant_device_requested(), 128 * MIB);
	CU_ASSERT(ends_well());
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
}

/* ---- being idle, and being seen ---- */

/* How often it gave up the processor by itself: each time it waited. */
static uint64_t waits_of(pid_t pid)
{
	unsigned long long count = 0;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &count) == 1)
			break;
	if (file)
		fclose(file);
	return count;
}

static void idle_it_wakes_for_its_heart_alone(void)
{
	uint64_t waits, beats;

	CU_ASSERT_FATAL(starts("\"a\": {}, \"*\": {\"memory\": \"64MiB\"}"));
	agent_tenant_comes("b");
	CU_ASSERT(agent_has_memory("b", 64 * MIB));
	CU_ASSERT(agent_beats("a", 2));
	beats = agent_heartbeat("a");
	waits = waits_of(agent);
	CU_ASSERT(agent_beats("a", 12));
	waits = waits_of(agent) - waits;
	beats = agent_heartbeat("a") - beats;
	printf("%d waits in %d beats\n", (int)waits, (int)beats);
	CU_ASSERT(waits > 0);
	CU_ASSERT(waits <= beats + 1);
}

static void the_journal_is_told_levels(void)
{
	char words[1024];

	snprintf(words, sizeof(words), "--journal --limits %s", agent_path("none.json"));
	agent = agent_start(words);
	CU_ASSERT(agent_says("<3>"));
	CU_ASSERT(agent_says("<5>Serving "));
	CU_ASSERT_PTR_NULL(strstr(agent_log_text(), "gpushim-agent: "));
}

static void a_manager_that_watches_hears_of_it(void)
{
	setenv("WATCHDOG_USEC", "1000000", 1);
	CU_ASSERT_FATAL(starts("\"a\": {}"));
	unsetenv("WATCHDOG_USEC");
	CU_ASSERT(agent_notified("WATCHDOG=1\nWATCHDOG=1\n"));
	agent_end(agent, SIGTERM);
	/* Meant for another process. */
	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	CU_ASSERT_FATAL(starts("\"a\": {}"));
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	CU_ASSERT(agent_beats("a", 6));
	agent_end(agent, SIGTERM);
	CU_ASSERT(agent_notified("STOPPING=1"));
	CU_ASSERT(!agent_was_notified("WATCHDOG"));
}

static void wrong_usage_has_a_status_of_its_own(void)
{
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent --help"), 0);
	CU_ASSERT(agent_said("Usage: gpushim-agent "));
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent --version"), 0);
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent --what"), 2);
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent --limits"), 2);
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent file"), 2);
	CU_ASSERT(agent_said("'file' is not an option.\n"));
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent --help >/dev/full"), 1);
	CU_ASSERT_EQUAL(agent_tool("gpushim-agent --dir /proc/none"), 1);
	CU_ASSERT(agent_said("/proc/none"));
}

const struct unit_suite unit_suite = {
	.name = "gpushim-agent",
	.teardown = teardown,
	.tests = {
		UNIT_TEST(who_is_listed_has_limits_before_it_is_ready),
		UNIT_TEST(a_file_written_in_place_is_in_force),
		UNIT_TEST(a_file_renamed_over_it_is_in_force),
		UNIT_TEST(the_swapped_link_of_a_config_map_is_followed),
		UNIT_TEST(a_file_behind_a_link_is_watched_where_it_is),
		UNIT_TEST(a_file_that_comes_late_is_in_force),
		UNIT_TEST(a_file_that_is_refused_changes_nothing),
		UNIT_TEST(it_is_read_again_when_asked),
		UNIT_TEST(who_comes_has_a_page_before_the_next_beat),
		UNIT_TEST(who_leaves_is_cleared_up_and_nothing_else),
		UNIT_TEST(who_was_closed_gets_the_room_of_who_leaves),
		UNIT_TEST(a_page_that_was_removed_comes_back),
		UNIT_TEST(directories_that_were_removed_come_to_no_harm),
		UNIT_TEST(names_that_no_tenant_has_are_passed_over),
		UNIT_TEST(ruined_ledgers_are_named_and_delay_nobody),
		UNIT_TEST(what_gpushim_run_starts_is_left_to_it),
		UNIT_TEST(of_two_agents_the_second_has_nothing_to_do),
		UNIT_TEST(when_it_ends_limits_stay_and_the_heart_stops),
		UNIT_TEST(after_a_kill_another_takes_over),
		UNIT_TEST(what_is_no_socket_is_not_taken_away),
		UNIT_TEST(running_tenants_go_on_through_agents),
		UNIT_TEST(idle_it_wakes_for_its_heart_alone),
		UNIT_TEST(the_journal_is_told_levels),
		UNIT_TEST(a_manager_that_watches_hears_of_it),
		UNIT_TEST(wrong_usage_has_a_status_of_its_own),
	},
};
