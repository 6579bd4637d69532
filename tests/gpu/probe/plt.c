/*
 * plt.c - section "plt": does the driver call its own exports by name, so that a preloaded
 * library would see its inner calls?
 *
 * Knows: two ways to ask: the relocations of the loaded library, and a run of this program
 * with probe_count.so preloaded (count/count.c), which must lie beside it.
 */
#include "probe.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- relocations --------------------------------------------------------------------- */

struct dynamic {
	const ElfW(Sym) * symbols;
	const char *strings;
	bool symbolic;
};

/* Relocations of the table that name an exported cu* function of the library itself. */
static size_t own_names(const struct dynamic *dynamic, const ElfW(Rela) * table,
			size_t bytes, char *first, size_t first_size)
{
	size_t n = 0;

	for (size_t i = 0; table != NULL && i < bytes / sizeof *table; i++) {
		const ElfW(Sym) *symbol = &dynamic->symbols[ELF64_R_SYM(table[i].r_info)];
		const char *name = dynamic->strings + symbol->st_name;

		if (symbol->st_shndx == SHN_UNDEF || strncmp(name, "cu", 2) != 0 ||
		    ELF64_ST_TYPE(symbol->st_info) != STT_FUNC)
			continue;
		if (n++ == 0)
			snprintf(first, first_size, "%s", name);
	}
	return n;
}

static void relocations(void)
{
	const char *question =
		"Relocations of the driver library that name its own cu* exports";
	struct link_map *map = NULL;
	struct dynamic dynamic = { 0 };
	const ElfW(Rela) *plain = NULL, *plt = NULL;
	size_t plain_bytes = 0, plt_bytes = 0;
	char first[100] = "";

	if (dlinfo(cu.handle, RTLD_DI_LINKMAP, &map) != 0) {
		fact_unknown("plt.relocations", question, "dlinfo failed: %s", dlerror());
		return;
	}
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		switch (d->d_tag) {
		case DT_SYMTAB:
			dynamic.symbols = (const void *)d->d_un.d_ptr;
			break;
		case DT_STRTAB:
			dynamic.strings = (const void *)d->d_un.d_ptr;
			break;
		case DT_RELA:
			plain = (const void *)d->d_un.d_ptr;
			break;
		case DT_RELASZ:
			plain_bytes = d->d_un.d_val;
			break;
		case DT_JMPREL:
			plt = (const void *)d->d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			plt_bytes = d->d_un.d_val;
			break;
		case DT_SYMBOLIC:
			dynamic.symbolic = true;
			break;
		case DT_FLAGS:
			dynamic.symbolic |= (d->d_un.d_val & DF_SYMBOLIC) != 0;
			break;
		default:
			break;
		}
	}
	if (dynamic.symbols == NULL || dynamic.strings == NULL) {
		fact_unknown("plt.relocations", question,
			     "the library has no symbol table");
		return;
	}
	note_text("library", "%s", map->l_name);
	note("linked_symbolic", dynamic.symbolic);
	note("jump_slots",
	     (double)own_names(&dynamic, plt, plt_bytes, first, sizeof first));
	note_text("first", "%s", first);
	fact_number(
		"plt.relocations", question,
		(double)(own_names(&dynamic, plt, plt_bytes, first, sizeof first) +
			 own_names(&dynamic, plain, plain_bytes, first, sizeof first)),
		"relocations");
}

/* --- calls --------------------------------------------------------------------------- */

/* A bit of everything, through the addresses of the driver's own handle. */
static void exercise(void)
{
	CUstreamCaptureStatus status;
	CUgraphExec executable;
	CUdeviceptr at;
	CUcontext primary;
	CUstream stream;
	CUevent event;
	CUgraph graph;
	struct gpu gpu;

	gpu_open(&gpu);
	MUST(cu.cuMemAlloc_v2(&at, 1 << 20));
	MUST(cu.cuMemsetD8_v2(at, 0, 1 << 20));
	MUST(cu.cuMemFree_v2(at));
	free_bytes();
	MUST(cu.cuMemAllocManaged(&at, 1 << 20, CU_MEM_ATTACH_GLOBAL));
	MUST(cu.cuMemFree_v2(at));
	MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	MUST(cu.cuMemAllocAsync(&at, 1 << 20, stream));
	MUST(cu.cuMemFreeAsync(at, stream));
	MUST(cu.cuEventCreate(&event, CU_EVENT_DEFAULT));
	MUST(cu.cuEventRecord(event, stream));
	MUST(cu.cuStreamSynchronize(stream));
	MUST(cu.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	MUST(gpu_work(&gpu, 10, stream));
	MUST(cu.cuStreamIsCapturing(stream, &status));
	MUST(cu.cuStreamEndCapture(stream, &graph));
	MUST(cu.cuGraphInstantiateWithFlags(&executable, graph, 0));
	MUST(cu.cuGraphLaunch(executable, stream));
	MUST(cu.cuStreamSynchronize(stream));
	MUST(cu.cuGraphExecDestroy(executable));
	MUST(cu.cuGraphDestroy(graph));
	MUST(cu.cuStreamDestroy_v2(stream));
	MUST(cu.cuDevicePrimaryCtxRetain(&primary, gpu.device));
	MUST(cu.cuDevicePrimaryCtxRelease_v2(gpu.device));
	MUST(cu.cuModuleUnload(gpu.module));
	MUST(cu.cuCtxDestroy_v2(gpu.context));
}

int plt_counted(void)
{
	const char *(*counted)(size_t, uint64_t *);
	CUresult (*control)(int *);
	const char *name;
	uint64_t calls;
	int version;

	*(void **)&counted = dlsym(RTLD_DEFAULT, "probe_counted");
	*(void **)&control = dlsym(RTLD_DEFAULT, "cuDriverGetVersion");
	if (counted == NULL || control == NULL)
		return 2;
	facts_to(STDOUT_FILENO);
	exercise();
	/* One call by name: it must be counted, or the counts mean nothing. */
	control(&version);
	for (size_t i = 0; (name = counted(i, &calls)) != NULL; i++)
		if (calls > 0)
			printf("%s %llu\n", name, (unsigned long long)calls);
	printf("end 0\n");
	return 0;
}

static void count_calls(void)
{
	const char *question = "Calls of its own exports that the driver made by name";
	char library[4200], name[100], rest[600];
	unsigned long long calls, inner = 0, control = 0;
	const char *slash = strrchr(options.self, '/');
	bool ended = false;
	int out[2];
	FILE *lines;
	pid_t pid;

	snprintf(library, sizeof library, "%.*s/probe_count.so",
		 slash != NULL ? (int)(slash - options.self) : 0, options.self);
	if (access(library, R_OK) != 0) {
		fact_unknown("plt.calls", question, "%s is not there", library);
		return;
	}
	if (pipe(out) != 0 || (pid = fork()) < 0)
		stop("no process");
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		setenv("LD_PRELOAD", library, 1);
		execl(options.self, options.self, "--counted", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	lines = fdopen(out[0], "r");
	if (lines == NULL)
		stop("out of memory");
	while (fscanf(lines, "%99s %llu", name, &calls) == 2) {
		if (strcmp(name, "end") == 0) {
			ended = true;
		} else if (strcmp(name, "cuDriverGetVersion") == 0 && calls > 0) {
			control = 1;
			inner += calls - 1;
			if (calls > 1)
				note(name, (double)(calls - 1));
		} else {
			inner += calls;
			note(name, (double)calls);
		}
	}
	/* What is left is why it ended early. */
	rest[fread(rest, 1, sizeof rest - 1, lines)] = '\0';
	waitpid(pid, NULL, 0);
	if (!ended)
		fact_unknown("plt.calls", question,
			     "the run with the counting library ended early: %s", rest);
	else if (control == 0)
		fact_unknown("plt.calls", question, "the control call was not counted");
	else
		fact_number("plt.calls", question, (double)inner, "calls");
}

void section_plt(void)
{
	const char *why;

	count_calls(); /* before this process has a driver: it forks */
	if (!driver_load(&why))
		stop("%s", why);
	relocations();
}
