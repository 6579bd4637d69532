/*
 * reader_file.h - opening and reading files that lie in directories of tenants.
 *
 * Never through a link, and never through a mapping: who truncates a mapped file kills its
 * readers. Part of libgpushim-reader, not of guests. Any thread.
 */
#ifndef GSH_LEDGER_READER_FILE_H
#define GSH_LEDGER_READER_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/*
 * Opens dir/KIND/TENANT/KIND for reading, or dir/KIND/KIND if tenant is "". dir is the
 * administrator's and may be reached by links; nothing below it may. Names are single
 * components. A descriptor, or -errno and a reason; what it is, is not examined.
 */
int gsh_reader_open_below(const char *dir, const char *kind, const char *tenant,
			  struct gsh_reason *why);

/* Reads all of it: 0, or -errno; -EPROTO: the file ends before. what is for the reason. */
int gsh_reader_read(int fd, void *to, size_t bytes, uint64_t offset, const char *what,
		    struct gsh_reason *why);

#endif
