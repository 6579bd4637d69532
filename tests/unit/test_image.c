/*
 * test_image.c - what the simulated driver reads in PTX, cubins and fat binaries.
 *
 * Knows the formats well enough to write small ones by hand, so that no compiler for the
 * GPU is needed. Instructions are left out where only declarations matter.
 */
#include <dlfcn.h>
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cunit_main.h"
#include "driver/image.h"

#define PTX_HEAD ".version 7.0\n.target sm_80\n.address_size 64\n"

static struct sim_image *image;
static char why[200];

static void forget_image(void)
{
	sim_image_free(image);
	image = NULL;
}

static int parse(const void *data, size_t size)
{
	forget_image();
	return sim_image_parse(data, size, &image, why, sizeof(why));
}

static int parse_text(const char *text)
{
	return parse(text, SIZE_MAX);
}

/* In a block of exactly its size, so that a sanitizer sees a read past the end. */
static int parse_copy(const void *data, size_t size)
{
	unsigned char *copy = malloc(size ? size : 1);
	int result;

	memcpy(copy, data, size);
	result = parse(copy, size);
	free(copy);
	return result;
}

static const struct sim_image_entry *kernel(const char *name)
{
	const struct sim_image_entry *entry = image ? sim_image_entry(image, name) : NULL;

	if (!entry)
		fprintf(stderr, "no kernel %s: %s\n", name, why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
	return entry;
}

static const struct sim_image_global *variable(const char *name)
{
	const struct sim_image_global *global = image ? sim_image_global(image, name)
						      : NULL;

	if (!global)
		fprintf(stderr, "no variable %s: %s\n", name, why);
	CU_ASSERT_PTR_NOT_NULL_FATAL(global);
	return global;
}

static int param_is(const struct sim_image_entry *entry, unsigned index, unsigned offset,
		    unsigned size)
{
	return index < entry->params_count &&
	       entry->params[index].offset_bytes == offset &&
	       entry->params[index].size_bytes == size;
}

static int init_is(const struct sim_image_global *global, const void *bytes, size_t size)
{
	return global->init && global->init_bytes == size &&
	       memcmp(global->init, bytes, size) == 0;
}

/* --- PTX ---------------------------------------------------------------------------------- */

static void parameters_lie_at_their_natural_alignment(void)
{
	CU_ASSERT_EQUAL_FATAL(
		parse_text(
			PTX_HEAD
			".visible .entry mixed(\n"
			"  .param .u64 mixed_0, .param .f32 mixed_1, .param .u64 mixed_2,\n"
			"  .param .u8 mixed_3,\n"
			"  .param .align 8 .b8 mixed_4[40], .param .u16 mixed_5)\n"
			"{ ret; }\n"
			".entry none() { ret; }\n"
			".entry bare { ret; }\n"),
		SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->kind, SIM_IMAGE_PTX);
	CU_ASSERT_EQUAL(image->sm, 80);
	CU_ASSERT_EQUAL(image->entries_count, 3);
	CU_ASSERT_EQUAL(kernel("mixed")->params_count, 6);
	CU_ASSERT(param_is(kernel("mixed"), 0, 0, 8));
	CU_ASSERT(param_is(kernel("mixed"), 1, 8, 4));
	CU_ASSERT(param_is(kernel("mixed"), 2, 16, 8));
	CU_ASSERT(param_is(kernel("mixed"), 3, 24, 1));
	CU_ASSERT(param_is(kernel("mixed"), 4, 32, 40));
	CU_ASSERT(param_is(kernel("mixed"), 5, 72, 2));
	CU_ASSERT_EQUAL(kernel("mixed")->params_bytes, 74);
	CU_ASSERT_EQUAL(kernel("none")->params_bytes, 0);
	CU_ASSERT_EQUAL(kernel("bare")->params_count, 0);
}

static void alignment_after_ptr_is_that_of_what_is_pointed_to(void)
{
	CU_ASSERT_EQUAL_FATAL(parse_text(PTX_HEAD
					 ".entry k(.param .u32 a,\n"
					 " .param .u64 .ptr .global .align 256 b,\n"
					 " .param .align 16 .v4 .f32 c) { ret; }"),
			      SIM_IMAGE_OK);
	CU_ASSERT(param_is(kernel("k"), 1, 8, 8));
	CU_ASSERT(param_is(kernel("k"), 2, 16, 16));
}

static void comments_and_strings_hide_what_is_in_them(void)
{
	CU_ASSERT_EQUAL_FATAL(
		parse_text("// .entry a() {}\n/* .entry b() {\n */\n" PTX_HEAD
			   ".file 1 \"x{y.cu\"\n"
			   ".entry /* here */ k // there\n(\n.param .u32 /**/ n)\n"
			   "{ .pragma \"no } unroll\"; /* } */ ret; // }\n}\n"
			   ".section .debug_str { .b8 1,2 }\n"
			   ".entry last() { ret; }"),
		SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->entries_count, 2);
	CU_ASSERT_EQUAL(kernel("k")->params_bytes, 4);
	CU_ASSERT_EQUAL(kernel("last")->params_bytes, 0);
}

static void tuning_directives_bound_the_threads_of_a_block(void)
{
	CU_ASSERT_EQUAL_FATAL(
		parse_text(PTX_HEAD
			   ".entry a() .maxntid 128, 2, 1 .minnctapersm 2 { ret; }\n"
			   ".entry b() .reqntid 64 { ret; }\n"
			   ".entry c() .pragma \"x\"; .maxnreg 32 { ret; }\n"),
		SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(kernel("a")->max_threads, 256);
	CU_ASSERT_EQUAL(kernel("b")->max_threads, 64);
	CU_ASSERT_EQUAL(kernel("c")->max_threads, 0);
}

static void static_shared_memory_belongs_to_the_kernels_that_use_it(void)
{
	CU_ASSERT_EQUAL_FATAL(
		parse_text(
			PTX_HEAD
			".shared .align 8 .b8 pool[100];\n"
			".extern .shared .align 16 .b8 dynamic[];\n"
			".entry own() { .reg .u32 r;\n.loc 1 2 3\n"
			" .shared .u8 one; .shared .align 4 .b8 more[256];\n"
			" ld.shared.u32 r, [more]; ret; }\n"
			".entry pooled() { .reg .u32 r; .local .align 8 .b8 depot[40];\n"
			" mov.u32 r, pool; mov.u32 r, pool; mov.u32 r, dynamic; ret; }\n"
			".entry none() { .reg .u32 pools; ret; }"),
		SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(kernel("own")->shared_bytes, 260);
	CU_ASSERT_EQUAL(kernel("pooled")->shared_bytes, 100);
	CU_ASSERT_EQUAL(kernel("pooled")->local_bytes, 40);
	CU_ASSERT_EQUAL(kernel("none")->shared_bytes, 0);
	CU_ASSERT_EQUAL(image->globals_count, 0);
}

static void variables_carry_size_alignment_and_space(void)
{
	CU_ASSERT_EQUAL_FATAL(
		parse_text(PTX_HEAD ".global .align 16 .b8 raw[48];\n"
				    ".visible .const .f64 c[3][4];\n"
				    ".global .attribute(.managed) .align 4 .u32 m = 9;\n"
				    ".global .v4 .f32 quad;\n"
				    ".global .u32 x, y[2];\n"
				    ".extern .global .u32 elsewhere;\n"),
		SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->globals_count, 6);
	CU_ASSERT_EQUAL(variable("raw")->size_bytes, 48);
	CU_ASSERT_EQUAL(variable("raw")->align_bytes, 16);
	CU_ASSERT_PTR_NULL(variable("raw")->init);
	CU_ASSERT_EQUAL(variable("c")->size_bytes, 96);
	CU_ASSERT(variable("c")->constant);
	CU_ASSERT(!variable("c")->managed);
	CU_ASSERT(variable("m")->managed);
	CU_ASSERT(!variable("m")->constant);
	CU_ASSERT_EQUAL(variable("quad")->size_bytes, 16);
	CU_ASSERT_EQUAL(variable("quad")->align_bytes, 16);
	CU_ASSERT_EQUAL(variable("y")->size_bytes, 8);
	CU_ASSERT_PTR_NULL(sim_image_global(image, "elsewhere"));
}

static void initial_values_are_kept_byte_for_byte(void)
{
	static const int32_t table[] = { -1, 16, 15, 3 }, rows[] = { 1, 0, 2, 3 };
	static const float floats[] = { 1.0f, -2.5f, 3.25f };
	static const double wide = 1.5;
	static const uint16_t half = 0xabcd;

	CU_ASSERT_EQUAL_FATAL(
		parse_text(PTX_HEAD
			   ".const .s32 table[2][2] = { {-1, 0x10}, {017, 0b11U} };\n"
			   ".const .s32 rows[2][2] = { {1}, {2, 3} };\n"
			   ".global .f32 floats[] = { 0f3F800000, -2.5, 325e-2 };\n"
			   ".global .f64 wide = 0d3FF8000000000000;\n"
			   ".global .b16 half = 0xABCD;\n"
			   ".global .b8 part[8] = {1, 2};\n"
			   ".global .u64 where = generic(half);\n"
			   ".global .u64 there[2] = { half+4, 1 };\n"),
		SIM_IMAGE_OK);
	CU_ASSERT(init_is(variable("table"), table, sizeof(table)));
	CU_ASSERT(init_is(variable("rows"), rows, sizeof(rows)));
	CU_ASSERT(init_is(variable("floats"), floats, sizeof(floats)));
	CU_ASSERT_EQUAL(variable("floats")->size_bytes, 12);
	CU_ASSERT(init_is(variable("wide"), &wide, sizeof(wide)));
	CU_ASSERT(init_is(variable("half"), &half, sizeof(half)));
	CU_ASSERT(init_is(variable("part"), "\1\2", 2));
	CU_ASSERT_EQUAL(variable("part")->size_bytes, 8);
	CU_ASSERT_PTR_NULL(variable("where")->init);
	CU_ASSERT_PTR_NULL(variable("there")->init);
}

static void references_to_textures_and_surfaces_are_listed(void)
{
	CU_ASSERT_EQUAL_FATAL(parse_text(PTX_HEAD
					 ".global .texref tex;\n"
					 ".global .surfref surf;\n"
					 ".global .samplerref sampler = { 0 };\n"
					 ".entry k(.param .texref t, .param .u32 n) "
					 "{ ret; }"),
			      SIM_IMAGE_OK);
	CU_ASSERT_EQUAL_FATAL(image->refs_count, 2);
	CU_ASSERT_STRING_EQUAL(image->refs[0].name, "tex");
	CU_ASSERT(!image->refs[0].surface);
	CU_ASSERT_STRING_EQUAL(image->refs[1].name, "surf");
	CU_ASSERT(image->refs[1].surface);
	CU_ASSERT_EQUAL(image->globals_count, 0);
	CU_ASSERT_EQUAL(kernel("k")->params_count, 1);
}

static void functions_are_not_kernels(void)
{
	CU_ASSERT_EQUAL_FATAL(
		parse_text(
			PTX_HEAD
			".extern .func (.param .b32 r) vprintf(.param .b64 a);\n"
			".visible .func (.param .b32 r) f(.param .b64 a)\n"
			"{ .reg .b32 t; { .reg .u32 u; } st.param.b32 [r+0], t; ret; }\n"
			".weak .entry k() { ret; }"),
		SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->entries_count, 1);
	CU_ASSERT_PTR_NULL(sim_image_entry(image, "f"));
	CU_ASSERT_STRING_EQUAL(kernel("k")->name, "k");
}

static void text_ends_at_its_nul_or_at_the_limit(void)
{
	static const char text[] = PTX_HEAD ".entry k() { ret; }\0 not PTX";
	size_t length = strlen(text);

	CU_ASSERT_EQUAL(parse_copy(text, sizeof(text)), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->image_bytes, length);
	CU_ASSERT_EQUAL(parse_copy(text, length), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->entries_count, 1);
	CU_ASSERT_EQUAL(parse_copy(text, length - 1), SIM_IMAGE_INVALID_PTX);
	CU_ASSERT_PTR_NULL(image);
}

static void text_cut_anywhere_is_refused_or_shorter(void)
{
	static const char text[] = PTX_HEAD
		".global .f32 v[2][2] = { { 1.0, 0f3F800000 }, { -2 } };\n"
		".entry k(.param .u64 .ptr .align 4 a, .param .b8 b[3]) .maxntid 1\n"
		"{ .shared .b8 s[4]; .loc 1 1 1\n /* c */ ret; }\n"
		".func g(.param .u32 n) { ret; }\n";

	for (size_t size = 0; size <= strlen(text); size++) {
		int result = parse_copy(text, size);

		CU_ASSERT(result == SIM_IMAGE_OK || result == SIM_IMAGE_INVALID_PTX ||
			  size == 0);
		CU_ASSERT_EQUAL(result == SIM_IMAGE_OK, image != NULL);
	}
	CU_ASSERT_EQUAL(parse_copy(text, strlen(text)), SIM_IMAGE_OK);
}

static void bad_text_is_refused_with_its_line(void)
{
	static const char *const texts[] = {
		".version 7.0\n\nhello",
		".version 7.0\n\n.entry { }",
		".version 7.0\n\n.entry k(.param .u64) { }",
		".version 7.0\n\n.entry k(.param p) { }",
		".version 7.0\n\n.entry k(.param .u32 p[99999]) { }",
		".version 7.0\n\n.entry k() { ret;",
		".version 7.0\n\n.global .u32;",
		".version 7.0\n\n.global .u32 x[;",
		".version 7.0\n\n.global .u32 x[2] = {1,2,3};",
		".version 7.0\n\n.global .u32 x[2] = {1;",
		".version 7.0\n\n.global .u32 x = {{1}};",
		".version 7.0\n\n.global .u32 x[99999999][99999999];",
		".version 7.0\n\n.global .u32 x",
		".version 7.0\n\n.global .align 3 .u32 x;",
		".version 7.0\n\n.global .u32 x[];",
		".version 7.0\n\n/* no end",
		".version 7.0\n\n\"no end",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int result = parse_copy(texts[i], strlen(texts[i]));

		if (result != SIM_IMAGE_INVALID_PTX || !strstr(why, "line 3"))
			fprintf(stderr, "%s: %d %s\n", texts[i] + 14, result, why);
		CU_ASSERT_EQUAL(result, SIM_IMAGE_INVALID_PTX);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "line 3"));
	}
	CU_ASSERT_EQUAL(parse_text("  .entry k() { ret; }"), SIM_IMAGE_INVALID_PTX);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, ".version"));
}

static void what_is_no_image_at_all_is_refused(void)
{
	CU_ASSERT_EQUAL(parse("", 0), SIM_IMAGE_INVALID);
	CU_ASSERT_EQUAL(parse_text(""), SIM_IMAGE_INVALID);
	CU_ASSERT_EQUAL(parse_text("MZ"), SIM_IMAGE_INVALID);
	CU_ASSERT_EQUAL(parse_copy("\177EL", 3), SIM_IMAGE_INVALID);
	CU_ASSERT_EQUAL(parse_copy("\177ELF", 4), SIM_IMAGE_INVALID);
	CU_ASSERT_PTR_NULL(image);
	CU_ASSERT_EQUAL(sim_image_parse("MZ", 2, &image, NULL, 0), SIM_IMAGE_INVALID);
	sim_image_free(NULL);
}

/* --- cubin ------------------------------------------------------------------------------- */

/* An ELF file in the making: content first, section headers behind it. */
struct elf {
	_Alignas(8) unsigned char bytes[4096];
	size_t size;
	Elf64_Shdr sections[16];
	unsigned sections_count;
	char names[512];
	size_t names_size;
};

static unsigned add_section(struct elf *elf, const char *name, unsigned type,
			    const void *data, size_t size, unsigned link, unsigned info)
{
	Elf64_Shdr *s = &elf->sections[elf->sections_count];

	*s = (Elf64_Shdr){
		.sh_name = (Elf64_Word)elf->names_size,
		.sh_type = type,
		.sh_offset = elf->size,
		.sh_size = size,
		.sh_link = link,
		.sh_info = info,
		.sh_addralign = 8,
	};
	memcpy(elf->names + elf->names_size, name, strlen(name) + 1);
	elf->names_size += strlen(name) + 1;
	if (type != SHT_NOBITS && type != SHT_NULL) {
		memcpy(elf->bytes + elf->size, data, size);
		elf->size += (size + 7) & ~(size_t)7;
	}
	return elf->sections_count++;
}

static void finish_elf(struct elf *elf, unsigned sm, unsigned abi)
{
	Elf64_Ehdr header = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT,
			     0x41, (unsigned char)abi },
		.e_type = ET_EXEC,
		.e_machine = 190,
		.e_flags = abi >= 8 ? sm << 8 : sm,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
	};
	unsigned names = elf->sections_count;

	add_section(elf, ".shstrtab", SHT_STRTAB, elf->names, sizeof(elf->names), 0, 0);
	memcpy(elf->bytes + elf->sections[names].sh_offset, elf->names, elf->names_size);
	header.e_shstrndx = (Elf64_Half)names;
	header.e_shnum = (Elf64_Half)elf->sections_count;
	header.e_shoff = elf->size;
	memcpy(elf->bytes, &header, sizeof(header));
	memcpy(elf->bytes + elf->size, elf->sections,
	       elf->sections_count * sizeof(Elf64_Shdr));
	elf->size += elf->sections_count * sizeof(Elf64_Shdr);
}

/* One kernel of three parameters, five variables, a texture and a device function. */
static void build_cubin(struct elf *elf, unsigned sm, unsigned abi)
{
	enum {
		NULL_SECTION,
		STRINGS,
		SYMBOLS,
		INFO,
		KERNEL_INFO,
		TEXT,
		SHARED,
		INIT,
		BANK,
		BSS
	};
	static const char strings[] = "\0axpy\0helper\0counter\0bias\0heap\0managed\0tex";
	static const Elf64_Sym symbols[] = {
		{ 0 },
		{ 13, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, INIT, 4, 4 },
		{ 21, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, BANK, 0, 8 },
		{ 26, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, BSS, 0, 8000 },
		{ 31, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 4, INIT, 0, 4 },
		{ 6, ELF64_ST_INFO(STB_LOCAL, STT_FUNC), 0, TEXT, 16, 16 },
		{ 1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0x10, TEXT, 0, 16 },
		{ 39, ELF64_ST_INFO(STB_GLOBAL, 10), 0, SHN_UNDEF, 0, 0 },
	};
	static const uint32_t info[] = {
		0x00082f04, 6, 24,  /* registers of symbol 6 */
		0x00081104, 6, 64,  /* frame */
		0x00081204, 6, 96,  /* stack with callees */
		0x00081104, 5, 999, /* a frame of the helper */
	};
	static const uint32_t kernel_info[] = {
		0x00000137,				 /* one without a value */
		0x000c1704, 0,	 0x00100002, 0x0021f000, /* 8 bytes at 16 */
		0x000c4504, 0,	 0x00080001, 4,		 /* 4 bytes at 8, long form */
		0x000c1704, 0,	 0x00000000, 0x0021f000, /* 8 bytes at 0 */
		0x00181903,				 /* 24 bytes in all */
		0x000c0504, 128, 2,	     1,		 /* threads */
	};
	static const unsigned char code[32], init[8] = { 9, 0, 0, 0, 7, 0, 0, 0 };
	static const unsigned char bank[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	memset(elf, 0, sizeof(*elf));
	elf->size = sizeof(Elf64_Ehdr);
	add_section(elf, "", SHT_NULL, NULL, 0, 0, 0);
	add_section(elf, ".strtab", SHT_STRTAB, strings, sizeof(strings), 0, 0);
	add_section(elf, ".symtab", SHT_SYMTAB, symbols, sizeof(symbols), STRINGS, 6);
	add_section(elf, ".nv.info", SHT_LOPROC, info, sizeof(info), SYMBOLS, 0);
	add_section(elf, ".nv.info.axpy", SHT_LOPROC, kernel_info, sizeof(kernel_info),
		    SYMBOLS, TEXT);
	add_section(elf, ".text.axpy", SHT_PROGBITS, code, sizeof(code), SYMBOLS, 0);
	add_section(elf, ".nv.shared.axpy", SHT_NOBITS, NULL, 1280, 0, TEXT);
	add_section(elf, ".nv.global.init", SHT_PROGBITS, init, sizeof(init), 0, 0);
	add_section(elf, ".nv.constant3", SHT_PROGBITS, bank, sizeof(bank), 0, 0);
	add_section(elf, ".nv.global", SHT_NOBITS, NULL, 8000, 0, 0);
	finish_elf(elf, sm, abi);
}

static void check_cubin(void)
{
	static const unsigned char bank[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	const struct sim_image_entry *axpy = kernel("axpy");

	CU_ASSERT_EQUAL(image->kind, SIM_IMAGE_CUBIN);
	CU_ASSERT_EQUAL(image->entries_count, 1);
	CU_ASSERT_EQUAL(axpy->params_count, 3);
	CU_ASSERT(param_is(axpy, 0, 0, 8));
	CU_ASSERT(param_is(axpy, 1, 8, 4));
	CU_ASSERT(param_is(axpy, 2, 16, 8));
	CU_ASSERT_EQUAL(axpy->params_bytes, 24);
	CU_ASSERT_EQUAL(axpy->regs, 24);
	CU_ASSERT_EQUAL(axpy->local_bytes, 96);
	CU_ASSERT_EQUAL(axpy->max_threads, 256);
	CU_ASSERT_EQUAL(image->globals_count, 4);
	CU_ASSERT(init_is(variable("counter"), "\7\0\0\0", 4));
	CU_ASSERT(init_is(variable("managed"), "\11\0\0\0", 4));
	CU_ASSERT(variable("managed")->managed);
	CU_ASSERT(init_is(variable("bias"), bank, 8));
	CU_ASSERT(variable("bias")->constant);
	CU_ASSERT_EQUAL(variable("heap")->size_bytes, 8000);
	CU_ASSERT_PTR_NULL(variable("heap")->init);
	CU_ASSERT_EQUAL_FATAL(image->refs_count, 1);
	CU_ASSERT_STRING_EQUAL(image->refs[0].name, "tex");
}

static void a_cubin_tells_kernels_variables_and_references(void)
{
	static struct elf elf;

	build_cubin(&elf, 80, 8);
	CU_ASSERT_EQUAL_FATAL(parse_copy(elf.bytes, elf.size), SIM_IMAGE_OK);
	check_cubin();
	CU_ASSERT_EQUAL(image->sm, 80);
	CU_ASSERT_EQUAL(image->image_bytes, elf.size);
	CU_ASSERT_EQUAL(kernel("axpy")->shared_bytes, 1280);
	/* Its own headers tell the size as well. */
	CU_ASSERT_EQUAL_FATAL(parse(elf.bytes, SIZE_MAX), SIM_IMAGE_OK);
	check_cubin();
}

static void an_older_cubin_keeps_its_architecture_elsewhere(void)
{
	static struct elf elf;

	build_cubin(&elf, 75, 7);
	CU_ASSERT_EQUAL_FATAL(parse_copy(elf.bytes, elf.size), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->sm, 75);
}

static void shared_memory_the_hardware_keeps_is_not_the_kernels(void)
{
	static struct elf elf;

	build_cubin(&elf, 90, 8);
	CU_ASSERT_EQUAL_FATAL(parse_copy(elf.bytes, elf.size), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(kernel("axpy")->shared_bytes, 256);
}

static void a_cubin_cut_anywhere_is_refused(void)
{
	static struct elf elf;

	build_cubin(&elf, 80, 8);
	for (size_t size = 1; size < elf.size; size++) {
		CU_ASSERT_EQUAL(parse_copy(elf.bytes, size), SIM_IMAGE_INVALID);
		CU_ASSERT_PTR_NULL(image);
	}
}

/* Launches copy arguments to where the image says they lie. */
static bool parameters_lie_in_their_buffers(void)
{
	for (size_t i = 0; image && i < image->entries_count; i++)
		for (unsigned k = 0; k < image->entries[i].params_count; k++) {
			const struct sim_image_entry *entry = &image->entries[i];
			const struct sim_image_param *param = &entry->params[k];

			if (param->size_bytes > entry->params_bytes ||
			    param->offset_bytes > entry->params_bytes - param->size_bytes)
				return false;
		}
	return true;
}

static void a_damaged_byte_never_leads_outside_the_file_or_a_buffer(void)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	static struct elf elf;

	build_cubin(&elf, 80, 8);
	for (size_t at = 0; at < elf.size; at++)
		for (size_t v = 0; v < sizeof(values); v++) {
			unsigned char kept = elf.bytes[at];
			int result;

			elf.bytes[at] = values[v];
			result = parse_copy(elf.bytes, elf.size);
			CU_ASSERT_EQUAL(result == SIM_IMAGE_OK, image != NULL);
			CU_ASSERT(parameters_lie_in_their_buffers());
			elf.bytes[at] = kept;
		}
}

static void a_section_that_takes_no_room_has_no_contents_to_read(void)
{
	static struct elf elf;
	const Elf64_Xword far = (Elf64_Xword)1 << 40;

	build_cubin(&elf, 80, 8);
	for (unsigned i = 1; i < elf.sections_count; i++) {
		unsigned char *s = elf.bytes + elf.size -
				   (elf.sections_count - i) * sizeof(Elf64_Shdr);

		memset(s + offsetof(Elf64_Shdr, sh_type), 0, sizeof(Elf64_Word));
		memcpy(s + offsetof(Elf64_Shdr, sh_offset), &far, sizeof(far));
		(void)parse_copy(elf.bytes, elf.size);
		build_cubin(&elf, 80, 8);
	}
}

static void an_elf_file_of_another_machine_is_refused(void)
{
	static struct elf elf;
	Elf64_Half machine = EM_X86_64;

	build_cubin(&elf, 80, 8);
	memcpy(elf.bytes + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof(machine));
	CU_ASSERT_EQUAL(parse_copy(elf.bytes, elf.size), SIM_IMAGE_INVALID);
}

/* --- fat binaries ------------------------------------------------------------------------ */

enum { FAT_PTX = 1, FAT_ELF = 2, FAT_PLAIN = 0x11, FAT_LZ4 = 0x2011, FAT_ZSTD = 0x8011 };

struct fat {
	_Alignas(8) unsigned char bytes[8192];
	size_t size;
};

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static void start_fat(struct fat *fat)
{
	memset(fat, 0, sizeof(*fat));
	put(fat->bytes, 0xba55ed50, 4);
	put(fat->bytes + 4, 1, 2);
	put(fat->bytes + 6, 16, 2);
	fat->size = 16;
}

static void add_code(struct fat *fat, unsigned kind, unsigned flags, const void *code,
		     size_t size, size_t unpacked)
{
	unsigned char *entry = fat->bytes + fat->size;
	size_t padded = (size + 7) & ~(size_t)7;

	put(entry, kind, 2);
	put(entry + 2, 0x101, 2);
	put(entry + 4, 64, 4);
	put(entry + 8, padded, 8);
	put(entry + 16, flags == FAT_PLAIN ? 0 : size, 4);
	put(entry + 28, 80, 4);
	put(entry + 40, flags, 8);
	put(entry + 56, unpacked, 8);
	memcpy(entry + 64, code, size);
	fat->size += 64 + padded;
	put(fat->bytes + 8, fat->size - 16, 8);
}

static const char fat_ptx[] = ".version 7.0\n.target sm_80\n.entry from_ptx() { ret; }\n";

/* 100 line ends as one literal and a match, then the text as literals. */
static size_t pack_lz4(unsigned char *out)
{
	size_t text = strlen(fat_ptx), at = 0;

	out[at++] = 0x1f; /* one literal, match of 4 + 15 + 80 */
	out[at++] = '\n';
	out[at++] = 1; /* distance */
	out[at++] = 0;
	out[at++] = 80;
	out[at++] = 0xf0;
	out[at++] = (unsigned char)(text - 15);
	memcpy(out + at, fat_ptx, text);
	return at + text;
}

static void a_fat_binary_prefers_what_needs_no_unpacking(void)
{
	static struct fat fat;
	static struct elf elf;
	unsigned char packed[256];
	size_t size = pack_lz4(packed);
	struct {
		uint32_t magic, version;
		const void *fatbin, *file_name;
	} wrapper = { 0x466243b1, 1, fat.bytes, NULL };

	build_cubin(&elf, 80, 8);
	start_fat(&fat);
	add_code(&fat, FAT_PTX, FAT_LZ4, packed, size, 100 + strlen(fat_ptx));
	add_code(&fat, FAT_PTX, FAT_PLAIN, fat_ptx, strlen(fat_ptx), 0);
	CU_ASSERT_EQUAL_FATAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->image_bytes, strlen(fat_ptx));

	add_code(&fat, FAT_ELF, FAT_PLAIN, elf.bytes, elf.size, 0);
	CU_ASSERT_EQUAL_FATAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_OK);
	check_cubin();
	CU_ASSERT_EQUAL_FATAL(parse(fat.bytes, SIZE_MAX), SIM_IMAGE_OK);
	check_cubin();
	CU_ASSERT_EQUAL_FATAL(parse(&wrapper, sizeof(wrapper)), SIM_IMAGE_OK);
	check_cubin();
}

static void code_packed_with_lz4_is_unpacked(void)
{
	static struct fat fat;
	unsigned char packed[256];
	size_t size = pack_lz4(packed);

	start_fat(&fat);
	add_code(&fat, FAT_PTX, FAT_LZ4, packed, size, 100 + strlen(fat_ptx));
	CU_ASSERT_EQUAL_FATAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(image->image_bytes, 100 + strlen(fat_ptx));
	CU_ASSERT_EQUAL(kernel("from_ptx")->params_count, 0);
}

static void damaged_lz4_is_refused(void)
{
	static struct fat fat;
	static const struct {
		unsigned char data[8];
		size_t size;
	} bad[] = {
		{ { 0x10 }, 1 },		 /* a literal that is not there */
		{ { 0xf0, 255 }, 2 },		 /* a length without an end */
		{ { 0x10, 'a', 1 }, 3 },	 /* half a distance */
		{ { 0x10, 'a', 0, 0 }, 4 },	 /* distance nought */
		{ { 0x10, 'a', 2, 0 }, 4 },	 /* from before the start */
		{ { 0x1f, 'a', 1, 0, 200 }, 5 }, /* longer than promised */
		{ { 0x80, 'a', 'b', 'c', 'd', 'e', 'f', 'g' }, 8 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start_fat(&fat);
		add_code(&fat, FAT_PTX, FAT_LZ4, bad[i].data, bad[i].size, 100);
		CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_INVALID);
		CU_ASSERT_PTR_NULL(image);
	}
}

static void code_packed_with_zstandard_is_unpacked_where_libzstd_is(void)
{
	static struct fat fat;
	size_t text = strlen(fat_ptx);
	/* Magic, a frame of one segment with its size in a byte, one raw block, the last. */
	unsigned char packed[256] = { 0x28, 0xb5, 0x2f, 0xfd, 0x20, (unsigned char)text };
	void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);

	put(packed + 6, text << 3 | 1, 3);
	memcpy(packed + 9, fat_ptx, sizeof(fat_ptx));
	start_fat(&fat);
	add_code(&fat, FAT_PTX, FAT_ZSTD, packed, 9 + text, text);
	if (!library) {
		CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_NO_BINARY);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "libzstd"));
		unit_skip("libzstd.so.1 is not on this machine");
		return;
	}
	dlclose(library);
	CU_ASSERT_EQUAL_FATAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_OK);
	CU_ASSERT_EQUAL(kernel("from_ptx")->params_count, 0);
	fat.bytes[16 + 64] ^= 0xff;
	CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_INVALID);
}

static void a_fat_binary_without_code_has_no_binary_for_the_gpu(void)
{
	static struct fat fat;

	start_fat(&fat);
	CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_NO_BINARY);
	add_code(&fat, 8, FAT_PLAIN, "other", 5, 0);
	CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_NO_BINARY);
}

static void a_fat_binary_that_claims_more_than_it_has_is_refused(void)
{
	static struct fat fat;

	start_fat(&fat);
	add_code(&fat, FAT_PTX, FAT_PLAIN, fat_ptx, strlen(fat_ptx), 0);
	for (size_t size = 4; size < fat.size; size++)
		CU_ASSERT_EQUAL(parse_copy(fat.bytes, size), SIM_IMAGE_INVALID);
	put(fat.bytes + 16 + 8, 1u << 20, 8); /* the entry's size */
	CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_INVALID);

	start_fat(&fat);
	add_code(&fat, FAT_PTX, FAT_LZ4, "", 1, (size_t)1 << 60);
	CU_ASSERT_EQUAL(parse_copy(fat.bytes, fat.size), SIM_IMAGE_INVALID);
}

const struct unit_suite unit_suite = {
	.name = "code images",
	.teardown = forget_image,
	.tests = {
		UNIT_TEST(parameters_lie_at_their_natural_alignment),
		UNIT_TEST(alignment_after_ptr_is_that_of_what_is_pointed_to),
		UNIT_TEST(comments_and_strings_hide_what_is_in_them),
		UNIT_TEST(tuning_directives_bound_the_threads_of_a_block),
		UNIT_TEST(static_shared_memory_belongs_to_the_kernels_that_use_it),
		UNIT_TEST(variables_carry_size_alignment_and_space),
		UNIT_TEST(initial_values_are_kept_byte_for_byte),
		UNIT_TEST(references_to_textures_and_surfaces_are_listed),
		UNIT_TEST(functions_are_not_kernels),
		UNIT_TEST(text_ends_at_its_nul_or_at_the_limit),
		UNIT_TEST(text_cut_anywhere_is_refused_or_shorter),
		UNIT_TEST(bad_text_is_refused_with_its_line),
		UNIT_TEST(what_is_no_image_at_all_is_refused),
		UNIT_TEST(a_cubin_tells_kernels_variables_and_references),
		UNIT_TEST(an_older_cubin_keeps_its_architecture_elsewhere),
		UNIT_TEST(shared_memory_the_hardware_keeps_is_not_the_kernels),
		UNIT_TEST(a_cubin_cut_anywhere_is_refused),
		UNIT_TEST(a_damaged_byte_never_leads_outside_the_file_or_a_buffer),
		UNIT_TEST(a_section_that_takes_no_room_has_no_contents_to_read),
		UNIT_TEST(an_elf_file_of_another_machine_is_refused),
		UNIT_TEST(a_fat_binary_prefers_what_needs_no_unpacking),
		UNIT_TEST(code_packed_with_lz4_is_unpacked),
		UNIT_TEST(damaged_lz4_is_refused),
		UNIT_TEST(code_packed_with_zstandard_is_unpacked_where_libzstd_is),
		UNIT_TEST(a_fat_binary_without_code_has_no_binary_for_the_gpu),
		UNIT_TEST(a_fat_binary_that_claims_more_than_it_has_is_refused),
	},
};
