/*
 * devices.h - the GPUs of this machine, as NVML names them.
 *
 * NVML is found by dlopen: where there is none, nothing is known of devices, and that is an
 * answer. Used by tools alone, never inside a guest. One thread at a time.
 */
#ifndef GSH_TOOLS_DEVICES_H
#define GSH_TOOLS_DEVICES_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "common/limits.h"

/* Slices of partitioned devices are rows too. */
enum { GSH_DEVICES_MAX = 64 };

struct gsh_devices {
	size_t count;
	/* UUID, and what programs can have of the device's memory. */
	struct gsh_limits_device devices[GSH_DEVICES_MAX];
	char names[GSH_DEVICES_MAX][96];
	char driver[80];   /* version; "": not known */
	char library[512]; /* the NVML that answered */
};

/*
 * Fills *devices. 0; -ENOENT: there is no NVML; -EIO: it is there and does not work (no
 * driver, for example). The reason in *why; count is 0 then.
 */
int gsh_devices_list(struct gsh_devices *devices, struct gsh_reason *why);

#endif
