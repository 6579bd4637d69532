/*
 * nvml_abi.h - the part of NVML's binary interface that the simulated one has.
 *
 * Knows: values, layouts and prototypes, written from NVIDIA's public NVML API Reference
 * Guide, since nvml.h is often absent. The names of functions and the layouts are NVIDIA's,
 * all else is ours. Sizes that callers pass as versions are asserted.
 */
#ifndef SIM_NVML_ABI_H
#define SIM_NVML_ABI_H

#include <stddef.h>

enum nvml_return {
	NVML_SUCCESS = 0,
	NVML_ERROR_UNINITIALIZED = 1,
	NVML_ERROR_INVALID_ARGUMENT = 2,
	NVML_ERROR_NOT_SUPPORTED = 3,
	NVML_ERROR_NO_PERMISSION = 4,
	NVML_ERROR_NOT_FOUND = 6,
	NVML_ERROR_INSUFFICIENT_SIZE = 7,
	NVML_ERROR_DRIVER_NOT_LOADED = 9,
	NVML_ERROR_FUNCTION_NOT_FOUND = 13,
	NVML_ERROR_GPU_IS_LOST = 15,
	NVML_ERROR_MEMORY = 20,
	NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
	NVML_ERROR_UNKNOWN = 999
};

enum {
	NVML_UUID_V2_BYTES = 96,
	NVML_PCI_BUS_ID_V2_BYTES = 16,
	NVML_PCI_BUS_ID_BYTES = 32,
	NVML_INIT_FLAG_NO_GPUS = 1,
	NVML_DISABLED = 0,
	NVML_ENABLED = 1
};
/* What NVML writes where a number is unknown. */
#define NVML_NOT_AVAILABLE 0xffffffffu
#define NVML_MEMORY_LIMIT_MAX (~0ull)

enum nvml_clock { NVML_CLOCK_GRAPHICS, NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_CLOCK_VIDEO };

enum nvml_threshold {
	NVML_THRESHOLD_SHUTDOWN,
	NVML_THRESHOLD_SLOWDOWN,
	NVML_THRESHOLD_MEM_MAX,
	NVML_THRESHOLD_GPU_MAX
};

enum nvml_topology { NVML_TOPOLOGY_INTERNAL = 0, NVML_TOPOLOGY_SYSTEM = 50 };

enum nvml_sampling { NVML_SAMPLES_GPU = 1, NVML_SAMPLES_MEMORY = 2 };
enum nvml_value_type { NVML_VALUE_UINT = 1 };

/* The version word of a structure: its size and its number. */
#define NVML_VERSION(type, number) ((unsigned)(sizeof(type) | ((number) << 24u)))

struct nvmlDevice_st;
typedef struct nvmlDevice_st *nvmlDevice_t; /* as in every NVML prototype */

struct nvml_pci_info_v2 {
	char bus_id[NVML_PCI_BUS_ID_V2_BYTES];
	unsigned domain, bus, device;
	unsigned pci_device_id; /* device << 16 | vendor */
	unsigned pci_subsystem_id;
	unsigned reserved[4];
};

struct nvml_pci_info {
	char bus_id_legacy[NVML_PCI_BUS_ID_V2_BYTES];
	unsigned domain, bus, device;
	unsigned pci_device_id;
	unsigned pci_subsystem_id;
	char bus_id[NVML_PCI_BUS_ID_BYTES];
};

struct nvml_pci_info_ext {
	unsigned version;
	unsigned domain, bus, device;
	unsigned pci_device_id;
	unsigned pci_subsystem_id;
	unsigned base_class, sub_class;
	char bus_id[NVML_PCI_BUS_ID_BYTES];
};
_Static_assert(NVML_VERSION(struct nvml_pci_info_ext, 1) == 0x1000040, "as in nvml.h");

struct nvml_memory {
	unsigned long long total, free, used;
};

struct nvml_memory_v2 {
	unsigned version;
	unsigned long long total, reserved, free, used;
};
_Static_assert(NVML_VERSION(struct nvml_memory_v2, 2) == 0x2000028, "as in nvml.h");

/* `name_space` is the path of a cgroup, for example /sys/fs/cgroup/tenant. */
struct nvml_set_memory_limits {
	const char *name_space;
	unsigned long long soft_limit, hard_limit;
};

struct nvml_get_memory_limits {
	const char *name_space;
	unsigned long long soft_limit, hard_limit, current_used;
};

struct nvml_utilization {
	unsigned gpu, memory; /* per cent */
};

struct nvml_process_v1 {
	unsigned pid;
	unsigned long long used_gpu_memory;
};

struct nvml_process {
	unsigned pid;
	unsigned long long used_gpu_memory;
	unsigned gpu_instance, compute_instance;
};

struct nvml_process_detail {
	unsigned pid;
	unsigned long long used_gpu_memory;
	unsigned gpu_instance, compute_instance;
	unsigned long long used_protected_memory;
};

enum nvml_process_mode {
	NVML_PROCESSES_COMPUTE,
	NVML_PROCESSES_GRAPHICS,
	NVML_PROCESSES_MPS,
	NVML_PROCESSES_ALL
};

struct nvml_process_detail_list {
	unsigned version, mode, count;
	struct nvml_process_detail *processes;
};
_Static_assert(NVML_VERSION(struct nvml_process_detail_list, 1) == 0x1000018,
	       "as in nvml.h");

struct nvml_process_sample {
	unsigned pid;
	unsigned long long time_us;
	unsigned sm, memory, encoder, decoder; /* per cent */
};

struct nvml_process_usage {
	unsigned long long time_us;
	unsigned pid;
	unsigned sm, memory, encoder, decoder, jpeg, optical_flow; /* per cent */
};

struct nvml_processes_usage {
	unsigned version, count;
	unsigned long long last_seen_us;
	struct nvml_process_usage *usage;
};
_Static_assert(NVML_VERSION(struct nvml_processes_usage, 1) == 0x1000018, "as in nvml.h");

union nvml_value {
	double d;
	unsigned u;
	unsigned long ul;
	unsigned long long ull;
	long long sll;
};

struct nvml_sample {
	unsigned long long time_us;
	union nvml_value value;
};

struct nvml_field_value {
	unsigned field, scope;
	long long time_us, latency_us;
	int type;
	enum nvml_return result;
	union nvml_value value;
};

struct nvml_accounting {
	unsigned gpu, memory; /* per cent of the process's life */
	unsigned long long max_memory;
	unsigned long long time_ms; /* 0 while it runs */
	unsigned long long start_us;
	unsigned running;
	unsigned reserved[5];
};

struct nvml_accounting_v2 {
	unsigned pid, running;
	unsigned gpu, memory;
	unsigned long long max_memory;
	unsigned samples;
	unsigned long long sum_gpu, sum_memory; /* per cent x 100, over all samples */
	unsigned long long time_ms, start_us;
};

struct nvml_uuid {
	unsigned version, type; /* type 1: ASCII, 2: binary */
	union {
		char text[41];
		unsigned char bytes[16];
	} value;
};
_Static_assert(NVML_VERSION(struct nvml_uuid, 1) == 0x1000034, "as in nvml.h");

struct nvml_temperature {
	unsigned version, sensor;
	int celsius;
};
_Static_assert(NVML_VERSION(struct nvml_temperature, 1) == 0x100000c, "as in nvml.h");

#define NVML_API __attribute__((visibility("default"))) enum nvml_return

/* ---- init.c ---- */
NVML_API nvmlInit(void);
NVML_API nvmlInit_v2(void);
NVML_API nvmlInitWithFlags(unsigned flags);
NVML_API nvmlShutdown(void);
__attribute__((visibility("default"))) const char *nvmlErrorString(
	enum nvml_return result);
NVML_API nvmlSystemGetDriverVersion(char *version, unsigned length);
NVML_API nvmlSystemGetNVMLVersion(char *version, unsigned length);
NVML_API nvmlSystemGetCudaDriverVersion(int *version);
NVML_API nvmlSystemGetCudaDriverVersion_v2(int *version);
NVML_API nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length);

/* ---- device.c ---- */
NVML_API nvmlDeviceGetCount(unsigned *count);
NVML_API nvmlDeviceGetCount_v2(unsigned *count);
NVML_API nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t *device);
NVML_API nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device);
NVML_API nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device);
NVML_API nvmlDeviceGetHandleByUUIDV(const struct nvml_uuid *uuid, nvmlDevice_t *device);
NVML_API nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvmlDevice_t *device);
NVML_API nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device);
NVML_API nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index);
NVML_API nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *minor);
NVML_API nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length);
NVML_API nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length);
NVML_API nvmlDeviceGetBrand(nvmlDevice_t device, unsigned *brand);
NVML_API nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned *architecture);
NVML_API nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor);
NVML_API nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned *cores);
NVML_API nvmlDeviceGetPciInfo(nvmlDevice_t device, struct nvml_pci_info_v2 *pci);
NVML_API nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, struct nvml_pci_info_v2 *pci);
NVML_API nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, struct nvml_pci_info *pci);
NVML_API nvmlDeviceGetPciInfoExt(nvmlDevice_t device, struct nvml_pci_info_ext *pci);
NVML_API nvmlDeviceGetBoardId(nvmlDevice_t device, unsigned *board);
NVML_API nvmlDeviceGetMultiGpuBoard(nvmlDevice_t device, unsigned *multi);
NVML_API nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t a, nvmlDevice_t b,
					     unsigned *level);
NVML_API nvmlDeviceOnSameBoard(nvmlDevice_t a, nvmlDevice_t b, int *same);
NVML_API nvmlUnitGetCount(unsigned *count);
NVML_API nvmlGetExcludedDeviceCount(unsigned *count);

/* ---- modes.c ---- */
NVML_API nvmlDeviceGetComputeMode(nvmlDevice_t device, unsigned *mode);
NVML_API nvmlDeviceGetPersistenceMode(nvmlDevice_t device, unsigned *mode);
NVML_API nvmlDeviceSetComputeMode(nvmlDevice_t device, unsigned mode);
NVML_API nvmlDeviceSetPersistenceMode(nvmlDevice_t device, unsigned mode);
NVML_API nvmlDeviceGetDisplayMode(nvmlDevice_t device, unsigned *mode);
NVML_API nvmlDeviceGetDisplayActive(nvmlDevice_t device, unsigned *active);
NVML_API nvmlDeviceGetVirtualizationMode(nvmlDevice_t device, unsigned *mode);
NVML_API nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count);
NVML_API nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_mig);
NVML_API nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *types);
NVML_API nvmlEventSetCreate(void **set);
NVML_API nvmlDeviceGetFieldValues(nvmlDevice_t device, int count,
				  struct nvml_field_value *values);

/* ---- sensors.c ---- */
NVML_API nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor,
				  unsigned *celsius);
NVML_API nvmlDeviceGetTemperatureV(nvmlDevice_t device, struct nvml_temperature *reading);
NVML_API nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, unsigned threshold,
					   unsigned *celsius);
NVML_API nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts);
NVML_API nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device,
					     unsigned long long *millijoules);
NVML_API nvmlDeviceGetPowerManagementMode(nvmlDevice_t device, unsigned *mode);
NVML_API nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned *milliwatts);
NVML_API nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device,
						  unsigned *milliwatts);
NVML_API nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned *min,
						      unsigned *max);
NVML_API nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned *milliwatts);
NVML_API nvmlDeviceGetPerformanceState(nvmlDevice_t device, unsigned *state);
NVML_API nvmlDeviceGetPowerState(nvmlDevice_t device, unsigned *state);
NVML_API nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned clock, unsigned *mhz);
NVML_API nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned clock, unsigned *mhz);
NVML_API nvmlDeviceGetClock(nvmlDevice_t device, unsigned clock, unsigned id,
			    unsigned *mhz);
NVML_API nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
						   unsigned long long *reasons);
NVML_API nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device,
						     unsigned long long *reasons);
NVML_API nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device,
						unsigned long long *reasons);
NVML_API nvmlDeviceGetSupportedClocksEventReasons(nvmlDevice_t device,
						  unsigned long long *reasons);
NVML_API nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned *fans);
NVML_API nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned *generation);
NVML_API nvmlDeviceGetGpuMaxPcieLinkGeneration(nvmlDevice_t device, unsigned *generation);
NVML_API nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned *generation);
NVML_API nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned *width);
NVML_API nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned *width);
NVML_API nvmlDeviceGetPcieReplayCounter(nvmlDevice_t device, unsigned *count);
NVML_API nvmlDeviceGetPcieThroughput(nvmlDevice_t device, unsigned counter,
				     unsigned *kilobytes_per_s);

/* ---- memory.c ---- */
NVML_API nvmlDeviceGetMemoryInfo(nvmlDevice_t device, struct nvml_memory *memory);
NVML_API nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, struct nvml_memory_v2 *memory);
NVML_API nvmlDeviceSetMemoryLimits_v1(nvmlDevice_t device,
				      const struct nvml_set_memory_limits *limits);
NVML_API nvmlDeviceGetMemoryLimits_v1(nvmlDevice_t device,
				      struct nvml_get_memory_limits *limits);

/* ---- processes.c ---- */
NVML_API nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned *count,
					      struct nvml_process_v1 *processes);
NVML_API nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned *count,
						 struct nvml_process *processes);
NVML_API nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
						 struct nvml_process *processes);
NVML_API nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device, unsigned *count,
					       struct nvml_process_v1 *processes);
NVML_API nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device, unsigned *count,
						  struct nvml_process *processes);
NVML_API nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
						  struct nvml_process *processes);
NVML_API nvmlDeviceGetMPSComputeRunningProcesses(nvmlDevice_t device, unsigned *count,
						 struct nvml_process_v1 *processes);
NVML_API nvmlDeviceGetMPSComputeRunningProcesses_v2(nvmlDevice_t device, unsigned *count,
						    struct nvml_process *processes);
NVML_API nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
						    struct nvml_process *processes);
NVML_API nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t device,
					       struct nvml_process_detail_list *list);

/* ---- utilization.c ---- */
NVML_API nvmlDeviceGetUtilizationRates(nvmlDevice_t device,
				       struct nvml_utilization *rates);
NVML_API nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned *rate,
					 unsigned *period_us);
NVML_API nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned *rate,
					 unsigned *period_us);
NVML_API nvmlDeviceGetJpgUtilization(nvmlDevice_t device, unsigned *rate,
				     unsigned *period_us);
NVML_API nvmlDeviceGetOfaUtilization(nvmlDevice_t device, unsigned *rate,
				     unsigned *period_us);
NVML_API nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
					 struct nvml_process_sample *samples,
					 unsigned *count,
					 unsigned long long last_seen_us);
NVML_API nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device,
					       struct nvml_processes_usage *info);
NVML_API nvmlDeviceGetSamples(nvmlDevice_t device, unsigned kind,
			      unsigned long long last_seen_us, unsigned *type,
			      unsigned *count, struct nvml_sample *samples);

/* ---- accounting.c ---- */
NVML_API nvmlDeviceGetAccountingMode(nvmlDevice_t device, unsigned *mode);
NVML_API nvmlDeviceSetAccountingMode(nvmlDevice_t device, unsigned mode);
NVML_API nvmlDeviceClearAccountingPids(nvmlDevice_t device);
NVML_API nvmlDeviceGetAccountingBufferSize(nvmlDevice_t device, unsigned *size);
NVML_API nvmlDeviceGetAccountingPids(nvmlDevice_t device, unsigned *count,
				     unsigned *pids);
NVML_API nvmlDeviceGetAccountingStats(nvmlDevice_t device, unsigned pid,
				      struct nvml_accounting *stats);
NVML_API nvmlDeviceGetAccountingStats_v2(nvmlDevice_t device,
					 struct nvml_accounting_v2 *stats);

#endif
