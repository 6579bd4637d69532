/*
 * kernels.c - the probe's kernels as PTX text, compiled by the driver at load.
 *
 * Knows: PTX for sm_50 and newer. gpushim_work and gpushim_spin_ns mean the same as in
 * examples/kernels.h, so that the simulated GPU, which knows kernels by name, runs them too;
 * the others it takes for kernels that change nothing.
 * Refuses to know: how they are launched. gpushim_probe_gaps takes one thread.
 *
 *  gpushim_probe_nothing()                  returns
 *  gpushim_probe_gaps(u64 at, u64 ns, u64 threshold, u64 max)
 *      reads the device's clock for ns. at[0] = first reading, at[1] = last, at[2] = number
 *      of steps longer than threshold, at[3] = shortest step that is not 0, then for each
 *      long step (at most max) the readings before and after it.
 *  gpushim_probe_printf()                   prints one line
 *  gpushim_probe_deep(u64 out, u32 index)   needs 2 KiB of stack per thread
 */
#include "probe.h"

/* ISO C promises only 4095 characters in a literal; the compilers we build with take more. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

#define HEAD                 \
	".version 6.0\n"     \
	".target sm_50\n"    \
	".address_size 64\n" \
	"\n"

const char probe_ptx[] = HEAD
	".visible .entry gpushim_probe_nothing()\n"
	"{\n"
	"	ret;\n"
	"}\n"
	"\n"
	".visible .entry gpushim_work(.param .u64 p_iterations, .param .u64 p_sink)\n"
	"{\n"
	"	.reg .pred done, silent;\n"
	"	.reg .u32 x, block, width, lane;\n"
	"	.reg .u64 left, sink;\n"
	"	.shared .align 4 .u32 keep;\n"
	"	mov.u32 block, %ctaid.x;\n"
	"	mov.u32 width, %ntid.x;\n"
	"	mov.u32 lane, %tid.x;\n"
	"	mad.lo.u32 x, block, width, lane;\n"
	"	setp.ne.u32 silent, x, 0;\n"
	"	ld.param.u64 left, [p_iterations];\n"
	"	ld.param.u64 sink, [p_sink];\n"
	"next:\n"
	"	setp.eq.u64 done, left, 0;\n"
	"	@done bra end;\n"
	"	mad.lo.u32 x, x, 1664525, 1013904223;\n"
	"	sub.u64 left, left, 1;\n"
	"	bra next;\n"
	"end:\n"
	"	st.volatile.shared.u32 [keep], x;\n"
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
	".visible .entry gpushim_probe_gaps(.param .u64 p_at, .param .u64 p_ns,\n"
	"	.param .u64 p_threshold, .param .u64 p_max)\n"
	"{\n"
	"	.reg .pred is;\n"
	"	.reg .u64 at, ns, threshold, max, first, last, now, step, least, n, to;\n"
	"	ld.param.u64 at, [p_at];\n"
	"	ld.param.u64 ns, [p_ns];\n"
	"	ld.param.u64 threshold, [p_threshold];\n"
	"	ld.param.u64 max, [p_max];\n"
	"	mov.u64 n, 0;\n"
	"	mov.u64 least, -1;\n"
	"	mov.u64 first, %globaltimer;\n"
	"	mov.u64 last, first;\n"
	"next:\n"
	"	mov.u64 now, %globaltimer;\n"
	"	sub.u64 step, now, last;\n"
	"	setp.eq.u64 is, step, 0;\n"
	"	@is bra next;\n"
	"	min.u64 least, least, step;\n"
	"	setp.le.u64 is, step, threshold;\n"
	"	@is bra run;\n"
	"	setp.ge.u64 is, n, max;\n"
	"	@is bra run;\n"
	"	shl.b64 to, n, 4;\n"
	"	add.u64 to, to, at;\n"
	"	st.global.u64 [to+32], last;\n"
	"	st.global.u64 [to+40], now;\n"
	"	add.u64 n, n, 1;\n"
	"run:\n"
	"	mov.u64 last, now;\n"
	"	sub.u64 step, now, first;\n"
	"	setp.lt.u64 is, step, ns;\n"
	"	@is bra next;\n"
	"	st.global.u64 [at], first;\n"
	"	st.global.u64 [at+8], last;\n"
	"	st.global.u64 [at+16], n;\n"
	"	st.global.u64 [at+24], least;\n"
	"	ret;\n"
	"}\n";

const char probe_printf_ptx[] = HEAD
	".extern .func (.param .b32 result) vprintf(.param .b64 format,\n"
	"	.param .b64 arguments);\n"
	".global .align 1 .b8 words[8] = {112, 114, 111, 98, 101, 10, 0, 0};\n"
	".visible .entry gpushim_probe_printf()\n"
	"{\n"
	"	.reg .u64 text;\n"
	"	.reg .u32 code;\n"
	"	mov.u64 text, words;\n"
	"	cvta.global.u64 text, text;\n"
	"	{\n"
	"	.param .b64 a;\n"
	"	.param .b64 b;\n"
	"	.param .b32 r;\n"
	"	st.param.b64 [a], text;\n"
	"	st.param.b64 [b], 0;\n"
	"	call.uni (r), vprintf, (a, b);\n"
	"	ld.param.b32 code, [r];\n"
	"	}\n"
	"	ret;\n"
	"}\n";

/* Stored and read back at places that are known only at run time: it stays in memory. */
const char probe_deep_ptx[] = HEAD
	".visible .entry gpushim_probe_deep(.param .u64 p_out, .param .u32 p_index)\n"
	"{\n"
	"	.local .align 16 .b8 frame[2048];\n"
	"	.reg .u64 base, at, out;\n"
	"	.reg .u32 index, i, value;\n"
	"	.reg .pred more;\n"
	"	ld.param.u64 out, [p_out];\n"
	"	ld.param.u32 index, [p_index];\n"
	"	mov.u64 base, frame;\n"
	"	mov.u32 i, 0;\n"
	"next:\n"
	"	mad.wide.u32 at, i, 4, base;\n"
	"	st.local.u32 [at], i;\n"
	"	add.u32 i, i, 1;\n"
	"	setp.lt.u32 more, i, 512;\n"
	"	@more bra next;\n"
	"	and.b32 index, index, 511;\n"
	"	mad.wide.u32 at, index, 4, base;\n"
	"	ld.local.u32 value, [at];\n"
	"	st.global.u32 [out], value;\n"
	"	ret;\n"
	"}\n";
