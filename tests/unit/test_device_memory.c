/*
 * Tests of the device's memory: books to the byte, pages and chunks, addresses, references,
 * and who inherits what.
 *
 * Knows memory.h; clients come from common_server.h and have no contexts: to memory, a
 * context is a number.
 */
#include "cunit_main.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common_server.h"

#define MIB (1ull << 20)
#define PAGE SIM_PAGE_BYTES
#define OK SIM_OK

static struct sim_server *server;
static struct sim_memory *memory;
static struct sim_client *a, *b; /* two clients */

static void setup(void)
{
	server = open_server(2, 64 * MIB);
	memory = &server->memory;
	a = open_client(server);
	b = open_client(server);
}

static void teardown(void)
{
	close_server(server);
}

static struct simgpu_bytes *books(struct sim_client *client)
{
	return &client->books.memory[0];
}

static uint64_t used(void)
{
	return memory->device[0].used;
}

/* Allocates for context 1 of a client on device 0; the result in *result if not NULL. */
static uint64_t alloc_as(struct sim_client *client, uint64_t bytes,
			 enum sim_mem_kind kind, uint64_t align, int *result)
{
	uint64_t va = 0, held = 0;
	int fd, res;

	res = sim_memory_alloc(memory, client, 1, 0, bytes, kind, align, &va, &held, &fd);
	if (fd >= 0)
		close(fd);
	if (result)
		*result = res;
	else
		CU_ASSERT_EQUAL_FATAL(res, OK);
	return va;
}

static uint64_t alloc(struct sim_client *client, uint64_t bytes)
{
	return alloc_as(client, bytes, SIM_MEM_PLAIN, 512, NULL);
}

static int refused(struct sim_client *client, uint64_t bytes)
{
	int result;

	alloc_as(client, bytes, SIM_MEM_PLAIN, 512, &result);
	return result;
}

static void release(struct sim_client *client, uint64_t va)
{
	enum sim_mem_kind kind;
	uint64_t bytes;

	CU_ASSERT_EQUAL(sim_memory_free(memory, client, va, &kind, &bytes), OK);
}

static struct sim_phys *phys_at(struct sim_client *client, uint64_t va)
{
	struct sim_map *map = sim_memory_find(client, va);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	return map->phys;
}

static uint64_t create(struct sim_client *client, uint64_t bytes)
{
	uint64_t handle = 0;

	CU_ASSERT_EQUAL_FATAL(
		sim_memory_create(memory, client, 0, bytes, false, false, &handle), OK);
	return handle;
}

static uint64_t reserve(struct sim_client *client, uint64_t bytes)
{
	uint64_t va = 0;

	CU_ASSERT_EQUAL_FATAL(sim_memory_reserve(client, bytes, 0, 0, &va), OK);
	return va;
}

static uint64_t open_shared(struct sim_client *client, struct sim_phys *phys)
{
	uint64_t va = 0;

	CU_ASSERT_EQUAL_FATAL(sim_memory_open(client, phys, 1, phys->requested, &va), OK);
	return va;
}

static void write_word(struct sim_client *client, uint64_t va, uint64_t word)
{
	uint64_t contiguous;
	unsigned char *at = sim_memory_at(client, va, 2, &contiguous);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	memcpy(at, &word, sizeof(word));
}

static uint64_t read_word(struct sim_client *client, uint64_t va)
{
	uint64_t contiguous, word;
	unsigned char *at = sim_memory_at(client, va, 1, &contiguous);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	memcpy(&word, at, sizeof(word));
	return word;
}

/* ---- books ---- */

static void every_kind_is_counted_to_the_byte_in_its_own_part(void)
{
	const struct {
		enum sim_mem_kind kind;
		size_t part;
	} kinds[] = { { SIM_MEM_PLAIN, offsetof(struct simgpu_bytes, plain) },
		      { SIM_MEM_ARRAY, offsetof(struct simgpu_bytes, array) },
		      { SIM_MEM_MANAGED, offsetof(struct simgpu_bytes, managed) },
		      { SIM_MEM_POOL, offsetof(struct simgpu_bytes, pool) },
		      { SIM_MEM_GRAPH, offsetof(struct simgpu_bytes, graph) } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *part = (const char *)books(a) + kinds[i].part;
		uint64_t va = alloc_as(a, 3 * MIB + 5, kinds[i].kind, 512, NULL), counted;

		memcpy(&counted, part, sizeof(counted));
		CU_ASSERT_EQUAL(counted, 3 * MIB + 5);
		CU_ASSERT_EQUAL(books(a)->requested, 3 * MIB + 5);
		CU_ASSERT_EQUAL(books(a)->used, 2 * PAGE);
		CU_ASSERT_EQUAL(books(a)->allocations, 1);
		CU_ASSERT_EQUAL(used(), 2 * PAGE);
		CU_ASSERT_EQUAL(memory->device[0].requested, 3 * MIB + 5);
		release(a, va);
		memcpy(&counted, part, sizeof(counted));
		CU_ASSERT_EQUAL(counted, 0);
	}
	CU_ASSERT_EQUAL(books(a)->requested_peak, 3 * MIB + 5);
	CU_ASSERT_EQUAL(books(a)->allocations, 0);
	CU_ASSERT_EQUAL(used(), 0);
	CU_ASSERT_EQUAL(memory->device[0].requested_peak, 3 * MIB + 5);
}

static void code_is_held_but_was_not_asked_for(void)
{
	uint64_t va = alloc_as(a, 5000, SIM_MEM_CODE, 256, NULL);

	CU_ASSERT_EQUAL(books(a)->code, 5000);
	CU_ASSERT_EQUAL(books(a)->requested, 0);
	CU_ASSERT_EQUAL(books(a)->allocations, 0);
	CU_ASSERT_EQUAL(books(a)->used, PAGE);
	release(a, va);
	CU_ASSERT_EQUAL(books(a)->code, 0);
}

static void pinned_memory_is_none_of_the_device(void)
{
	uint64_t va = alloc_as(a, 100 * MIB, SIM_MEM_HOST, 4096, NULL);

	CU_ASSERT_EQUAL(books(a)->host, 100 * MIB);
	CU_ASSERT_EQUAL(books(a)->requested, 0);
	CU_ASSERT_EQUAL(used(), 0);
	release(a, va);
	CU_ASSERT_EQUAL(books(a)->host, 0);
}

static void bytes_taken_without_an_address_are_given_back(void)
{
	uint64_t part = 0;

	CU_ASSERT_TRUE(sim_memory_take(memory, 0, a, 12345, &part));
	CU_ASSERT_EQUAL(used(), 12345);
	CU_ASSERT_EQUAL(books(a)->used, 12345);
	CU_ASSERT_EQUAL(part, 12345);
	CU_ASSERT_FALSE(sim_memory_take(memory, 0, b, 64 * MIB - 12344, &part));
	CU_ASSERT_TRUE(sim_memory_take(memory, 0, b, 64 * MIB - 12345, &part));
	sim_memory_give(memory, 0, b, 64 * MIB - 12345, &part);
	sim_memory_give(memory, 0, a, 12345, &part);
	CU_ASSERT_EQUAL(part, 0);
	CU_ASSERT_EQUAL(used(), 0);
}

static void devices_are_counted_apart(void)
{
	uint64_t va, held;
	int fd;

	CU_ASSERT_EQUAL(sim_memory_alloc(memory, a, 1, 1, 64 * MIB, SIM_MEM_PLAIN, 512,
					 &va, &held, &fd),
			OK);
	CU_ASSERT_EQUAL(used(), 0);
	CU_ASSERT_EQUAL(memory->device[1].used, 64 * MIB);
	CU_ASSERT_EQUAL(books(a)->requested, 0);
	alloc(a, 64 * MIB);
}

/* ---- pages and chunks ---- */

static void a_mebibyte_takes_pages_and_a_byte_less_a_share_of_a_chunk(void)
{
	uint64_t large = alloc(a, MIB), small, second;

	CU_ASSERT_EQUAL(large % PAGE, 0);
	CU_ASSERT_EQUAL(used(), PAGE);
	small = alloc(a, MIB - 1);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	second = alloc(a, MIB - 1);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	CU_ASSERT_EQUAL(second, small + MIB);
	alloc(a, 1);
	CU_ASSERT_EQUAL(used(), 3 * PAGE);
}

static void small_blocks_stand_at_steps_of_512_bytes(void)
{
	uint64_t first = alloc(a, 1), second = alloc(a, 513), third = alloc(a, 512);

	CU_ASSERT_EQUAL(second, first + 512);
	CU_ASSERT_EQUAL(third, first + 3 * 512);
	CU_ASSERT_EQUAL(used(), PAGE);
	CU_ASSERT_EQUAL(books(a)->requested, 1 + 513 + 512);
}

static void a_small_block_takes_the_first_gap_that_fits(void)
{
	uint64_t va[4];

	for (int i = 0; i < 4; i++)
		va[i] = alloc(a, 4096);
	release(a, va[0]);
	release(a, va[2]);
	CU_ASSERT_EQUAL(alloc(a, 4097), va[3] + 4096);
	CU_ASSERT_EQUAL(alloc(a, 2048), va[0]);
	CU_ASSERT_EQUAL(alloc(a, 4096), va[2]);
}

static void a_chunk_goes_with_its_last_block(void)
{
	uint64_t first = alloc(a, 512), second = alloc(a, 512);

	release(a, first);
	CU_ASSERT_EQUAL(used(), PAGE);
	release(a, second);
	CU_ASSERT_EQUAL(used(), 0);
	CU_ASSERT_PTR_NULL(a->space.chunks);
}

static void contexts_do_not_share_chunks(void)
{
	uint64_t va, held;
	int fd;

	alloc(a, 512);
	CU_ASSERT_EQUAL(sim_memory_alloc(memory, a, 2, 0, 512, SIM_MEM_PLAIN, 512, &va,
					 &held, &fd),
			OK);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	alloc(b, 512);
	CU_ASSERT_EQUAL(used(), 3 * PAGE);
}

/* Whatever stands in the chunk already: also whole words of its bitmap. */
static void small_blocks_are_aligned_as_asked_in_a_crowded_chunk(void)
{
	for (uint64_t align = 512; align < MIB; align *= 2)
		for (unsigned before = 0; before < 200; before += 16) {
			uint64_t va;

			for (unsigned i = 0; i < before; i++)
				alloc(a, 512);
			va = alloc_as(a, 600, SIM_MEM_PLAIN, align, NULL);
			CU_ASSERT_EQUAL(va % align, 0);
			sim_memory_free_ctx(memory, a, 1);
		}
	CU_ASSERT_EQUAL(used(), 0);
}

static void large_blocks_are_aligned_as_asked(void)
{
	for (uint64_t align = MIB; align <= 1ull << 36; align *= 4) {
		uint64_t va = alloc_as(a, 3 * MIB, SIM_MEM_PLAIN, align, NULL);

		CU_ASSERT_EQUAL(va % align, 0);
	}
}

/* ---- limits ---- */

static void memory_ends_exactly_at_the_configured_size(void)
{
	uint64_t last;

	CU_ASSERT_EQUAL(refused(a, 64 * MIB + 1), SIM_OUT_OF_MEMORY);
	for (int i = 0; i < 31; i++)
		alloc(i % 2 ? a : b, PAGE);
	CU_ASSERT_EQUAL(refused(a, PAGE + 1), SIM_OUT_OF_MEMORY);
	last = alloc(a, PAGE);
	CU_ASSERT_EQUAL(used(), 64 * MIB);
	CU_ASSERT_EQUAL(refused(b, MIB), SIM_OUT_OF_MEMORY);
	CU_ASSERT_EQUAL(refused(b, 1), SIM_OUT_OF_MEMORY);
	CU_ASSERT_EQUAL(used(), 64 * MIB);
	release(a, last);
	alloc(b, 1);
	CU_ASSERT_EQUAL(refused(a, MIB), SIM_OUT_OF_MEMORY);
	/* What was refused left nothing behind. */
	CU_ASSERT_EQUAL(books(a)->allocations + books(b)->allocations, 32);
}

static void a_client_limit_refuses_the_page_past_it(void)
{
	memory->device[0].client_limit = 3 * PAGE;
	alloc(a, 1);
	alloc(a, 2 * PAGE);
	CU_ASSERT_EQUAL(refused(a, MIB), SIM_OUT_OF_MEMORY);
	alloc(a, MIB - 1); /* in the chunk it has */
	CU_ASSERT_EQUAL(refused(b, 3 * PAGE + 1), SIM_OUT_OF_MEMORY);
	alloc(b, 3 * PAGE);
	memory->device[0].client_limit = 0;
	alloc(a, MIB);
}

static void pinned_memory_ends_where_it_is_told_to(void)
{
	int result;

	memory->host_bytes = 10 * MIB;
	alloc_as(a, 6 * MIB, SIM_MEM_HOST, 4096, NULL);
	alloc_as(a, 4 * MIB + 1, SIM_MEM_HOST, 4096, &result);
	CU_ASSERT_EQUAL(result, SIM_OUT_OF_MEMORY);
	alloc_as(a, 4 * MIB, SIM_MEM_HOST, 4096, NULL);
	alloc_as(a, 1, SIM_MEM_HOST, 4096, &result);
	CU_ASSERT_EQUAL(result, SIM_OUT_OF_MEMORY);
	alloc_as(b, 10 * MIB, SIM_MEM_HOST, 4096, NULL);
}

static void absurd_sizes_and_alignments_are_refused(void)
{
	static const uint64_t sizes[] = { UINT64_MAX, UINT64_MAX / 2 + 1, 1ull << 62,
					  UINT64_MAX - PAGE + 2 };
	static const enum sim_mem_kind kinds[] = { SIM_MEM_PLAIN, SIM_MEM_MANAGED,
						   SIM_MEM_HOST };
	int result;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			alloc_as(a, sizes[i], kinds[k], 512, &result);
			CU_ASSERT_EQUAL(result, SIM_OUT_OF_MEMORY);
		}
	CU_ASSERT_EQUAL(refused(a, 0), SIM_INVALID_VALUE);
	alloc_as(a, 512, SIM_MEM_PLAIN, 768, &result);
	CU_ASSERT_EQUAL(result, SIM_INVALID_VALUE);
	alloc_as(a, 512, SIM_MEM_PLAIN, 1ull << 63, &result);
	CU_ASSERT_EQUAL(result, SIM_INVALID_VALUE);
	alloc_as(a, 512, SIM_MEM_PLAIN, 1ull << 40, &result); /* where the arena ends */
	CU_ASSERT_EQUAL(used(), result == OK ? PAGE : 0);
}

/* ---- sharing with the client ---- */

static void host_and_managed_memory_is_one_with_the_clients_and_cannot_shrink(void)
{
	static const enum sim_mem_kind kinds[] = { SIM_MEM_HOST, SIM_MEM_MANAGED };

	for (int k = 0; k < 2; k++) {
		uint64_t va, held, *seen;
		int fd;

		CU_ASSERT_EQUAL_FATAL(sim_memory_alloc(memory, a, 1, 0, 10000, kinds[k],
						       4096, &va, &held, &fd),
				      OK);
		CU_ASSERT_EQUAL(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK, F_SEAL_SHRINK);
		CU_ASSERT_EQUAL(fcntl(fd, F_GET_SEALS) & F_SEAL_SEAL, F_SEAL_SEAL);
		CU_ASSERT_NOT_EQUAL(ftruncate(fd, 0), 0);
		seen = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CU_ASSERT_PTR_NOT_EQUAL_FATAL(seen, MAP_FAILED);
		write_word(a, va + 8, 77);
		CU_ASSERT_EQUAL(seen[1], 77);
		seen[2] = 78;
		CU_ASSERT_EQUAL(read_word(a, va + 16), 78);
		release(a, va);
		CU_ASSERT_EQUAL(seen[2], 78);
		munmap(seen, 10000);
		close(fd);
	}
}

static void other_memory_comes_without_a_descriptor(void)
{
	uint64_t va, held;
	int fd;

	CU_ASSERT_EQUAL(sim_memory_alloc(memory, a, 1, 0, 5 * MIB, SIM_MEM_PLAIN, 512,
					 &va, &held, &fd),
			OK);
	CU_ASSERT_EQUAL(fd, -1);
	CU_ASSERT_EQUAL(held, 6 * MIB);
	CU_ASSERT_EQUAL(sim_memory_alloc(memory, a, 1, 0, 700, SIM_MEM_PLAIN, 512, &va,
					 &held, &fd),
			OK);
	CU_ASSERT_EQUAL(held, 1024);
}

/* ---- freeing ---- */

static void only_where_an_allocation_begins_it_can_be_freed(void)
{
	uint64_t large = alloc(a, 4 * MIB), small = alloc(a, 1000), bytes;
	const uint64_t wrong[] = { 0,	      large + 1, large + PAGE, small + 999,
				   small + 1, small - 1, UINT64_MAX };
	enum sim_mem_kind kind;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(sim_memory_free(memory, a, wrong[i], &kind, &bytes),
				SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_free(memory, b, large, &kind, &bytes),
			SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_free(memory, a, small, &kind, &bytes), OK);
	CU_ASSERT_EQUAL(kind, SIM_MEM_PLAIN);
	CU_ASSERT_EQUAL(bytes, 1000);
	CU_ASSERT_EQUAL(sim_memory_free(memory, a, small, &kind, &bytes),
			SIM_INVALID_VALUE);
}

static void a_context_takes_its_memory_along_and_nothing_else(void)
{
	uint64_t kept, pool, held;
	int fd;

	for (int i = 0; i < 50; i++) {
		uint64_t va;

		alloc(a, 1 + (uint64_t)i * 1000);
		CU_ASSERT_EQUAL(sim_memory_alloc(memory, a, 2, 0, 600, SIM_MEM_PLAIN, 512,
						 &va, &held, &fd),
				OK);
		kept = va;
	}
	CU_ASSERT_EQUAL(sim_memory_alloc(memory, a, 0, 0, PAGE, SIM_MEM_POOL, 512, &pool,
					 &held, &fd),
			OK);
	sim_memory_free_ctx(memory, a, 1);
	CU_ASSERT_EQUAL(books(a)->requested, 50 * 600 + PAGE);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	write_word(a, kept, 1);
	write_word(a, pool, 1);
	sim_memory_free_ctx(memory, a, 0); /* no context: nobody's memory */
	CU_ASSERT_EQUAL(books(a)->requested, 50 * 600 + PAGE);
	sim_memory_free_ctx(memory, a, 2);
	CU_ASSERT_EQUAL(used(), PAGE);
}

static void addresses_are_used_again_when_the_arena_is_small(void)
{
	uint64_t base = a->space.base;

	sim_space_init(&a->space, base + 1, 4 * PAGE);
	CU_ASSERT_EQUAL(a->space.base, base + PAGE);
	for (int i = 0; i < 20; i++) {
		uint64_t first = alloc(a, PAGE), second = alloc(a, PAGE);

		CU_ASSERT_TRUE(first >= base + PAGE && first < base + 1 + 4 * PAGE);
		CU_ASSERT_NOT_EQUAL(first, second);
		CU_ASSERT_EQUAL(refused(a, 2 * PAGE), SIM_OUT_OF_MEMORY);
		CU_ASSERT_EQUAL(used(), 2 * PAGE);
		release(a, second);
		release(a, first);
	}
}

static void a_freed_address_is_not_the_next_one_given_out(void)
{
	uint64_t va = alloc(a, PAGE);

	release(a, va);
	CU_ASSERT_NOT_EQUAL(alloc(a, PAGE), va);
}

static void at_tells_how_many_bytes_follow(void)
{
	uint64_t large = alloc(a, 3 * MIB + 1), small = alloc(a, 700), bytes;
	unsigned char *first = sim_memory_at(a, large, 3, &bytes);

	CU_ASSERT_EQUAL(bytes, 3 * MIB + 1);
	CU_ASSERT_PTR_EQUAL(sim_memory_at(a, large + 3 * MIB, 3, &bytes),
			    first + 3 * MIB);
	CU_ASSERT_EQUAL(bytes, 1);
	CU_ASSERT_PTR_NULL(sim_memory_at(a, large + 3 * MIB + 1, 1, &bytes));
	CU_ASSERT_PTR_NULL(sim_memory_at(a, large - 1, 1, &bytes));
	CU_ASSERT_PTR_NOT_NULL(sim_memory_at(a, small + 699, 1, &bytes));
	CU_ASSERT_EQUAL(bytes, 1);
	CU_ASSERT_PTR_NULL(sim_memory_at(a, small + 700, 1, &bytes));
	CU_ASSERT_PTR_NULL(sim_memory_at(b, small, 1, &bytes));
}

/* ---- reservations, handles, mappings ---- */

static void reservations_are_pages_at_the_wished_address_if_it_is_free(void)
{
	uint64_t wish = a->space.base + 100 * PAGE, va, other;

	CU_ASSERT_EQUAL(sim_memory_reserve(a, 2 * PAGE, 0, wish, &va), OK);
	CU_ASSERT_EQUAL(va, wish);
	CU_ASSERT_EQUAL(sim_memory_reserve(a, 2 * PAGE, 0, wish + PAGE, &other), OK);
	CU_ASSERT_NOT_EQUAL(other, wish + PAGE);
	CU_ASSERT_EQUAL(sim_memory_reserve(a, PAGE + 1, 0, 0, &va), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_reserve(a, 0, 0, 0, &va), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_reserve(a, PAGE, 3, 0, &va), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_reserve(a, 0 - PAGE, 0, 0, &va), SIM_OUT_OF_MEMORY);
	CU_ASSERT_EQUAL(sim_memory_reserve(a, PAGE, 1ull << 63, 0, &va),
			SIM_OUT_OF_MEMORY);
	CU_ASSERT_EQUAL(sim_memory_unreserve(a, wish, PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unreserve(a, wish + PAGE, PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unreserve(a, wish, 2 * PAGE), OK);
	CU_ASSERT_EQUAL(sim_memory_unreserve(a, wish, 2 * PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(used(), 0);
}

static void a_block_lives_as_long_as_a_handle_or_a_mapping(void)
{
	uint64_t handle = create(a, 2 * PAGE), va = reserve(a, 4 * PAGE), again;

	CU_ASSERT_EQUAL(books(a)->vmm, 2 * PAGE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, 2 * PAGE, 0, handle), OK);
	CU_ASSERT_EQUAL(sim_memory_release(memory, a, handle), OK);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	CU_ASSERT_EQUAL(sim_memory_release(memory, a, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_retain(memory, a, 0, va + PAGE, &again), OK);
	CU_ASSERT_EQUAL(again, handle);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, va, 2 * PAGE), OK);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	CU_ASSERT_EQUAL(sim_memory_release(memory, a, again), OK);
	CU_ASSERT_EQUAL(used(), 0);
	CU_ASSERT_EQUAL(books(a)->vmm, 0);
}

static void a_handle_retained_twice_is_released_twice(void)
{
	uint64_t handle = create(a, PAGE), same;

	CU_ASSERT_EQUAL(sim_memory_retain(memory, a, handle, 0, &same), OK);
	CU_ASSERT_EQUAL(same, handle);
	CU_ASSERT_EQUAL(sim_memory_handle(a, handle)->refs, 2);
	CU_ASSERT_EQUAL(sim_memory_release(memory, a, handle), OK);
	CU_ASSERT_EQUAL(used(), PAGE);
	CU_ASSERT_EQUAL(sim_memory_release(memory, a, handle), OK);
	CU_ASSERT_EQUAL(used(), 0);
	CU_ASSERT_EQUAL(sim_memory_retain(memory, a, handle, 0, &same),
			SIM_INVALID_VALUE);
}

static void mappings_keep_to_the_rules(void)
{
	uint64_t handle = create(a, 2 * PAGE), va = reserve(a, 4 * PAGE),
		 plain = alloc(a, PAGE);

	CU_ASSERT_EQUAL(sim_memory_map(a, va + 1, PAGE, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, PAGE - 1, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, PAGE, 1, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, 0, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, PAGE, 0, handle + 1), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(b, va, PAGE, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, 3 * PAGE, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, 2 * PAGE, PAGE, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, PAGE, 0 - PAGE, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va + 4 * PAGE, PAGE, 0, handle),
			SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va + 3 * PAGE, 2 * PAGE, 0, handle),
			SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, plain, PAGE, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va + PAGE, PAGE, PAGE, handle), OK);
	CU_ASSERT_EQUAL(sim_memory_map(a, va, 2 * PAGE, 0, handle), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unreserve(a, va, 4 * PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_map(a, va + 2 * PAGE, 2 * PAGE, 0, handle), OK);
	/* Whole mappings, without gaps. */
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, va, 2 * PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, va + PAGE, 2 * PAGE),
			SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, va + 2 * PAGE, PAGE),
			SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, va + PAGE, 0), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, 0 - PAGE, PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, 0 - PAGE, 2 * PAGE),
			SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, plain, PAGE), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_unmap(memory, a, va + PAGE, 3 * PAGE), OK);
	CU_ASSERT_EQUAL(sim_memory_unreserve(a, va, 4 * PAGE), OK);
}

static void what_is_mapped_is_seen_at_its_offset_once_access_is_given(void)
{
	uint64_t handle = create(a, 2 * PAGE), va = reserve(a, 4 * PAGE), bytes;

	sim_memory_map(a, va, 2 * PAGE, 0, handle);
	sim_memory_map(a, va + 2 * PAGE, PAGE, PAGE, handle);
	CU_ASSERT_PTR_NULL(sim_memory_at(a, va, 1, &bytes));
	CU_ASSERT_EQUAL(sim_memory_access(a, va, 3 * PAGE, 3), OK);
	write_word(a, va + PAGE + 8, 99);
	CU_ASSERT_EQUAL(read_word(a, va + 2 * PAGE + 8), 99);
	CU_ASSERT_EQUAL(sim_memory_access(a, va + 2 * PAGE, PAGE, 1), OK);
	CU_ASSERT_PTR_NULL(sim_memory_at(a, va + 2 * PAGE, 2, &bytes));
	CU_ASSERT_PTR_NOT_NULL(sim_memory_at(a, va + 2 * PAGE, 1, &bytes));
	CU_ASSERT_EQUAL(sim_memory_access(a, va, 3 * PAGE, 0), OK);
	CU_ASSERT_PTR_NULL(sim_memory_at(a, va + PAGE, 1, &bytes));
	CU_ASSERT_EQUAL(sim_memory_access(a, va, PAGE, 3), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(sim_memory_access(a, va, 4 * PAGE, 3), SIM_INVALID_VALUE);
}

/* ---- who inherits ---- */

static void a_block_stays_charged_to_its_owner_while_another_has_it_open(void)
{
	uint64_t va = alloc(a, 3 * MIB), seen;
	struct sim_phys *phys = phys_at(a, va);

	write_word(a, va, 4711);
	seen = open_shared(b, phys);
	CU_ASSERT_EQUAL(open_shared(b, phys), seen); /* the same, opened twice */
	release(a, va);
	CU_ASSERT_EQUAL(books(a)->plain, 3 * MIB);
	CU_ASSERT_EQUAL(books(b)->used, 0);
	CU_ASSERT_EQUAL(read_word(b, seen), 4711);
	CU_ASSERT_EQUAL(sim_memory_close(memory, b, seen), OK);
	CU_ASSERT_EQUAL(used(), 2 * PAGE);
	CU_ASSERT_EQUAL(sim_memory_close(memory, b, seen), OK);
	CU_ASSERT_EQUAL(sim_memory_close(memory, b, seen), SIM_INVALID_VALUE);
	CU_ASSERT_EQUAL(books(a)->plain, 0);
	CU_ASSERT_EQUAL(used(), 0);
}

static void who_still_has_a_block_open_inherits_it(void)
{
	for (int freed_first = 0; freed_first < 2; freed_first++) {
		struct sim_client *owner = open_client(server);
		uint64_t va = alloc(owner, 3 * MIB), seen;

		write_word(owner, va, 4711);
		seen = open_shared(b, phys_at(owner, va));
		if (freed_first)
			release(owner, va);
		close_client(owner);
		CU_ASSERT_EQUAL(read_word(b, seen), 4711);
		CU_ASSERT_EQUAL(books(b)->plain, 3 * MIB);
		CU_ASSERT_EQUAL(books(b)->used, 2 * PAGE);
		CU_ASSERT_EQUAL(used(), 2 * PAGE);
		CU_ASSERT_EQUAL(sim_memory_close(memory, b, seen), OK);
		CU_ASSERT_EQUAL(books(b)->used, 0);
		CU_ASSERT_EQUAL(used(), 0);
	}
}

static void small_blocks_leave_their_chunk_with_their_bytes(void)
{
	uint64_t kept[3], seen[3];

	for (int i = 0; i < 3; i++) {
		alloc(a, 5000);
		kept[i] = alloc(a, 1000);
		write_word(a, kept[i], 100 + (uint64_t)i);
		write_word(a, kept[i] + 992, 200 + (uint64_t)i);
		seen[i] = open_shared(b, phys_at(a, kept[i]));
	}
	close_client(a);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(read_word(b, seen[i]), 100 + (uint64_t)i);
		CU_ASSERT_EQUAL(read_word(b, seen[i] + 992), 200 + (uint64_t)i);
	}
	CU_ASSERT_EQUAL(books(b)->plain, 3000);
	CU_ASSERT_EQUAL(books(b)->used, 3 * 1024);
	CU_ASSERT_EQUAL(used(), 3 * 1024);
	close_client(b);
	CU_ASSERT_EQUAL(used(), 0);
}

static void a_handle_inherits_too(void)
{
	uint64_t handle = create(a, 2 * PAGE), theirs;

	CU_ASSERT_EQUAL(
		sim_memory_adopt(memory, b, sim_memory_handle(a, handle)->phys, &theirs),
		OK);
	CU_ASSERT_EQUAL(books(b)->vmm, 0);
	CU_ASSERT_EQUAL(sim_memory_release(memory, a, handle), OK);
	close_client(a);
	CU_ASSERT_EQUAL(books(b)->vmm, 2 * PAGE);
	CU_ASSERT_EQUAL(sim_memory_release(memory, b, theirs), OK);
	CU_ASSERT_EQUAL(used(), 0);
}

static void a_block_on_its_way_belongs_to_nobody_until_it_arrives(void)
{
	uint64_t handle = create(a, PAGE);
	struct sim_phys *phys = sim_memory_handle(a, handle)->phys;

	sim_phys_ref(phys); /* an export */
	close_client(a);
	CU_ASSERT_PTR_NULL(phys->owner);
	CU_ASSERT_EQUAL(used(), PAGE);
	CU_ASSERT_EQUAL(sim_memory_adopt(memory, b, phys, &handle), OK);
	CU_ASSERT_EQUAL(books(b)->vmm, PAGE);
	sim_phys_unref(memory, phys);
	CU_ASSERT_EQUAL(used(), PAGE);
	close_client(b);
	CU_ASSERT_EQUAL(used(), 0);
}

static void a_block_that_never_arrives_goes_with_its_export(void)
{
	struct sim_phys *phys = sim_memory_handle(a, create(a, PAGE))->phys;

	sim_phys_ref(phys);
	close_client(a);
	sim_phys_unref(memory, phys);
	CU_ASSERT_EQUAL(used(), 0);
	CU_ASSERT_EQUAL(memory->device[0].requested, 0);
}

/* ---- against chance ---- */

enum { CLIENTS = 3, EXPORTS = 8, STEPS = 400, SEEDS = 150 };

struct chance {
	uint64_t random;
	struct sim_client *clients[CLIENTS];
	struct sim_phys *exports[EXPORTS];
};

static uint64_t below(struct chance *c, uint64_t n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random % n;
}

static struct sim_client *some_client(struct chance *c)
{
	return c->clients[below(c, CLIENTS)];
}

/* A block is marked with its number at both ends, wherever its bytes are. */
static void mark(const struct sim_phys *phys)
{
	memcpy(phys->host, &phys->id, 8);
	memcpy(phys->host + phys->requested - 8, &phys->id, 8);
}

static void random_alloc(struct chance *c)
{
	static const enum sim_mem_kind kinds[] = { SIM_MEM_PLAIN,  SIM_MEM_PLAIN,
						   SIM_MEM_ARRAY,  SIM_MEM_POOL,
						   SIM_MEM_CODE,   SIM_MEM_HOST,
						   SIM_MEM_MANAGED };
	struct sim_client *client = some_client(c);
	uint64_t bytes = 16 + (below(c, 3) ? below(c, 3000) : below(c, 6 * MIB)), va,
		 held;
	uint64_t align = 1ull << below(c, 23);
	enum sim_mem_kind kind = kinds[below(c, 7)];
	int fd, res;

	res = sim_memory_alloc(memory, client, (uint32_t)below(c, 3),
			       (unsigned)below(c, 2), bytes, kind, align, &va, &held,
			       &fd);
	if (fd >= 0)
		close(fd);
	if (res == OK) {
		CU_ASSERT_EQUAL(va % (align < 512 ? 512 : align), 0);
		mark(phys_at(client, va));
	}
}

static const struct sim_map *some_map(struct chance *c, struct sim_client *client)
{
	if (client->space.nmaps == 0)
		return NULL;
	return &client->space.maps[below(c, client->space.nmaps)];
}

static void random_end(struct chance *c)
{
	struct sim_client *client = some_client(c);
	const struct sim_map *map = some_map(c, client);
	enum sim_mem_kind kind;
	uint64_t bytes;

	if (map == NULL)
		return;
	if (map->imported)
		CU_ASSERT_EQUAL(sim_memory_close(memory, client, map->va), OK)
	else if (map->allocation)
		CU_ASSERT_EQUAL(sim_memory_free(memory, client, map->va, &kind, &bytes),
				OK)
	else
		CU_ASSERT_EQUAL(sim_memory_unmap(memory, client, map->va, map->bytes),
				OK);
}

static void random_share(struct chance *c)
{
	struct sim_client *from = some_client(c), *to = some_client(c);
	const struct sim_map *map = some_map(c, from);
	uint64_t va;

	if (map != NULL && from != to && map->allocation &&
	    map->phys->kind == SIM_MEM_PLAIN)
		sim_memory_open(to, map->phys, 1 + (uint32_t)below(c, 2), map->bytes,
				&va);
}

static void random_handle(struct chance *c)
{
	struct sim_client *client = some_client(c);
	struct sim_space_map *space = &client->space;
	struct sim_phys **slot = &c->exports[below(c, EXPORTS)];
	uint64_t value, va;

	if (below(c, 4) == 0 &&
	    sim_memory_create(memory, client, (unsigned)below(c, 2),
			      (1 + below(c, 3)) * PAGE, below(c, 6) == 0,
			      below(c, 6) == 0, &value) == OK)
		mark(sim_memory_handle(client, value)->phys);
	if (*slot != NULL && below(c, 2)) {
		sim_memory_adopt(memory, client, *slot, &value);
		sim_phys_unref(memory, *slot);
		*slot = NULL;
	}
	if (space->nhandles == 0)
		return;
	value = space->handles[below(c, space->nhandles)].value;
	switch (below(c, 4)) {
	case 0:
		CU_ASSERT_EQUAL(sim_memory_release(memory, client, value), OK);
		break;
	case 1:
		CU_ASSERT_EQUAL(sim_memory_retain(memory, client, value, 0, &value), OK);
		break;
	case 2:
		if (*slot == NULL) {
			*slot = sim_memory_handle(client, value)->phys;
			sim_phys_ref(*slot);
		}
		break;
	default:
		if (sim_memory_reserve(client, 4 * PAGE, 0, 0, &va) == OK) {
			sim_memory_map(client, va + below(c, 2) * PAGE, PAGE, 0, value);
			sim_memory_map(client, va + below(c, 4) * PAGE, PAGE, 0, value);
			sim_memory_unreserve(client, va, 4 * PAGE);
		}
		break;
	}
}

static void random_ending(struct chance *c)
{
	unsigned i = (unsigned)below(c, CLIENTS);

	if (below(c, 2)) {
		sim_memory_free_ctx(memory, c->clients[i], (uint32_t)below(c, 3));
		return;
	}
	close_client(c->clients[i]);
	c->clients[i] = open_client(server);
}

/* What the blocks say against what the books say. */
static void check_client(struct sim_client *client, struct simgpu_bytes sums[2])
{
	const struct sim_space_map *space = &client->space;
	const struct sim_phys *phys;
	const struct sim_chunk *chunk;

	for (phys = space->blocks; phys != NULL; phys = phys->next) {
		struct simgpu_bytes *sum = &sums[phys->device];

		CU_ASSERT_PTR_EQUAL_FATAL(phys->owner, client);
		CU_ASSERT_FATAL(phys->refs + phys->maps > 0);
		CU_ASSERT_EQUAL(memcmp(phys->host, &phys->id, 8), 0);
		CU_ASSERT_EQUAL(memcmp(phys->host + phys->requested - 8, &phys->id, 8),
				0);
		if (phys->host_memory) {
			sum->host += phys->requested;
			continue;
		}
		sum->requested += phys->kind == SIM_MEM_CODE ? 0 : phys->requested;
		sum->used += phys->used;
	}
	for (chunk = space->chunks; chunk != NULL; chunk = chunk->next)
		sums[chunk->device].used += PAGE;
	for (unsigned d = 0; d < 2; d++) {
		const struct simgpu_bytes *row = &client->books.memory[d];

		CU_ASSERT_EQUAL(row->requested, sums[d].requested);
		CU_ASSERT_EQUAL(row->used, sums[d].used);
		CU_ASSERT_EQUAL(row->host, sums[d].host);
		CU_ASSERT_EQUAL(row->plain + row->array + row->managed + row->vmm +
					row->pool + row->graph,
				sums[d].requested);
	}
	for (unsigned i = 1; i < space->nmaps; i++)
		CU_ASSERT_TRUE(space->maps[i - 1].va + space->maps[i - 1].bytes <=
			       space->maps[i].va);
	for (unsigned i = 1; i < space->nextents; i++)
		CU_ASSERT_TRUE(space->extents[i - 1].va + space->extents[i - 1].bytes <=
			       space->extents[i].va);
}

static void check_all(const struct chance *c)
{
	uint64_t sum_used[2] = { 0 }, sum_requested[2] = { 0 };

	for (int i = 0; i < CLIENTS; i++) {
		struct simgpu_bytes sums[2] = { 0 };

		check_client(c->clients[i], sums);
		for (int d = 0; d < 2; d++) {
			sum_used[d] += sums[d].used;
			sum_requested[d] += sums[d].requested;
		}
	}
	for (int i = 0; i < EXPORTS; i++) {
		const struct sim_phys *phys = c->exports[i];
		bool counted = false;

		for (int j = 0; j < i; j++)
			counted |= c->exports[j] == phys;
		if (phys == NULL || phys->owner != NULL || counted || phys->host_memory)
			continue;
		sum_used[phys->device] += phys->used;
		sum_requested[phys->device] += phys->requested;
	}
	for (int d = 0; d < 2; d++) {
		CU_ASSERT_EQUAL(memory->device[d].used, sum_used[d]);
		CU_ASSERT_EQUAL(memory->device[d].requested, sum_requested[d]);
		CU_ASSERT_TRUE(memory->device[d].used <= memory->device[d].total);
	}
}

static void books_are_the_sum_of_the_blocks_whatever_happens(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct chance c = { .random = seed * 0x9E3779B97F4A7C15u };

		teardown();
		setup();
		c.clients[0] = a;
		c.clients[1] = b;
		c.clients[2] = open_client(server);
		for (int step = 0; step < STEPS; step++) {
			uint64_t what = below(&c, 100);

			if (what < 40)
				random_alloc(&c);
			else if (what < 60)
				random_end(&c);
			else if (what < 75)
				random_share(&c);
			else if (what < 98)
				random_handle(&c);
			else
				random_ending(&c);
			if (step % 8 == 0)
				check_all(&c);
		}
		for (int i = 0; i < CLIENTS; i++)
			close_client(c.clients[i]);
		for (int i = 0; i < EXPORTS; i++)
			if (c.exports[i] != NULL)
				sim_phys_unref(memory, c.exports[i]);
		for (int d = 0; d < 2; d++) {
			CU_ASSERT_EQUAL(memory->device[d].used, 0);
			CU_ASSERT_EQUAL(memory->device[d].requested, 0);
		}
	}
}

const struct unit_suite unit_suite = {
	.name = "device memory",
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(every_kind_is_counted_to_the_byte_in_its_own_part),
		UNIT_TEST(code_is_held_but_was_not_asked_for),
		UNIT_TEST(pinned_memory_is_none_of_the_device),
		UNIT_TEST(bytes_taken_without_an_address_are_given_back),
		UNIT_TEST(devices_are_counted_apart),
		UNIT_TEST(a_mebibyte_takes_pages_and_a_byte_less_a_share_of_a_chunk),
		UNIT_TEST(small_blocks_stand_at_steps_of_512_bytes),
		UNIT_TEST(a_small_block_takes_the_first_gap_that_fits),
		UNIT_TEST(a_chunk_goes_with_its_last_block),
		UNIT_TEST(contexts_do_not_share_chunks),
		UNIT_TEST(small_blocks_are_aligned_as_asked_in_a_crowded_chunk),
		UNIT_TEST(large_blocks_are_aligned_as_asked),
		UNIT_TEST(memory_ends_exactly_at_the_configured_size),
		UNIT_TEST(a_client_limit_refuses_the_page_past_it),
		UNIT_TEST(pinned_memory_ends_where_it_is_told_to),
		UNIT_TEST(absurd_sizes_and_alignments_are_refused),
		UNIT_TEST(host_and_managed_memory_is_one_with_the_clients_and_cannot_shrink),
		UNIT_TEST(other_memory_comes_without_a_descriptor),
		UNIT_TEST(only_where_an_allocation_begins_it_can_be_freed),
		UNIT_TEST(a_context_takes_its_memory_along_and_nothing_else),
		UNIT_TEST(addresses_are_used_again_when_the_arena_is_small),
		UNIT_TEST(a_freed_address_is_not_the_next_one_given_out),
		UNIT_TEST(at_tells_how_many_bytes_follow),
		UNIT_TEST(reservations_are_pages_at_the_wished_address_if_it_is_free),
		UNIT_TEST(a_block_lives_as_long_as_a_handle_or_a_mapping),
		UNIT_TEST(a_handle_retained_twice_is_released_twice),
		UNIT_TEST(mappings_keep_to_the_rules),
		UNIT_TEST(what_is_mapped_is_seen_at_its_offset_once_access_is_given),
		UNIT_TEST(a_block_stays_charged_to_its_owner_while_another_has_it_open),
		UNIT_TEST(who_still_has_a_block_open_inherits_it),
		UNIT_TEST(small_blocks_leave_their_chunk_with_their_bytes),
		UNIT_TEST(a_handle_inherits_too),
		UNIT_TEST(a_block_on_its_way_belongs_to_nobody_until_it_arrives),
		UNIT_TEST(a_block_that_never_arrives_goes_with_its_export),
		UNIT_TEST(books_are_the_sum_of_the_blocks_whatever_happens),
	},
};
