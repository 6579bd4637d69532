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
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

/*
 * The kernel closes the descriptors of a dead process in ascending order, and the driver's
 * must go before ours. They get the lowest free numbers, so ours is put well above those.
 * Not as high as the limit allows: fork(2) copies the table up to the highest number (4095
 * adds 10 to 20 us to a fork of 80 us, 16383 adds 70, a million some milliseconds and 8 MB).
 */
enum { HEADROOM = 4095, PER_OPEN = 4 };

int gsh_descriptor_raise(int fd)
{
	/* fd is the lowest that was free: it says how many the program has open. */
	uint64_t want = PER_OPEN * (uint64_t)fd + HEADROOM;
	struct rlimit limit;

	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0 &&
	    limit.rlim_cur > 0 && want >= limit.rlim_cur)
		want = limit.rlim_cur - 1;
	/* Down from there if the highest numbers are taken. */
	for (; want > (uint64_t)fd; want -= 1 + (want - (uint64_t)fd) / 64) {
		long high = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, want);

		if (high >= 0) {
			syscall(SYS_close, fd);
			return (int)high;
		}
	}
	return fd;
}

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
