/* TEMPORARY: hooks that nobody has written yet, as weak tail-jumps to the driver. */
#include "cuda/hook.h"
#define HOOK(symbol, base, since, flavour, family)                                   \
	static void __attribute__((used)) pending_##symbol(void)                     \
	{                                                                            \
		__asm__ volatile(".pushsection .text\n.weak " #symbol                \
				 "\n.type " #symbol ",@function\n" #symbol           \
				 ":\nlea gsh_driver(%%rip),%%rax\njmp *%c0(%%rax)\n" \
				 ".popsection"                                       \
				 :                                                   \
				 : "i"(offsetof(struct gsh_driver, symbol)));        \
	}
#define SKIP(symbol, base, since, flavour, reason)
#include "cuda/hooks.def"
