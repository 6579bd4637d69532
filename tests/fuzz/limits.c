/*
 * limits.c - any text as limits.json: no crash, no leak, no hang; what is refused has a
 * place and a sentence, and what is accepted gives limits that a guest accepts.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "ledger/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int held)
{
	if (!held)
		abort();
}

/* "NAME:LINE:COLUMN: " and something after it. */
static void check_message(const struct gsh_limits_error *error)
{
	const char *at = error->text;

	require(strncmp(at, "fuzz:", 5) == 0);
	for (int number = 0; number < 2; number++) {
		at = strchr(at, ':') + 1;
		require(*at >= '1' && *at <= '9');
		at += strspn(at, "0123456789");
		require(*at == ':');
	}
	require(at[1] == ' ' && at[2] != '\0');
	for (; *at; at++)
		require((unsigned char)*at >= 0x20 && *at != 0x7f);
}

static void check_row(const struct gpushim_policy_device *row)
{
	require(row->memory_bytes > 0 && row->memory_ppm <= 1000000);
	require(row->limit_permille > 0 && row->limit_permille <= 1000);
	require(row->request_permille <= row->limit_permille);
	require(row->priority <= GPUSHIM_PRIORITY_BATCH &&
		row->view <= GPUSHIM_VIEW_DEVICE);
}

static void check_tenant(const struct gsh_limits_file *file, const char *name)
{
	struct gsh_limits_error error;
	struct gpushim_policy_limits limits;

	if (strcmp(name, "*") == 0)
		name = "somebody-else";
	require(gsh_limits_of(file, name, &limits, &error) == 0);
	check_row(&limits.others);
	for (uint32_t i = 0; i < limits.device_count; i++)
		check_row(&limits.devices[i]);
	limits.generation = 1;
	limits.checksum = gsh_policy_checksum(&limits);
	require(gsh_policy_limits_valid(&limits));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gsh_limits_device device = { { 1 }, UINT64_C(16) << 30 };
	static const char *const names[] = { "a", "b", "c" };
	struct gsh_limits_error error = { "" };
	struct gsh_limits_file *file = gsh_limits_parse((const char *)data, size, "fuzz",
							&error);
	const char *name;
	int result;

	if (!file) {
		if (size <= 1 << 20)
			check_message(&error);
		return 0;
	}
	for (size_t i = 0; (name = gsh_limits_tenant(file, i)); i++)
		check_tenant(file, name);
	for (size_t count = 0; count < 2; count++) {
		result = gsh_limits_fit(file, &device, count, names, 3, &error);
		require(result == 0 || result == -EDQUOT);
		if (result < 0)
			check_message(&error);
	}
	gsh_limits_free(file);
	return 0;
}
