/*
 * count.c - a library to preload: exports every driver symbol, counts who calls them, and
 * passes on.
 *
 * Knows: a jump that keeps all registers, for x86-64 and aarch64. Whoever looks a symbol up
 * in the driver's own handle gets the driver's, so that only calls bound by name count.
 * Refuses to know what any symbol does. Counts are not atomic on aarch64: they answer
 * "any?", not "how many?".
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#define SYM(symbol, base, version, variant) NUMBER_##symbol,
enum {
#include "symbols.def"
	SYMBOLS
};

#define EXPORT __attribute__((visibility("default")))
/* Hidden, so that the jumps reach them without a relocation. */
__attribute__((visibility("hidden"), used)) uint64_t probe_count_calls[SYMBOLS];
__attribute__((visibility("hidden"), used)) void *probe_count_real[SYMBOLS];

/* Nothing may stand between caller and callee, arguments included: hence no C. */
#if defined(__x86_64__)
#define JUMP(symbol, index)                                 \
	"lock incq probe_count_calls+8*(" index ")(%rip)\n" \
	"jmp *probe_count_real+8*(" index ")(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(symbol, index)                                     \
	"adrp x16, probe_count_calls+8*(" index ")\n"           \
	"add x16, x16, :lo12:probe_count_calls+8*(" index ")\n" \
	"ldr x17, [x16]\n"                                      \
	"add x17, x17, #1\n"                                    \
	"str x17, [x16]\n"                                      \
	"adrp x16, probe_count_real+8*(" index ")\n"            \
	"add x16, x16, :lo12:probe_count_real+8*(" index ")\n"  \
	"ldr x16, [x16]\n"                                      \
	"br x16\n"
#else
#error "x86-64 and aarch64 only"
#endif

/* The assembler numbers the symbols in the order of the list, as the enum does. */
__asm__(".text\n.set probe_index, 0\n");
#define SYM(symbol, base, version, variant)                                          \
	__asm__(".globl " #symbol "\n.type " #symbol ", %function\n"                 \
		".set index_" #symbol ", probe_index\n"                              \
		".set probe_index, probe_index+1\n" #symbol                          \
		":\n" JUMP(symbol, "index_" #symbol) ".size " #symbol ", .-" #symbol \
						     "\n");
#include "symbols.def"

static const char *const names[] = {
#define SYM(symbol, base, version, variant) #symbol,
#include "symbols.def"
};

/* The i-th symbol's name, and its calls so far in *calls; NULL past the end. */
EXPORT const char *probe_counted(size_t i, uint64_t *calls);
EXPORT const char *probe_counted(size_t i, uint64_t *calls)
{
	if (i >= SYMBOLS)
		return NULL;
	*calls = probe_count_calls[i];
	return names[i];
}

__attribute__((constructor)) static void find_real(void)
{
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; driver != NULL && i < SYMBOLS; i++)
		probe_count_real[i] = dlsym(driver, names[i]);
}
