/* UUIDs of devices; see uuid.h. */
#include "common/uuid.h"

#include <stdio.h>
#include <string.h>

void sim_uuid_make(unsigned char uuid[16], unsigned device)
{
	/* Version 8 (free form) of RFC 9562: "Sim", the device, "GPU". */
	static const unsigned char base[16] = { 0x53, 0x69, 0x6d, 0x00, 0x47,
						0x50, 0x80, 0x55, 0x80 };

	memcpy(uuid, base, sizeof(base));
	uuid[3] = uuid[15] = (unsigned char)device;
}

void sim_uuid_text(const unsigned char u[16], char text[SIM_UUID_TEXT_BYTES])
{
	snprintf(
		text, SIM_UUID_TEXT_BYTES,
		"GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		u[12], u[13], u[14], u[15]);
}
