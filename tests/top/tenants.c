/*
 * tenants.c - tenants for gpushim-top to look at, without a GPU: ledgers written by hand, held
 * by this process, that move by commands on standard input.
 *
 *	tenants DIR [TENANTS PROCESSES]
 *
 * makes TENANTS ledgers t000, t001, ... with PROCESSES live slots each, all on one device of
 * 16 GiB, and answers "ready". Then each line is a command, answered by "ok":
 *
 *	step			a second's worth of work by all: counters and shares move
 *	deny T SLOT MIB		an allocation of slot SLOT of tenant T was refused
 *	wait T SLOT MS		a thread of it has been held for so long; 0: no more
 *	end T SLOT		the process ends
 *	own T SLOT		slot SLOT is this very process, which maps the ledger
 *	foreign T SLOT PID	it claims to be a process of this machine that it is not
 *	name T SLOT		its command is made to spoil a terminal
 *	unknown T SLOT COUNT	it was handed so many entry points that are not covered
 *	truncate T | newer T | vanish T		the ledger's fate
 *
 * It ends with its input. Figures are fixed, so that screens can be compared.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "forged_ledger.h"

enum { TENANTS_MAX = 512, PROCESSES_MAX = 512 };

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static const char *dir;
static unsigned tenants = 3, processes = 3;
static struct forged_ledger forged[TENANTS_MAX];
static struct gpushim_ledger_slot slots[TENANTS_MAX][8];
static struct gpushim_ledger_use uses[TENANTS_MAX][8];
static uint64_t steps;

static const char *path_of(unsigned tenant, const char *file)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/ledger/t%03u%s", dir, tenant, file);
	return path;
}

static uint64_t unix_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A third of the memory and time that a tenant of this number is allowed. */
static void write_bucket(unsigned tenant)
{
	struct gpushim_ledger_bucket bucket = { .limit_permille = 300,
						.burst_ns = 20000000,
						.enforced = 1 };

	forged_looks(&bucket, forged_now_ns(), 12, 100 + tenant % 3 * 50);
	forged_bucket(&forged[tenant], 0, &bucket);
}

static void make_process(unsigned tenant, unsigned slot)
{
	static const char *const commands[] = { "python3", "hashcat", "ffmpeg" };
	struct gpushim_ledger_slot row = { .state = GPUSHIM_SLOT_LIVE,
					   .pid = 1000 + tenant * 10 + slot,
					   .pid_namespace = 1,
					   .start_unix_ns = unix_now_ns() };
	struct gpushim_ledger_cell cell = { .charged = (slot + 1) * 512 * MIB,
					    .peak_bytes = (slot + 2) * 512 * MIB };

	snprintf(row.command, sizeof(row.command), "%s", commands[slot % 3]);
	forged_slot(&forged[tenant], slot, &row);
	forged_cell(&forged[tenant], 0, slot, &cell);
	if (slot < 8)
		slots[tenant][slot] = row;
}

static void make_tenant(unsigned tenant)
{
	const struct gpushim_ledger_device device = {
		.state = GPUSHIM_DEVICE_READY,
		.limit_source = GPUSHIM_SOURCE_PAGE,
		.uuid = { 0x51, 0x3a },
		.total_bytes = 16 * GIB,
		.limit_bytes = 4 * GIB,
		.peak_bytes = 3 * GIB + 512 * MIB,
		.request_permille = 100,
		.limit_permille = 300,
	};
	char name[16];

	mkdir(path_of(tenant, ""), 0755);
	snprintf(name, sizeof(name), "t%03u", tenant);
	forged[tenant].fd = -1;
	forged_make(&forged[tenant], path_of(tenant, "/ledger"), name);
	forged_slots_used(&forged[tenant], processes);
	forged_device(&forged[tenant], 0, &device);
	for (unsigned slot = 0; slot < processes; slot++)
		make_process(tenant, slot);
	if (processes > 0)
		forged_lock(&forged[tenant], 0, processes);
	write_bucket(tenant);
}

/* ---- commands ---- */

static void step(void)
{
	steps++;
	for (unsigned t = 0; t < tenants; t++) {
		write_bucket(t);
		for (unsigned s = 0; s < processes && s < 8; s++) {
			uses[t][s].gpu_ns += 50000000;
			uses[t][s].launches += 40;
			uses[t][s].samples++;
			forged_use(&forged[t], 0, s, &uses[t][s]);
		}
	}
}

static void deny(unsigned tenant, unsigned slot, unsigned mib)
{
	struct gpushim_ledger_slot *row = &slots[tenant][slot];

	row->denials++;
	row->denied_bytes += mib * MIB;
	row->last_denied_bytes = mib * MIB;
	row->last_denied_unix_ns = unix_now_ns();
	forged_slot(&forged[tenant], slot, row);
}

static void hold(unsigned tenant, unsigned slot, unsigned ms)
{
	struct gpushim_ledger_use *use = &uses[tenant][slot];

	use->waiting_since_ns = ms ? forged_now_ns() - ms * UINT64_C(1000000) : 0;
	forged_use(&forged[tenant], 0, slot, use);
}

static void end(unsigned tenant, unsigned slot)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	lock.l_start = (off_t)(4096 + slot * UINT64_C(256));
	lock.l_len = 256;
	fcntl(forged[tenant].fd, F_OFD_SETLK, &lock);
}

static uint64_t own_namespace(void)
{
	struct stat status;

	return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

static void claim(unsigned tenant, unsigned slot, unsigned pid)
{
	struct gpushim_ledger_slot *row = &slots[tenant][slot];

	row->pid = pid;
	row->pid_namespace = own_namespace();
	row->start_unix_ns = unix_now_ns();
	forged_slot(&forged[tenant], slot, row);
}

static void own(unsigned tenant, unsigned slot)
{
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, forged[tenant].fd, 0) == MAP_FAILED)
		abort();
	claim(tenant, slot, (unsigned)getpid());
}

/* A colour, a combining character, a wide one, a control character of eight bits. */
static void name(unsigned tenant, unsigned slot)
{
	struct gpushim_ledger_slot *row = &slots[tenant][slot];

	memcpy(row->command, "\033[31m\314\201\345\255\227\302\233xyz", 16);
	forged_slot(&forged[tenant], slot, row);
}

static void hand_out(unsigned tenant, unsigned slot, unsigned count)
{
	struct gpushim_ledger_slot *row = &slots[tenant][slot];

	row->unknown_symbols = count;
	forged_slot(&forged[tenant], slot, row);
}

static void spoil(const char *how, unsigned tenant)
{
	const uint32_t version = 99;

	if (strcmp(how, "truncate") == 0) {
		if (ftruncate(forged[tenant].fd, 5000) < 0)
			abort();
	} else if (strcmp(how, "newer") == 0) {
		forged_write(&forged[tenant], &version, sizeof(version), 8);
	} else {
		unlink(path_of(tenant, "/ledger"));
		rmdir(path_of(tenant, ""));
	}
}

static void obey(const char *line)
{
	char word[16] = "";
	unsigned tenant = 0, slot = 0, value = 0;

	if (sscanf(line, "%15s t%u %u %u", word, &tenant, &slot, &value) < 1 ||
	    tenant >= tenants || slot >= 8)
		return;
	if (strcmp(word, "step") == 0)
		step();
	else if (strcmp(word, "deny") == 0)
		deny(tenant, slot, value);
	else if (strcmp(word, "wait") == 0)
		hold(tenant, slot, value);
	else if (strcmp(word, "end") == 0)
		end(tenant, slot);
	else if (strcmp(word, "own") == 0)
		own(tenant, slot);
	else if (strcmp(word, "foreign") == 0)
		claim(tenant, slot, value);
	else if (strcmp(word, "name") == 0)
		name(tenant, slot);
	else if (strcmp(word, "unknown") == 0)
		hand_out(tenant, slot, value);
	else
		spoil(word, tenant);
}

int main(int argc, char **argv)
{
	char line[128], path[512];

	if (argc < 2)
		return 2;
	dir = argv[1];
	if (argc > 3) {
		tenants = (unsigned)strtoul(argv[2], NULL, 10);
		processes = (unsigned)strtoul(argv[3], NULL, 10);
	}
	if (tenants > TENANTS_MAX || processes > PROCESSES_MAX)
		return 2;
	mkdir(dir, 0755);
	snprintf(path, sizeof(path), "%s/ledger", dir);
	mkdir(path, 0755);
	for (unsigned i = 0; i < tenants; i++)
		make_tenant(i);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		obey(line);
		puts("ok");
		fflush(stdout);
	}
	return 0;
}
