/*
 * dlsym_aarch64.S - dlsym, dlvsym and dlopen as the program sees them.
 *
 * What dlsym_x86_64.S does, for the other architecture.
 */
#if defined(__aarch64__)

/* ENTRY(name): exported, and under a name of our own that nobody can take. */
.macro ENTRY name
	.p2align 4
	.globl	\name
	.globl	gsh_entry_\name
	.hidden	gsh_entry_\name
	.type	\name, %function
	.type	gsh_entry_\name, %function
\name:
gsh_entry_\name:
	.cfi_startproc
	hint	#34			/* bti c */
.endm

.macro END name
	.cfi_endproc
	.size	\name, . - \name
	.size	gsh_entry_\name, . - gsh_entry_\name
.endm

/* Keeps the arguments and the return address over a call. */
.macro SAVE
	stp	x29, x30, [sp, #-48]!
	.cfi_def_cfa_offset 48
	.cfi_offset x29, -48
	.cfi_offset x30, -40
	mov	x29, sp
	stp	x0, x1, [sp, #16]
	str	x2, [sp, #32]
.endm

/* What the call returned moves to x9. */
.macro RESTORE
	mov	x9, x0
	ldp	x0, x1, [sp, #16]
	ldr	x2, [sp, #32]
	ldp	x29, x30, [sp], #48
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
.endm

/* Goes on in the C library; returns NULL where it has no such function. */
.macro JUMP real
	adrp	x16, \real
	ldr	x16, [x16, #:lo12:\real]
	mov	x9, #0
	cbz	x16, 9f
	br	x16
9:	mov	x0, x9
	ret
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
	bl	gsh_dlsym_pick
	RESTORE
	cbnz	x9, 9f
	JUMP	gsh_real_dlsym
END dlsym

ENTRY dlvsym
	SAVE
	bl	gsh_dlvsym_pick
	RESTORE
	cbnz	x9, 9f
	JUMP	gsh_real_dlvsym
END dlvsym

ENTRY dlopen
	SAVE
	bl	gsh_dlopen_flags
	RESTORE
	mov	w1, w9
	JUMP	gsh_real_dlopen
END dlopen

/* Branch targets are marked. */
	.section .note.gnu.property, "a"
	.p2align 3
	.word	4, 16, 5
	.asciz	"GNU"
	.word	0xc0000000, 4, 1, 0
#endif

	.section .note.GNU-stack, "", %progbits
