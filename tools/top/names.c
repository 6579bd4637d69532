/*
 * names.c - what the driver calls the devices of this machine.
 *
 * From the text files of its kernel module: NVML would take longer to start than everything
 * else, and is not there in containers that have no GPU of their own.
 */
#include "top/live.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

#define GPUS "/proc/driver/nvidia/gpus"

/* "Model: \t\t NVIDIA H200" */
static bool take(const char *line, const char *key, char *to, size_t bytes)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) != 0)
		return false;
	line += length;
	line += strspn(line, " \t");
	snprintf(to, bytes, "%.*s", (int)strcspn(line, "\n"), line);
	for (char *c = to; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return true;
}

static void read_device(struct top_model *model, const char *path)
{
	char line[256], name[64] = "", uuid_text[64] = "";
	FILE *file = fopen(path, "re");
	uint8_t uuid[16];

	while (file && fgets(line, sizeof(line), file))
		if (!take(line, "Model:", name, sizeof(name)))
			take(line, "GPU UUID:", uuid_text, sizeof(uuid_text));
	if (file)
		fclose(file);
	if (gsh_limits_uuid(uuid_text, uuid) == 0)
		top_model_name(model, uuid, name);
}

void top_live_names(struct top_model *model)
{
	struct dirent **entries;
	int count = scandir(GPUS, &entries, NULL, alphasort);
	char path[512];

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), GPUS "/%s/information", entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			read_device(model, path);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}
