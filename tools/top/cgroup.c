/*
 * cgroup.c - containers and pods by the names of control groups; see cgroup.h.
 *
 *	/docker/ID, docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, crio-ID.scope
 *	/kubepods/burstable/podUID/ID
 *	/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/...
 *
 * ID has 64 digits. UID has dashes, or underscores where a dash would separate slices; that
 * of a pod that the kubelet started by itself has 32 digits and no dashes.
 */
#include "top/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ID_DIGITS = 64, UID_DIGITS = 32, UID_CHARACTERS = 36 };

static bool is_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_dash(size_t at, char c)
{
	return (c == '-' || c == '_') && (at == 8 || at == 13 || at == 18 || at == 23);
}

/* How long the UID is that text begins with; 0: it is none. */
static size_t uid_length(const char *text)
{
	size_t length = 0;

	while (length < UID_CHARACTERS &&
	       (is_digit(text[length]) || is_dash(length, text[length])))
		length++;
	if (length == UID_CHARACTERS || strspn(text, "0123456789abcdef") == UID_DIGITS)
		return text[length] == '/' || text[length] == '.' ? length : 0;
	return 0;
}

static void read_pod(const char *text, char pod[TOP_POD_BYTES])
{
	for (const char *at = text; (at = strstr(at, "pod")); at += 3) {
		size_t length = uid_length(at + 3);

		if (at == text || (at[-1] != '/' && at[-1] != '-') || length == 0)
			continue;
		for (size_t i = 0; i < length; i++)
			pod[i] = at[3 + i] == '_' ? '-' : at[3 + i];
		pod[length] = '\0';
	}
}

void top_cgroup_read(const char *text, char container[TOP_CONTAINER_BYTES],
		     char pod[TOP_POD_BYTES])
{
	size_t run;

	container[0] = pod[0] = '\0';
	for (const char *at = text; *at; at += run ? run : 1) {
		run = strspn(at, "0123456789abcdef");
		if (run == ID_DIGITS)
			snprintf(container, TOP_CONTAINER_BYTES, "%.12s", at);
	}
	if (strstr(text, "kubepods"))
		read_pod(text, pod);
}
