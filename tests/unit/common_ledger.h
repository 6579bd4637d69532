/*
 * common_ledger.h - processes of a tenant for the tests of the ledger.
 *
 * A *peer* is a child process that runs a function of the test and stops where the function
 * says so, until the test lets it go on or kills it. Knows processes and a directory; the
 * ledger is the tests' own business.
 */
#ifndef TESTS_UNIT_COMMON_LEDGER_H
#define TESTS_UNIT_COMMON_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ledger/ledger.h"

enum { LEDGER_MIB = 1 << 20 };

/* Under ThreadSanitizer a process has a thread more, and races on purpose are reported. */
#if defined(__SANITIZE_THREAD__)
#define LEDGER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LEDGER_TSAN 1
#endif
#endif
#ifndef LEDGER_TSAN
#define LEDGER_TSAN 0
#endif

/* Before and after each test: an empty directory; no peer is left. For the suite. */
void ledger_setup(void);
void ledger_teardown(void);

/* NAME in this test's directory; valid until the next test. */
const char *ledger_file(const char *name);
/* file "ledger" in it */
const char *ledger_path(void);

/* Opens ledger_path() for tenant "t"; fails the test fatally, with the reason, if not. */
void ledger_opened(struct gsh_ledger *ledger);
/* The row of the one device of most tests. */
uint32_t ledger_row(struct gsh_ledger *ledger);

struct peer {
	pid_t pid;  /* 0: has ended */
	int fd;	    /* to the other side */
	int result; /* of its function, or 128 + signal */
};

/* In the peer: stops until the test says go on. */
void peer_meet(struct peer *self);
/* In the peer: tells the test a number, which peer_number() takes. */
void peer_tell(struct peer *self, uint64_t number);

/* Starts run(self, arg) and waits until it meets, tells, or ends. */
struct peer peer_start(int (*run)(struct peer *self, void *arg), void *arg);
/* The same in two steps, for several that are to start together. True if it meets or tells. */
struct peer peer_begin(int (*run)(struct peer *self, void *arg), void *arg);
bool peer_stops(struct peer *peer);
/* Lets it go on until it meets or ends. True if it meets. */
bool peer_go(struct peer *peer);
uint64_t peer_number(struct peer *peer);
/* Lets it go on to its end; what its function returned, or 128 + the signal. */
int peer_end(struct peer *peer);
/* SIGKILL, and waits until the kernel has closed all that it had. */
void peer_kill(struct peer *peer);

/* ---- what peers do with the ledger ---- */

/* Of the one device, in the tests that share these functions. */
#define LEDGER_LIMIT (UINT64_C(100) * LEDGER_MIB)

/* In the peer: its ledger; these end it with a status of 90 or more if they fail. */
extern struct gsh_ledger peer_ledger;
extern uint32_t peer_row;
void peer_opens(void);
void peer_reserves(uint64_t mib);
/* A child that does nothing and has inherited everything. */
pid_t peer_forks_keeper(void);
/* For peer_start(): holds 60 MiB until it goes on; tells its slot. */
int peer_holds_60_mib(struct peer *self, void *arg);

/* Whether so much can be had under the limit; given back again. */
bool ledger_fits(struct gsh_ledger *ledger, uint64_t mib);
uint64_t ledger_used_mib(struct gsh_ledger *ledger);

/* Waits for the end of a process that a dead peer has left behind, killing it first. */
void orphan_kill(pid_t pid);

#endif
