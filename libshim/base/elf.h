/*
 * elf.h - what is loaded, and what it exports, read from the ELF tables themselves.
 *
 * No dl* function is called, so that nobody's replacement of one can answer, no error text of
 * the program's is lost, and an object that is not loaded stays so. Symbol versions are
 * ignored: of several versions of a name the one that is listed first is found. Knows no
 * particular library. Any thread.
 */
#ifndef GSH_BASE_ELF_H
#define GSH_BASE_ELF_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

struct gsh_elf {
	uintptr_t bias;	      /* added to the addresses in the file */
	uintptr_t start, end; /* what its segments span */
	const char *soname;   /* "": it has none */
	const ElfW(Sym) * symbols;
	const char *strings;
	/* Either may be NULL: an object has one of the two tables, or both. */
	const uint32_t *gnu_hash, *sysv_hash;
};

/*
 * Calls visit with each loaded object, in the order in which they are searched, until it
 * returns something other than 0, which is then returned; 0 if it never does. The object is
 * not unloaded during the visit and may be afterwards. visit must not call the loader.
 */
int gsh_elf_each(int (*visit)(const struct gsh_elf *object, void *data), void *data);

/* Address of an exported function or variable; 0: the object does not define it. */
uintptr_t gsh_elf_symbol(const struct gsh_elf *object, const char *name);

/* Of the first object with that soname; 0 also if none is loaded. */
uintptr_t gsh_elf_find(const char *soname, const char *name);

bool gsh_elf_is(const struct gsh_elf *object, const char *soname);
bool gsh_elf_contains(const struct gsh_elf *object, const void *address);

#endif
