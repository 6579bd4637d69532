/*
 * http_listen.h - sockets that listen at an address that people write.
 */
#ifndef GSH_AGENT_HTTP_LISTEN_H
#define GSH_AGENT_HTTP_LISTEN_H

#include "base/text.h"

/*
 * ADDRESS:PORT or unix:PATH, of mode 0660; a socket at PATH that nobody listens at is
 * replaced. A descriptor that does not block, or -errno with a reason.
 */
int agent_http_listen(const char *address, struct gsh_reason *why);

#endif
