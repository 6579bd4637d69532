/*
 * init.c - cuInit, and what every entry point does before its own work.
 *
 * Knows: initialisation, fork, call costs (SIMGPU_CALL_NS), the call log (SIMGPU_LOG) and
 * the order in which reasons to refuse a call are looked at. Refuses to know: what calls do.
 */
#include "driver/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "driver/launch.h"
#include "driver/resolve.h"

/* SIMGPU_CALL_NS: what a call costs the host, by function. */
static uint32_t cost_ns[SIM_FN_COUNT];
static bool any_cost, log_calls;
static bool settings_ok;
static pthread_mutex_t init_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- names ---- */

static const char *const base_names[SIM_FN_COUNT] = {
#define SYM(symbol, base, version, variant) #base,
#include "symbols.def"
};

static const char *const fn_names[SIM_FN_COUNT] = {
#define SYM(symbol, base, version, variant) #symbol,
#include "symbols.def"
};

const char *sim_fn_name(enum sim_fn fn)
{
	return fn_names[fn];
}

static bool same(const char *name, size_t length, const char *known)
{
	return strncmp(name, known, length) == 0 && known[length] == '\0';
}

bool sim_name_matches(const char *name, size_t length, enum sim_fn fn)
{
	return same(name, length, fn_names[fn]) || same(name, length, base_names[fn]);
}

/* ---- settings ---- */

/* One item of SIMGPU_CALL_NS: "500" for all calls or "cuLaunchKernel=3000". */
static bool parse_cost(const char *item, size_t length)
{
	const char *equals = memchr(item, '=', length);
	const char *number = equals != NULL ? equals + 1 : item;
	size_t digits = length - (size_t)(number - item);
	bool known = false;
	char copy[16];
	uint64_t ns;

	if (digits >= sizeof(copy))
		return false;
	memcpy(copy, number, digits);
	copy[digits] = '\0';
	if (sim_parse_u64(copy, 0, 1000000000, &ns) != 0)
		return false;
	for (int fn = 0; fn < SIM_FN_COUNT; fn++) {
		if (equals != NULL &&
		    !sim_name_matches(item, (size_t)(equals - item), (enum sim_fn)fn))
			continue;
		cost_ns[fn] = (uint32_t)ns;
		known = true;
	}
	any_cost = true;
	return known;
}

static bool parse_costs(const char *text)
{
	while (text != NULL && *text != '\0') {
		size_t length = strcspn(text, ",");

		if (!parse_cost(text, length)) {
			fprintf(stderr,
				"simgpu: SIMGPU_CALL_NS: \"%.*s\" is not understood: write "
				"nanoseconds for all calls or NAME=nanoseconds, separated "
				"by commas, as in \"500,cuLaunchKernel=3000\"\n",
				(int)length, text);
			return false;
		}
		text += length + (text[length] == ',');
	}
	return true;
}

static void read_settings(void)
{
	const char *topics = getenv("SIMGPU_LOG"), *faults = getenv("SIMGPU_FAULTS");
	char why[256];

	settings_ok = parse_costs(getenv("SIMGPU_CALL_NS"));
	if (faults != NULL && !sim_faults_parse(faults, why, sizeof(why))) {
		fprintf(stderr, "simgpu: SIMGPU_FAULTS: %s\n", why);
		settings_ok = false;
	}
	log_calls = topics != NULL && strstr(topics, "calls") != NULL;
}

bool sim_settings(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_settings);
	return settings_ok;
}

/* ---- what every call does ---- */

/* Logs the call and spends its time. */
static void prologue(enum sim_fn fn)
{
	sim_settings();
	if (log_calls)
		fprintf(stderr, "simgpu: %d %s\n", (int)getpid(), fn_names[fn]);
	if (any_cost && cost_ns[fn] != 0) {
		uint64_t until = sim_now_ns() + cost_ns[fn];

		while (sim_now_ns() < until)
			;
	}
}

CUresult sim_enter_slow(enum sim_fn fn)
{
	CUresult res;

	prologue(fn);
	if (atomic_load_explicit(&sim.ready, memory_order_acquire) == 0)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (sim_host_inside())
		return CUDA_ERROR_NOT_PERMITTED;
	res = sim_client_error();
	return res != CUDA_SUCCESS ? res : sim_fault_call(fn);
}

CUresult sim_enter_uninitialised(enum sim_fn fn)
{
	prologue(fn);
	return sim_fault_call(fn);
}

_Static_assert((int)SIM_FN_COUNT == (int)SIM_ROWS, "both count symbols.def");

int sim_symbol_enter(int row)
{
	return (int)sim_enter_uninitialised((enum sim_fn)row);
}

/* ---- cuInit ---- */

/* Nobody forks while a thread initialises: the child would inherit half of it, and a lock
 * that nobody there will ever give back. */
static void before_fork(void)
{
	pthread_mutex_lock(&init_lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&init_lock);
}

/* As with the real driver a child of fork() has no CUDA, and cannot initialise it. */
static void in_child(void)
{
	pthread_mutex_unlock(&init_lock);
	if (atomic_load_explicit(&sim.ready, memory_order_relaxed) == 0)
		return;
	atomic_store_explicit(&sim.ready, 0, memory_order_relaxed);
	atomic_store_explicit(&sim.forked, 1, memory_order_relaxed);
	atomic_store_explicit(&sim.slow, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
	/* Fails when out of memory: then so does what comes next. */
	pthread_atfork(before_fork, in_parent, in_child);
}

/* Under init_lock. */
static CUresult initialise(void)
{
	const char *zero = getenv("SIMGPU_ZERO_COST");
	char why[512] = "";
	CUresult res;

	sim.zero_cost = zero != NULL && zero[0] != '\0' && strcmp(zero, "0") != 0;
	res = sim_client_start(why, sizeof(why));
	if (res != CUDA_SUCCESS) {
		if (why[0] != '\0')
			fprintf(stderr, "simgpu: cuInit: %s\n", why);
		return res;
	}
	if (sim.zero_cost && !any_cost && !log_calls && !sim_fault_any())
		atomic_store_explicit(&sim.slow, 0, memory_order_relaxed);
	/* With sim_enter_slow(): all of sim is set up. */
	atomic_store_explicit(&sim.ready, 1, memory_order_release);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuInit(unsigned int flags)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CUresult res = sim_enter_uninitialised(SIM_FN_cuInit);

	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&sim.forked, memory_order_relaxed) != 0)
		return CUDA_ERROR_NOT_INITIALIZED;
	if (flags != 0 || !sim_settings())
		return CUDA_ERROR_INVALID_VALUE;
	if (atomic_load_explicit(&sim.ready, memory_order_acquire) != 0)
		return sim_client_error();
	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&init_lock);
	if (atomic_load_explicit(&sim.ready, memory_order_relaxed) == 0)
		res = initialise();
	pthread_mutex_unlock(&init_lock);
	return res;
}

/* ---- versions ---- */

int sim_resolve_driver_version(void)
{
	struct sim_config config;
	char why[256];

	if (atomic_load_explicit(&sim.ready, memory_order_acquire) != 0)
		return (int)sim.hello.driver_version;
	/* Asked before cuInit, as CUDA's runtime does: what this environment says. */
	return sim_config_read(&config, why, sizeof(why)) == 0
		       ? (int)config.driver_version
		       : CUDA_VERSION;
}

SIM_EXPORT CUresult cuDriverGetVersion(int *version)
{
	CUresult res = sim_enter_uninitialised(SIM_FN_cuDriverGetVersion);

	if (res != CUDA_SUCCESS)
		return res;
	if (version == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	*version = sim_resolve_driver_version();
	return CUDA_SUCCESS;
}
