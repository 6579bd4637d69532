/*
 * table.c - hooks.def as constant data.
 *
 * The names stand in one block, and rows refer to them by offset: pointers would have to be
 * relocated in every process of a container, CUDA or not.
 *
 * Source of the version rule: the PFN_ types of cudaTypedefs.h, whose order within a base is
 * that of the suffixes _v2, _v3 ..., and NVIDIA's description of cuGetProcAddress.
 */
#include "cuda/table.h"

#include <stddef.h>
#include <string.h>

#include "cuda/hook.h"

struct names {
#define HOOK(symbol, base, since, flavour, family) char symbol[sizeof(#symbol)];
#define SKIP(symbol, base, since, flavour, reason) char symbol[sizeof(#symbol)];
#include "cuda/hooks.def"
};

static const struct names names = {
#define HOOK(symbol, base, since, flavour, family) #symbol,
#define SKIP(symbol, base, since, flavour, reason) #symbol,
#include "cuda/hooks.def"
};

static const struct row {
	uint16_t name;	     /* offset in names */
	uint16_t since;	     /* first CUDA version */
	uint8_t base_length; /* the base is the symbol's beginning */
	uint8_t is_twin;     /* of the per-thread default stream */
	uint8_t is_hooked;
} rows[] = {
#define ROW(symbol, base, since, flavour, hooked)                   \
	{ offsetof(struct names, symbol), since, sizeof(#base) - 1, \
	  sizeof(#flavour) > 1, hooked },
#define HOOK(symbol, base, since, flavour, family) ROW(symbol, base, since, flavour, 1)
#define SKIP(symbol, base, since, flavour, reason) ROW(symbol, base, since, flavour, 0)
#include "cuda/hooks.def"
#undef ROW
};

_Static_assert(sizeof(struct names) <= UINT16_MAX, "offsets are 16 bits");
_Static_assert(sizeof(rows) / sizeof(rows[0]) == GSH_SYM_COUNT, "a row for each symbol");

enum { FLAG_PER_THREAD = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM };

const char *gsh_table_name(int row)
{
	return (const char *)&names + rows[row].name;
}

bool gsh_table_is_hooked(int row)
{
	return rows[row].is_hooked;
}

bool gsh_table_is_name(const char *symbol)
{
	return symbol[0] == 'c' && symbol[1] == 'u' && symbol[2] >= 'A' &&
	       symbol[2] <= 'Z';
}

static bool has_base(int row, const char *base, size_t length)
{
	return rows[row].base_length == length &&
	       memcmp(gsh_table_name(row), base, length) == 0;
}

bool gsh_table_has_base(int row, const char *base)
{
	return has_base(row, base, strlen(base));
}

int gsh_table_find(const char *symbol)
{
	int low = 0, high = GSH_SYM_COUNT;

	while (low < high) {
		int middle = low + (high - low) / 2;
		int order = strcmp(symbol, gsh_table_name(middle));

		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

int gsh_table_rule(const char *base, int version, uint64_t flags)
{
	size_t length = strlen(base);
	int plain = -1, twin = -1;
	bool has_twins = false;

	/*
	 * Of two versions of a base the higher has the longer name and so the later row, and
	 * the versions of one class never share a number: the last row that fits is the one.
	 */
	for (int i = 0; i < GSH_SYM_COUNT; i++) {
		const struct row *row = &rows[i];

		if (!has_base(i, base, length))
			continue;
		has_twins |= row->is_twin;
		if (row->since <= version)
			*(row->is_twin ? &twin : &plain) = i;
	}
	return flags == FLAG_PER_THREAD && has_twins ? twin : plain;
}
