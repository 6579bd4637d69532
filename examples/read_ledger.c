/*
 * read_ledger.c - who of a tenant uses how much of which device, and of its time, once.
 *
 * Knows: include/gpushim/reader.h, and nothing else of gpushim or CUDA. To build it against
 * an installed gpushim: cc read_ledger.c $(pkg-config --cflags --libs gpushim-reader)
 * Refuses to know: where limits come from.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gpushim/reader.h"

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* What is not known is not 0. */
static void print_share(const char *text, uint32_t ppm)
{
	if (ppm == GPUSHIM_UNKNOWN_PPM)
		printf("%s not known", text);
	else
		printf("%s %.1f %%", text, ppm / 1e4);
}

static void print_uuid(const uint8_t uuid[16])
{
	printf("GPU-");
	for (int i = 0; i < 16; i++)
		printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		       uuid[i]);
}

static const struct gpushim_process *process_of(const struct gpushim_snapshot *snapshot,
						uint32_t slot)
{
	for (uint32_t i = 0; i < snapshot->processes_count; i++)
		if (snapshot->processes[i].slot == slot)
			return &snapshot->processes[i];
	return NULL;
}

static void print_usage(const struct gpushim_snapshot *snapshot,
			const struct gpushim_usage *usage)
{
	const struct gpushim_process *process = process_of(snapshot, usage->slot);

	if (!process)
		return;
	printf("  %8" PRIu32 " %-15s %-6s %12.1f %12.1f %8" PRIu64 " ", process->pid,
	       process->command, gpushim_slot_state_name(process->state),
	       mib(usage->charged_bytes), mib(usage->peak_bytes), process->denials);
	for (uint32_t kind = 0; kind < GPUSHIM_KIND_COUNT; kind++)
		if (usage->kind_bytes[kind] > 0)
			printf(" %s %.1f", gpushim_kind_name(kind),
			       mib(usage->kind_bytes[kind]));
	putchar('\n');
}

static void print_time(const struct gpushim_snapshot *snapshot,
		       const struct gpushim_usage *usage)
{
	const struct gpushim_process *process = process_of(snapshot, usage->slot);
	const struct gpushim_time *time = &usage->time;

	if (!process || !process->alive)
		return;
	printf("  %8" PRIu32 " %-15s ", process->pid, process->command);
	if (time->gpu_ns == GPUSHIM_UNKNOWN)
		printf("%12s", "-");
	else
		printf("%12.1f", ms(time->gpu_ns));
	printf(" %12.1f %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "%s\n",
	       ms(time->waited_ns), time->launches, time->delayed, time->released,
	       time->waiting ? "  waits now" : "");
}

static void print_device_time(const struct gpushim_snapshot *snapshot, uint32_t index)
{
	const struct gpushim_device *device = &snapshot->devices[index];

	print_share("  of its time:", device->share_1s_ppm);
	print_share(" over 1 s,", device->share_10s_ppm);
	if (device->rate_permille == GPUSHIM_UNKNOWN)
		printf(" over 10 s");
	else
		printf(" over 10 s, of at most %.1f %%",
		       (double)device->rate_permille / 10);
	if (device->level_ns != GPUSHIM_UNKNOWN_LEVEL)
		printf(", %s %.1f ms", device->level_ns < 0 ? "debt" : "credit",
		       (double)(device->level_ns < 0 ? -device->level_ns
						     : device->level_ns) /
			       1e6);
	printf("\n  %8s %-15s %12s %12s %10s %10s %10s\n", "pid", "command", "GPU ms",
	       "waited ms", "launches", "delayed", "released");
	for (uint32_t i = 0; i < snapshot->usages_count; i++)
		if (snapshot->usages[i].device == index)
			print_time(snapshot, &snapshot->usages[i]);
}

static void print_device(const struct gpushim_snapshot *snapshot, uint32_t index)
{
	const struct gpushim_device *device = &snapshot->devices[index];

	print_uuid(device->uuid);
	printf(": %.1f MiB charged", mib(device->charged_bytes));
	if (device->overhead_bytes > 0)
		printf(" and %.1f MiB measured beyond", mib(device->overhead_bytes));
	if (device->limit_bytes == GPUSHIM_UNLIMITED)
		puts(", no limit");
	else
		printf(" of %.1f MiB (by %s)\n", mib(device->limit_bytes),
		       gpushim_limit_source_name(device->limit_source));
	printf("  %8s %-15s %-6s %12s %12s %8s  %s\n", "pid", "command", "state", "MiB",
	       "peak MiB", "refused", "of which (MiB)");
	for (uint32_t i = 0; i < snapshot->usages_count; i++)
		if (snapshot->usages[i].device == index)
			print_usage(snapshot, &snapshot->usages[i]);
	print_device_time(snapshot, index);
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "/run/gpushim";
	const char *tenant = argc > 2 ? argv[2] : NULL;
	struct gpushim_snapshot *snapshot = malloc(sizeof(*snapshot));
	struct gpushim_reader *reader = NULL;
	int result = 1;

	if (argc > 3 || dir[0] == '-') {
		fprintf(stderr,
			"usage: %s [DIR [TENANT]]\n"
			"Without a tenant: as seen inside its container.\n",
			argv[0]);
		free(snapshot);
		return 2;
	}
	if (!snapshot || gpushim_reader_open(&reader, dir, tenant) < 0 ||
	    gpushim_reader_snapshot(reader, snapshot) < 0) {
		fprintf(stderr, "%s: %s.\n", argv[0],
			snapshot ? gpushim_reader_reason() : "out of memory");
		goto out;
	}
	printf("tenant %s, processes: %" PRIu32 "\n", snapshot->tenant,
	       snapshot->processes_count);
	if (snapshot->has_policy && snapshot->policy.flags & GPUSHIM_POLICY_CLOSED)
		printf("closed: %s\n", snapshot->policy.reason);
	for (uint32_t i = 0; i < snapshot->devices_count; i++)
		print_device(snapshot, i);
	result = 0;
out:
	gpushim_reader_close(reader);
	free(snapshot);
	return result;
}
