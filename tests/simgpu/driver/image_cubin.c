/*
 * image_cubin.c - kernels and variables of a cubin: an ELF64 file for EM_CUDA.
 *
 * Knows section names, symbols and the attributes in .nv.info*, as ptxas 12 and 13 write
 * them for sm_50 to sm_120; none of it is documented. Code and relocations are not
 * looked at. Every offset is checked against the size of the file.
 */
#include "image_build.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#ifndef EM_CUDA
#define EM_CUDA 190
#endif
enum {
	STO_ENTRY = 0x10,   /* st_other: the function is a kernel */
	STO_MANAGED = 0x04, /* st_other: the variable is __managed__ */
	STT_TEXTURE = 10,
	STT_SURFACE = 12,
	/* sm_90 and later count in .nv.shared what the hardware keeps for itself. */
	RESERVED_SHARED_BYTES = 1024,
	RESERVED_SHARED_SM = 90,
	MODULE_MAX_BYTES = 1 << 30,
};

/* Attributes: a format byte, the attribute, a 16-bit value or the size of what follows. */
enum {
	FORMAT_SIZED = 4,
	ATTR_MAX_THREADS = 0x05, /* x, y, z */
	ATTR_REQUIRED_THREADS = 0x10,
	ATTR_FRAME_SIZE = 0x11,	    /* symbol, bytes */
	ATTR_MIN_STACK_SIZE = 0x12, /* symbol, bytes */
	ATTR_PARAM = 0x17,	    /* index, ordinal | offset << 16, size << 18 | ... */
	ATTR_PARAMS_SIZE = 0x19,    /* the value is the size */
	ATTR_REGISTERS = 0x2f,	    /* symbol, count */
	ATTR_PARAM_LONG = 0x45,	    /* index, ordinal | offset << 16, size */
};

struct cubin {
	struct image_build *build;
	const unsigned char *data;
	size_t size;
	uint64_t section_at; /* offset of the section headers */
	uint32_t sections_count;
	Elf64_Shdr names;
	Elf64_Shdr symbols, symbol_names;
	/* By section index: 1 + index of the kernel whose code is there; 0 none. */
	uint32_t *kernel_of;
	/* Bytes of names, attributes and contents that may still be read. Sections may
	 * overlap and names may share their ends, so a small file could ask for any amount
	 * of work; a true one stays within a few times its size. */
	uint64_t budget;
};

/* Whether [at, at + bytes) is in the file. */
static bool inside(const struct cubin *cubin, uint64_t at, uint64_t bytes)
{
	return at <= cubin->size && bytes <= cubin->size - at;
}

static uint32_t word(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static Elf64_Shdr section(const struct cubin *cubin, uint32_t index)
{
	Elf64_Shdr header;

	memcpy(&header, cubin->data + cubin->section_at + index * sizeof(header),
	       sizeof(header));
	return header;
}

/* Whether the section takes room in the file; where it does, open_elf() checked it. */
static bool has_bytes(const Elf64_Shdr *s)
{
	return s->sh_type != SHT_NULL && s->sh_type != SHT_NOBITS;
}

/* False once the file has asked for more than its budget; the budget then stays 0. */
static bool spend(struct cubin *cubin, uint64_t bytes)
{
	if (bytes >= cubin->budget) {
		cubin->budget = 0;
		return false;
	}
	cubin->budget -= bytes;
	return true;
}

/* The string, or "" if it does not end inside its table. */
static const char *string(struct cubin *cubin, const Elf64_Shdr *table, uint64_t at)
{
	const char *text;
	size_t length;

	if (at >= table->sh_size || cubin->budget == 0)
		return "";
	text = (const char *)cubin->data + table->sh_offset + at;
	length = strnlen(text, table->sh_size - at);
	return spend(cubin, length + 1) && length < table->sh_size - at ? text : "";
}

static uint64_t symbols_count(const struct cubin *cubin)
{
	return cubin->symbols.sh_size / sizeof(Elf64_Sym);
}

static Elf64_Sym symbol(const struct cubin *cubin, uint64_t index)
{
	Elf64_Sym entry;

	memcpy(&entry, cubin->data + cubin->symbols.sh_offset + index * sizeof(entry),
	       sizeof(entry));
	return entry;
}

static struct sim_image_entry *kernel_in(const struct cubin *cubin,
					 uint32_t section_index)
{
	uint32_t kernel;

	if (section_index >= cubin->sections_count)
		return NULL;
	kernel = cubin->kernel_of[section_index];
	return kernel ? &cubin->build->image->entries[kernel - 1] : NULL;
}

static int damaged(const struct cubin *cubin, const char *what)
{
	return image_fail(cubin->build, SIM_IMAGE_INVALID, "the cubin is damaged: %s",
			  what);
}

/* Checks the header and every section's place, and finds the tables. */
static int open_elf(struct cubin *cubin)
{
	Elf64_Ehdr header;
	uint32_t names_index;
	uint64_t end;

	if (cubin->size < sizeof(header))
		return damaged(cubin, "it is shorter than an ELF header");
	memcpy(&header, cubin->data, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_CUDA)
		return image_fail(cubin->build, SIM_IMAGE_INVALID,
				  "the ELF file is not 64-bit CUDA code: machine %u",
				  header.e_machine);
	if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shoff == 0)
		return damaged(cubin, "it has no section headers");
	/* The architecture moved up a byte when ELF ABI version 8 came, with CUDA 12.8. */
	cubin->build->image->sm = header.e_flags >>
					  (header.e_ident[EI_ABIVERSION] >= 8 ? 8 : 0) &
				  0xff;

	cubin->section_at = header.e_shoff;
	cubin->sections_count = header.e_shnum;
	names_index = header.e_shstrndx;
	if (!inside(cubin, header.e_shoff, sizeof(Elf64_Shdr)))
		return damaged(cubin, "its section headers are outside the file");
	if (header.e_shnum == 0) { /* more than fit 16 bits */
		Elf64_Shdr first = section(cubin, 0);

		if (first.sh_size > UINT32_MAX)
			return damaged(cubin, "it has too many sections");
		cubin->sections_count = (uint32_t)first.sh_size;
		if (names_index == SHN_XINDEX)
			names_index = first.sh_link;
	}
	if (!inside(cubin, header.e_shoff,
		    cubin->sections_count * (uint64_t)sizeof(Elf64_Shdr)))
		return damaged(cubin, "its section headers are outside the file");

	end = header.e_shoff + cubin->sections_count * (uint64_t)sizeof(Elf64_Shdr);
	if (header.e_phnum &&
	    inside(cubin, header.e_phoff,
		   header.e_phnum * (uint64_t)sizeof(Elf64_Phdr)) &&
	    header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr) > end)
		end = header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr);
	for (uint32_t i = 0; i < cubin->sections_count; i++) {
		Elf64_Shdr s = section(cubin, i);

		if (!has_bytes(&s))
			continue;
		if (!inside(cubin, s.sh_offset, s.sh_size))
			return damaged(cubin, "a section is outside the file");
		if (s.sh_offset + s.sh_size > end)
			end = s.sh_offset + s.sh_size;
		if (s.sh_type == SHT_SYMTAB)
			cubin->symbols = s;
	}
	if (names_index >= cubin->sections_count ||
	    cubin->symbols.sh_link >= cubin->sections_count)
		return damaged(cubin, "its string tables are missing");
	cubin->names = section(cubin, names_index);
	cubin->symbol_names = section(cubin, cubin->symbols.sh_link);
	if (cubin->names.sh_type != SHT_STRTAB ||
	    cubin->symbol_names.sh_type != SHT_STRTAB)
		return damaged(cubin, "its string tables are missing");
	cubin->build->image->image_bytes = end;
	cubin->size = end;
	cubin->budget = 4 * end;
	return SIM_IMAGE_OK;
}

static bool is_constant_bank(const char *name)
{
	return strncmp(name, ".nv.constant", 12) == 0 && name[12] >= '0' &&
	       name[12] <= '9' && name[13] == '\0';
}

static int read_variable(struct cubin *cubin, const Elf64_Sym *sym, const char *name)
{
	Elf64_Shdr home = section(cubin, sym->st_shndx);
	const char *home_name = string(cubin, &cubin->names, home.sh_name);
	bool constant = is_constant_bank(home_name);
	struct sim_image_global *global;
	uint64_t at = sym->st_value - home.sh_addr;

	if (!constant && strcmp(home_name, ".nv.global") != 0 &&
	    strcmp(home_name, ".nv.global.init") != 0)
		return SIM_IMAGE_OK;
	if (at > home.sh_size || sym->st_size > home.sh_size - at)
		return damaged(cubin, "a variable is outside its section");
	global = image_add_global(cubin->build, name, strlen(name));
	if (!global)
		return SIM_IMAGE_OUT_OF_MEMORY;
	global->size_bytes = sym->st_size;
	global->align_bytes = home.sh_addralign && home.sh_addralign <= 4096
				      ? (unsigned)home.sh_addralign
				      : 1;
	global->constant = constant;
	global->managed = sym->st_other & STO_MANAGED;
	if (!has_bytes(&home) || sym->st_size == 0)
		return SIM_IMAGE_OK;
	if (!spend(cubin, sym->st_size))
		return SIM_IMAGE_OK;
	global->init = malloc(sym->st_size);
	if (!global->init)
		return SIM_IMAGE_OUT_OF_MEMORY;
	memcpy(global->init, cubin->data + home.sh_offset + at, sym->st_size);
	global->init_bytes = sym->st_size;
	return SIM_IMAGE_OK;
}

static int read_symbol(struct cubin *cubin, const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);
	const char *name = string(cubin, &cubin->symbol_names, sym->st_name);
	struct sim_image_ref *ref;

	if (!name[0])
		return SIM_IMAGE_OK;
	if (type == STT_TEXTURE || type == STT_SURFACE) {
		if (sym->st_shndx != SHN_UNDEF) /* a parameter */
			return SIM_IMAGE_OK;
		ref = image_add_ref(cubin->build, name, strlen(name));
		if (!ref)
			return SIM_IMAGE_OUT_OF_MEMORY;
		ref->surface = type == STT_SURFACE;
		return SIM_IMAGE_OK;
	}
	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= cubin->sections_count ||
	    sym->st_shndx >= SHN_LORESERVE)
		return SIM_IMAGE_OK;
	if (type == STT_OBJECT)
		return read_variable(cubin, sym, name);
	if (type == STT_FUNC && (sym->st_other & STO_ENTRY)) {
		if (!image_add_entry(cubin->build, name, strlen(name)))
			return SIM_IMAGE_OUT_OF_MEMORY;
		cubin->kernel_of[sym->st_shndx] =
			(uint32_t)cubin->build->image->entries_count;
	}
	return SIM_IMAGE_OK;
}

/* An attribute of the whole file, which names the kernel by its symbol. */
static void read_symbol_attribute(struct cubin *cubin, unsigned attribute,
				  const unsigned char *payload, unsigned size)
{
	struct sim_image_entry *kernel;
	uint32_t index, value;
	Elf64_Sym sym;

	if (size < 8 || (index = word(payload)) >= symbols_count(cubin))
		return;
	sym = symbol(cubin, index);
	if (!(sym.st_other & STO_ENTRY))
		return;
	kernel = kernel_in(cubin, sym.st_shndx);
	value = word(payload + 4);
	if (!kernel)
		return;
	if (attribute == ATTR_REGISTERS)
		kernel->regs = value;
	else if ((attribute == ATTR_FRAME_SIZE || attribute == ATTR_MIN_STACK_SIZE) &&
		 value > kernel->local_bytes)
		kernel->local_bytes = value;
}

/* They come in falling order; those that are not there yet are filled in later. */
static int read_param(struct cubin *cubin, struct sim_image_entry *kernel,
		      const unsigned char *payload, bool is_long)
{
	uint32_t place = word(payload + 4), size = word(payload + 8);
	unsigned ordinal = place & 0xffff, offset = place >> 16;

	if (offset == 0xffff) /* a texture or surface, which no launch passes */
		return SIM_IMAGE_OK;
	if (!is_long)
		size >>= 18;
	if (ordinal >= kernel->params_count &&
	    !spend(cubin, (ordinal - kernel->params_count) * sizeof(*kernel->params)))
		return SIM_IMAGE_OK;
	while (kernel->params_count <= ordinal)
		if (image_add_param(kernel, 0, 0) != 0)
			return SIM_IMAGE_OUT_OF_MEMORY;
	kernel->params[ordinal] = (struct sim_image_param){ offset, size };
	if (offset + (uint64_t)size > UINT16_MAX)
		return damaged(cubin, "a kernel's parameters take more than 64 KiB");
	if (offset + size > kernel->params_bytes)
		kernel->params_bytes = offset + size;
	return SIM_IMAGE_OK;
}

static int read_kernel_attribute(struct cubin *cubin, struct sim_image_entry *kernel,
				 unsigned attribute, const unsigned char *payload,
				 unsigned size)
{
	if ((attribute == ATTR_PARAM || attribute == ATTR_PARAM_LONG) && size >= 12)
		return read_param(cubin, kernel, payload, attribute == ATTR_PARAM_LONG);
	if ((attribute == ATTR_MAX_THREADS || attribute == ATTR_REQUIRED_THREADS) &&
	    size >= 12)
		kernel->max_threads = word(payload) * word(payload + 4) *
				      word(payload + 8);
	return SIM_IMAGE_OK;
}

/* .nv.info (kernel NULL) or .nv.info.KERNEL. */
static int read_attributes(struct cubin *cubin, const Elf64_Shdr *home,
			   struct sim_image_entry *kernel)
{
	const unsigned char *at = cubin->data + home->sh_offset,
			    *end = at + home->sh_size;

	if (!spend(cubin, home->sh_size))
		return SIM_IMAGE_OK;
	while (end - at >= 4) {
		unsigned format = at[0], attribute = at[1], value = at[2] | at[3] << 8;
		int result = SIM_IMAGE_OK;

		at += 4;
		if (format != FORMAT_SIZED) {
			/* Never less than where the parameters read so far end. */
			if (kernel && attribute == ATTR_PARAMS_SIZE &&
			    value > kernel->params_bytes)
				kernel->params_bytes = value;
			continue;
		}
		if (value > end - at)
			return damaged(cubin, "an attribute is longer than its section");
		if (kernel)
			result = read_kernel_attribute(cubin, kernel, attribute, at,
						       value);
		else
			read_symbol_attribute(cubin, attribute, at, value);
		if (result != SIM_IMAGE_OK)
			return result;
		at += value;
	}
	return SIM_IMAGE_OK;
}

static int read_section(struct cubin *cubin, const Elf64_Shdr *s)
{
	const char *name = string(cubin, &cubin->names, s->sh_name);
	struct sim_image_entry *kernel = kernel_in(cubin, s->sh_info);
	uint64_t reserved;

	if (strcmp(name, ".nv.info") == 0 && has_bytes(s))
		return read_attributes(cubin, s, NULL);
	if (!kernel)
		return SIM_IMAGE_OK;
	if (strncmp(name, ".nv.info.", 9) == 0 && has_bytes(s))
		return read_attributes(cubin, s, kernel);
	if (strncmp(name, ".nv.shared.", 11) == 0 && s->sh_size <= MODULE_MAX_BYTES) {
		reserved = cubin->build->image->sm >= RESERVED_SHARED_SM
				   ? RESERVED_SHARED_BYTES
				   : 0;
		if (s->sh_size > reserved)
			kernel->shared_bytes = (unsigned)(s->sh_size - reserved);
	}
	return SIM_IMAGE_OK;
}

int image_read_cubin(struct image_build *build, const unsigned char *elf, size_t limit)
{
	struct cubin cubin = { .build = build, .data = elf, .size = limit };
	int result;

	build->image->kind = SIM_IMAGE_CUBIN;
	result = open_elf(&cubin);
	if (result != SIM_IMAGE_OK)
		return result;
	cubin.kernel_of = calloc(cubin.sections_count, sizeof(*cubin.kernel_of));
	if (!cubin.kernel_of)
		return SIM_IMAGE_OUT_OF_MEMORY;
	for (uint64_t i = 0; i < symbols_count(&cubin) && result == SIM_IMAGE_OK; i++) {
		Elf64_Sym sym = symbol(&cubin, i);

		result = read_symbol(&cubin, &sym);
	}
	for (uint32_t i = 0; i < cubin.sections_count && result == SIM_IMAGE_OK; i++) {
		Elf64_Shdr s = section(&cubin, i);

		result = read_section(&cubin, &s);
	}
	free(cubin.kernel_of);
	if (result == SIM_IMAGE_OK && cubin.budget == 0)
		return damaged(&cubin, "its sections or names overlap");
	return result;
}
