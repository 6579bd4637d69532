/*
 * monitor.h - what else a monitor knows, for NVML and the tool.
 *
 * Knows: the device's answer to HELLO. Private to this directory, unlike simgpu.h.
 */
#ifndef SIM_MONITOR_H
#define SIM_MONITOR_H

#include "proto.h"
#include "simgpu.h"

/* What the device said of itself when the monitor connected. Borrows from monitor. */
const struct sim_hello *sim_monitor_hello(const struct simgpu_monitor *monitor);

/* The connection, to poll for the device's end (POLLHUP); nothing else may be done with it. */
int sim_monitor_fd(const struct simgpu_monitor *monitor);

#endif
