/*
 * hostfunc.c - functions of the application that run in stream order.
 *
 * Knows: the callback thread of this process, the tokens by which the device names host
 * functions, and what becomes of callbacks when the client is in error. Refuses to know:
 * when a function's turn has come (the device announces it).
 *
 * One thread runs them all, one after the other, in the order of announcement; CUDA leaves
 * the order of functions in different streams open. A function that blocks holds up the
 * others, never the device: kernels and copies that do not depend on it go on.
 *
 * In zero-cost mode nothing is ever pending, so the function runs in the call itself.
 */
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/capture.h"
#include "driver/client.h"
#include "driver/launch.h"

/* How often the thread looks for an error while callbacks are outstanding: the device drops
 * the work of a client in error and announces nothing. */
#define ERROR_POLL_NS 50000000

#define NONE UINT32_MAX

struct entry {
	CUhostFn fn; /* one of the two */
	CUstreamCallback callback;
	CUstream stream; /* as the application named it */
	void *data;
	struct sim_context *ctx; /* NULL: of a graph */
	uint64_t serial;	 /* order of creation; 0: a free entry */
	uint32_t generation;	 /* upper half of the token */
	uint32_t next_free;
	bool keep;
};

/* All under host_lock, which is taken after the locks of driver.h or alone, and never held
 * while a function runs. */
static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries;
static uint32_t nentries, first_free = NONE;
static uint64_t serials;
static bool thread_runs;
static _Atomic uint32_t outstanding; /* callbacks that are to learn of an error */

_Atomic uint32_t sim_host_returned;

static _Thread_local bool inside;

bool sim_host_inside(void)
{
	return inside;
}

/* ---- entries ---- */

/* Under host_lock: the entry of a token, or NULL when it has gone. */
static struct entry *find(uint64_t token)
{
	uint32_t i = (uint32_t)token - 1;

	if (i >= nentries || entries[i].serial == 0 ||
	    entries[i].generation != (uint32_t)(token >> 32))
		return NULL;
	return &entries[i];
}

/* Under host_lock. */
static void forget(struct entry *entry)
{
	if (entry->callback != NULL)
		atomic_fetch_sub_explicit(&outstanding, 1, memory_order_relaxed);
	entry->serial = 0;
	entry->next_free = first_free;
	first_free = (uint32_t)(entry - entries);
}

/* Under host_lock: a free entry, or NULL when out of memory. */
static struct entry *unused(void)
{
	uint32_t room = nentries ? nentries * 2 : 64;
	struct entry *entry, *grown;

	if (first_free == NONE) {
		grown = realloc(entries, room * sizeof(*grown));
		if (grown == NULL)
			return NULL;
		for (uint32_t i = nentries; i < room; i++)
			grown[i] = (struct entry){ .next_free = i + 1 < room ? i + 1
									     : NONE };
		first_free = nentries;
		entries = grown;
		nentries = room;
	}
	entry = &entries[first_free];
	first_free = entry->next_free;
	return entry;
}

/* ---- the thread ---- */

static void call(const struct entry *entry, CUresult status)
{
	inside = true;
	if (entry->callback != NULL)
		entry->callback(entry->stream, status, entry->data);
	else
		entry->fn(entry->data);
	inside = false;
}

/* Runs what the device has announced. A token whose entry has gone is just reported. */
static void run(uint64_t token)
{
	const uint64_t a[6] = { token };
	CUresult error = sim_client_error();
	struct entry copy = { .fn = NULL }, *entry;

	pthread_mutex_lock(&host_lock);
	entry = find(token);
	if (entry != NULL) {
		copy = *entry;
		if (!entry->keep)
			forget(entry);
	}
	pthread_mutex_unlock(&host_lock);
	if (copy.callback != NULL || (copy.fn != NULL && error == CUDA_SUCCESS))
		call(&copy, error);
	/* With ring.c: who sees the stream go on sees what the function did. */
	atomic_fetch_add_explicit(&sim_host_returned, 1, memory_order_release);
	sim_rpc(SIM_RPC_HOST_DONE, a, NULL, -1, NULL);
}

/* Callbacks are called even so, and told; host functions are not called. */
static void fail_callbacks(CUresult error)
{
	for (;;) {
		struct entry copy = { .fn = NULL }, *first = NULL;

		pthread_mutex_lock(&host_lock);
		for (uint32_t i = 0; i < nentries; i++) {
			struct entry *entry = &entries[i];

			if (entry->serial != 0 && entry->callback != NULL &&
			    (first == NULL || entry->serial < first->serial))
				first = entry;
		}
		if (first != NULL) {
			copy = *first;
			forget(first);
		}
		pthread_mutex_unlock(&host_lock);
		if (first == NULL)
			return;
		call(&copy, error);
	}
}

static long futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void *serve(void *arg)
{
	struct sim_channel *chan = sim.chan;
	uint32_t head = atomic_load_explicit(&chan->cb_head, memory_order_relaxed);

	for (;;) {
		/* With the device: it writes the token, then cb_tail. */
		uint32_t tail = atomic_load_explicit(&chan->cb_tail,
						     memory_order_acquire);
		CUresult error;

		if (tail != head) {
			uint64_t token = chan->callbacks[head % SIM_CALLBACKS];

			/* With ring.c, by way of the device: what the application did before
			 * it submitted the function, or a graph that holds it, is visible. */
			(void)atomic_load_explicit(&chan->tail, memory_order_acquire);
			/* With the device: the place may be written again. */
			atomic_store_explicit(&chan->cb_head, ++head,
					      memory_order_release);
			run(token);
			continue;
		}
		if (atomic_load_explicit(&outstanding, memory_order_relaxed) == 0) {
			futex(&chan->cb_tail, FUTEX_WAIT, tail);
			continue;
		}
		error = sim_client_error();
		if (error != CUDA_SUCCESS)
			fail_callbacks(error);
		else
			sim_futex_wait(&chan->cb_tail, tail, ERROR_POLL_NS);
	}
	return arg;
}

/* Under host_lock. The thread takes no signals: they are the application's. */
static bool start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;

	if (thread_runs || sim.chan == NULL)
		return true;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	thread_runs = pthread_create(&thread, &attr, serve, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return thread_runs;
}

/* ---- tokens ---- */

static void context_gone(struct sim_context *ctx)
{
	pthread_mutex_lock(&host_lock);
	for (uint32_t i = 0; i < nentries; i++)
		if (entries[i].serial != 0 && entries[i].ctx == ctx)
			forget(&entries[i]);
	pthread_mutex_unlock(&host_lock);
}

static void register_hook(void)
{
	sim_context_on_destroy(context_gone);
}

static uint64_t add(struct entry entry)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct entry *place;
	uint64_t token = 0;
	bool wake = false;

	pthread_once(&once, register_hook);
	pthread_mutex_lock(&host_lock);
	place = start_thread() ? unused() : NULL;
	if (place != NULL) {
		entry.serial = ++serials;
		entry.generation = place->generation + 1;
		*place = entry;
		token = (uint64_t)entry.generation << 32 |
			(uint64_t)(place - entries + 1);
		if (entry.callback != NULL)
			wake = atomic_fetch_add_explicit(&outstanding, 1,
							 memory_order_relaxed) == 0;
	}
	pthread_mutex_unlock(&host_lock);
	/* The thread may sleep without end: it has an error to look out for now. */
	if (wake && sim.chan != NULL)
		futex(&sim.chan->cb_tail, FUTEX_WAKE, 1);
	return token;
}

uint64_t sim_host_token(CUhostFn fn, CUstreamCallback callback, CUstream stream,
			void *data, bool keep)
{
	return add((struct entry){
		.fn = fn,
		.callback = callback,
		.stream = stream,
		.data = data,
		.keep = keep,
	});
}

void sim_host_drop(uint64_t token)
{
	struct entry *entry;

	pthread_mutex_lock(&host_lock);
	entry = find(token);
	if (entry != NULL)
		forget(entry);
	pthread_mutex_unlock(&host_lock);
}

/* ---- entry points ---- */

static CUresult submit(struct sim_stream *stream, const struct entry *entry)
{
	struct sim_rec_host rec;
	CUresult res;

	if (sim.zero_cost) {
		call(entry, CUDA_SUCCESS);
		return CUDA_SUCCESS;
	}
	rec.token = add(*entry);
	if (rec.token == 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	res = sim_submit(stream, SIM_REC_HOST_FUNC, &rec, sizeof(rec), NULL, 0, NULL);
	if (res != CUDA_SUCCESS)
		sim_host_drop(rec.token);
	return res;
}

static CUresult launch_host(CUstream handle, bool per_thread, CUhostFn fn, void *data)
{
	struct entry entry = { .fn = fn, .data = data };
	struct sim_stream *stream;
	CUresult res;

	if (fn == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_host(stream, fn, data);
	entry.ctx = stream->ctx;
	return submit(stream, &entry);
}

static CUresult add_callback(CUstream handle, bool per_thread, CUstreamCallback callback,
			     void *data, unsigned flags)
{
	struct entry entry = { .callback = callback, .stream = handle, .data = data };
	struct sim_stream *stream;
	CUresult res;

	if (callback == NULL || flags != 0)
		return CUDA_ERROR_INVALID_VALUE;
	res = sim_stream_get(handle, per_thread, &stream);
	if (res == CUDA_SUCCESS)
		res = sim_capture_check(stream);
	if (res != CUDA_SUCCESS)
		return res;
	if (atomic_load_explicit(&stream->capture, memory_order_relaxed) != NULL)
		return sim_capture_prohibited(stream);
	entry.ctx = stream->ctx;
	return submit(stream, &entry);
}

SIM_EXPORT __typeof__(cuLaunchHostFunc) cuLaunchHostFunc_ptsz;
SIM_EXPORT __typeof__(cuStreamAddCallback) cuStreamAddCallback_ptsz;

SIM_EXPORT CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void *userData)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchHostFunc);

	return res ? res : launch_host(hStream, false, fn, userData);
}

SIM_EXPORT CUresult cuLaunchHostFunc_ptsz(CUstream hStream, CUhostFn fn, void *userData)
{
	CUresult res = sim_enter(SIM_FN_cuLaunchHostFunc_ptsz);

	return res ? res : launch_host(hStream, true, fn, userData);
}

SIM_EXPORT CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback,
					void *userData, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamAddCallback);

	return res ? res : add_callback(hStream, false, callback, userData, flags);
}

SIM_EXPORT CUresult cuStreamAddCallback_ptsz(CUstream hStream, CUstreamCallback callback,
					     void *userData, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuStreamAddCallback_ptsz);

	return res ? res : add_callback(hStream, true, callback, userData, flags);
}
