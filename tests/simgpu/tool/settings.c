/*
 * settings.c - `simgpu lose`, `simgpu limit` and `simgpu env`.
 */
#include "tool/tool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"

int tool_lose(int argc, char **argv)
{
	struct simgpu_monitor *monitor;
	int device, res = -1;

	if (argc != 2 || argv[1][0] == '-')
		return tool_usage("lose");
	monitor = tool_open(0);
	if (!monitor)
		return EXIT_FAILED;
	device = tool_device(monitor, argv[1]);
	if (device >= 0) {
		res = simgpu_lose_device(monitor, (unsigned)device);
		if (res)
			tool_fail("Device %d could not be lost: %s.", device,
				  strerror(-res));
	}
	simgpu_close(monitor);
	return res ? EXIT_FAILED : EXIT_OK;
}

int tool_limit(int argc, char **argv)
{
	struct simgpu_monitor *monitor;
	uint64_t bytes;
	int device, res = -1;

	if (argc != 3 || argv[1][0] == '-')
		return tool_usage("limit");
	if (sim_parse_bytes(argv[2], &bytes)) {
		tool_fail("%s is no size; it is written like 512MiB or 1.5GiB.", argv[2]);
		return EXIT_USAGE;
	}
	monitor = tool_open(0);
	if (!monitor)
		return EXIT_FAILED;
	device = tool_device(monitor, argv[1]);
	if (device >= 0) {
		res = simgpu_set_memory_limit(monitor, (unsigned)device, bytes);
		if (res)
			tool_fail("Device %d could not be limited: %s.", device,
				  strerror(-res));
	}
	simgpu_close(monitor);
	return res ? EXIT_FAILED : EXIT_OK;
}

static bool is_known(const char *assignment)
{
	const struct sim_variable *variable;

	for (size_t i = 0; (variable = sim_variable(i)); i++) {
		size_t length = strlen(variable->name);

		if (strncmp(assignment, variable->name, length) == 0 &&
		    assignment[length] == '=')
			return true;
	}
	return false;
}

int tool_env(int argc, char **argv)
{
	const struct sim_variable *variable;
	struct sim_config config;
	char why[256];
	int res = EXIT_OK;

	(void)argv;
	if (argc != 1)
		return tool_usage("env");
	for (size_t i = 0; (variable = sim_variable(i)); i++) {
		const char *value = getenv(variable->name);

		printf("%-22s %-18s %s\n", variable->name, variable->standard,
		       variable->meaning);
		if (value && *value)
			printf("%-22s now: %s\n", "", value);
	}
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "SIMGPU_", 7) == 0 && !is_known(*e))
			res = tool_fail(
				"%.*s is set, but nothing reads a variable of that name.",
				(int)strcspn(*e, "="), *e);
	if (sim_config_read(&config, why, sizeof(why)))
		res = tool_fail("%s", why);
	return res;
}
