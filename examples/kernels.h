/*
 * kernels.h - the kernels of the examples, as PTX text.
 *
 * Knows: PTX that assembles for sm_75 and newer and is compiled by the driver at load. The
 * simulated GPU knows these kernels by name and parameters and computes the same.
 * Refuses to know: how they are launched. Every kernel takes any one-dimensional grid.
 *
 *  gpushim_fill_u32(u64 ptr, u32 value, u64 n)         ptr[i] = value
 *  gpushim_saxpy_f32(u64 x, u64 y, f32 a, u64 n)       y[i] = a * x[i] + y[i]
 *  gpushim_reduce_u32(u64 in, u64 out, u64 n)          *(u64 *)out += sum of in[0..n-1]
 *  gpushim_work(u64 iterations, u64 sink)              a chain of that many dependent steps
 *                                                      per thread; see EX_CHAIN_* below
 *  gpushim_spin_ns(u64 ns)                             until the device's clock is ns on
 *  gpushim_spin_word(u64 addr, u32 value)              until *(volatile u32 *)addr == value
 *  gpushim_count(u64 addr, u64 steps, u64 iterations)  steps times: that much work, then
 *                                                      *(volatile u64 *)addr += 1, one thread
 */
#ifndef EX_KERNELS_H
#define EX_KERNELS_H

/* One step of the chain, modulo 2^32 (the constants are from "Numerical Recipes"):
 * x = x * EX_CHAIN_FACTOR + EX_CHAIN_ADDEND. Thread i starts from i; thread 0, which
 * starts from 0, writes its last x to the sink when there is one. */
#define EX_CHAIN_FACTOR 1664525u
#define EX_CHAIN_ADDEND 1013904223u

/* ISO C promises only 4095 characters in a literal; the compilers we build with take more. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"

/* i = this thread's number in the grid, step = threads in the grid. */
#define EX_PTX_THREAD                              \
	"	.reg .u32 block, width, blocks, lane;\n" \
	"	.reg .u64 i, step, lane64;\n"            \
	"	mov.u32 block, %ctaid.x;\n"              \
	"	mov.u32 width, %ntid.x;\n"               \
	"	mov.u32 blocks, %nctaid.x;\n"            \
	"	mov.u32 lane, %tid.x;\n"                 \
	"	cvt.u64.u32 lane64, lane;\n"             \
	"	mad.wide.u32 i, block, width, lane64;\n" \
	"	mul.wide.u32 step, blocks, width;\n"

/* The result goes through a volatile store, or the assembler could drop the chain of a
 * thread that writes no sink. */
static const char ex_kernels_ptx[] =
	".version 6.0\n"
	".target sm_50\n"
	".address_size 64\n"
	"\n"
	".visible .entry gpushim_fill_u32(.param .u64 p_ptr, .param .u32 p_value,\n"
	"	.param .u64 p_n)\n"
	"{\n" EX_PTX_THREAD "	.reg .pred done;\n"
	"	.reg .u32 value;\n"
	"	.reg .u64 ptr, n, at;\n"
	"	ld.param.u64 ptr, [p_ptr];\n"
	"	ld.param.u32 value, [p_value];\n"
	"	ld.param.u64 n, [p_n];\n"
	"next:\n"
	"	setp.ge.u64 done, i, n;\n"
	"	@done bra end;\n"
	"	shl.b64 at, i, 2;\n"
	"	add.u64 at, at, ptr;\n"
	"	st.global.u32 [at], value;\n"
	"	add.u64 i, i, step;\n"
	"	bra next;\n"
	"end:\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_saxpy_f32(.param .u64 p_x, .param .u64 p_y,\n"
	"	.param .f32 p_a, .param .u64 p_n)\n"
	"{\n" EX_PTX_THREAD "	.reg .pred done;\n"
	"	.reg .f32 a, fx, fy;\n"
	"	.reg .u64 x, y, n, at;\n"
	"	ld.param.u64 x, [p_x];\n"
	"	ld.param.u64 y, [p_y];\n"
	"	ld.param.f32 a, [p_a];\n"
	"	ld.param.u64 n, [p_n];\n"
	"next:\n"
	"	setp.ge.u64 done, i, n;\n"
	"	@done bra end;\n"
	"	shl.b64 at, i, 2;\n"
	"	add.u64 at, at, x;\n"
	"	ld.global.f32 fx, [at];\n"
	"	sub.u64 at, at, x;\n"
	"	add.u64 at, at, y;\n"
	"	ld.global.f32 fy, [at];\n"
	"	fma.rn.f32 fy, a, fx, fy;\n"
	"	st.global.f32 [at], fy;\n"
	"	add.u64 i, i, step;\n"
	"	bra next;\n"
	"end:\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_reduce_u32(.param .u64 p_in, .param .u64 p_out,\n"
	"	.param .u64 p_n)\n"
	"{\n" EX_PTX_THREAD "	.reg .pred done;\n"
	"	.reg .u32 value;\n"
	"	.reg .u64 in, out, n, at, value64, sum;\n"
	"	ld.param.u64 in, [p_in];\n"
	"	ld.param.u64 out, [p_out];\n"
	"	ld.param.u64 n, [p_n];\n"
	"	mov.u64 sum, 0;\n"
	"next:\n"
	"	setp.ge.u64 done, i, n;\n"
	"	@done bra end;\n"
	"	shl.b64 at, i, 2;\n"
	"	add.u64 at, at, in;\n"
	"	ld.global.u32 value, [at];\n"
	"	cvt.u64.u32 value64, value;\n"
	"	add.u64 sum, sum, value64;\n"
	"	add.u64 i, i, step;\n"
	"	bra next;\n"
	"end:\n"
	"	red.global.add.u64 [out], sum;\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_work(.param .u64 p_iterations, .param .u64 p_sink)\n"
	"{\n" EX_PTX_THREAD "	.reg .pred done, silent;\n"
	"	.reg .u32 x;\n"
	"	.reg .u64 left, sink;\n"
	"	.shared .align 4 .u32 keep;\n"
	"	ld.param.u64 left, [p_iterations];\n"
	"	ld.param.u64 sink, [p_sink];\n"
	"	cvt.u32.u64 x, i;\n"
	"next:\n"
	"	setp.eq.u64 done, left, 0;\n"
	"	@done bra end;\n"
	"	mad.lo.u32 x, x, 1664525, 1013904223;\n"
	"	sub.u64 left, left, 1;\n"
	"	bra next;\n"
	"end:\n"
	"	st.volatile.shared.u32 [keep], x;\n"
	"	setp.ne.u64 silent, i, 0;\n"
	"	@silent bra out;\n"
	"	setp.eq.u64 silent, sink, 0;\n"
	"	@silent bra out;\n"
	"	st.global.u32 [sink], x;\n"
	"out:\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_spin_ns(.param .u64 p_ns)\n"
	"{\n"
	"	.reg .pred early;\n"
	"	.reg .u64 ns, start, now;\n"
	"	ld.param.u64 ns, [p_ns];\n"
	"	mov.u64 start, %globaltimer;\n"
	"next:\n"
	"	mov.u64 now, %globaltimer;\n"
	"	sub.u64 now, now, start;\n"
	"	setp.lt.u64 early, now, ns;\n"
	"	@early bra next;\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_spin_word(.param .u64 p_addr, .param .u32 p_value)\n"
	"{\n"
	"	.reg .pred other;\n"
	"	.reg .u32 value, seen;\n"
	"	.reg .u64 addr;\n"
	"	ld.param.u64 addr, [p_addr];\n"
	"	ld.param.u32 value, [p_value];\n"
	"next:\n"
	"	ld.volatile.global.u32 seen, [addr];\n"
	"	setp.ne.u32 other, seen, value;\n"
	"	@other bra next;\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_count(.param .u64 p_addr, .param .u64 p_steps,\n"
	"	.param .u64 p_iterations)\n"
	"{\n" EX_PTX_THREAD "	.reg .pred done, idle;\n"
	"	.reg .u32 x;\n"
	"	.reg .u64 addr, steps, iterations, left, count;\n"
	"	.shared .align 4 .u32 keep;\n"
	"	setp.ne.u64 idle, i, 0;\n"
	"	@idle bra out;\n"
	"	ld.param.u64 addr, [p_addr];\n"
	"	ld.param.u64 steps, [p_steps];\n"
	"	ld.param.u64 iterations, [p_iterations];\n"
	"	mov.u32 x, 0;\n"
	"next_step:\n"
	"	setp.eq.u64 done, steps, 0;\n"
	"	@done bra out;\n"
	"	mov.u64 left, iterations;\n"
	"next:\n"
	"	setp.eq.u64 done, left, 0;\n"
	"	@done bra counted;\n"
	"	mad.lo.u32 x, x, 1664525, 1013904223;\n"
	"	sub.u64 left, left, 1;\n"
	"	bra next;\n"
	"counted:\n"
	"	st.volatile.shared.u32 [keep], x;\n"
	"	ld.volatile.global.u64 count, [addr];\n"
	"	add.u64 count, count, 1;\n"
	"	st.volatile.global.u64 [addr], count;\n"
	"	sub.u64 steps, steps, 1;\n"
	"	bra next_step;\n"
	"out:\n"
	"	ret;\n"
	"}\n";

#undef EX_PTX_THREAD
#pragma GCC diagnostic pop

#endif
