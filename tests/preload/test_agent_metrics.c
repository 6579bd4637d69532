/*
 * test_agent_metrics.c - the agent's HTTP: that its figures are the device's, that neither
 * ledgers nor clients spoil it, and where it listens.
 */
#include "cunit_main.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common_agent.h"
#include "common_publish.h"
#include "common_tenant.h"

#define MIB ((uint64_t)1 << 20)
#define UUID "GPU-53696d00-4750-8055-8000-000000000000"
#define ON_DEVICE(tenant) "{tenant=\"" tenant "\",gpu_uuid=\"" UUID "\"}"

static pid_t agent;

static bool starts(const char *tenants)
{
	char words[2048];

	snprintf(words, sizeof(words), "--listen unix:%s --limits %s",
		 agent_path("metrics.sock"), agent_limits(tenants));
	agent = agent_start(words);
	return agent > 0;
}

static void teardown(void)
{
	agent_forget();
	tenant_forget();
}

/* ---- figures ---- */

TENANT_BODY(uses_some)
{
	CUdeviceptr p;

	tenant_context();
	check_result(cuMemAlloc_v2(&p, 48 * MIB), CUDA_SUCCESS);
	check_result(cuMemAlloc_v2(&p, 17 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	for (int i = 0; i < 10; i++)
		check_result(cuMemsetD8_v2(p, 0, MIB), CUDA_SUCCESS);
	check_result(cuCtxSynchronize(), CUDA_SUCCESS);
	tenant_meet();
	check_result(cuMemAlloc_v2(&p, 18 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
	tenant_meet();
}

static bool has_launched_ten(const void *unused)
{
	(void)unused;
	return agent_metric("gpushim_launches_total" ON_DEVICE("t")) == 10;
}

static void figures_are_what_the_device_says(void)
{
	pid_t running;

	CU_ASSERT_FATAL(starts("\"t\": {\"memory\": \"64MiB\", \"compute\": 30}, "
			       "\"idle\": {}"));
	running = tenant_start("uses_some", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_used_bytes" ON_DEVICE("t")),
			(double)tenant_device_requested());
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_limit_bytes" ON_DEVICE("t")),
			64 << 20);
	CU_ASSERT_EQUAL(agent_metric("gpushim_gpu_share_limit_ratio" ON_DEVICE("t")),
			0.3);
	/* A ledger is a little behind. */
	CU_ASSERT(agent_wait(has_launched_ten, NULL));
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_denials_total{tenant=\"t\"}"), 1);
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_denied_bytes_total{tenant=\"t\"}"),
			17 << 20);
	CU_ASSERT_EQUAL(agent_metric("gpushim_processes{tenant=\"t\"}"), 1);
	CU_ASSERT_EQUAL(agent_metric("gpushim_processes{tenant=\"idle\"}"), 0);
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_used_bytes" ON_DEVICE("idle")), -1);
	CU_ASSERT_EQUAL(agent_metric("gpushim_agent_tenants"), 2);
	/* An agent that takes over has counted nothing yet. */
	agent_end(agent, SIGKILL);
	CU_ASSERT_FATAL(starts("\"t\": {\"memory\": \"64MiB\", \"compute\": 30}"));
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_denials_total{tenant=\"t\"}"), 0);
	CU_ASSERT_EQUAL(agent_metric("gpushim_launches_total" ON_DEVICE("t")), 0);
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_used_bytes" ON_DEVICE("t")),
			(double)tenant_device_requested());
	tenant_go(running);
	CU_ASSERT_FATAL(tenant_met(running));
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_denials_total{tenant=\"t\"}"), 1);
	tenant_go(running);
	CU_ASSERT(tenant_ends(running));
	/* What it counted stays, what it held does not. */
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_denials_total{tenant=\"t\"}"), 1);
	CU_ASSERT_EQUAL(agent_metric("gpushim_memory_used_bytes" ON_DEVICE("t")), 0);
	CU_ASSERT_EQUAL(agent_metric("gpushim_processes{tenant=\"t\"}"), 0);
}

/* Credit grows by the clock, and what was measured is told a little later. */
static void delete_times(cJSON *item)
{
	cJSON_DeleteItemFromObject(item, "time");
	for (cJSON *child = item->child; child; child = child->next)
		delete_times(child);
}

static void the_document_is_that_of_gpushim_ctl(void)
{
	const char *response;
	cJSON *ours, *theirs;
	pid_t running;

	CU_ASSERT_FATAL(starts("\"t\": {\"memory\": \"64MiB\"}, \"a\": {}"));
	running = tenant_start("uses_some", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	response = agent_get("/api/v1/tenants", "");
	CU_ASSERT_PTR_NOT_NULL(strstr(response, "Content-Type: application/json\r\n"));
	response = strstr(response, "\r\n\r\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(response);
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl show --json"), 0);
	ours = cJSON_Parse(response);
	theirs = cJSON_Parse(agent_output());
	CU_ASSERT_PTR_NOT_NULL_FATAL(ours);
	CU_ASSERT_PTR_NOT_NULL_FATAL(theirs);
	CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(ours, "tenants")), 2);
	delete_times(ours);
	delete_times(theirs);
	CU_ASSERT(cJSON_Compare(ours, theirs, true));
	cJSON_Delete(ours);
	cJSON_Delete(theirs);
	tenant_discard(running);
}

static void a_refused_file_shows(void)
{
	CU_ASSERT_FATAL(starts("\"t\": {}"));
	CU_ASSERT_EQUAL(agent_metric("gpushim_agent_limits_valid"), 1);
	CU_ASSERT_EQUAL(agent_metric("gpushim_agent_limits_refused_total"), 0);
	agent_limits("\"t\": 7");
	CU_ASSERT(agent_says("Nothing was changed"));
	CU_ASSERT_EQUAL(agent_metric("gpushim_agent_limits_valid"), 0);
	CU_ASSERT_EQUAL(agent_metric("gpushim_agent_limits_refused_total"), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(agent_get("/readyz", ""), "200 OK"));
}

static void it_is_not_ready_without_limits(void)
{
	char words[2048];

	snprintf(words, sizeof(words), "--listen unix:%s --limits %s",
		 agent_path("metrics.sock"), agent_path("none.json"));
	agent = agent_start(words);
	CU_ASSERT_PTR_NOT_NULL(strstr(agent_get("/readyz", ""), "HTTP/1.1 503 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(agent_get("/healthz", ""), "HTTP/1.1 200 OK"));
	CU_ASSERT_PTR_NOT_NULL(strstr(agent_get("/", ""), "HTTP/1.1 404 "));
	agent_end(agent, SIGTERM);
	CU_ASSERT(!agent_exists(agent_path("metrics.sock")));
	/* Nobody promised any. */
	snprintf(words, sizeof(words), "--listen unix:%s", agent_path("metrics.sock"));
	agent = agent_start(words);
	CU_ASSERT_PTR_NOT_NULL(strstr(agent_get("/readyz", ""), "HTTP/1.1 200 OK"));
	CU_ASSERT_EQUAL(agent_metric("gpushim_agent_limits_valid"), -1);
}

static void each_client_gets_the_form_it_asks_for(void)
{
	const char *text;

	CU_ASSERT_FATAL(starts("\"t\": {}"));
	text = agent_get("/metrics", "Accept: application/openmetrics-text;version=1.0.0,"
				     "text/plain;version=0.0.4;q=0.5\r\n");
	CU_ASSERT_PTR_NOT_NULL(strstr(
		text, "Content-Type: application/openmetrics-text; version=1.0.0"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n# TYPE gpushim_launches counter\n"));
	CU_ASSERT_STRING_EQUAL(text + strlen(text) - 6, "# EOF\n");
	text = agent_get("/metrics", "Accept: text/plain\r\n");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "Content-Type: text/plain; version=0.0.4"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n# TYPE gpushim_launches_total counter\n"));
	CU_ASSERT_PTR_NULL(strstr(text, "# EOF"));
}

/* What Prometheus' own tool says of it. */
static void promtool_finds_nothing_wrong(void)
{
	char command[1024];
	pid_t running;
	FILE *file;

	if (system("command -v promtool >/dev/null") != 0) {
		unit_skip("there is no promtool (Debian: prometheus)");
		return;
	}
	CU_ASSERT_FATAL(starts("\"t\": {\"memory\": \"64MiB\", \"compute\": 30}"));
	running = tenant_start("uses_some", "GPUSHIM_TENANT=t", NULL);
	CU_ASSERT_FATAL(tenant_met(running));
	file = fopen(agent_path("metrics.txt"), "w");
	fputs(strstr(agent_get("/metrics", ""), "\r\n\r\n") + 4, file);
	fclose(file);
	snprintf(command, sizeof(command), "promtool check metrics <%s",
		 agent_path("metrics.txt"));
	CU_ASSERT_EQUAL(system(command), 0);
	tenant_discard(running);
}

/* ---- ledgers that lie ---- */

static void forge(const char *tenant, off_t offset, const void *bytes, size_t count)
{
	int fd = open(agent_path("ledger/%s/ledger", tenant), O_RDWR | O_CLOEXEC);

	CU_ASSERT_EQUAL(pwrite(fd, bytes, count, offset), (ssize_t)count);
	close(fd);
}

static int count_of(const char *text, const char *part)
{
	int count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

static void nobody_speaks_for_another(void)
{
	struct gpushim_ledger_device device = { .state = GPUSHIM_DEVICE_READY,
						.uuid = "0123456789abcde",
						.limit_bytes = 77 };
	const char *text;

	CU_ASSERT_FATAL(starts("\"liar\": {}, \"victim\": {}"));
	forge("liar", offsetof(struct gpushim_ledger_header, tenant), "victim\0\n\"", 10);
	/* The same device twice would be refused by who reads this. */
	for (int i = 0; i < 2; i++)
		forge("liar",
		      (off_t)(offsetof(struct gpushim_ledger_header, devices) +
			      (size_t)i * sizeof(device)),
		      &device, sizeof(device));
	text = agent_get("/metrics", "");
	CU_ASSERT_EQUAL(count_of(text, "gpushim_memory_limit_bytes{tenant=\"victim\""),
			0);
	CU_ASSERT_EQUAL(count_of(text, "gpushim_memory_limit_bytes{tenant=\"liar\""), 1);
	text = agent_get("/api/v1/tenants", "");
	CU_ASSERT_EQUAL(count_of(text, "\"tenant\":\t\"victim\""), 1);
	CU_ASSERT_EQUAL(count_of(text, "\"tenant\":\t\"liar\""), 1);
}

static void spoilt_ledgers_are_told_and_spoil_nothing(void)
{
	static char noise[1 << 16];
	const char *text;

	CU_ASSERT_FATAL(starts("\"a\": {}, \"fifo\": {}, \"short\": {}, \"noise\": {}, "
			       "\"link\": {}, \"dir\": {}"));
	unlink(agent_path("ledger/fifo/ledger"));
	CU_ASSERT_EQUAL(mkfifo(agent_path("ledger/fifo/ledger"), 0600), 0);
	CU_ASSERT_EQUAL(truncate(agent_path("ledger/short/ledger"), 5000), 0);
	unlink(agent_path("ledger/link/ledger"));
	CU_ASSERT_EQUAL(symlink("../a/ledger", agent_path("ledger/link/ledger")), 0);
	unlink(agent_path("ledger/dir/ledger"));
	CU_ASSERT_EQUAL(mkdir(agent_path("ledger/dir/ledger"), 0755), 0);
	text = agent_get("/metrics", "");
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ledger_readable{tenant=\"a\"} 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ledger_readable{tenant=\"fifo\"} 0\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ledger_readable{tenant=\"short\"} 0\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ledger_readable{tenant=\"link\"} 0\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "ledger_readable{tenant=\"dir\"} 0\n"));
	/* All but the sizes, so that it is read and not refused. */
	srand(1);
	for (int turn = 0; turn < 20; turn++) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)rand();
		for (off_t at = offsetof(struct gpushim_ledger_header, devices);
		     at < (off_t)GPUSHIM_LEDGER_COSTS_OFFSET - (off_t)sizeof(noise);
		     at += sizeof(noise))
			forge("noise", at, noise, sizeof(noise));
		text = agent_get("/metrics", "");
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "HTTP/1.1 200 OK"));
		text = agent_get("/api/v1/tenants", "");
		CU_ASSERT_PTR_NOT_NULL(strstr(text, "HTTP/1.1 200 OK"));
	}
	CU_ASSERT(agent_beats("a", 2));
	CU_ASSERT_EQUAL(agent_end(agent, SIGTERM), 0);
}

/* ---- clients and addresses ---- */

static void silent_clients_stop_no_heart(void)
{
	enum { CLIENTS = 60 };
	int fds[CLIENTS];

	CU_ASSERT_FATAL(starts("\"a\": {}"));
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = agent_connect(agent_path("metrics.sock"));
		CU_ASSERT_FATAL(fds[i] >= 0);
		(void)send(fds[i], "GET /metr", i % 10, MSG_NOSIGNAL);
	}
	CU_ASSERT(agent_beats("a", 3));
	CU_ASSERT_EQUAL(agent_tool("gpushim-ctl set a memory=128MiB"), 0);
	/* They time out, and whoever waits behind them is served. */
	CU_ASSERT_PTR_NOT_NULL(strstr(agent_get("/healthz", ""), "200 OK"));
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	CU_ASSERT_EQUAL(agent_end(agent, SIGTERM), 0);
}

static void an_address_that_was_asked_for_must_be_had(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char words[64];

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, bytes), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&address, &bytes);
	snprintf(words, sizeof(words), "--listen 127.0.0.1:%d", ntohs(address.sin_port));
	CU_ASSERT_EQUAL(agent_refused(words), 1);
	CU_ASSERT(agent_says("nobody can be listened to at 127.0.0.1:"));
	CU_ASSERT(agent_says("Address already in use.\n"));
	close(fd);
	/* It is free now. */
	agent = agent_start(words);
	CU_ASSERT(agent > 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&address, bytes), 0);
	close(fd);
	agent_end(agent, SIGTERM);
	CU_ASSERT_EQUAL(agent_refused("--listen localhost"), 1);
	CU_ASSERT(
		agent_says("'localhost' is not an address to listen at: write a numeric "
			   "one and a port"));
	CU_ASSERT_EQUAL(agent_refused("--listen unix:"), 1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* A figure, not a judgement: the machine may be busy. */
static void two_hundred_tenants_are_told(void)
{
	static char limits[1 << 16];
	double begun, best = 1e9;
	size_t filled = 0;

	for (int i = 0; i < 200; i++)
		filled += (size_t)snprintf(limits + filled, sizeof(limits) - filled,
					   "%s\"t%d\": {}", i ? ", " : "", i);
	CU_ASSERT_FATAL(starts(limits));
	for (int i = 0; i < 5; i++) {
		begun = now_ms();
		CU_ASSERT_EQUAL(agent_metric("gpushim_ledger_readable{tenant=\"t199\"}"),
				1);
		best = now_ms() - begun < best ? now_ms() - begun : best;
	}
	printf("200 idle tenants are told in %.1f ms\n", best);
}

const struct unit_suite unit_suite = {
	.name = "gpushim-agent, its metrics",
	.teardown = teardown,
	.tests = {
		UNIT_TEST(figures_are_what_the_device_says),
		UNIT_TEST(the_document_is_that_of_gpushim_ctl),
		UNIT_TEST(a_refused_file_shows),
		UNIT_TEST(it_is_not_ready_without_limits),
		UNIT_TEST(each_client_gets_the_form_it_asks_for),
		UNIT_TEST(promtool_finds_nothing_wrong),
		UNIT_TEST(nobody_speaks_for_another),
		UNIT_TEST(spoilt_ledgers_are_told_and_spoil_nothing),
		UNIT_TEST(silent_clients_stop_no_heart),
		UNIT_TEST(an_address_that_was_asked_for_must_be_had),
		UNIT_TEST(two_hundred_tenants_are_told),
	},
};
