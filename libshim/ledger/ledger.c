/*
 * ledger.c - the file: made, found right or refused, mapped and given up.
 *
 * Knows the header. Refuses to know slots beyond claiming one, and what is charged.
 */
#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/parse.h"
#include "ledger/slots.h"

/*
 * Processes of one tenant may run under several users. Who must not touch the file is kept
 * out by its directory.
 */
enum { GUEST_MODE = 0666, DIRECTORY_MODE = 0755 };

/* A ledger that goes while it is opened: somebody replaces it again and again. */
enum { CREATE_ROUNDS = 4 };

static const struct gpushim_ledger_header blank = {
	.magic = GPUSHIM_LEDGER_MAGIC,
	.version = GPUSHIM_LEDGER_VERSION,
	.header_bytes = sizeof(struct gpushim_ledger_header),
	.bytes = GPUSHIM_LEDGER_BYTES,
	.slots = GPUSHIM_SLOTS_MAX,
	.slot_bytes = sizeof(struct gpushim_ledger_slot),
	.devices_max = GPUSHIM_DEVICES_MAX,
	.cell_bytes = sizeof(struct gpushim_ledger_cell),
	.slots_offset = GPUSHIM_LEDGER_SLOTS_OFFSET,
	.cells_offset = GPUSHIM_LEDGER_CELLS_OFFSET,
	.buckets_offset = GPUSHIM_LEDGER_BUCKETS_OFFSET,
	.uses_offset = GPUSHIM_LEDGER_USES_OFFSET,
	.costs_offset = GPUSHIM_LEDGER_COSTS_OFFSET,
	.bucket_bytes = sizeof(struct gpushim_ledger_bucket),
	.use_bytes = sizeof(struct gpushim_ledger_use),
	.cost_bytes = sizeof(struct gpushim_ledger_cost),
	.costs_max = GPUSHIM_COSTS_MAX,
	.walls_offset = GPUSHIM_LEDGER_WALLS_OFFSET,
	.wall_bytes = sizeof(struct gpushim_ledger_wall),
	.ready = 1,
};

/* ---- the path ---- */

/* Absolute, because the program may change its directory before the file is opened again. */
static int set_path(struct gsh_ledger *ledger, const char *path, struct gsh_reason *why)
{
	char directory[sizeof(ledger->path)] = "";
	size_t length = strlen(path), before = 0;

	if (path[0] != '/') {
		if (syscall(SYS_getcwd, directory, sizeof(directory) - 1) < 0 ||
		    directory[0] != '/') {
			gsh_reason_set(why, path,
				       ": is relative to a directory that is gone", NULL);
			return -ENOENT;
		}
		before = strlen(directory);
		directory[before++] = '/';
	}
	if (before + length >= sizeof(ledger->path)) {
		gsh_reason_set(why, "the path of the ledger is too long: ", path, NULL);
		return -ENAMETOOLONG;
	}
	memcpy(ledger->path, directory, before);
	memcpy(ledger->path + before, path, length + 1);
	return 0;
}

static int make_parent(const char *path, struct gsh_reason *why)
{
	char parent[512];
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length == 0 || length >= sizeof(parent))
		return 0; /* the root, or this directory; or open() says that it is too long */
	memcpy(parent, path, length);
	parent[length] = '\0';
	return gsh_file_make_directories(parent, DIRECTORY_MODE, why);
}

/* ---- who may have made it ---- */

/* What is at path, without following a link in its last part. */
static int status_of(const char *path, struct gsh_file_status *status)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
			      O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int res;

	if (fd < 0)
		return -errno;
	res = gsh_file_status(fd, status);
	syscall(SYS_close, fd);
	return res;
}

/*
 * In a directory of our own nobody else's file can lie, and in one where everybody may put
 * files (sticky, like /tmp) only ours, root's or its owner's is believed. Elsewhere the
 * directory decides who may make ledgers, and all users of a tenant meet in one.
 */
static bool owner_is_credible(const char *path, uint32_t owner)
{
	uint32_t self = (uint32_t)syscall(SYS_geteuid);
	char part[512];
	struct gsh_file_status status = { 0 };

	for (const char *slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		size_t length = (size_t)(slash - path);
		bool last = !strchr(slash + 1, '/');

		if (length >= sizeof(part))
			break;
		memcpy(part, path, length);
		part[length] = '\0';
		if (status_of(part, &status) < 0 || !S_ISDIR(status.mode))
			continue;
		if (status.uid == self && (status.mode & 077) == 0 && owner != self &&
		    owner != 0)
			return false;
		if (last && (status.mode & S_ISVTX) && (status.mode & 002) &&
		    owner != self && owner != 0 && owner != status.uid)
			return false;
	}
	return true;
}

/* ---- the file ---- */

static int write_header(void *data, int fd)
{
	const struct gpushim_ledger_header *header = data;
	const char *at = data;
	size_t left = sizeof(*header);

	while (left > 0) {
		long n = syscall(SYS_pwrite64, fd, at, left, sizeof(*header) - left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

/* Complete under its name, or -EEXIST and whatever stands there, or another error. */
static int create(const char *path, const char *tenant, uint32_t mode,
		  struct gsh_reason *why)
{
	struct gpushim_ledger_header header = blank;
	int res = make_parent(path, why);

	if (res < 0)
		return res;
	memcpy(header.tenant, tenant, strlen(tenant) + 1);
	header.created_unix_ns = gsh_clock_unix_ns();
	return gsh_file_create(path, GPUSHIM_LEDGER_BYTES, mode, write_header, &header,
			       why);
}

static int refuse(struct gsh_reason *why, int error, const char *path, const char *what)
{
	gsh_reason_set(why, path, ": ", what, NULL);
	return error;
}

static bool layout_is_ours(const struct gpushim_ledger_header *header)
{
	return header->header_bytes == blank.header_bytes &&
	       header->bytes == blank.bytes && header->slots == blank.slots &&
	       header->slot_bytes == blank.slot_bytes &&
	       header->devices_max == blank.devices_max &&
	       header->cell_bytes == blank.cell_bytes &&
	       header->slots_offset == blank.slots_offset &&
	       header->cells_offset == blank.cells_offset &&
	       header->buckets_offset == blank.buckets_offset &&
	       header->uses_offset == blank.uses_offset &&
	       header->costs_offset == blank.costs_offset &&
	       header->bucket_bytes == blank.bucket_bytes &&
	       header->use_bytes == blank.use_bytes &&
	       header->cost_bytes == blank.cost_bytes &&
	       header->costs_max == blank.costs_max &&
	       header->walls_offset == blank.walls_offset &&
	       header->wall_bytes == blank.wall_bytes && header->ready == 1 &&
	       memchr(header->tenant, '\0', sizeof(header->tenant)) &&
	       gsh_parse_is_tenant(header->tenant);
}

static int check_header(int fd, const char *path, const char *tenant,
			struct gsh_reason *why)
{
	struct gpushim_ledger_header header;

	if (syscall(SYS_pread64, fd, &header, sizeof(header), (off_t)0) !=
		    (long)sizeof(header) ||
	    header.magic != GPUSHIM_LEDGER_MAGIC)
		return refuse(why, -EPROTO, path,
			      "is not a ledger; remove it, or name another directory");
	if (header.version != GPUSHIM_LEDGER_VERSION)
		return refuse(
			why, -EPROTONOSUPPORT, path,
			"is a ledger of another version of gpushim; end the processes "
			"that use it and remove it");
	if (!layout_is_ours(&header))
		return refuse(why, -EPROTO, path,
			      "is damaged; end the processes that use it and remove it");
	if (strcmp(header.tenant, tenant) != 0) {
		gsh_reason_set(why, path, ": is the ledger of tenant ", header.tenant,
			       ", not of ", tenant, NULL);
		return -EPERM;
	}
	return 0;
}

/* Of whatever stands at path: whether it is what we need. */
static int check_file(int fd, const char *path, const char *tenant,
		      struct gsh_file_status *status, struct gsh_reason *why)
{
	int res = gsh_file_status(fd, status);

	if (res < 0)
		return refuse(why, res, path, "cannot be examined");
	if (status->bytes != GPUSHIM_LEDGER_BYTES)
		return refuse(
			why, -EPROTO, path,
			"has not the size of a ledger: another version's, or cut off; "
			"end the processes that use it and remove it");
	if (!owner_is_credible(path, status->uid)) {
		char owner[24];
		struct gsh_text text;

		gsh_text_init(&text, owner, sizeof(owner));
		gsh_text_add_u64(&text, status->uid);
		gsh_reason_set(why, path, ": belongs to user ", owner,
			       ", who has no business in this directory", NULL);
		return -EPERM;
	}
	res = check_header(fd, path, tenant, why);
	if (res < 0)
		return res;
	/* A hole on a full file system would kill the program where it is touched. Nothing
	 * to do where the file is whole, or where there is no such call. */
	if (syscall(SYS_fallocate, fd, 0, (off_t)0, (off_t)GPUSHIM_LEDGER_BYTES) < 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return refuse(why, -errno, path,
			      "has holes, and its file system has no room left");
	return 0;
}

/* A descriptor of a ledger that is right, made if it was missing, or -errno. */
static int open_or_create(const char *path, const char *tenant, uint32_t mode,
			  struct gsh_file_status *status, struct gsh_reason *why)
{
	int fd = -ENOENT, res;

	if (!gsh_parse_is_tenant(tenant))
		return refuse(why, -EINVAL, tenant,
			      "cannot be a tenant's name: up to 63 of a-z 0-9 - . _");
	for (unsigned round = 0; round < CREATE_ROUNDS && fd == -ENOENT; round++) {
		fd = gsh_file_open(path, O_RDWR, why);
		if (fd != -ENOENT)
			break;
		res = create(path, tenant, mode, why);
		if (res < 0 && res != -EEXIST)
			return res;
		fd = gsh_file_open(path, O_RDWR, why);
	}
	if (fd < 0)
		return fd;
	res = check_file(fd, path, tenant, status, why);
	if (res < 0) {
		syscall(SYS_close, fd);
		return res;
	}
	return fd;
}

static int map(struct gsh_ledger *ledger, struct gsh_reason *why)
{
	void *file = mmap(NULL, GPUSHIM_LEDGER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			  ledger->fd, 0);

	if (file == MAP_FAILED) {
		int error = errno;

		gsh_reason_set(why, ledger->path, ": cannot be mapped", NULL);
		return -error;
	}
	madvise(file, GPUSHIM_LEDGER_BYTES, MADV_DONTFORK);
	ledger->header = file;
	ledger->slots = (void *)((char *)file + GPUSHIM_LEDGER_SLOTS_OFFSET);
	return 0;
}

static int open_mapped(struct gsh_ledger *ledger, const char *path, const char *tenant,
		       struct gsh_reason *why)
{
	struct gsh_file_status status;
	int res = set_path(ledger, path, why);

	if (res < 0)
		return res;
	ledger->fd = open_or_create(ledger->path, tenant, GUEST_MODE, &status, why);
	if (ledger->fd < 0)
		return ledger->fd;
	ledger->file_device = status.device;
	ledger->file_inode = status.inode;
	res = map(ledger, why);
	return res < 0 ? res : gsh_slot_claim(ledger, why);
}

int gsh_ledger_open(struct gsh_ledger *ledger, const char *path, const char *tenant,
		    struct gsh_reason *why)
{
	int saved = errno, res;

	memset(ledger, 0, sizeof(*ledger));
	ledger->fd = -1;
	ledger->slot = UINT32_MAX;
	res = open_mapped(ledger, path, tenant, why);
	if (res < 0)
		gsh_ledger_close(ledger);
	errno = saved;
	return res;
}

int gsh_ledger_create(const char *path, const char *tenant, uint32_t mode,
		      struct gsh_reason *why)
{
	struct gsh_file_status status;
	int saved = errno;
	int fd = open_or_create(path, tenant, mode, &status, why);

	if (fd >= 0)
		syscall(SYS_close, fd);
	errno = saved;
	return fd < 0 ? fd : 0;
}

void gsh_ledger_close(struct gsh_ledger *ledger)
{
	int saved = errno;

	if (ledger->own)
		gsh_slot_leave(ledger);
	if (ledger->header)
		munmap(ledger->header, GPUSHIM_LEDGER_BYTES);
	ledger->header = NULL;
	ledger->slots = NULL;
	if (gsh_descriptor_is_ledger(ledger, ledger->fd))
		syscall(SYS_close, ledger->fd);
	ledger->fd = -1;
	errno = saved;
}
