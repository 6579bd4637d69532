/*
 * nvml_section.c - section "nvml": what NVML tells a process here about processes.
 *
 * Knows: a worker that keeps the device busy for two seconds. Utilisation is compared with
 * that.
 */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Busy from the first byte it hears until the second. */
static void busy(int in, int out, void *argument)
{
	struct gpu gpu;
	uint64_t end;

	(void)argument;
	gpu_open(&gpu);
	MUST(gpu_spin(&gpu, 1000, NULL));
	MUST(cu.cuCtxSynchronize());
	say_go(out);
	hear_go(in);
	end = now_ns() + 2000000000;
	while (now_ns() < end) {
		for (int i = 0; i < 4; i++)
			MUST(gpu_spin(&gpu, 5000000, NULL));
		MUST(cu.cuCtxSynchronize());
	}
	say_go(out);
	hear_go(in);
}

static void process_list(const struct worker *worker)
{
	struct nvml_process list[256];
	double costs[50];
	int n = nvml_processes(list, 256);
	bool self = false, other = false;
	char pids[400] = "", *at = pids;

	if (n < 0) {
		fact_unknown("nvml.own_pid", "NVML lists this process under its own pid",
			     "%s", nvml_why());
		return;
	}
	for (int i = 0; i < n; i++) {
		self |= list[i].pid == (unsigned)getpid();
		other |= list[i].pid == (unsigned)worker->pid;
		if (list[i].used_bytes != UINT64_MAX && list[i].pid == (unsigned)getpid())
			note("own_used_bytes", (double)list[i].used_bytes);
		if (at - pids < 380)
			at += sprintf(at, "%s%u", at > pids ? " " : "", list[i].pid);
	}
	note("getpid", getpid());
	note("worker_pid", worker->pid);
	note_text("listed", "%s", pids);
	note("worker_listed", other);
	fact_yes("nvml.own_pid", "NVML lists this process under its own pid", self);
	fact_number("nvml.listed", "Processes that NVML lists (this section has 2)", n,
		    "processes");
	for (size_t i = 0; i < 50; i++) {
		uint64_t start = now_ns();
		nvml_processes(list, 256);
		costs[i] = (double)(now_ns() - start);
	}
	note_samples("ns", costs, 50);
	fact_number("nvml.list_cost", "Cost of the list, median",
		    quantile(costs, 50, 0.5), "ns");
	for (size_t i = 0; i < 50; i++) {
		uint64_t total, used, start = now_ns();
		nvml_memory(&total, &used);
		costs[i] = (double)(now_ns() - start);
	}
	note_samples("ns", costs, 50);
	fact_number("nvml.memory_cost", "Cost of nvmlDeviceGetMemoryInfo, median",
		    quantile(costs, 50, 0.5), "ns");
}

static void samples(const struct worker *worker)
{
	const char *question =
		"Utilisation of a busy process, by nvmlDeviceGetProcessUtilization";
	static struct nvml_sample list[256];
	double steps[256], percent[256];
	size_t steps_n = 0, percent_n = 0;
	uint64_t last = 0;
	int n = nvml_process_samples(list, 256, 0);

	if (n < 0) {
		fact_unknown("nvml.process_utilisation", question, "%s", nvml_why());
		return;
	}
	note("samples", n);
	for (int i = 0; i < n; i++) {
		if (i < 12)
			note_text("sample", "pid %u, %u %%, at %llu us", list[i].pid,
				  list[i].sm_percent,
				  (unsigned long long)list[i].timestamp_us);
		if (list[i].pid != (unsigned)worker->pid)
			continue;
		percent[percent_n++] = list[i].sm_percent;
		if (last != 0)
			steps[steps_n++] = (double)list[i].timestamp_us - (double)last;
		last = list[i].timestamp_us;
	}
	if (steps_n > 0)
		note_samples("between_samples_us", steps, steps_n);
	if (percent_n > 0) {
		note_samples("percent", percent, percent_n);
		fact_number("nvml.process_utilisation", question,
			    quantile(percent, percent_n, 1), "%");
	} else {
		fact_unknown("nvml.process_utilisation", question,
			     "%d samples, none with the worker's pid", n);
	}
}

static void rates(void)
{
	const char *question =
		"Utilisation of the device while one process keeps it busy";
	double seen[64], changes[64];
	size_t n = 0, changes_n = 0;
	unsigned percent, before = 1000;
	uint64_t start = now_ns(), last = 0;

	while (n < 38 && nvml_utilisation(&percent)) {
		seen[n++] = percent;
		if (percent != before && before != 1000) {
			if (last != 0)
				changes[changes_n++] = (double)(now_ns() - last) / 1e6;
			last = now_ns();
		}
		before = percent;
		sleep_ms(50);
	}
	if (n == 0) {
		fact_unknown("nvml.utilisation", question, "%s", nvml_why());
		return;
	}
	note("over_ms", (double)(now_ns() - start) / 1e6);
	note_samples("percent", seen, n);
	if (changes_n > 0)
		note_samples("between_changes_ms", changes, changes_n);
	fact_number("nvml.utilisation", question, quantile(seen, n, 1), "%");
}

static void accounting(void)
{
	const char *question = "Accounting mode (left as it is)";
	unsigned mode;
	char line[200];
	FILE *file = fopen("/proc/self/status", "r");

	note("stats", nvml_symbol("nvmlDeviceGetAccountingStats") != NULL);
	note("stats_v2", nvml_symbol("nvmlDeviceGetAccountingStats_v2") != NULL);
	note("processes_utilisation_info",
	     nvml_symbol("nvmlDeviceGetProcessesUtilizationInfo") != NULL);
	if (nvml_mode("nvmlDeviceGetAccountingMode", &mode))
		fact_text("nvml.accounting", question, "%s", mode != 0 ? "on" : "off");
	else
		fact_unknown("nvml.accounting", question, "%s", nvml_why());
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "NSpid:", 6) == 0)
			fact_text("nvml.pid_namespace",
				  "This process's pids, namespace by namespace", "%.*s",
				  (int)strcspn(line + 7, "\n"), line + 7);
	if (file != NULL)
		fclose(file);
}

void section_nvml(void)
{
	struct worker worker = worker_start(busy, NULL);
	struct gpu gpu;
	char bus[40], byte;

	gpu_open(&gpu);
	MUST(cu.cuDeviceGetPCIBusId(bus, sizeof bus, gpu.device));
	if (!nvml_open(bus))
		stop("%s", nvml_why());
	if (!hear(worker.from, &byte, 1))
		stop("the worker could not start");
	process_list(&worker);
	say_go(worker.to);
	rates();
	if (!hear(worker.from, &byte, 1))
		stop("the worker is gone");
	samples(&worker);
	accounting();
	say_go(worker.to);
}
