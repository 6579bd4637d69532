/*
 * elf.c - a walk over the loaded objects, and look-ups by their own hash tables.
 *
 * Sources: System V ABI, "Dynamic Section" and "Hash Table"; the GNU hash section as the GNU
 * linker writes it (an object without DT_HASH has no other count of its symbols).
 */
#include "base/elf.h"

#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

/*
 * glibc has added the bias to the addresses in the dynamic section, musl has not, and for
 * the kernel's vdso nobody has: what lies below the bias is still an offset.
 */
static uintptr_t absolute(const struct gsh_elf *object, ElfW(Addr) value)
{
	return value < object->bias ? object->bias + value : value;
}

static void read_dynamic(struct gsh_elf *object, const ElfW(Dyn) * entry)
{
	ElfW(Xword) soname = 0;

	for (; entry->d_tag != DT_NULL; entry++) {
		uintptr_t at = absolute(object, entry->d_un.d_ptr);

		switch (entry->d_tag) {
		case DT_SONAME:
			soname = entry->d_un.d_val;
			break;
		case DT_SYMTAB:
			object->symbols = (const ElfW(Sym) *)at;
			break;
		case DT_STRTAB:
			object->strings = (const char *)at;
			break;
		case DT_GNU_HASH:
			object->gnu_hash = (const uint32_t *)at;
			break;
		case DT_HASH:
			object->sysv_hash = (const uint32_t *)at;
			break;
		default:
			break;
		}
	}
	object->soname = object->strings && soname ? object->strings + soname : "";
}

struct walk {
	int (*visit)(const struct gsh_elf *object, void *data);
	void *data;
};

static int visit_object(struct dl_phdr_info *info, size_t bytes, void *data)
{
	const struct walk *walk = data;
	struct gsh_elf object = { .bias = info->dlpi_addr, .start = UINTPTR_MAX };
	const ElfW(Dyn) *dynamic = NULL;

	(void)bytes;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t at = object.bias + segment->p_vaddr;

		if (segment->p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *)at;
		if (segment->p_type != PT_LOAD)
			continue;
		if (at < object.start)
			object.start = at;
		if (at + segment->p_memsz > object.end)
			object.end = at + segment->p_memsz;
	}
	if (!dynamic)
		return 0;
	read_dynamic(&object, dynamic);
	return object.symbols && object.strings ? walk->visit(&object, walk->data) : 0;
}

int gsh_elf_each(int (*visit)(const struct gsh_elf *object, void *data), void *data)
{
	struct walk walk = { visit, data };

	return dl_iterate_phdr(visit_object, &walk);
}

/* ---- symbols ---- */

static bool is_definition(const struct gsh_elf *object, uint32_t index, const char *name)
{
	const ElfW(Sym) *symbol = &object->symbols[index];
	unsigned type = symbol->st_info & 0xf, binding = symbol->st_info >> 4;

	return symbol->st_shndx != SHN_UNDEF && binding != STB_LOCAL &&
	       (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_OBJECT ||
		type == STT_NOTYPE) &&
	       strcmp(object->strings + symbol->st_name, name) == 0;
}

static uint32_t find_gnu(const struct gsh_elf *object, const char *name)
{
	const uint32_t *table = object->gnu_hash;
	uint32_t buckets = table[0], first = table[1], words = table[2], shift = table[3];
	const ElfW(Addr) *bloom = (const ElfW(Addr) *)&table[4];
	const uint32_t *bucket = (const uint32_t *)&bloom[words];
	const uint32_t *chain = &bucket[buckets];
	const unsigned bits = sizeof(ElfW(Addr)) * 8;
	uint32_t hash = 5381, index;
	ElfW(Addr) mask;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	mask = (ElfW(Addr))1 << (hash % bits) | (ElfW(Addr))1 << ((hash >> shift) % bits);
	if (!buckets || (words && (bloom[(hash / bits) % words] & mask) != mask))
		return 0;
	index = bucket[hash % buckets];
	if (index < first)
		return 0;
	/* The lowest bit of a hash marks the last one of its chain. */
	for (;; index++) {
		uint32_t seen = chain[index - first];

		if ((seen | 1) == (hash | 1) && is_definition(object, index, name))
			return index;
		if (seen & 1)
			return 0;
	}
}

static uint32_t find_sysv(const struct gsh_elf *object, const char *name)
{
	const uint32_t *table = object->sysv_hash;
	const uint32_t *bucket = &table[2], *chain = &bucket[table[0]];
	uint32_t hash = 0;

	for (const char *c = name; *c; c++) {
		hash = (hash << 4) + (unsigned char)*c;
		hash ^= hash >> 24 & 0xf0;
		hash &= 0x0fffffff;
	}
	for (uint32_t i = table[0] ? bucket[hash % table[0]] : 0; i; i = chain[i])
		if (is_definition(object, i, name))
			return i;
	return 0;
}

/* Asks an indirect function which of its implementations it means, as the loader does. */
static uintptr_t chosen(uintptr_t resolver)
{
#if defined(__aarch64__)
	struct {
		unsigned long bytes, hwcap, hwcap2;
	} argument = { sizeof(argument), getauxval(AT_HWCAP), getauxval(AT_HWCAP2) };
	/* The bit says that the second argument is there. */
	uint64_t flag = UINT64_C(1) << 62;

	return ((uintptr_t(*)(uint64_t, const void *))resolver)(argument.hwcap | flag,
								&argument);
#else
	return ((uintptr_t(*)(void))resolver)();
#endif
}

uintptr_t gsh_elf_symbol(const struct gsh_elf *object, const char *name)
{
	uint32_t index = object->gnu_hash    ? find_gnu(object, name)
			 : object->sysv_hash ? find_sysv(object, name)
					     : 0;
	uintptr_t address;

	if (!index)
		return 0;
	address = object->bias + object->symbols[index].st_value;
	return (object->symbols[index].st_info & 0xf) == STT_GNU_IFUNC ? chosen(address)
								       : address;
}

struct search {
	const char *soname, *name;
	uintptr_t address;
};

static int find_in(const struct gsh_elf *object, void *data)
{
	struct search *search = data;

	if (!gsh_elf_is(object, search->soname))
		return 0;
	search->address = gsh_elf_symbol(object, search->name);
	return 1;
}

uintptr_t gsh_elf_find(const char *soname, const char *name)
{
	struct search search = { soname, name, 0 };

	gsh_elf_each(find_in, &search);
	return search.address;
}

bool gsh_elf_is(const struct gsh_elf *object, const char *soname)
{
	return strcmp(object->soname, soname) == 0;
}

bool gsh_elf_contains(const struct gsh_elf *object, const void *address)
{
	return (uintptr_t)address >= object->start && (uintptr_t)address < object->end;
}
