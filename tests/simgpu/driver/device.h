/*
 * device.h - facts about devices that more than one file tells.
 */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

/* Number of the PCI bus that the device sits on; domain, slot and function are 0. */
unsigned sim_device_pci_bus(unsigned device);

#endif
