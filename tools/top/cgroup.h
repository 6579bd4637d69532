/*
 * cgroup.h - which container a process is in, and of which pod, by the path of its control
 * group. Pure.
 *
 * Knows how container runtimes and the kubelet name their groups. Names of pods and their
 * namespaces stand nowhere in there; they are not looked for in what a container says of
 * itself.
 */
#ifndef GSH_TOOLS_TOP_CGROUP_H
#define GSH_TOOLS_TOP_CGROUP_H

#include <stdint.h>

enum { TOP_CONTAINER_BYTES = 16, TOP_POD_BYTES = 40 };

/*
 * Takes the text of /proc/PID/cgroup. Of a container within another the inner one counts.
 * container: the first twelve digits of its identifier, as docker and crictl show them;
 * pod: its UID; "": not known. Whatever the text is, both are made of [0-9a-f-] alone.
 */
void top_cgroup_read(const char *text, char container[TOP_CONTAINER_BYTES],
		     char pod[TOP_POD_BYTES]);

#endif
