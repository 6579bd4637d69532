/*
 * uuid.h - the UUIDs of the simulated devices, and how CUDA and NVML write them.
 */
#ifndef SIM_UUID_H
#define SIM_UUID_H

#define SIM_UUID_TEXT_BYTES 41 /* with the end */

/* The UUID of a device by its number: always the same, and told apart by its first eight
 * digits, so that GPU-53696d02 is enough for device 2. */
void sim_uuid_make(unsigned char uuid[16], unsigned device);
/* "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx". */
void sim_uuid_text(const unsigned char uuid[16], char text[SIM_UUID_TEXT_BYTES]);

#endif
