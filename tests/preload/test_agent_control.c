/*
 * test_agent_control.c - the agent's socket: gpushim-ctl says and does the same with an agent
 * and without, and nobody who connects can keep it from its work.
 */
#include "cunit_main.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common_agent.h"
#include "common_publish.h"
#include "common_tenant.h"

#define MIB ((uint64_t)1 << 20)

enum { NOBODY = 65534, CLIENTS = 100 };

static pid_t agent;

static bool starts(void)
{
	agent = agent_start("");
	return agent > 0;
}

static void teardown(void)
{
	agent_forget();
	tenant_forget();
}

/* ---- the same with and without ---- */

/* What a command says about this directory, without the directory's own name. */
static int run_plainly(const char *command, char *said, size_t bytes)
{
	const char *dir = tenant_dir(), *from;
	int status = agent_tool("gpushim-ctl %s", command);
	size_t length = 0;

	for (from = agent_output(); *from && length < bytes - 8;) {
		if (strncmp(from, dir, strlen(dir)) == 0) {
			memcpy(said + length, "DIR", 3);
			length += 3;
			from += strlen(dir);
		} else {
			said[length++] = *from++;
		}
	}
	said[length] = '\0';
	return status;
}

/* One after another: each starts from what the ones before have done. */
static const char *const commands[] = {
	"apply %s/first.json",
	"set a memory=1GiB compute=10:50",
	"show a",
	"set a memory=8",
	"set a memory=0%%",
	"set nobody memory=1GiB",
	"set a what=1",
	"apply %s/second.json",
	"set c memory=1GiB",
	"show",
	"apply %s/bad.json",
	"apply %s/big.json",
	"apply %s/none.json",
	"apply %s",
	"apply %s/first.json",
	"set b priority=batch burst_ms=5 enforce=false",
	"set b --device GPU-53696d00-4750-8055-8000-000000000000 memory=1GiB",
	"show b",
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]), SAID_MAX = 1 << 15 };

static void run_all(char (*said)[SAID_MAX], int *statuses)
{
	tenant_write(agent_path("first.json"),
		     "{\"version\": 1, \"tenants\": {\"a\": {\"memory\": \"64MiB\"}, "
		     "\"b\": {\"compute\": {\"request\": 10, \"limit\": 50}}, "
		     "\"*\": {\"memory\": \"6GiB\"}}}");
	tenant_write(agent_path("second.json"), "{\"version\": 1, \"tenants\": {\"*\": "
						"{\"memory\": \"12GiB\"}}}");
	tenant_write(agent_path("bad.json"), "{\"version\": 1, \"tenants\": 7}");
	tenant_write(agent_path("big.json"), "{\"version\": 1, \"tenants\": {\"a\": "
					     "{\"memory\": \"17GiB\"}}}");
	CU_ASSERT(tenant_publish(tenant_dir(), "c", 64 * MIB));
	CU_ASSERT(tenant_publish(tenant_dir(), "run-77", 64 * MIB));
	for (size_t i = 0; i < COMMANDS; i++) {
		char command[1024];

		snprintf(command, sizeof(command), commands[i], tenant_dir());
		statuses[i] = run_plainly(command, said[i], SAID_MAX);
	}
}

static void tools_say_and_do_the_same_with_an_agent(void)
{
	char(*with)[SAID_MAX] = calloc(COMMANDS, SAID_MAX);
	char(*without)[SAID_MAX] = calloc(COMMANDS, SAID_MAX);
	int with_status[COMMANDS], without_status[COMMANDS];

	tenant_device_used();
	run_all(without, without_status);
	teardown();
	CU_ASSERT_FATAL(starts());
	run_all(with, with_status);
	for (size_t i = 0; i < COMMANDS; i++) {
		CU_ASSERT_EQUAL(with_status[i], without_status[i]);
		CU_ASSERT_STRING_EQUAL(with[i], without[i]);
		if (strcmp(with[i], without[i]) != 0)
			printf("%s\nwithout: %s\nwith: %s\n", commands[i], without[i],
			       with[i]);
	}
	/* It was the agent indeed. */
	CU_ASSERT(agent_says("Tenant a has limits by gpushim-ctl set, as process "));
	CU_ASSERT(agent_says(" applies "));
	free(with);
	free(without);
}

static void who_comes_after_an_apply_has_its_limits(void)
{
	CU_ASSERT_FATAL(starts());
	mkdir(agent_path("ledger"), 0755);
	agent_tenant_comes("early");
	CU_ASSERT(!agent_exists(agent_path("policy/early/policy")));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl apply %s",
				   agent_limits("\"*\": {\"memory\": \"64MiB\"}")),
			0);
	CU_ASSERT(agent_said("early: memory 64 MiB, compute best effort, by the "
			     "template\n"));
	agent_tenant_comes("late");
	CU_ASSERT(agent_has_memory("late", 64 * MIB));
}

/* Its messages are as with one, and it does not wait for ever. */
static void an_agent_that_is_stopped_is_named(void)
{
	CU_ASSERT_FATAL(starts());
	CU_ASSERT(tenant_publish(tenant_dir(), "a", 64 * MIB));
	kill(agent, SIGSTOP);
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=1GiB"), 1);
	CU_ASSERT(agent_said("gpushim-ctl: the agent that serves "));
	CU_ASSERT(agent_said(" does not answer: see whether it is stopped.\n"));
	kill(agent, SIGCONT);
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=128MiB"), 0);
	CU_ASSERT(agent_has_memory("a", 128 * MIB));
}

/* ---- clients of other kinds ---- */

static int connects(void)
{
	return agent_connect(agent_path("agent.sock"));
}

/* What the agent answers to these bytes, until it ends the connection. */
static const char *answer_to(const char *bytes, size_t count)
{
	static char answer[65536];
	int fd = connects();
	size_t filled = 0;
	ssize_t got;

	CU_ASSERT_FATAL(fd >= 0);
	while (count > 0 && (got = send(fd, bytes, count, MSG_NOSIGNAL)) > 0) {
		bytes += got;
		count -= (size_t)got;
	}
	shutdown(fd, SHUT_WR);
	while (filled < sizeof(answer) - 1 &&
	       (got = recv(fd, answer + filled, sizeof(answer) - 1 - filled, 0)) > 0)
		filled += (size_t)got;
	answer[filled] = '\0';
	close(fd);
	return answer;
}

static const char *answer_to_text(const char *text)
{
	return answer_to(text, strlen(text));
}

static void requests_that_are_none_are_answered_and_change_nothing(void)
{
	static const char start[] = "gpushim 1 publish ";
	static char noise[1 << 18];

	CU_ASSERT_FATAL(starts());
	CU_ASSERT(tenant_publish(tenant_dir(), "a", 64 * MIB));
	CU_ASSERT_STRING_EQUAL(answer_to_text(""), "");
	CU_ASSERT_STRING_EQUAL(answer_to_text("gpushim 1 publish"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(answer_to_text("\n"), "error "));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer_to_text("GET / HTTP/1.1\r\n"), "error "));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to_text("gpushim 2 publish 00\n"), "another release"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to_text("gpushim 1 dance\n"), "does not know"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to_text("gpushim 1 publish 00\n"), "error "));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to_text("gpushim 1 apply 2 2f\n{}"), "refused /:1:1: "));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to_text("gpushim 1 apply -1 2f\n"), "error "));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer_to_text("gpushim 1 apply 9999999 2f\n"),
				      "error 27 the file is longer than 1 MiB\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer_to_text("gpushim 1 apply 2\n{}"), "error "));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to_text("gpushim 1 apply 2 2\n{}"), "error "));
	CU_ASSERT_STRING_EQUAL(answer_to_text("gpushim 1 apply 20 2f\n{}"), "");
	memset(noise, 'x', sizeof(noise));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer_to(noise, 1 << 15), "too long"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(answer_to("gpushim 1\0publish\n", 18), "is no text"));
	srand(1);
	for (int turn = 0; turn < 50; turn++) {
		size_t count = (size_t)rand() % 20000;

		for (size_t i = 0; i < count; i++)
			noise[i] = (char)rand();
		for (size_t i = 0; turn % 2 && i < sizeof(start) - 1; i++)
			noise[i] = start[i];
		answer_to(noise, count);
	}
	CU_ASSERT(agent_has_memory("a", 64 * MIB));
	CU_ASSERT(agent_beats("a", 2));
	CU_ASSERT_EQUAL(agent_end(agent, SIGTERM), 0);
}

static void silent_clients_keep_nobody_waiting(void)
{
	int silent[CLIENTS];
	int ended = 0;

	CU_ASSERT_FATAL(starts());
	CU_ASSERT(tenant_publish(tenant_dir(), "a", 64 * MIB));
	for (int i = 0; i < CLIENTS; i++) {
		silent[i] = connects();
		CU_ASSERT_FATAL(silent[i] >= 0);
		if (i % 2)
			(void)send(silent[i], "gpushim 1 apply 1000 2f\nxx", 26,
				   MSG_NOSIGNAL);
	}
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=128MiB"), 0);
	CU_ASSERT(agent_has_memory("a", 128 * MIB));
	CU_ASSERT(agent_beats("a", 1));
	/* They do not stay for ever. */
	for (int i = 0; i < CLIENTS; i++) {
		struct timeval patience = { .tv_sec = unit_patience_ms(30000) / 1000 };
		char byte;

		setsockopt(silent[i], SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
		ended += recv(silent[i], &byte, 1, 0) == 0 || errno == ECONNRESET;
		close(silent[i]);
	}
	CU_ASSERT_EQUAL(ended, CLIENTS);
}

/* An answer that is longer than what the socket holds. */
static void who_does_not_listen_keeps_nobody_waiting(void)
{
	static char request[1 << 20];
	size_t filled = 0;
	int fd, count;

	filled += (size_t)sprintf(request + filled, "{\"version\": 1, \"tenants\": {");
	for (count = 0; count < 200; count++)
		filled += (size_t)sprintf(request + filled, "%s\"t%d\": {}",
					  count ? "," : "", count);
	filled += (size_t)sprintf(request + filled, "}}");
	CU_ASSERT_FATAL(starts());
	fd = connects();
	CU_ASSERT_FATAL(fd >= 0);
	dprintf(fd, "gpushim 1 apply %zu 2f\n%s", filled, request);
	CU_ASSERT(agent_has_memory("t199", UINT64_MAX));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set t0 memory=128MiB"), 0);
	CU_ASSERT(agent_beats("t0", 2));
	close(fd);
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl apply %s", agent_limits("\"t1\": {}")),
			0);
	CU_ASSERT(agent_said("1 published, 199 closed, 0 failed"));
}

/* In a process of its own: another user, who must not have been let in. */
static bool is_refused_as_nobody(void)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		char byte;
		int fd;

		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(2);
		fd = connects();
		if (fd == -EACCES)
			_exit(0);
		/* Let in by the file, not by the agent. */
		(void)send(fd, "gpushim 1 dance\n", 16, MSG_NOSIGNAL);
		_exit(recv(fd, &byte, 1, 0) > 0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

static void other_users_are_not_answered(void)
{
	struct stat status;
	char path[512];

	if (geteuid() != 0) {
		unit_skip("only root can become another user");
		return;
	}
	CU_ASSERT_FATAL(starts());
	snprintf(path, sizeof(path), "%s", agent_path("agent.sock"));
	CU_ASSERT_EQUAL_FATAL(stat(path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	CU_ASSERT(is_refused_as_nobody());
	/* The way there, opened up, as far as it belongs to the tests. */
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	for (;;) {
		*strrchr(path, '/') = '\0';
		if (!strstr(path, "gpushim-test."))
			break;
		CU_ASSERT_EQUAL(chmod(path, 0755), 0);
	}
	CU_ASSERT(is_refused_as_nobody());
}

/* ---- leases ---- */

/* A tenant that can read its page as the same user holds it from being written. */
static void a_page_that_is_leased_stops_nobodys_heart(void)
{
	char words[1024];
	int fd;

	CU_ASSERT(tenant_publish(tenant_dir(), "leased", 64 * MIB));
	CU_ASSERT(tenant_publish(tenant_dir(), "other", 64 * MIB));
	/* Breaking it is announced by a signal, which is not heeded. */
	signal(SIGIO, SIG_IGN);
	fd = open(agent_path("policy/leased/policy"), O_RDONLY | O_CLOEXEC);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		unit_skip("this file system knows no leases");
		close(fd);
		return;
	}
	snprintf(words, sizeof(words), "--limits %s",
		 agent_limits("\"leased\": {\"memory\": \"128MiB\"}, \"other\": {}"));
	agent = agent_start(words);
	CU_ASSERT_FATAL(agent > 0);
	CU_ASSERT(agent_says("Tenant leased: somebody keeps its policy page"));
	CU_ASSERT(agent_beats("other", 5));
	CU_ASSERT_EQUAL(agent_heartbeat("leased"), 0);
	close(fd);
	CU_ASSERT(agent_has_memory("leased", 128 * MIB));
	CU_ASSERT(agent_beats("leased", 1));
}

const struct unit_suite unit_suite = {
	.name = "gpushim-agent, its socket",
	.teardown = teardown,
	.tests = {
		UNIT_TEST(tools_say_and_do_the_same_with_an_agent),
		UNIT_TEST(who_comes_after_an_apply_has_its_limits),
		UNIT_TEST(an_agent_that_is_stopped_is_named),
		UNIT_TEST(requests_that_are_none_are_answered_and_change_nothing),
		UNIT_TEST(silent_clients_keep_nobody_waiting),
		UNIT_TEST(who_does_not_listen_keeps_nobody_waiting),
		UNIT_TEST(other_users_are_not_answered),
		UNIT_TEST(a_page_that_is_leased_stops_nobodys_heart),
	},
};
