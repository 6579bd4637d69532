/*
 * plugin_outer.c - a libcuda.so.1 that is only a front: it opens the driver proper, named by
 * OUTER_DRIVER, looks each function up there by its name, and passes calls on. WSL 2 has its
 * driver in two such layers.
 *
 * Its cuGetProcAddress answers with addresses of the inner driver, which are no exports of
 * this one. With OUTER_NEWER set it knows a newer cuMemAlloc, from CUDA 99 on.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef long word;

enum row {
#define SYM(symbol, base, version, variant) ROW_##symbol,
#include "symbols.def"
	ROWS,
};

static const char *const names[] = {
#define SYM(symbol, base, version, variant) #symbol,
#include "symbols.def"
};

static word (*inner[ROWS])(word, word, word, word, word, word, word, word, word, word,
			   word, word);

static word newer(word, word, word, word, word, word, word, word, word, word, word, word);

static void find_inner(enum row row)
{
	static void *driver;

	if (!driver)
		driver = dlopen(getenv("OUTER_DRIVER"), RTLD_NOW | RTLD_LOCAL);
	if (!driver) {
		printf("%s\n", dlerror());
		exit(1);
	}
	*(void **)&inner[row] = dlsym(driver, names[row]);
}

/* Whether this is the question that is answered here; then it is. */
static int answers(enum row row, word name, word *answer, word version)
{
	if (row != ROW_cuGetProcAddress_v2 || (int)version < 99000 ||
	    strcmp((const char *)name, "cuMemAlloc") != 0 || !getenv("OUTER_NEWER"))
		return 0;
	*answer = (word)newer;
	return 1;
}

/* The arguments of all calls are words, and no call has more of them than this. */
#define SYM(symbol, base, version, variant)                                           \
	word symbol(word, word, word, word, word, word, word, word, word, word, word, \
		    word);                                                            \
	word symbol(word a, word b, word c, word d, word e, word f, word g, word h,   \
		    word i, word j, word k, word l)                                   \
	{                                                                             \
		if (answers(ROW_##symbol, a, (word *)b, c))                           \
			return 0;                                                     \
		if (!inner[ROW_##symbol])                                             \
			find_inner(ROW_##symbol);                                     \
		return inner[ROW_##symbol](a, b, c, d, e, f, g, h, i, j, k, l);       \
	}
#include "symbols.def"

static word newer(word a, word b, word c, word d, word e, word f, word g, word h, word i,
		  word j, word k, word l)
{
	return 9900 + (a && b && c && d && e && f && g && h && i && j && k && l);
}
