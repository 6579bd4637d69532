/*
 * file.c - opening and making files where others may have laid traps.
 *
 * Knows paths, owners and modes. Knows no format and no directory by name.
 * Calls the kernel by number: open(2) and its kin are points of cancellation, fstat(2) is
 * a symbol of newer C libraries, and the program's errno stays as it was.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

enum { NAME_BYTES = 256 };

/* As the kernel answers: a result, or -errno. */
static long kernel(long number, long a, long b, long c, long d, long e)
{
	int saved = errno;
	long result = syscall(number, a, b, c, d, e);

	if (result < 0)
		result = -errno;
	errno = saved;
	return result;
}

static int open_at(int directory, const char *name, int flags)
{
	return (int)kernel(SYS_openat, directory, (long)name, flags | O_CLOEXEC, 0600, 0);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		kernel(SYS_close, fd, 0, 0, 0, 0);
}

/* Sets the reason to "PATH: WORDS" or, without words, to what the error says. Returns it. */
static int fail(struct gsh_reason *why, int error, const char *path, const char *words)
{
	struct gsh_text text;

	gsh_text_init(&text, why->text, sizeof(why->text));
	gsh_text_add(&text, path);
	gsh_text_add(&text, ": ");
	if (words)
		gsh_text_add(&text, words);
	else
		gsh_text_add_errno(&text, -error);
	return error;
}

int gsh_file_status(int fd, struct gsh_file_status *status)
{
	struct stat kernel_stat; /* the same layout on 64-bit machines */
	int error = (int)kernel(SYS_fstat, fd, (long)&kernel_stat, 0, 0, 0);

	if (error < 0)
		return error;
	*status = (struct gsh_file_status){
		.bytes = (uint64_t)kernel_stat.st_size,
		.device = (uint64_t)kernel_stat.st_dev,
		.inode = (uint64_t)kernel_stat.st_ino,
		.mode = kernel_stat.st_mode,
		.uid = kernel_stat.st_uid,
	};
	return 0;
}

static uint32_t own_uid(void)
{
	return (uint32_t)kernel(SYS_geteuid, 0, 0, 0, 0, 0);
}

/* Whether somebody else could put a link into the directory. */
static bool others_can_write(int directory)
{
	struct gsh_file_status status;

	if (gsh_file_status(directory, &status) < 0)
		return true;
	return (status.mode & 022) != 0 || (status.uid != 0 && status.uid != own_uid());
}

/* A path on its way down. */
struct walk {
	const char *path;      /* whole, for people */
	const char *rest;      /* not yet walked */
	char name[NAME_BYTES]; /* the component that was taken last */
	int directory;	       /* where name lies */
	bool no_links;	       /* others can write here or above */
};

/* Takes the next component off the path; an empty one at its end. */
static int next_name(struct walk *walk)
{
	size_t length;

	walk->rest += strspn(walk->rest, "/");
	length = strcspn(walk->rest, "/");
	if (length >= sizeof(walk->name))
		return -ENAMETOOLONG;
	memcpy(walk->name, walk->rest, length);
	walk->name[length] = '\0';
	walk->rest += length;
	walk->rest += strspn(walk->rest, "/");
	return 0;
}

/* Makes the directory `name` and gives it exactly this mode. 0, -EEXIST or others. */
static int make_directory(int parent, const char *name, uint32_t mode)
{
	int fd, error = (int)kernel(SYS_mkdirat, parent, (long)name, mode, 0, 0);
	struct gsh_file_status status;

	if (error < 0)
		return error;
	fd = open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	/* Where others can write, it may be theirs by now. */
	error = gsh_file_status(fd, &status);
	if (error == 0 && status.uid != own_uid())
		error = -EPERM;
	if (error == 0)
		error = (int)kernel(SYS_fchmod, fd, mode, 0, 0, 0);
	close_fd(fd);
	return error;
}

/* Goes into the directory `name`, making it if it is missing and make_mode is not 0. */
static int enter(struct walk *walk, uint32_t make_mode)
{
	int flags = O_PATH | O_DIRECTORY | (walk->no_links ? O_NOFOLLOW : 0);
	int error, fd = open_at(walk->directory, walk->name, flags);

	if (fd == -ENOENT && make_mode != 0) {
		error = make_directory(walk->directory, walk->name, make_mode);
		if (error < 0 && error != -EEXIST)
			return error;
		fd = open_at(walk->directory, walk->name, flags | O_NOFOLLOW);
	}
	if (fd < 0)
		return fd;
	close_fd(walk->directory);
	walk->directory = fd;
	walk->no_links = walk->no_links || others_can_write(fd);
	return 0;
}

/*
 * Goes down to the directory that holds the last component, which is left in walk->name.
 * A link that only root or this user can have made is followed, wherever it leads.
 * 0 or -errno with the reason; the caller closes walk->directory in either case.
 */
static int walk_to_parent(struct walk *walk, const char *path, uint32_t make_mode,
			  struct gsh_reason *why)
{
	int error;

	*walk = (struct walk){ .path = path, .rest = path };
	walk->directory = open_at(AT_FDCWD, *path == '/' ? "/" : ".",
				  O_PATH | O_DIRECTORY);
	if (walk->directory < 0)
		return fail(why, walk->directory, path, NULL);
	walk->no_links = others_can_write(walk->directory);
	error = next_name(walk);
	while (error == 0 && *walk->rest != '\0') {
		error = enter(walk, make_mode);
		if (error == 0)
			error = next_name(walk);
	}
	if (error == 0 && walk->name[0] == '\0')
		error = -EINVAL;
	if (error == -ENOTDIR)
		return fail(
			why, error, path,
			"leads through something that is not a directory (links are not "
			"followed where other users can write)");
	return error == 0 ? 0 : fail(why, error, path, NULL);
}

int gsh_file_open(const char *path, int flags, struct gsh_reason *why)
{
	struct gsh_file_status status;
	struct walk walk;
	int error, fd = walk_to_parent(&walk, path, 0, why);

	if (fd < 0)
		goto out;
	fd = open_at(walk.directory, walk.name,
		     flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		fail(why, fd, path, fd == -ELOOP ? "is a symbolic link" : NULL);
		goto out;
	}
	error = gsh_file_status(fd, &status);
	if (error == 0 && !S_ISREG(status.mode))
		error = -EPROTO;
	if (error < 0) {
		close_fd(fd);
		fd = fail(why, error, path,
			  error == -EPROTO ? "is not a regular file" : NULL);
	}
out:
	close_fd(walk.directory);
	return fd;
}

int gsh_file_make_directories(const char *path, uint32_t mode, struct gsh_reason *why)
{
	struct walk walk;
	int error = walk_to_parent(&walk, path, mode, why);

	if (error == 0) {
		walk.no_links = true;
		error = enter(&walk, mode);
		if (error < 0)
			fail(why, error, path,
			     error == -ENOTDIR ? "is not a directory" : NULL);
	}
	close_fd(walk.directory);
	return error;
}

int gsh_file_private_directory(const char *path, struct gsh_reason *why)
{
	struct gsh_file_status status = { 0 };
	struct gsh_text text;
	struct walk walk;
	int error = walk_to_parent(&walk, path, 0, why);

	if (error < 0)
		goto out;
	walk.no_links = true;
	error = enter(&walk, 0700);
	if (error == 0)
		error = gsh_file_status(walk.directory, &status);
	if (error < 0) {
		fail(why, error, path, error == -ENOTDIR ? "is not a directory" : NULL);
		goto out;
	}
	if (status.uid != own_uid()) {
		error = -EPERM;
		gsh_text_init(&text, why->text, sizeof(why->text));
		gsh_text_add(&text, path);
		gsh_text_add(&text, ": belongs to user ");
		gsh_text_add_u64(&text, status.uid);
		gsh_text_add(&text, ", not to user ");
		gsh_text_add_u64(&text, own_uid());
	} else if ((status.mode & 077) != 0) {
		error = fail(why, -EPERM, path,
			     "is open to other users; make its mode 0700");
	}
out:
	close_fd(walk.directory);
	return error;
}

/* Beyond this limit the kernel does not only refuse: it sends SIGXFSZ, which kills. */
static bool may_be_as_large(uint64_t bytes)
{
	struct rlimit limit; /* as the kernel's, on 64-bit machines */

	return kernel(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0) < 0 ||
	       bytes <= limit.rlim_cur;
}

/* Gives the file real room: a page of a sparse file on a full tmpfs is a SIGBUS later. */
static int allocate(int fd, uint64_t bytes)
{
	static const char zeros[4096];
	long error;

	if (!may_be_as_large(bytes))
		return -EFBIG;
	do
		error = kernel(SYS_fallocate, fd, 0, 0, (long)bytes, 0);
	while (error == -EINTR);
	if (error != -EOPNOTSUPP && error != -ENOSYS)
		return (int)error;
	for (uint64_t at = 0; at < bytes;) {
		uint64_t left = bytes - at;
		long wrote = kernel(SYS_pwrite64, fd, (long)zeros,
				    left < sizeof(zeros) ? (long)left
							 : (long)sizeof(zeros),
				    (long)at, 0);

		if (wrote == -EINTR)
			continue;
		if (wrote <= 0)
			return wrote < 0 ? (int)wrote : -ENOSPC;
		at += (uint64_t)wrote;
	}
	return 0;
}

/* A name that is free, in the same directory: ".ledger.<process>.<time>". */
/*
 * A file without a name, which is gone if this process is killed, and temporary[0] is NUL;
 * with one where the file system has no such files, or /proc, by which they get a name, is
 * not there.
 */
static int open_temporary(const struct walk *walk, char temporary[NAME_BYTES + 64])
{
	int fd = kernel(SYS_faccessat, AT_FDCWD, (long)"/proc/self/fd", X_OK, 0, 0) < 0
			 ? -ENOENT
			 : open_at(walk->directory, ".", O_RDWR | O_TMPFILE);

	temporary[0] = '\0';
	if (fd >= 0)
		return fd;
	fd = -EEXIST;

	for (int i = 0; i < 16 && fd == -EEXIST; i++) {
		struct gsh_text text;

		/* Processes of different containers may have equal ids. */
		gsh_text_init(&text, temporary, NAME_BYTES + 64);
		gsh_text_add(&text, ".");
		gsh_text_add(&text, walk->name);
		gsh_text_add(&text, ".");
		gsh_text_add_u64(&text, (uint64_t)getpid());
		gsh_text_add(&text, ".");
		gsh_text_add_u64(&text, gsh_clock_unix_ns());
		fd = open_at(walk->directory, temporary,
			     O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
	}
	return fd;
}

static int link_to_name(const struct walk *walk, int fd, const char *temporary)
{
	char link[32];
	struct gsh_text text;

	if (temporary[0] != '\0')
		return (int)kernel(SYS_linkat, walk->directory, (long)temporary,
				   walk->directory, (long)walk->name, 0);
	gsh_text_init(&text, link, sizeof(link));
	gsh_text_add(&text, "/proc/self/fd/");
	gsh_text_add_u64(&text, (uint64_t)fd);
	return (int)kernel(SYS_linkat, AT_FDCWD, (long)link, walk->directory,
			   (long)walk->name, AT_SYMLINK_FOLLOW);
}

int gsh_file_create(const char *path, uint64_t bytes, uint32_t mode,
		    int (*fill)(void *data, int fd), void *data, struct gsh_reason *why)
{
	char temporary[NAME_BYTES + 64];
	struct walk walk;
	int fd, error = walk_to_parent(&walk, path, 0, why);

	if (error < 0)
		goto out;
	fd = open_temporary(&walk, temporary);
	if (fd < 0) {
		error = fail(why, fd, path, NULL);
		goto out;
	}
	error = allocate(fd, bytes);
	if (error == 0)
		error = fill(data, fd);
	if (error == 0)
		error = (int)kernel(SYS_fchmod, fd, mode, 0, 0, 0);
	if (error == 0)
		error = link_to_name(&walk, fd, temporary);
	if (temporary[0] != '\0')
		kernel(SYS_unlinkat, walk.directory, (long)temporary, 0, 0, 0);
	close_fd(fd);
	if (error < 0)
		fail(why, error, path,
		     error == -EFBIG ? "is larger than files of this process may be; "
				       "raise the limit (ulimit -f)"
				     : NULL);
out:
	close_fd(walk.directory);
	return error;
}
