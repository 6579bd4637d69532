/*
 * The ledger's file: made, shared, and refused where it is not what it should be.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "common_ledger.h"
#include "cunit_main.h"

/* What opening the file says, as tenant "t"; it is given up again if it works. */
static int open_result(const char *path, struct gsh_reason *why)
{
	struct gsh_ledger ledger;
	int res;

	why->text[0] = '\0';
	res = gsh_ledger_open(&ledger, path, "t", why);
	if (res == 0)
		gsh_ledger_close(&ledger);
	return res;
}

/* Refused with this error and a sentence that names the file and says this. */
static void refused(const char *path, int error, const char *words)
{
	struct gsh_reason why;
	int res = open_result(path, &why);

	if (res != error || !strstr(why.text, path) || !strstr(why.text, words))
		printf("      got %d, \"%s\"; expected %d, \"%s\"\n", res, why.text,
		       error, words);
	CU_ASSERT_EQUAL(res, error);
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, path));
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, words));
}

static void made(const char *path)
{
	struct gsh_reason why = { "" };

	CU_ASSERT_EQUAL_FATAL(gsh_ledger_create(path, "t", 0600, &why), 0);
}

static void overwrite(const char *path, size_t offset, const void *bytes, size_t count)
{
	int fd = open(path, O_WRONLY);

	CU_ASSERT_EQUAL(pwrite(fd, bytes, count, (off_t)offset), (ssize_t)count);
	close(fd);
}

/* ---- making it ---- */

static void a_missing_ledger_is_made_complete_with_its_directories(void)
{
	const char *path = ledger_file("a/b/ledger");
	mode_t umask_before = umask(077);
	struct gsh_reason why = { "" };
	struct gsh_ledger ledger;
	struct stat status;

	CU_ASSERT_EQUAL_FATAL(gsh_ledger_open(&ledger, path, "t", &why), 0);
	CU_ASSERT_EQUAL(umask(umask_before), 077);
	CU_ASSERT_EQUAL_FATAL(stat(path, &status), 0);
	CU_ASSERT_EQUAL(status.st_size, (off_t)GPUSHIM_LEDGER_BYTES);
	CU_ASSERT_TRUE(status.st_blocks * 512 >= status.st_size);
	/* Processes of other users in the same container use it too, whatever the umask. */
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0666);
	CU_ASSERT_EQUAL(ledger.header->magic, GPUSHIM_LEDGER_MAGIC);
	CU_ASSERT_EQUAL(ledger.header->version, GPUSHIM_LEDGER_VERSION);
	CU_ASSERT_EQUAL(ledger.header->ready, 1);
	CU_ASSERT_STRING_EQUAL(ledger.header->tenant, "t");
	CU_ASSERT_EQUAL(ledger.header->slots_used, 1);
	CU_ASSERT_EQUAL(ledger.own->state, GPUSHIM_SLOT_LIVE);
	CU_ASSERT_EQUAL(ledger.own->pid, (uint32_t)getpid());
	CU_ASSERT_NOT_EQUAL(ledger.own->pid_namespace, 0);
	CU_ASSERT_STRING_EQUAL(ledger.own->command, "test_ledger");
	gsh_ledger_close(&ledger);
}

static void tools_choose_the_mode_and_what_stands_is_kept(void)
{
	struct gsh_reason why = { "" };
	struct stat first, second;
	const char *path = ledger_path();

	CU_ASSERT_EQUAL(gsh_ledger_create(path, "t", 0640, &why), 0);
	CU_ASSERT_EQUAL(stat(path, &first), 0);
	CU_ASSERT_EQUAL(first.st_mode & 07777, 0640);
	CU_ASSERT_EQUAL(gsh_ledger_create(path, "t", 0666, &why), 0);
	CU_ASSERT_EQUAL(stat(path, &second), 0);
	CU_ASSERT_EQUAL(second.st_ino, first.st_ino);
	CU_ASSERT_EQUAL(second.st_mode & 07777, 0640);
	CU_ASSERT_EQUAL(gsh_ledger_create(path, "u", 0666, &why), -EPERM);
}

static void names_that_no_tenant_can_have_are_refused(void)
{
	static const char *const names[] = { "", "..", "a/b", "A", "-a", "a b" };
	struct gsh_reason why;
	struct gsh_ledger ledger;
	char name[GPUSHIM_NAME_BYTES + 1];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CU_ASSERT_EQUAL(gsh_ledger_open(&ledger, ledger_path(), names[i], &why),
				-EINVAL);
	memset(name, 'a', sizeof(name));
	name[GPUSHIM_NAME_BYTES] = '\0';
	CU_ASSERT_EQUAL(gsh_ledger_open(&ledger, ledger_path(), name, &why), -EINVAL);
	CU_ASSERT_EQUAL(access(ledger_path(), F_OK), -1);
}

/* ---- many that start at once ---- */

enum { STARTERS = 6, ROUNDS = 40 };

struct start {
	const char *path;
	bool naive;
	uint32_t *gate; /* shared: how many are there */
};

/* Makes the file under its name and fills it there, as one might. */
static void create_naively(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0666);

	if (fd < 0)
		return;
	sched_yield();
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)GPUSHIM_LEDGER_BYTES), 0);
	close(fd);
}

static int starter(struct peer *self, void *arg)
{
	struct start *start = arg;
	struct gsh_ledger ledger;
	struct gsh_reason why;

	gsh_add_seq_cst(start->gate, 1);
	while (gsh_load_seq_cst(start->gate) < STARTERS)
		sched_yield();
	if (start->naive)
		create_naively(start->path);
	if (gsh_ledger_open(&ledger, start->path, "t", &why) < 0)
		return 1;
	peer_tell(self, (uint64_t)ledger.file_inode << 16 | ledger.slot);
	return 0;
}

/* How many of them did not find themselves in one file with slots of their own. */
static unsigned strangers(bool naive)
{
	struct peer peers[STARTERS];
	uint64_t places[STARTERS];
	unsigned wrong = 0;
	struct start start = { .naive = naive };

	start.gate = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(start.gate, MAP_FAILED);
	for (unsigned round = 0; round < ROUNDS; round++) {
		char name[32];

		snprintf(name, sizeof(name), "%s-%u", naive ? "naive" : "right", round);
		start.path = ledger_file(name);
		*start.gate = 0;
		/* The first ones wait for the last at the gate, so nobody is waited for here. */
		for (unsigned i = 0; i < STARTERS; i++)
			peers[i] = peer_begin(starter, &start);
		for (unsigned i = 0; i < STARTERS; i++) {
			places[i] = peer_stops(&peers[i]) ? peer_number(&peers[i]) : 0;
			wrong += places[i] == 0;
			for (unsigned j = 0; j < i && places[i]; j++)
				wrong += places[j] &&
					 (places[j] == places[i] ||
					  places[j] >> 16 != places[i] >> 16);
		}
		for (unsigned i = 0; i < STARTERS; i++)
			peer_end(&peers[i]);
	}
	munmap(start.gate, 4096);
	return wrong;
}

static void all_who_start_at_once_meet_in_one_file(void)
{
	CU_ASSERT_EQUAL(strangers(false), 0);
	/* The control: a file that is filled under its name is seen half made. */
	CU_ASSERT_NOT_EQUAL(strangers(true), 0);
}

/* ---- what is refused ---- */

static void files_of_another_size_are_refused(void)
{
	made(ledger_path());
	CU_ASSERT_EQUAL(truncate(ledger_path(), (off_t)GPUSHIM_LEDGER_BYTES - 1), 0);
	refused(ledger_path(), -EPROTO, "size");
	CU_ASSERT_EQUAL(truncate(ledger_path(), (off_t)GPUSHIM_LEDGER_BYTES + 4096), 0);
	refused(ledger_path(), -EPROTO, "size");
	CU_ASSERT_EQUAL(truncate(ledger_path(), 0), 0);
	refused(ledger_path(), -EPROTO, "size");
}

static void files_that_are_no_ledger_are_refused(void)
{
	uint64_t wrong = 0;

	made(ledger_path());
	overwrite(ledger_path(), 0, &wrong, sizeof(wrong));
	refused(ledger_path(), -EPROTO, "not a ledger");
}

static void another_version_is_refused(void)
{
	uint32_t version = GPUSHIM_LEDGER_VERSION + 1;

	made(ledger_path());
	overwrite(ledger_path(), offsetof(struct gpushim_ledger_header, version),
		  &version, sizeof(version));
	refused(ledger_path(), -EPROTONOSUPPORT, "another version");
}

static void every_damaged_field_of_the_layout_is_refused(void)
{
	static const size_t offsets[] = {
		offsetof(struct gpushim_ledger_header, header_bytes),
		offsetof(struct gpushim_ledger_header, bytes),
		offsetof(struct gpushim_ledger_header, slots),
		offsetof(struct gpushim_ledger_header, slot_bytes),
		offsetof(struct gpushim_ledger_header, devices_max),
		offsetof(struct gpushim_ledger_header, cell_bytes),
		offsetof(struct gpushim_ledger_header, slots_offset),
		offsetof(struct gpushim_ledger_header, cells_offset),
		offsetof(struct gpushim_ledger_header, tenant),
		offsetof(struct gpushim_ledger_header, ready),
	};

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		made(ledger_path());
		overwrite(ledger_path(), offsets[i], "\1\2\3", 3);
		refused(ledger_path(), -EPROTO, "damaged");
		CU_ASSERT_EQUAL(unlink(ledger_path()), 0);
	}
}

static void another_tenants_ledger_is_refused(void)
{
	struct gsh_reason why = { "" };

	CU_ASSERT_EQUAL_FATAL(gsh_ledger_create(ledger_path(), "u", 0600, &why), 0);
	refused(ledger_path(), -EPERM, "tenant u, not of t");
}

static void links_are_refused(void)
{
	const char *real = ledger_file("real"), *link = ledger_file("link");
	const char *dangling = ledger_file("dangling");

	made(real);
	CU_ASSERT_EQUAL(symlink(real, link), 0);
	refused(link, -ELOOP, "link");
	CU_ASSERT_EQUAL(symlink(ledger_file("nothing"), dangling), 0);
	refused(dangling, -ELOOP, "link");
	CU_ASSERT_EQUAL(access(ledger_file("nothing"), F_OK), -1);
}

static void what_is_not_a_file_is_refused_at_once(void)
{
	const char *fifo = ledger_file("fifo"), *directory = ledger_file("directory");

	CU_ASSERT_EQUAL(mkfifo(fifo, 0666), 0);
	refused(fifo, -EPROTO, "regular");
	CU_ASSERT_EQUAL(mkdir(directory, 0777), 0);
	refused(directory, -EISDIR, "");
}

static void a_directory_that_cannot_be_made_is_refused(void)
{
	int fd = open(ledger_file("file"), O_CREAT | O_WRONLY, 0666);
	struct gsh_reason why;

	close(fd);
	refused(ledger_file("file/ledger"), -ENOTDIR, "");
	CU_ASSERT_EQUAL(open_result("/proc/gpushim/ledger", &why), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(why.text, "/proc/gpushim"));
}

static int unprivileged(struct peer *self, void *arg)
{
	struct gsh_reason why;

	(void)self;
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 77;
	return -open_result(arg, &why);
}

static void who_may_not_write_it_is_told(void)
{
	struct peer peer;

	made(ledger_path()); /* mode 0600 */
	CU_ASSERT_EQUAL(chmod(ledger_file("."), 0755), 0);
	peer = peer_start(unprivileged, (void *)(uintptr_t)ledger_path());
	if (peer.result == 77) {
		unit_skip("it takes root to become somebody else");
		return;
	}
	CU_ASSERT_EQUAL(peer.result, EACCES);
}

static void foreign_files_in_ones_own_directory_are_refused(void)
{
	CU_ASSERT_EQUAL(mkdir(ledger_file("mine"), 0700), 0);
	made(ledger_file("mine/ledger"));
	if (chown(ledger_file("mine/ledger"), 12345, 0) < 0)
		unit_skip("it takes root to give a file away");
	else
		refused(ledger_file("mine/ledger"), -EPERM, "user 12345");
}

static void users_of_a_container_meet_where_its_directory_lets_them(void)
{
	/* Not in TMPDIR, which may lie in a directory that is ours alone. */
	char directory[] = "/dev/shm/ledger.XXXXXX", path[64];
	struct gsh_reason why;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/ledger", directory);
	made(path);
	CU_ASSERT_EQUAL(chmod(directory, 0777), 0);
	if (chown(path, 12345, 0) < 0) {
		unit_skip("it takes root to give a file away");
	} else {
		CU_ASSERT_EQUAL(open_result(path, &why), 0);
		/* But not where all may put files, and nobody may remove those of others. */
		CU_ASSERT_EQUAL(chmod(directory, 01777), 0);
		refused(path, -EPERM, "user 12345");
	}
	unlink(path);
	rmdir(directory);
}

/* 0, or where it failed; 77: file systems cannot be mounted. */
static int on_full_tmpfs(struct peer *self, void *arg)
{
	struct gsh_reason why;
	char *path = arg;
	int fd;

	(void)self;
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", ledger_file("."), "tmpfs", 0, "size=64k") < 0)
		return 77;
	if (open_result(path, &why) != -ENOSPC || !strstr(why.text, path))
		return 1;
	if (access(path, F_OK) == 0)
		return 2;
	/* A whole file with a hole in it: right in size and header, and deadly to touch. */
	if (mount("none", ledger_file("."), "tmpfs", MS_REMOUNT, "size=4m") < 0)
		return 77;
	if (open_result(path, &why) < 0)
		return 3;
	fd = open(path, O_RDWR);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192,
		      (off_t)GPUSHIM_LEDGER_BYTES - 8192) < 0)
		return 4;
	close(fd);
	fd = open(ledger_file("filler"), O_CREAT | O_WRONLY, 0600);
	fallocate(fd, 0, 0, 4 << 20);
	while (write(fd, path, 1) == 1)
		;
	close(fd);
	if (open_result(path, &why) != -ENOSPC || !strstr(why.text, "room"))
		return 5;
	/* With room it is made whole. */
	unlink(ledger_file("filler"));
	return open_result(path, &why) == 0 ? 0 : 6;
}

static void a_full_file_system_refuses_and_does_not_kill(void)
{
	struct peer peer = peer_start(on_full_tmpfs, (void *)(uintptr_t)ledger_path());

	if (peer.result == 77)
		unit_skip("it takes root to mount a tmpfs");
	else
		CU_ASSERT_EQUAL(peer.result, 0);
}

static void opening_keeps_errno_and_leaves_nothing_open_after_a_refusal(void)
{
	struct gsh_reason why;
	int before = dup(0), after;

	close(before);
	errno = ECHILD;
	CU_ASSERT_EQUAL(open_result(ledger_path(), &why), 0);
	CU_ASSERT_EQUAL(errno, ECHILD);
	CU_ASSERT_EQUAL(truncate(ledger_path(), 5), 0);
	errno = ECHILD;
	CU_ASSERT_EQUAL(open_result(ledger_path(), &why), -EPROTO);
	CU_ASSERT_EQUAL(errno, ECHILD);
	after = dup(0);
	close(after);
	CU_ASSERT_EQUAL(after, before);
}

/* ---- devices ---- */

static void number_uuid(uint8_t uuid[16], unsigned n)
{
	memset(uuid, 0, 16);
	uuid[15] = (uint8_t)n;
}

static void a_device_keeps_its_row(void)
{
	struct gsh_ledger ledger;
	uint8_t uuid[16];

	ledger_opened(&ledger);
	for (unsigned n = 0; n < GPUSHIM_DEVICES_MAX; n++) {
		number_uuid(uuid, n);
		CU_ASSERT_EQUAL(gsh_ledger_device(&ledger, uuid, 100 + n), (int)n);
	}
	number_uuid(uuid, GPUSHIM_DEVICES_MAX);
	CU_ASSERT_EQUAL(gsh_ledger_device(&ledger, uuid, 1), -ENOSPC);
	number_uuid(uuid, 5);
	CU_ASSERT_EQUAL(gsh_ledger_device(&ledger, uuid, 105), 5);
	CU_ASSERT_EQUAL(ledger.header->devices[5].state, GPUSHIM_DEVICE_READY);
	CU_ASSERT_EQUAL(ledger.header->devices[5].total_bytes, 105);
	CU_ASSERT_EQUAL(ledger.header->devices[5].limit_bytes, GPUSHIM_UNLIMITED);
	CU_ASSERT_EQUAL(memcmp(ledger.header->devices[5].uuid, uuid, 16), 0);
	gsh_ledger_close(&ledger);
}

static void a_row_whose_maker_died_is_completed(void)
{
	struct gsh_ledger ledger;
	struct gpushim_ledger_device *row;
	uint32_t index;

	ledger_opened(&ledger);
	index = ledger_row(&ledger);
	row = &ledger.header->devices[index];
	/* As it is after the first step, and after the second. */
	for (uint32_t state = GPUSHIM_DEVICE_FREE; state < GPUSHIM_DEVICE_READY;
	     state++) {
		row->state = state;
		memset(row->uuid, 0, sizeof(row->uuid));
		row->total_bytes = row->limit_bytes = 0;
		CU_ASSERT_EQUAL(ledger_row(&ledger), index);
		CU_ASSERT_EQUAL(row->state, GPUSHIM_DEVICE_READY);
		CU_ASSERT_EQUAL(row->uuid[2], 3);
		CU_ASSERT_EQUAL(row->limit_bytes, GPUSHIM_UNLIMITED);
	}
	gsh_ledger_close(&ledger);
}

enum { ROW_THREADS = 4, ROW_ROUNDS = 300 };

struct row_race {
	struct gsh_ledger ledger;
	pthread_barrier_t gate;
	bool naive;
	int rows[ROW_THREADS];
	uint32_t next;
};

/* Looks, and then takes: another may have looked meanwhile. */
static int take_row_naively(struct gsh_ledger *ledger, const uint8_t uuid[16])
{
	struct gpushim_ledger_device *rows = ledger->header->devices;

	for (int i = 0; i < (int)GPUSHIM_DEVICES_MAX; i++) {
		if (gsh_load_acquire(&rows[i].state) == GPUSHIM_DEVICE_READY) {
			if (memcmp(rows[i].uuid, uuid, 16) == 0)
				return i;
			continue;
		}
		uint32_t free = GPUSHIM_DEVICE_FREE;

		if (gsh_cas_acquire(&rows[i].state, &free, GPUSHIM_DEVICE_CLAIMED)) {
			memcpy(rows[i].uuid, uuid, 16);
			sched_yield();
			gsh_store_release(&rows[i].state, GPUSHIM_DEVICE_READY);
			return i;
		}
	}
	return -ENOSPC;
}

static void *take_row(void *arg)
{
	struct row_race *race = arg;
	uint8_t uuid[16];
	uint32_t self = gsh_add_relaxed(&race->next, 1);

	for (unsigned round = 0; round < ROW_ROUNDS; round++) {
		number_uuid(uuid, round % 8 + 1);
		pthread_barrier_wait(&race->gate);
		race->rows[self] = race->naive
					   ? take_row_naively(&race->ledger, uuid)
					   : gsh_ledger_device(&race->ledger, uuid, 1);
		pthread_barrier_wait(&race->gate);
		/* The main thread compares them and wipes the rows now and then. */
		pthread_barrier_wait(&race->gate);
	}
	return NULL;
}

/* How often two threads were given different rows for one device. */
static unsigned split_devices(bool naive)
{
	struct row_race race = { .naive = naive };
	pthread_t threads[ROW_THREADS];
	unsigned split = 0;

	ledger_opened(&race.ledger);
	pthread_barrier_init(&race.gate, NULL, ROW_THREADS + 1);
	for (unsigned i = 0; i < ROW_THREADS; i++)
		pthread_create(&threads[i], NULL, take_row, &race);
	for (unsigned round = 0; round < ROW_ROUNDS; round++) {
		pthread_barrier_wait(&race.gate);
		pthread_barrier_wait(&race.gate);
		for (unsigned i = 1; i < ROW_THREADS; i++)
			split += race.rows[i] != race.rows[0];
		if (round % 8 == 7)
			memset(race.ledger.header->devices, 0,
			       sizeof(race.ledger.header->devices));
		pthread_barrier_wait(&race.gate);
	}
	for (unsigned i = 0; i < ROW_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&race.gate);
	gsh_ledger_close(&race.ledger);
	return split;
}

static void racing_for_a_row_gives_each_device_one(void)
{
	CU_ASSERT_EQUAL(split_devices(false), 0);
	/* The control is a data race. */
	if (!LEDGER_TSAN)
		CU_ASSERT_NOT_EQUAL(split_devices(true), 0);
}

const struct unit_suite unit_suite = {
	.name = "the ledger's file",
	.setup = ledger_setup,
	.teardown = ledger_teardown,
	.tests = {
		UNIT_TEST(a_missing_ledger_is_made_complete_with_its_directories),
		UNIT_TEST(tools_choose_the_mode_and_what_stands_is_kept),
		UNIT_TEST(names_that_no_tenant_can_have_are_refused),
		UNIT_TEST(all_who_start_at_once_meet_in_one_file),
		UNIT_TEST(files_of_another_size_are_refused),
		UNIT_TEST(files_that_are_no_ledger_are_refused),
		UNIT_TEST(another_version_is_refused),
		UNIT_TEST(every_damaged_field_of_the_layout_is_refused),
		UNIT_TEST(another_tenants_ledger_is_refused),
		UNIT_TEST(links_are_refused),
		UNIT_TEST(what_is_not_a_file_is_refused_at_once),
		UNIT_TEST(a_directory_that_cannot_be_made_is_refused),
		UNIT_TEST(who_may_not_write_it_is_told),
		UNIT_TEST(foreign_files_in_ones_own_directory_are_refused),
		UNIT_TEST(users_of_a_container_meet_where_its_directory_lets_them),
		UNIT_TEST(a_full_file_system_refuses_and_does_not_kill),
		UNIT_TEST(opening_keeps_errno_and_leaves_nothing_open_after_a_refusal),
		UNIT_TEST(a_device_keeps_its_row),
		UNIT_TEST(a_row_whose_maker_died_is_completed),
		UNIT_TEST(racing_for_a_row_gives_each_device_one),
	},
};
