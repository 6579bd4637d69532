/*
 * dlsym_x86_64.S - dlsym, dlvsym and dlopen as the program sees them.
 *
 * Each asks C what to answer (loader_entry.h) and otherwise jumps to the C library's own, so
 * that this sees the program's return address: RTLD_NEXT, $ORIGIN and the caller's RUNPATH
 * depend on it. A C function could not promise to end in a jump.
 */
#if defined(__x86_64__)

/* ENTRY(name): exported, and under a name of our own that nobody can take. */
.macro ENTRY name
	.p2align 4
	.globl	\name
	.globl	gsh_entry_\name
	.hidden	gsh_entry_\name
	.type	\name, @function
	.type	gsh_entry_\name, @function
\name:
gsh_entry_\name:
	.cfi_startproc
	endbr64
.endm

.macro END name
	.cfi_endproc
	.size	\name, . - \name
	.size	gsh_entry_\name, . - gsh_entry_\name
.endm

/* Keeps the arguments over a call, with the stack aligned as calls want it. */
.macro SAVE
	pushq	%rdi
	.cfi_adjust_cfa_offset 8
	pushq	%rsi
	.cfi_adjust_cfa_offset 8
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
.endm

.macro RESTORE
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	popq	%rsi
	.cfi_adjust_cfa_offset -8
	popq	%rdi
	.cfi_adjust_cfa_offset -8
.endm

/* Goes on in the C library; returns NULL where it has no such function. */
.macro JUMP real
	movq	\real(%rip), %rax
	testq	%rax, %rax
	je	9f
	jmpq	*%rax
9:	ret
.endm

	.hidden	gsh_dlsym_pick
	.hidden	gsh_dlvsym_pick
	.hidden	gsh_dlopen_flags
	.hidden	gsh_real_dlsym
	.hidden	gsh_real_dlvsym
	.hidden	gsh_real_dlopen

	.text
ENTRY dlsym
	SAVE
	call	gsh_dlsym_pick
	RESTORE
	testq	%rax, %rax
	jne	9f
	JUMP	gsh_real_dlsym
END dlsym

ENTRY dlvsym
	SAVE
	call	gsh_dlvsym_pick
	RESTORE
	testq	%rax, %rax
	jne	9f
	JUMP	gsh_real_dlvsym
END dlvsym

ENTRY dlopen
	SAVE
	call	gsh_dlopen_flags
	RESTORE
	movl	%eax, %esi
	JUMP	gsh_real_dlopen
END dlopen

/* Valid targets of indirect branches only, and shadow stacks are kept. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 3, 0
#endif

	.section .note.GNU-stack, "", %progbits
