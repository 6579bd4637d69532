/*
 * check.c - gpushim-ctl check: whether a limits.json is valid, and what it would mean here.
 */
#include "ctl/ctl.h"

#include <stdio.h>

#include "common/limits.h"

/* total_bytes: of the device, 0 if it is not known. */
static void add_row(struct ctl_table *table, const char *name, const char *device,
		    const struct gpushim_policy_device *row, uint64_t total_bytes)
{
	ctl_table_add(table, name, device, ctl_quota(row, total_bytes), ctl_compute(row),
		      ctl_priority(row->priority), ctl_burst(row),
		      row->context_bytes ? ctl_bytes(row->context_bytes) : "-");
}

static void add_rows(struct ctl_table *table, const struct gpushim_policy_limits *limits,
		     const char *name, const struct gsh_devices *devices)
{
	if (devices->count == 0)
		add_row(table, name, limits->device_count ? "others" : "all",
			&limits->others, 0);
	for (uint32_t i = 0; devices->count == 0 && i < limits->device_count; i++)
		add_row(table, "", ctl_uuid(limits->devices[i].uuid), &limits->devices[i],
			0);
	for (size_t i = 0; i < devices->count; i++) {
		const struct gsh_limits_device *device = &devices->devices[i];

		add_row(table, i ? "" : name, ctl_uuid(device->uuid),
			ctl_row(limits, device->uuid), device->total_bytes);
	}
}

static void print_limits(const struct gsh_limits_file *file,
			 const struct gsh_devices *devices)
{
	struct ctl_table table = { .columns = 7, .right = { [2] = true, [5] = true } };
	struct gpushim_policy_limits limits;
	struct gsh_limits_error error;
	const char *name;

	ctl_table_add(&table, "TENANT", "DEVICE", "QUOTA", "COMPUTE", "PRIORITY", "BURST",
		      "CONTEXT");
	for (size_t i = 0; (name = gsh_limits_tenant(file, i)); i++) {
		if (gsh_limits_of(file, name, &limits, &error) == 0)
			add_rows(&table, &limits, name, devices);
	}
	ctl_table_print(&table);
	for (size_t i = 0; (name = gsh_limits_tenant(file, i)); i++)
		if (gsh_limits_of(file, name, &limits, &error) == 0 &&
		    (limits.flags & GPUSHIM_POLICY_AUDIT))
			printf("%s: not enforced: what is beyond is counted, and neither "
			       "refused nor delayed.\n",
			       name);
}

static void print_devices(const struct gsh_devices *devices, const struct gsh_reason *why)
{
	for (size_t i = 0; i < devices->count; i++)
		printf("%s: %s, %s\n", ctl_uuid(devices->devices[i].uuid),
		       devices->names[i], ctl_bytes(devices->devices[i].total_bytes));
	if (devices->count == 0)
		printf("Only what holds on any device was checked: %s.\n",
		       why->text[0] ? why->text : "this machine has no GPU");
}

int ctl_check(int argc, char **argv)
{
	struct gsh_reason why = { "" };
	struct gsh_devices devices;
	struct gsh_limits_error error;
	struct gsh_limits_file *file;
	int result;

	if (argc != 2)
		return ctl_misused(argv[0], "One file is to be checked.");
	file = gsh_limits_read(argv[1], &error);
	if (!file) {
		fprintf(stderr, "%s\n", error.text);
		return EXIT_REFUSED;
	}
	gsh_devices_list(&devices, &why);
	result = gsh_limits_fit(file, devices.devices, devices.count, NULL, 0, &error);
	if (result < 0) {
		fprintf(stderr, "%s\n", error.text);
	} else {
		print_limits(file, &devices);
		print_devices(&devices, &why);
	}
	gsh_limits_free(file);
	return result < 0 ? EXIT_REFUSED : EXIT_OK;
}
