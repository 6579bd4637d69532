/*
 * hook_nvml.c - NVML inside a tenant: the memory of a device is the tenant's, and so are its
 * processes.
 *
 * Knows NVML's answers and how to change them; what is true is tenant.h's. NVML only reports:
 * where there is no account, because nothing is configured or the policy cannot be had, its
 * answers pass unaltered. Devices are matched by UUID. NVML is often unloaded and loaded
 * again, so its functions are looked up for each call, which is far quicker than they are.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/elf.h"
#include "cuda/nvml.h"
#include "cuda/nvml_abi.h"
#include "cuda/process.h"

#define SONAME "libnvidia-ml.so.1"

#define NVML(symbol, parameters)                                                       \
	__attribute__((visibility("default"))) enum gsh_nvml_return symbol parameters; \
	typedef enum gsh_nvml_return(*real_##symbol) parameters;
#include "cuda/nvml.def"

/* The real function, NULL if this NVML has none, or none is loaded. */
#define REAL(symbol) ((real_##symbol)gsh_elf_find(SONAME, #symbol))

/* ---- look-ups ---- */

void *gsh_nvml_substitute(const char *name, const void *address)
{
	if (strncmp(name, "nvml", 4) != 0)
		return NULL;
#define NVML(symbol, parameters)                                        \
	if (strcmp(name, #symbol) == 0)                                 \
		return gsh_elf_find(SONAME, name) == (uintptr_t)address \
			       ? (void *)(uintptr_t)symbol              \
			       : NULL;
#include "cuda/nvml.def"
	return NULL;
}

/* ---- which device ---- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "GPU-" or "MIG-" and 32 digits with hyphens between them. */
static bool parse_uuid(const char *text, uint8_t uuid[16])
{
	int count = 0;

	if (strncmp(text, "GPU-", 4) != 0 && strncmp(text, "MIG-", 4) != 0)
		return false;
	memset(uuid, 0, 16);
	for (text += 4; *text; text++) {
		if (*text == '-')
			continue;
		if (digit(*text) < 0 || count == 32)
			return false;
		uuid[count / 2] = (uint8_t)(uuid[count / 2] << 4 | digit(*text));
		count++;
	}
	return count == 32;
}

typedef enum gsh_nvml_return (*get_uuid)(struct nvmlDevice_st *, char *, unsigned);
typedef enum gsh_nvml_return (*get_index)(struct nvmlDevice_st *, unsigned *);

/* What the device really has. */
static bool device_memory(struct nvmlDevice_st *device, struct gsh_nvml_memory *memory)
{
	real_nvmlDeviceGetMemoryInfo real = REAL(nvmlDeviceGetMemoryInfo);

	return real && real(device, memory) == GSH_NVML_SUCCESS;
}

static bool device_uuid(struct nvmlDevice_st *device, uint8_t uuid[16])
{
	get_uuid real = (get_uuid)gsh_elf_find(SONAME, "nvmlDeviceGetUUID");
	char text[GSH_NVML_UUID_BYTES];

	return real && real(device, text, sizeof(text)) == GSH_NVML_SUCCESS &&
	       parse_uuid(text, uuid);
}

/* NVML does not follow CUDA_VISIBLE_DEVICES: its order is the container's. */
static uint32_t device_index(struct nvmlDevice_st *device)
{
	get_index real = (get_index)gsh_elf_find(SONAME, "nvmlDeviceGetIndex");
	unsigned index;

	return real && real(device, &index) == GSH_NVML_SUCCESS ? index : UINT32_MAX;
}

/* Whether CUDA has asked for the device: what it then said of the order of devices counts. */
static bool is_known_to_cuda(int row)
{
	const uint32_t *rows = gsh_process->device_row;

	for (size_t i = 0; i < sizeof(gsh_process->device_row) / sizeof(*rows); i++)
		if (gsh_load_relaxed(&rows[i]) == (uint32_t)row + 1)
			return true;
	return false;
}

/*
 * Row of the device in the tenant's ledger, and what it really has in *memory; -1: there is
 * no account, or NVML does not say which device this is.
 */
static int tenant_row(struct nvmlDevice_st *device, struct gsh_nvml_memory *memory)
{
	struct gsh_tenant *tenant;
	uint8_t uuid[16];
	int row;

	if (gsh_enter() != GSH_MODE_ACTIVE || !device_uuid(device, uuid) ||
	    !device_memory(device, memory))
		return -1;
	tenant = &gsh_process->tenant;
	row = gsh_tenant_device(tenant, uuid, memory->total, UINT32_MAX);
	if (row >= 0 && !is_known_to_cuda(row))
		row = gsh_tenant_device(tenant, uuid, memory->total,
					device_index(device));
	return row;
}

/* ---- memory ---- */

static bool tenant_memory(struct nvmlDevice_st *device, struct gsh_tenant_view *view)
{
	struct gsh_nvml_memory real;
	int row = tenant_row(device, &real);

	if (row < 0)
		return false;
	gsh_tenant_view(&gsh_process->tenant, row, real.free, real.total, view);
	return true;
}

enum gsh_nvml_return nvmlDeviceGetMemoryInfo(struct nvmlDevice_st *device,
					     struct gsh_nvml_memory *memory)
{
	real_nvmlDeviceGetMemoryInfo real = REAL(nvmlDeviceGetMemoryInfo);
	enum gsh_nvml_return result;
	struct gsh_tenant_view view;

	if (!real)
		return GSH_NVML_FUNCTION_NOT_FOUND;
	result = real(device, memory);
	if (result == GSH_NVML_SUCCESS && tenant_memory(device, &view))
		*memory = (struct gsh_nvml_memory){
			.total = view.total_bytes,
			.free = view.free_bytes,
			.used = view.used_bytes,
		};
	return result;
}

enum gsh_nvml_return nvmlDeviceGetMemoryInfo_v2(struct nvmlDevice_st *device,
						struct gsh_nvml_memory_v2 *memory)
{
	real_nvmlDeviceGetMemoryInfo_v2 real = REAL(nvmlDeviceGetMemoryInfo_v2);
	enum gsh_nvml_return result;
	struct gsh_tenant_view view;

	if (!real)
		return GSH_NVML_FUNCTION_NOT_FOUND;
	result = real(device, memory);
	if (result != GSH_NVML_SUCCESS || !tenant_memory(device, &view))
		return result;
	memory->total = view.total_bytes;
	memory->free = view.free_bytes;
	memory->used = view.used_bytes;
	/* The four add up; what is missing is what others have of the device. */
	memory->reserved = 0;
	if (view.used_bytes < view.total_bytes &&
	    view.free_bytes < view.total_bytes - view.used_bytes)
		memory->reserved = view.total_bytes - view.used_bytes - view.free_bytes;
	return result;
}

/* ---- processes ---- */

struct tenant_process {
	unsigned pid;
	uint64_t bytes;
};

/*
 * The next process of the tenant, from slot *slot on, that can be named here and has, or has
 * had, something on the device. Dead ones have been reaped before.
 */
static bool next_process(int row, uint32_t *slot, struct tenant_process *process)
{
	const struct gsh_ledger *ledger = &gsh_process->tenant.ledger;
	const unsigned char *file = (const unsigned char *)ledger->header;
	/* Pairs with the release of whoever takes a slot. */
	uint32_t used = gsh_load_acquire(&ledger->header->slots_used);

	if (used > GPUSHIM_SLOTS_MAX)
		used = GPUSHIM_SLOTS_MAX;
	while (*slot < used) {
		const struct gpushim_ledger_slot *its = &ledger->slots[*slot];
		const struct gpushim_ledger_cell *cell =
			(const void *)(file +
				       gpushim_ledger_cell_offset((uint32_t)row, *slot));

		(*slot)++;
		process->pid = gsh_load_relaxed(&its->pid);
		process->bytes = gsh_load_relaxed(&cell->charged);
		/* A pid of another name space would name somebody else here. */
		if (gsh_load_acquire(&its->state) == GPUSHIM_SLOT_LIVE &&
		    gsh_load_relaxed(&its->pid_namespace) ==
			    gsh_load_relaxed(&ledger->own->pid_namespace) &&
		    (process->bytes || gsh_load_relaxed(&cell->peak_bytes)))
			return true;
	}
	return false;
}

/*
 * A list as NVML gives it: *count entries of entry_bytes, each the beginning of a detail; what
 * does not fit is not given at all, but counted. Only compute work is known to the ledger, so
 * the lists of graphics and of MPS are empty.
 */
static enum gsh_nvml_return fill(int row, bool compute, unsigned *count, void *list,
				 size_t entry_bytes)
{
	struct tenant_process process;
	unsigned room, filled = 0;

	if (!count || (*count && !list))
		return GSH_NVML_INVALID_ARGUMENT;
	room = *count;
	gsh_ledger_reap(&gsh_process->tenant.ledger);
	for (uint32_t slot = 0; compute && next_process(row, &slot, &process); filled++) {
		struct gsh_nvml_process_detail detail = {
			.pid = process.pid,
			.used_bytes = process.bytes,
			.gpu_instance = (unsigned)GSH_NVML_NO_INSTANCE,
			.compute_instance = (unsigned)GSH_NVML_NO_INSTANCE,
		};

		if (filled < room)
			memcpy((char *)list + filled * entry_bytes, &detail, entry_bytes);
	}
	*count = filled;
	return filled > room ? GSH_NVML_INSUFFICIENT_SIZE : GSH_NVML_SUCCESS;
}

/* One function that lists processes. */
#define LIST(symbol, type, compute)                                                \
	enum gsh_nvml_return symbol(struct nvmlDevice_st *device, unsigned *count, \
				    struct type *list)                             \
	{                                                                          \
		real_##symbol real = REAL(symbol);                                 \
		int row;                                                           \
                                                                                   \
		if (!real)                                                         \
			return GSH_NVML_FUNCTION_NOT_FOUND;                        \
		row = tenant_row(device, &(struct gsh_nvml_memory){ 0 });          \
		return row < 0 ? real(device, count, list)                         \
			       : fill(row, compute, count, list, sizeof(*list));   \
	}

LIST(nvmlDeviceGetComputeRunningProcesses, gsh_nvml_process_v1, true)
LIST(nvmlDeviceGetComputeRunningProcesses_v2, gsh_nvml_process, true)
LIST(nvmlDeviceGetComputeRunningProcesses_v3, gsh_nvml_process, true)
LIST(nvmlDeviceGetGraphicsRunningProcesses, gsh_nvml_process_v1, false)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, gsh_nvml_process, false)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, gsh_nvml_process, false)
LIST(nvmlDeviceGetMPSComputeRunningProcesses, gsh_nvml_process_v1, false)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, gsh_nvml_process, false)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, gsh_nvml_process, false)

enum gsh_nvml_return nvmlDeviceGetRunningProcessDetailList(
	struct nvmlDevice_st *device, struct gsh_nvml_process_details *details)
{
	real_nvmlDeviceGetRunningProcessDetailList real = REAL(
		nvmlDeviceGetRunningProcessDetailList);
	int row;

	if (!real)
		return GSH_NVML_FUNCTION_NOT_FOUND;
	/* A form that is not known here cannot be filled in here. */
	if (!details || details->mode > GSH_NVML_MPS ||
	    details->version != GSH_NVML_VERSION(struct gsh_nvml_process_details, 1))
		return real(device, details);
	row = tenant_row(device, &(struct gsh_nvml_memory){ 0 });
	return row < 0 ? real(device, details)
		       : fill(row, details->mode == GSH_NVML_COMPUTE, &details->count,
			      details->list, sizeof(*details->list));
}
