/*
 * show_json.c - gpushim-ctl show --json: the same for programs, every figure exact.
 *
 * Knows the document around the tenants; these are as in common/report.h.
 */
#include "ctl/show.h"

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "common/report.h"

int show_json(const char *dir, struct gpushim_snapshot *const *snapshots, size_t count,
	      bool costs)
{
	cJSON *root = cJSON_CreateObject(), *tenants;
	char *text;

	cJSON_AddNumberToObject(root, "version", 1);
	cJSON_AddStringToObject(root, "dir", dir);
	tenants = cJSON_AddArrayToObject(root, "tenants");
	for (size_t i = 0; i < count; i++) {
		if (costs)
			show_sort_costs(snapshots[i]);
		cJSON_AddItemToArray(tenants, gsh_report_tenant(snapshots[i], costs));
	}
	text = cJSON_Print(root);
	cJSON_Delete(root);
	if (!text)
		return ctl_fail("There is no memory to show it.");
	puts(text);
	free(text);
	return EXIT_OK;
}
