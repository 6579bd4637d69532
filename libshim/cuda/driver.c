/*
 * driver.c - finds the driver that is loaded, and fills gsh_driver and the map of its
 * addresses. Knows its soname; refuses to know what its functions do.
 *
 * The map is built without allocating, into whichever of two static copies is not in use;
 * readers take no lock.
 */
#include "cuda/driver.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/elf.h"
#include "cuda/hook.h"
#include "cuda/table.h"

struct gsh_driver gsh_driver;
uint32_t gsh_driver_ready;

struct map {
	uintptr_t start, end; /* of the driver */
	uint32_t count;
	uint16_t by_address[GSH_SYM_COUNT]; /* rows, sorted by address */
	uintptr_t address[GSH_SYM_COUNT];   /* by row; 0: the driver has none */
};

static struct map maps[2];
static uint32_t current;	       /* atomic: 0 none, else 1 + index in maps */
static uintptr_t hooks[GSH_SYM_COUNT]; /* by row; constant before `current` is set */

/* Where in gsh_driver the entry points of a row belong; a row may stand here twice. */
static const struct {
	uint16_t row, offset;
} slots[] = {
#define HOOK(symbol, base, since, flavour, family) \
	{ GSH_SYM_##symbol, offsetof(struct gsh_driver, symbol) },
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"
#define CALL(symbol, base, since, flavour) \
	{ GSH_SYM_##symbol, offsetof(struct gsh_driver, call_##symbol) },
#include "cuda/calls.def"
};
enum { SLOTS = sizeof(slots) / sizeof(slots[0]) };

_Static_assert(sizeof(struct gsh_driver) <= UINT16_MAX, "offsets are 16 bits");
_Static_assert(sizeof(struct gsh_driver) == SLOTS * sizeof(uintptr_t), "a slot for each");

/*
 * Guards building a map. It holds the process id of who has it: a child that was forked in
 * the middle has no such thread, and takes the lock over. What it guards can be begun anew
 * at any point.
 */
static uint32_t builder;

static void lock_building(void)
{
	uint32_t own = (uint32_t)getpid(), seen = 0;

	/* Pairs with the release in unlock_building(). */
	while (!gsh_cas_acquire(&builder, &seen, own)) {
		if (seen != own)
			continue; /* free by now, or a parent's: seen is what to replace */
		sched_yield();
		seen = 0;
	}
}

static void unlock_building(void)
{
	gsh_store_release(&builder, 0);
}

static struct map *current_map(void)
{
	/* Pairs with the release in publish(). */
	uint32_t index = gsh_load_acquire(&current);

	return index ? &maps[index - 1] : NULL;
}

static void sort_by_address(struct map *map)
{
	/* Shell's method: short, in place, and quick enough for some hundred rows. */
	for (uint32_t gap = map->count / 2; gap; gap /= 2)
		for (uint32_t i = gap; i < map->count; i++) {
			uint16_t row = map->by_address[i];
			uint32_t at = i;

			for (; at >= gap && map->address[map->by_address[at - gap]] >
						    map->address[row];
			     at -= gap)
				map->by_address[at] = map->by_address[at - gap];
			map->by_address[at] = row;
		}
}

static void set_slot(uint16_t offset, uintptr_t address)
{
	memcpy((char *)&gsh_driver + offset, &address, sizeof(address));
}

static void publish(const struct map *map)
{
	for (int i = 0; i < SLOTS; i++)
		set_slot(slots[i].offset, map->address[slots[i].row]);
	/* Pairs with the acquire in current_map(). */
	gsh_store_release(&current, (uint32_t)(map - maps) + 1);
	/* Pairs with the acquire in GSH_NEED(). */
	gsh_store_release(&gsh_driver_ready, 1);
}

static int read_own_hooks(const struct gsh_elf *object, void *data)
{
	(void)data;
	if (!gsh_elf_contains(object, hooks))
		return 0;
	for (int row = 0; row < GSH_SYM_COUNT; row++)
		if (gsh_table_is_hooked(row))
			hooks[row] = gsh_elf_symbol(object, gsh_table_name(row));
	return 1;
}

static int read_driver(const struct gsh_elf *object, void *data)
{
	const struct map *known = current_map();
	struct map *map = data;

	if (!gsh_elf_is(object, "libcuda.so.1"))
		return 0;
	if (known && known->start == object->start && known->end == object->end)
		return 1;
	map->start = object->start;
	map->end = object->end;
	map->count = 0;
	for (int row = 0; row < GSH_SYM_COUNT; row++) {
		map->address[row] = gsh_elf_symbol(object, gsh_table_name(row));
		if (map->address[row])
			map->by_address[map->count++] = (uint16_t)row;
	}
	return 2;
}

int gsh_driver_load(void)
{
	struct map *map;
	int found;

	lock_building();
	map = &maps[gsh_load_relaxed(&current) & 1];
	found = gsh_elf_each(read_driver, map);
	if (found == 2) {
		gsh_elf_each(read_own_hooks, NULL);
		sort_by_address(map);
		publish(map);
	}
	unlock_building();
	return found ? 0 : -ENOENT;
}

void *gsh_driver_hook(int row, const void *answer)
{
	const struct map *map = current_map();

	if (!gsh_table_is_hooked(row))
		return NULL;
	if (!map || map->address[row] != (uintptr_t)answer) {
		if (gsh_driver_load() < 0)
			return NULL;
		map = current_map();
	}
	return map->address[row] == (uintptr_t)answer ? (void *)hooks[row] : NULL;
}

void *gsh_driver_hook_of(int row)
{
	const struct map *map = current_map();

	if (!map && gsh_driver_load() == 0)
		map = current_map();
	return map && map->address[row] ? (void *)hooks[row] : NULL;
}

int gsh_driver_row_at(const void *address, const char *base)
{
	const struct map *map = current_map();
	uint32_t low = 0, high = map ? map->count : 0;
	int found = -1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (map->address[map->by_address[middle]] < (uintptr_t)address)
			low = middle + 1;
		else
			high = middle;
	}
	for (; map && low < map->count; low++) {
		int row = map->by_address[low];

		if (map->address[row] != (uintptr_t)address)
			break;
		if (gsh_table_has_base(row, base))
			return row;
		found = row;
	}
	return found;
}

bool gsh_driver_contains(const void *address)
{
	const struct map *map = current_map();

	if (!map && gsh_driver_load() == 0)
		map = current_map();
	return map && (uintptr_t)address >= map->start && (uintptr_t)address < map->end;
}

void gsh_driver_adopt(int row, const void *address)
{
	struct map *map = current_map();

	if (!map || gsh_load_relaxed(&map->address[row]))
		return;
	gsh_store_relaxed(&map->address[row], (uintptr_t)address);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].row == row)
			set_slot(slots[i].offset, (uintptr_t)address);
}
