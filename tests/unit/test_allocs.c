/*
 * test_allocs.c - the map of allocations against a simple model, at all sizes, with threads
 * and across fork.
 *
 * It is compiled in, and not linked, because it belongs to a layer that tests otherwise see
 * only from outside.
 */
#include "cunit_main.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The map itself: its tables are looked into below. */
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "cuda/allocs.c"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

static struct gsh_allocs *allocs;

static void setup(void)
{
	allocs = aligned_alloc(64, sizeof(*allocs));
	memset(allocs, 0, sizeof(*allocs));
}

static void teardown(void)
{
	for (unsigned s = 0; s < GSH_ALLOC_SHARDS; s++)
		if (allocs->shards[s].entries)
			munmap(allocs->shards[s].entries,
			       allocs->shards[s].capacity * sizeof(struct gsh_alloc));
	free(allocs);
}

static struct gsh_alloc entry(uint32_t class, uint64_t handle, uint64_t bytes,
			      uint64_t context)
{
	return (struct gsh_alloc){ .handle = handle,
				   .bytes = bytes,
				   .context = context,
				   .class = class,
				   .row = 3,
				   .kind = 2 };
}

static int add(uint32_t class, uint64_t handle, uint64_t bytes, uint64_t context)
{
	struct gsh_alloc alloc = entry(class, handle, bytes, context), old;

	return gsh_allocs_add(allocs, &alloc, &old);
}

static uint64_t live(void)
{
	uint64_t count = 0;

	for (unsigned s = 0; s < GSH_ALLOC_SHARDS; s++)
		count += allocs->shards[s].live;
	return count;
}

static void forget(const struct gsh_alloc *alloc)
{
	(void)alloc;
}

/* Deterministic numbers: xorshift64. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- one entry ---- */

static void what_was_added_is_found_taken_once_and_then_gone(void)
{
	struct gsh_alloc got;

	CU_ASSERT_FALSE(gsh_allocs_find(allocs, GSH_ALLOC_POINTER, 4096, &got));
	CU_ASSERT_FALSE(gsh_allocs_take(allocs, GSH_ALLOC_POINTER, 4096, &got));
	CU_ASSERT_EQUAL(add(GSH_ALLOC_POINTER, 4096, 77, 5), 0);
	CU_ASSERT(gsh_allocs_find(allocs, GSH_ALLOC_POINTER, 4096, &got));
	memset(&got, 0, sizeof(got));
	CU_ASSERT(gsh_allocs_take(allocs, GSH_ALLOC_POINTER, 4096, &got));
	CU_ASSERT_EQUAL(got.handle, 4096);
	CU_ASSERT_EQUAL(got.bytes, 77);
	CU_ASSERT_EQUAL(got.context, 5);
	CU_ASSERT_EQUAL(got.class, GSH_ALLOC_POINTER);
	CU_ASSERT_EQUAL(got.row, 3);
	CU_ASSERT_EQUAL(got.kind, 2);
	CU_ASSERT_FALSE(gsh_allocs_take(allocs, GSH_ALLOC_POINTER, 4096, &got));
	CU_ASSERT_EQUAL(live(), 0);
}

static void handle_zero_is_never_found(void)
{
	struct gsh_alloc got;

	CU_ASSERT_EQUAL(add(GSH_ALLOC_POINTER, 1, 1, 1), 0);
	CU_ASSERT_FALSE(gsh_allocs_find(allocs, GSH_ALLOC_POINTER, 0, &got));
	CU_ASSERT_FALSE(gsh_allocs_take(allocs, GSH_ALLOC_POINTER, 0, &got));
	CU_ASSERT_FALSE(gsh_allocs_mark_exported(allocs, GSH_ALLOC_POINTER, 0));
}

static void equal_handles_of_different_classes_are_different(void)
{
	struct gsh_alloc got;

	for (uint32_t of = GSH_ALLOC_POINTER; of <= GSH_ALLOC_CONTEXT; of++)
		CU_ASSERT_EQUAL(add(of, 4096, of, 0), 0);
	/* Nor are those whose sums of class and handle are equal. */
	CU_ASSERT_EQUAL(add(GSH_ALLOC_POINTER, 4097, 99, 0), 0);
	for (uint32_t of = GSH_ALLOC_POINTER; of <= GSH_ALLOC_CONTEXT; of++) {
		CU_ASSERT(gsh_allocs_take(allocs, of, 4096, &got));
		CU_ASSERT_EQUAL(got.bytes, of);
	}
	CU_ASSERT_EQUAL(live(), 1);
}

static void a_second_entry_of_a_handle_replaces_the_first(void)
{
	struct gsh_alloc first = entry(GSH_ALLOC_ARRAY, 640, 10, 1);
	struct gsh_alloc second = entry(GSH_ALLOC_ARRAY, 640, 20, 2);
	struct gsh_alloc old = { 0 }, got = { 0 };

	CU_ASSERT_EQUAL(gsh_allocs_add(allocs, &first, &old), 0);
	CU_ASSERT_EQUAL(gsh_allocs_add(allocs, &second, &old), -EEXIST);
	CU_ASSERT_EQUAL(old.bytes, 10);
	CU_ASSERT_EQUAL(live(), 1);
	CU_ASSERT(gsh_allocs_take(allocs, GSH_ALLOC_ARRAY, 640, &got));
	CU_ASSERT_EQUAL(got.bytes, 20);
	CU_ASSERT_EQUAL(live(), 0);
}

static void a_mark_of_export_stays_with_the_entry(void)
{
	struct gsh_alloc got;

	CU_ASSERT_FALSE(gsh_allocs_mark_exported(allocs, GSH_ALLOC_POINTER, 512));
	CU_ASSERT_EQUAL(add(GSH_ALLOC_POINTER, 512, 1, 0), 0);
	CU_ASSERT(gsh_allocs_mark_exported(allocs, GSH_ALLOC_POINTER, 512));
	/* Also while the table grows. */
	for (uint64_t i = 2; i < 100000; i++)
		add(GSH_ALLOC_POINTER, i * 512, 1, 0);
	CU_ASSERT(gsh_allocs_take(allocs, GSH_ALLOC_POINTER, 512, &got));
	CU_ASSERT_EQUAL(got.exported, 1);
	CU_ASSERT(gsh_allocs_take(allocs, GSH_ALLOC_POINTER, 1024, &got));
	CU_ASSERT_EQUAL(got.exported, 0);
}

static void an_address_is_found_inside_its_allocation_only(void)
{
	struct gsh_alloc got;

	add(GSH_ALLOC_POINTER, 4096, 100, 0);
	add(GSH_ALLOC_POINTER, 8192, 1, 0);
	add(GSH_ALLOC_ARRAY, 100000, 50000, 0);
	CU_ASSERT(gsh_allocs_containing(allocs, 4096, &got));
	CU_ASSERT(gsh_allocs_containing(allocs, 4195, &got));
	CU_ASSERT_EQUAL(got.handle, 4096);
	CU_ASSERT_FALSE(gsh_allocs_containing(allocs, 4196, &got));
	CU_ASSERT_FALSE(gsh_allocs_containing(allocs, 4095, &got));
	CU_ASSERT(gsh_allocs_containing(allocs, 8192, &got));
	/* The handle of an array is no address. */
	CU_ASSERT_FALSE(gsh_allocs_containing(allocs, 100001, &got));
}

/* ---- against a model ---- */

enum { KEYS = 3000, STEPS = 400000, CONTEXTS = 5 };

static struct gsh_alloc model[KEYS];

static uint64_t handle_of(uint64_t key)
{
	return (key + 1) << 9;
}

static struct gsh_alloc model_take(uint64_t handle)
{
	struct gsh_alloc taken = model[(handle >> 9) - 1];

	model[(handle >> 9) - 1].handle = 0;
	return taken;
}

static unsigned wrongly_taken, taken_count;

static void taken_by_context(const struct gsh_alloc *alloc)
{
	struct gsh_alloc expected = model_take(alloc->handle);

	taken_count++;
	if (memcmp(&expected, alloc, sizeof(expected)) != 0)
		wrongly_taken++;
}

static unsigned model_of_context(uint64_t context)
{
	unsigned count = 0;

	for (unsigned i = 0; i < KEYS; i++)
		count += model[i].handle && model[i].context == context;
	return count;
}

static void step(uint64_t *state, unsigned *wrong)
{
	uint64_t key = next_random(state) % KEYS, what = next_random(state) % 1000;
	uint64_t context = 1 + next_random(state) % CONTEXTS;
	struct gsh_alloc alloc = entry(GSH_ALLOC_POINTER, handle_of(key),
				       1 + next_random(state) % 500, context);
	struct gsh_alloc *known = &model[key], got;
	unsigned expected;
	int result;

	if (what < 500) {
		result = gsh_allocs_add(allocs, &alloc, &got);
		*wrong += result != (known->handle ? -EEXIST : 0);
		*wrong += known->handle && memcmp(&got, known, sizeof(got)) != 0;
		*known = alloc;
	} else if (what < 900) {
		*wrong += gsh_allocs_take(allocs, GSH_ALLOC_POINTER, alloc.handle,
					  &got) != !!known->handle;
		*wrong += known->handle && memcmp(&got, known, sizeof(got)) != 0;
		known->handle = 0;
	} else if (what < 998) {
		*wrong += gsh_allocs_find(allocs, GSH_ALLOC_POINTER, alloc.handle,
					  &got) != !!known->handle;
		*wrong += known->handle && memcmp(&got, known, sizeof(got)) != 0;
	} else if (what < 999) {
		taken_count = 0;
		expected = model_of_context(context);
		gsh_allocs_take_context(allocs, context, taken_by_context);
		*wrong += taken_count != expected;
	} else {
		gsh_allocs_move_context(allocs, context, 1);
		for (unsigned i = 0; i < KEYS; i++)
			if (model[i].handle && model[i].context == context)
				model[i].context = 1;
	}
}

static void random_use_agrees_with_a_plain_array(void)
{
	uint64_t state = 88172645463325252u;
	unsigned wrong = 0, expected = 0;

	memset(model, 0, sizeof(model));
	wrongly_taken = 0;
	for (unsigned i = 0; i < STEPS; i++)
		step(&state, &wrong);
	for (unsigned i = 0; i < KEYS; i++)
		expected += model[i].handle != 0;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(wrongly_taken, 0);
	CU_ASSERT_EQUAL(live(), expected);
	for (uint64_t context = 1; context <= CONTEXTS; context++)
		gsh_allocs_take_context(allocs, context, taken_by_context);
	CU_ASSERT_EQUAL(wrongly_taken, 0);
	CU_ASSERT_EQUAL(live(), 0);
}

/* ---- what it costs ---- */

/* The longest way from an entry's home to where it lies. */
static uint32_t longest_way(void)
{
	uint32_t longest = 0;

	for (unsigned s = 0; s < GSH_ALLOC_SHARDS; s++) {
		const struct gsh_alloc_shard *shard = &allocs->shards[s];

		for (uint32_t i = 0; i < shard->capacity; i++) {
			const struct gsh_alloc *at = &shard->entries[i];
			uint32_t way;

			if (!at->handle)
				continue;
			way = (i - place_of(shard, hash_of(at->class, at->handle))) &
			      (shard->capacity - 1);
			longest = way > longest ? way : longest;
		}
	}
	return longest;
}

static void ways_stay_short_whatever_the_distance_of_addresses(void)
{
	static const uint64_t strides[] = {
		64, 256, 512, 4096, 65536, 2u << 20, 1u << 30
	};

	for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
		uint32_t way;

		for (uint64_t k = 1; k <= 100000; k++)
			add(GSH_ALLOC_POINTER, 0x7f0000000000 + k * strides[i], 1, 9);
		CU_ASSERT_EQUAL(live(), 100000);
		way = longest_way();
		if (way > 64)
			printf("stride %llu: %u places\n", (unsigned long long)strides[i],
			       way);
		CU_ASSERT(way <= 64);
		gsh_allocs_take_context(allocs, 9, forget);
		CU_ASSERT_EQUAL(live(), 0);
	}
}

/* ---- threads ---- */

enum { THREADS = 4, PER_THREAD = 30, TURNS = 5000 };

struct worker {
	pthread_t thread;
	struct gsh_allocs *allocs;
	const uint64_t *handles;
	unsigned wrong;
};

/* Handles that all fall into one shard, so that threads meet as often as can be. */
static const uint64_t *crowded_handles(unsigned thread)
{
	static uint64_t handles[THREADS * PER_THREAD];
	unsigned count = handles[0] ? THREADS * PER_THREAD : 0;

	for (uint64_t handle = 512; count < THREADS * PER_THREAD; handle += 512)
		if (shard_of(allocs, hash_of(GSH_ALLOC_POINTER, handle)) ==
		    allocs->shards)
			handles[count++] = handle;
	return &handles[thread * PER_THREAD];
}

/* Each thread has handles of its own, in a table that all of them share. */
static void *add_and_take(void *data)
{
	struct worker *worker = data;
	struct gsh_alloc got;

	for (unsigned turn = 0; turn < TURNS; turn++) {
		for (unsigned i = 0; i < PER_THREAD; i++) {
			struct gsh_alloc alloc = entry(GSH_ALLOC_POINTER,
						       worker->handles[i], turn, 1);

			worker->wrong += gsh_allocs_add(worker->allocs, &alloc, &got) !=
					 0;
		}
		for (unsigned i = 0; i < PER_THREAD; i++)
			worker->wrong += !gsh_allocs_take(worker->allocs,
							  GSH_ALLOC_POINTER,
							  worker->handles[i], &got) ||
					 got.bytes != turn;
	}
	return NULL;
}

/* Returns how often something was not as it was put there. copies: each thread has locks of
 * its own before the same tables, so that they lock nothing. */
static unsigned race(bool copies)
{
	static struct gsh_allocs own[THREADS] __attribute__((aligned(64)));
	struct worker workers[THREADS];
	unsigned wrong = 0;

	for (unsigned i = 0; i < THREADS; i++)
		own[i] = *allocs;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .allocs = copies ? &own[i] : allocs,
					      .handles = crowded_handles(i) };
		pthread_create(&workers[i].thread, NULL, add_and_take, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong;
	}
	return wrong;
}

/* So large that nobody lets it grow: copies of a table cannot. */
static void make_table(void)
{
	for (unsigned i = 0; i < THREADS * PER_THREAD; i++)
		add(GSH_ALLOC_POINTER, crowded_handles(0)[i], 1, 9);
	gsh_allocs_take_context(allocs, 9, forget);
}

static void threads_find_what_they_put_there(void)
{
	CU_ASSERT_EQUAL(race(false), 0);
	CU_ASSERT_EQUAL(live(), 0);
}

/* The control: without locks it goes wrong, in a process of its own that it may take down. */
static void without_locks_threads_lose_entries(void)
{
	int status = 0;
	pid_t pid;

#ifdef SANITIZED
	unit_skip("a sanitizer would report what this test wants to see");
	return;
#endif
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		make_table();
		alarm(unit_patience_ms(5000) / 1000);
		signal(SIGSEGV, SIG_DFL);
		for (int i = 0; i < 100; i++)
			if (race(true) > 0)
				_exit(1);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	CU_ASSERT_NOT_EQUAL(status, 0);
}

static unsigned taken_of_seven;

static void count_seven(const struct gsh_alloc *alloc)
{
	taken_of_seven += alloc->context == 7;
}

static void a_contexts_entries_are_all_taken_while_others_come_and_go(void)
{
	struct worker workers[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .allocs = allocs,
					      .handles = crowded_handles(i) };
		pthread_create(&workers[i].thread, NULL, add_and_take, &workers[i]);
	}
	for (unsigned turn = 0; turn < 20; turn++) {
		taken_of_seven = 0;
		for (uint64_t k = 0; k < 3000; k++)
			add(GSH_ALLOC_ARRAY, (k + 1) << 9, 1, 7);
		gsh_allocs_take_context(allocs, 7, count_seven);
		CU_ASSERT_EQUAL(taken_of_seven, 3000);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		CU_ASSERT_EQUAL(workers[i].wrong, 0);
	}
	CU_ASSERT_EQUAL(live(), 0);
}

/* ---- fork ---- */

static void a_child_has_none_of_the_tables(void)
{
	struct gsh_alloc *entries = NULL;
	int status = 0;
	pid_t pid;

	add(GSH_ALLOC_POINTER, 4096, 1, 0);
	for (unsigned s = 0; s < GSH_ALLOC_SHARDS; s++)
		if (allocs->shards[s].entries)
			entries = allocs->shards[s].entries;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		/* msync(2) of what is not mapped is ENOMEM. */
		_exit(msync(entries, 1, MS_ASYNC) < 0 && errno == ENOMEM ? 0 : 1);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	CU_ASSERT_EQUAL(status, 0);
}

const struct unit_suite unit_suite = {
	.name = "the map of allocations",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(what_was_added_is_found_taken_once_and_then_gone),
		UNIT_TEST(handle_zero_is_never_found),
		UNIT_TEST(equal_handles_of_different_classes_are_different),
		UNIT_TEST(a_second_entry_of_a_handle_replaces_the_first),
		UNIT_TEST(a_mark_of_export_stays_with_the_entry),
		UNIT_TEST(an_address_is_found_inside_its_allocation_only),
		UNIT_TEST(random_use_agrees_with_a_plain_array),
		UNIT_TEST(ways_stay_short_whatever_the_distance_of_addresses),
		UNIT_TEST(threads_find_what_they_put_there),
		UNIT_TEST(without_locks_threads_lose_entries),
		UNIT_TEST(a_contexts_entries_are_all_taken_while_others_come_and_go),
		UNIT_TEST(a_child_has_none_of_the_tables),
	},
};
