/*
 * probe.h - what the sections of the probe share: how a fact is stated, how the driver is
 * reached, how other processes are made.
 *
 * Knows: the driver by dlopen alone, so that the program starts anywhere. A section runs in
 * a process of its own that has not touched the driver yet; facts travel to the parent.
 * Refuses to know: any setting of the card. Nothing here changes one.
 */
#ifndef PROBE_H
#define PROBE_H

/* All versions of all entry points under their exported names. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
	uint64_t limit_bytes; /* device memory that the probe may hold at once */
	int device;
	const char *self; /* path of this program */
};
extern struct options options;

/* --- facts (facts.c) ----------------------------------------------------------------- */

/* Evidence for the next fact of this process: numbers and words that came with it. */
void note(const char *key, double value);
void note_text(const char *key, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* n samples summarised: n, min, median, mean, p99, max. Sorts them. */
void note_samples(const char *key, double *samples, size_t n);

/* States a fact and takes the evidence noted since the last one. id is "section.name", and
 * is followed by the index when it is not negative; unit may be "". */
void fact_number(const char *id, const char *question, double value, const char *unit);
void fact_yes(const char *id, const char *question, bool yes);
void fact_text(const char *id, const char *question, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A fact that could not be had, and why: never a number. */
void fact_unknown(const char *id, const char *question, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Where facts of this process go; -1 (the start) drops them. */
void facts_to(int fd);

/* Sorts the samples; p in 0..1. NaN without samples. */
double quantile(double *samples, size_t n, double p);
double mean(const double *samples, size_t n);

/* --- the driver (driver.c) ----------------------------------------------------------- */

struct driver {
	void *handle; /* of libcuda.so.1 */
#define CALL(symbol) __typeof__(symbol) *symbol;
#include "driver.def"
};
extern struct driver cu;

/* Loads libcuda.so.1; false with a sentence in *why when it or a needed symbol is not there.
 * Calls nothing in it. */
bool driver_load(const char **why);

/* "906 CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"; a static buffer, per thread. */
const char *code_text(CUresult code);

/* Ends this process with an unknown fact "<section>.stopped" unless the code is 0. */
#define MUST(call) must((call), #call, __FILE__, __LINE__)
void must(CUresult code, const char *call, const char *file, int line);
_Noreturn void stop(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The name that stop() uses. */
void section_name(const char *name);

/* driver_load, cuInit and a context of its own on the device, made current. */
struct gpu {
	CUdevice device;
	CUcontext context;
	CUmodule module;
	CUfunction nothing; /* gpushim_probe_nothing() */
	CUfunction work;    /* gpushim_work(u64 iterations, u64 sink) */
	CUfunction spin_ns; /* gpushim_spin_ns(u64 ns) */
	CUfunction gaps;    /* gpushim_probe_gaps, see kernels.c */
};
void gpu_open(struct gpu *gpu);
/* The same without loading the kernels. */
void gpu_open_bare(struct gpu *gpu);
void gpu_kernels(struct gpu *gpu);

/* Launch on one thread, or on the whole device with gpu_work_all. */
CUresult gpu_spin(const struct gpu *gpu, uint64_t ns, CUstream stream);
CUresult gpu_work(const struct gpu *gpu, uint64_t iterations, CUstream stream);
/* Iterations of gpushim_work that take a microsecond (fastest of several runs). */
double gpu_calibrate(const struct gpu *gpu);
/* Runs the gaps kernel for ns; writes pairs (end of run, begin of next run) of the device's
 * clock, in ns, to *pairs (malloc, caller frees) and the first and last stamp and the
 * shortest step of the clock to ends[3]. Returns the number of pairs, or -1 when the device
 * did not run the kernel (a simulated one does not). */
#define GAPS_MAX 4096
long gpu_gaps(const struct gpu *gpu, uint64_t ns, uint64_t threshold_ns, uint64_t **pairs,
	      uint64_t ends[3]);

/* Free bytes by cuMemGetInfo. */
int64_t free_bytes(void);

extern const char probe_ptx[];
extern const char probe_printf_ptx[];
extern const char probe_deep_ptx[];

/* --- NVML (nvml.c) ------------------------------------------------------------------- */

/* All return false (or a negative number) with a reason from nvml_why() when it is not to be
 * had. Numbers are of the device with the PCI bus id of nvml_open. */
bool nvml_open(const char *pci_bus_id);
const char *nvml_why(void);
void *nvml_symbol(const char *name);
bool nvml_version(char text[80]);
bool nvml_memory(uint64_t *total, uint64_t *used);
/* Bytes reserved by driver and firmware, by the second version of the query. */
bool nvml_reserved(uint64_t *reserved);
struct nvml_process {
	unsigned pid;
	uint64_t used_bytes; /* UINT64_MAX: not available */
};
int nvml_processes(struct nvml_process *list, unsigned max);
bool nvml_utilisation(unsigned *gpu_percent);
struct nvml_sample {
	unsigned pid;
	uint64_t timestamp_us;
	unsigned sm_percent;
};
int nvml_process_samples(struct nvml_sample *list, unsigned max, uint64_t since_us);
bool nvml_mode(const char *function, unsigned *value);

/* --- other processes (worker.c) ------------------------------------------------------ */

struct worker {
	pid_t pid;
	int to;	  /* write end: what we tell it */
	int from; /* read end: what it tells us */
};

/* Forks a process that runs body(in, out, argument) and ends. To be called before this
 * process has touched the driver. */
struct worker worker_start(void (*body)(int in, int out, void *argument), void *argument);
/* Exactly n bytes; false at the other's end. worker_say never fails (a reader that is gone
 * shows when it is listened to). */
bool hear(int fd, void *data, size_t n);
void say(int fd, const void *data, size_t n);
/* Waits for a byte; ends this process when the other side is gone. */
void hear_go(int in);
void say_go(int out);
/* Kills and reaps. */
void worker_kill(struct worker *worker, int signal);

uint64_t now_ns(void);
void sleep_ms(unsigned ms);

/* --- sections ------------------------------------------------------------------------ */

void section_device(void);
void section_identity(void);
void section_plt(void);
void section_capture(void);
void section_pools(void);
void section_blocks(void);
void section_managed(void);
void section_footprint(void);
void section_fds(void);
void section_kill(void);
void section_nvml(void);
void section_limits(void);
void section_cost(void);
void section_slices(void);

/* The other side of section_plt: this program again, with the counting library preloaded. */
int plt_counted(void);

#endif
