/*
 * kernels.c - the kernels that the simulated device computes, and how long any kernel
 * takes. Arguments lie as PTX lays them out: each at a multiple of its size.
 */
#include <string.h>

#include "device/server.h"

/* Every launch costs at least this on the SMs. */
#define KERNEL_FLOOR_NS 1000
#define DURATION_MAX_NS (1ull << 62)
#define THREADS_PER_SM 2048u
#define BLOCKS_PER_SM 32u

/* ---- arguments ---- */

static uint64_t arg_u64(const unsigned char *params, uint32_t bytes, uint32_t offset)
{
	uint64_t value = 0;

	if (offset + sizeof(value) <= bytes)
		memcpy(&value, params + offset, sizeof(value));
	return value;
}

static uint32_t arg_u32(const unsigned char *params, uint32_t bytes, uint32_t offset)
{
	uint32_t value = 0;

	if (offset + sizeof(value) <= bytes)
		memcpy(&value, params + offset, sizeof(value));
	return value;
}

static uint64_t work_u64(const struct sim_work *work, uint32_t offset)
{
	return arg_u64(work->params, work->param_bytes, offset);
}

static uint32_t work_u32(const struct sim_work *work, uint32_t offset)
{
	return arg_u32(work->params, work->param_bytes, offset);
}

/* ---- duration ---- */

/* Arguments are anything: a duration has an end, if one far away. */
static uint64_t whole_ns(double ns)
{
	return ns < (double)DURATION_MAX_NS ? (uint64_t)ns : DURATION_MAX_NS;
}

static uint64_t product(uint64_t a, uint64_t b)
{
	uint64_t both;

	return __builtin_mul_overflow(a, b, &both) ? UINT64_MAX : both;
}

static uint64_t transfer_ns(uint64_t bytes, uint64_t bytes_per_s)
{
	return whole_ns((double)bytes * 1e9 / (double)bytes_per_s);
}

/* A reproducible factor around 1 for the nth kernel of a client. */
static uint64_t vary(uint64_t ns, unsigned percent, uint64_t function, uint64_t nth)
{
	uint64_t hash = (function ^ nth * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
	double unit = (double)(hash >> 11) / (double)(1ull << 53); /* [0, 1) */

	return (uint64_t)((double)ns * (1.0 + (2.0 * unit - 1.0) * percent / 100.0));
}

void sim_kernel_shape(const struct sim_config *config, const struct sim_rec_kernel *rec,
		      const unsigned char *params, uint32_t param_bytes, uint64_t nth,
		      uint64_t *work_ns, uint32_t *demand)
{
	const uint64_t threads = (uint64_t)rec->block[0] * rec->block[1] * rec->block[2];
	const double blocks = (double)rec->grid[0] * rec->grid[1] * rec->grid[2];
	uint64_t per_sm = THREADS_PER_SM / (threads > 0 ? threads : 1);
	double room, waves;
	uint64_t count = 0, ns;

	if (per_sm > BLOCKS_PER_SM)
		per_sm = BLOCKS_PER_SM;
	if (per_sm == 0)
		per_sm = 1;
	room = (double)per_sm * config->sm_count;
	waves = blocks <= room ? 1.0 : blocks / room;
	*demand = blocks >= room ? SIM_DEMAND_FULL
				 : (uint32_t)(blocks * SIM_DEMAND_FULL / room);
	if (*demand == 0)
		*demand = 1;
	switch (rec->builtin) {
	case SIM_K_FILL_U32:
		count = arg_u64(params, param_bytes, 16);
		ns = transfer_ns(product(count, 4), config->device_bytes_per_s);
		break;
	case SIM_K_SAXPY_F32:
		count = arg_u64(params, param_bytes, 24);
		ns = transfer_ns(product(count, 12), config->device_bytes_per_s);
		break;
	case SIM_K_REDUCE_U32:
		count = arg_u64(params, param_bytes, 16);
		ns = transfer_ns(product(count, 4), config->device_bytes_per_s);
		break;
	case SIM_K_WORK:
		count = arg_u64(params, param_bytes, 0);
		ns = whole_ns((double)count * (double)config->work_ps / 1000.0 * waves);
		break;
	case SIM_K_COUNT:
		count = product(arg_u64(params, param_bytes, 8),
				arg_u64(params, param_bytes, 16));
		ns = whole_ns((double)count * (double)config->work_ps / 1000.0);
		break;
	case SIM_K_SPIN_NS:
		*work_ns = arg_u64(params, param_bytes, 0);
		if (*work_ns > DURATION_MAX_NS)
			*work_ns = DURATION_MAX_NS;
		return;
	case SIM_K_SPIN_WORD:
		*work_ns = 0;
		return;
	case SIM_K_SET_CONDITIONAL:
		ns = 0;
		break;
	default:
		ns = whole_ns((double)config->kernel_ns * waves);
		if (config->vary_percent != 0)
			ns = vary(ns, config->vary_percent, rec->function, nth);
		break;
	}
	*work_ns = ns < KERNEL_FLOOR_NS ? KERNEL_FLOOR_NS : ns;
}

/* ---- computing ---- */

/* One element of an array in device memory: the last span is remembered. */
struct array {
	struct sim_client *client;
	unsigned char *at;
	uint64_t va, left;
	unsigned access;
};

static void *element(struct array *array, uint64_t va, unsigned bytes)
{
	uint64_t offset = va - array->va;

	if (array->at == NULL || offset >= array->left || array->left - offset < bytes) {
		array->at = sim_memory_at(array->client, va, array->access, &array->left);
		array->va = va;
		offset = 0;
		if (array->at == NULL || array->left < bytes)
			return NULL;
	}
	return array->at + offset;
}

/* Whether so many words may exist: one block can be mapped at many addresses. */
static bool elements_fit(const struct sim_work *work, uint64_t n)
{
	return n <= sim_bytes_max(&work->client->server->config) / 4;
}

static bool run_fill(struct sim_work *work)
{
	struct array out = { .client = work->client, .access = 2 };
	const uint64_t base = work_u64(work, 0), n = work_u64(work, 16);
	const uint32_t value = work_u32(work, 8);
	uint64_t i;

	if (!elements_fit(work, n))
		return false;
	for (i = 0; i < n; i++) {
		void *to = element(&out, base + i * 4, 4);

		if (to == NULL)
			return false;
		memcpy(to, &value, 4);
	}
	return true;
}

static bool run_saxpy(struct sim_work *work)
{
	struct array xs = { .client = work->client, .access = 1 };
	struct array ys = { .client = work->client, .access = 3 };
	const uint64_t x = work_u64(work, 0), y = work_u64(work, 8),
		       n = work_u64(work, 24);
	const uint32_t bits = work_u32(work, 16);
	float a, xv, yv;
	uint64_t i;

	if (!elements_fit(work, n))
		return false;
	memcpy(&a, &bits, 4);
	for (i = 0; i < n; i++) {
		void *from = element(&xs, x + i * 4, 4), *to = element(&ys, y + i * 4, 4);

		if (from == NULL || to == NULL)
			return false;
		memcpy(&xv, from, 4);
		memcpy(&yv, to, 4);
		/* PTX's fma.rn: one rounding. */
		yv = __builtin_fmaf(a, xv, yv);
		memcpy(to, &yv, 4);
	}
	return true;
}

static bool run_reduce(struct sim_work *work)
{
	struct array in = { .client = work->client, .access = 1 };
	struct array out = { .client = work->client, .access = 3 };
	const uint64_t base = work_u64(work, 0), n = work_u64(work, 16);
	uint64_t sum = 0, total, i;
	void *to;

	if (!elements_fit(work, n))
		return false;
	for (i = 0; i < n; i++) {
		uint32_t value;
		void *from = element(&in, base + i * 4, 4);

		if (from == NULL)
			return false;
		memcpy(&value, from, 4);
		sum += value;
	}
	to = element(&out, work_u64(work, 8), 8);
	if (to == NULL)
		return false;
	memcpy(&total, to, 8);
	total += sum;
	memcpy(to, &total, 8);
	return true;
}

/* What thread 0 of gpushim_work ends with: x = 0, then `iterations` times
 * x = x * 1664525 + 1013904223 modulo 2^32, by squaring the step. */
static uint32_t chain(uint64_t iterations)
{
	uint32_t factor = 1664525u, addend = 1013904223u, x = 0;

	for (; iterations != 0; iterations >>= 1) {
		if (iterations & 1)
			x = x * factor + addend;
		addend = addend * (factor + 1);
		factor *= factor;
	}
	return x;
}

static bool run_work(struct sim_work *work)
{
	struct array sink = { .client = work->client, .access = 2 };
	const uint64_t addr = work_u64(work, 8);
	const uint32_t result = chain(work_u64(work, 0));
	void *to;

	if (addr == 0)
		return true;
	to = element(&sink, addr, 4);
	if (to == NULL)
		return false;
	memcpy(to, &result, 4);
	return true;
}

/* gpushim_count: the word is its base plus the steps that fit into the time executed. */
static bool count_store(struct sim_work *work, uint64_t steps)
{
	struct array word = { .client = work->client, .access = 3 };
	void *to = element(&word, work_u64(work, 0), 8);
	uint64_t value;

	if (to == NULL)
		return false;
	if (!work->counter_known) {
		memcpy(&work->counter_base, to, 8);
		work->counter_known = true;
	}
	value = work->counter_base + steps;
	memcpy(to, &value, 8);
	return true;
}

void sim_kernel_progress(struct sim_work *work)
{
	const uint64_t steps = work_u64(work, 8);
	const uint64_t whole = work->op.work_ns > 0 ? work->op.work_ns : 1;
	const double passed = (double)steps * (double)work->op.executed_ns /
			      (double)whole;

	if (work->client->sticky_next != 0)
		return;
	if (!count_store(work, passed < (double)steps ? (uint64_t)passed : steps))
		sim_client_fail(work->client, SIM_ILLEGAL_ADDRESS);
}

bool sim_kernel_ready(struct sim_work *work)
{
	struct array word = { .client = work->client, .access = 1 };
	void *from = element(&word, work_u64(work, 0), 4);
	uint32_t value;

	if (from == NULL) {
		sim_client_fail(work->client, SIM_ILLEGAL_ADDRESS);
		return true;
	}
	memcpy(&value, from, 4);
	return value == work_u32(work, 8);
}

bool sim_kernel_run(struct sim_work *work)
{
	switch (work->rec.kernel.builtin) {
	case SIM_K_FILL_U32:
		return run_fill(work);
	case SIM_K_SAXPY_F32:
		return run_saxpy(work);
	case SIM_K_REDUCE_U32:
		return run_reduce(work);
	case SIM_K_WORK:
		return run_work(work);
	case SIM_K_COUNT:
		return count_store(work, work_u64(work, 8));
	case SIM_K_SET_CONDITIONAL:
		return sim_condition_set(work->client, work_u64(work, 0),
					 work_u32(work, 8));
	default:
		return true;
	}
}
