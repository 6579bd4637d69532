/*
 * descriptor.c - the numbers under which a guest keeps the ledger open in somebody else's
 * process.
 *
 * Knows descriptors and the identity of a file. Refuses to know what is in it.
 */
#include "ledger/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

bool gsh_descriptor_is_ledger(const struct gsh_ledger *ledger, int fd)
{
	struct gsh_file_status status;

	return fd >= 0 && gsh_file_status(fd, &status) == 0 &&
	       status.device == ledger->file_device && status.inode == ledger->file_inode;
}

int gsh_second_open(const struct gsh_ledger *ledger, struct gsh_second *second)
{
	struct gsh_reason unread;

	second->page = NULL;
	second->fd = gsh_file_open(ledger->path, O_RDWR, &unread);
	if (second->fd < 0)
		return second->fd;
	if (!gsh_descriptor_is_ledger(ledger, second->fd)) {
		/* The file was replaced; its slots are not ours to judge. */
		syscall(SYS_close, second->fd);
		second->fd = -1;
		return -ESTALE;
	}
	second->page = mmap(NULL, sizeof(struct gpushim_ledger_header), PROT_READ,
			    MAP_SHARED, second->fd, 0);
	if (second->page == MAP_FAILED)
		second->page = NULL;
	else
		madvise(second->page, sizeof(struct gpushim_ledger_header),
			MADV_DONTFORK);
	return 0;
}

void gsh_second_close_number(const struct gsh_ledger *ledger, struct gsh_second *second)
{
	/* Another thread may have closed it and opened something of its own there. */
	if (gsh_descriptor_is_ledger(ledger, second->fd))
		syscall(SYS_close, second->fd);
	second->fd = -1;
}

void gsh_second_unmap(void *page)
{
	if (page)
		munmap(page, sizeof(struct gpushim_ledger_header));
}

void gsh_second_close(const struct gsh_ledger *ledger, struct gsh_second *second)
{
	gsh_second_unmap(second->page);
	second->page = NULL;
	gsh_second_close_number(ledger, second);
}
