/*
 * shim.c - the first CUDA or NVML call of a process: from nothing to a mode.
 *
 * Knows the order of the start and what is said when it fails. Where limits come from is
 * sources.h's, variables are environment.h's. Nothing here runs before that first call, and
 * nothing fails: what cannot be done makes the mode CLOSED.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "cuda/hook.h"
#include "cuda/process.h"
#include "cuda/resolve.h"
#include "environment.h"
#include "sources.h"

#define POLL_NS UINT64_C(4000000) /* between two looks for a page that is promised */

/* Forked children inherit it: the processes of one program say it once. */
static uint32_t said;

static void say(const char *what, const struct gsh_reason *why)
{
	char line[sizeof(why->text) + 96];
	struct gsh_text text;

	if (gsh_swap_acquire(&said, 1))
		return;
	gsh_text_init(&text, line, sizeof(line));
	gsh_text_add(&text, what);
	gsh_text_add(&text, why->text);
	gsh_log(line);
}

/* What the environment and the files say; waits for a page that is promised. */
static enum gsh_sources_verdict find_sources(const struct gsh_environment *environment,
					     struct gsh_tenant_config *config,
					     bool *binding, struct gsh_reason *why)
{
	uint64_t now_ns = gsh_clock_now_ns();
	uint64_t end_ns = now_ns + environment->wait_ms * UINT64_C(1000000);
	enum gsh_sources_verdict verdict;

	for (;;) {
		verdict = gsh_sources_find(environment, config, binding, why);
		now_ns = gsh_clock_now_ns();
		if (verdict != GSH_SOURCES_PROMISED || now_ns >= end_ns)
			break;
		gsh_clock_sleep_ns(POLL_NS);
	}
	/* What is left, for a page that is there and not filled in yet. */
	config->wait_ms = now_ns < end_ns ? (uint32_t)((end_ns - now_ns) / 1000000) : 0;
	return verdict;
}

static enum gsh_mode open_account(struct gsh_process *process)
{
	struct gsh_reason *why = &process->closed_why;
	struct gsh_environment environment;
	struct gsh_tenant_config config;
	enum gsh_sources_verdict verdict;
	struct gsh_reason malformed;
	bool binding;

	if (gsh_environment_read(&environment, &malformed) < 0) {
		/* Whether the page is binding is all that still matters. */
		environment.wait_ms = 0;
		find_sources(&environment, &config, &binding, why);
		*why = malformed;
		verdict = GSH_SOURCES_BAD;
	} else {
		verdict = find_sources(&environment, &config, &binding, why);
	}
	if (verdict == GSH_SOURCES_NONE)
		return GSH_MODE_TRANSPARENT;
	if (verdict == GSH_SOURCES_FOUND &&
	    gsh_tenant_open(&process->tenant, &config, why) == 0)
		return GSH_MODE_ACTIVE;
	if (environment.allow && !binding) {
		say("no limits hold, as GPUSHIM_ON_ERROR=allow says: ", why);
		return GSH_MODE_TRANSPARENT;
	}
	say("CUDA is refused: ", why);
	return GSH_MODE_CLOSED;
}

enum gsh_mode gsh_process_start(void)
{
	int saved_errno = errno;
	struct gsh_process *process = gsh_process_memory();
	uint32_t mode;

	if (!process) {
		struct gsh_reason why = { "there is no memory for its account" };

		say("CUDA is refused: ", &why);
		errno = saved_errno;
		return GSH_MODE_CLOSED;
	}
	/* NVML's users may come without a driver; the hooks of CUDA look again. */
	gsh_driver_load();
	/* Held while waiting for a page: all threads need to know how that ends. */
	gsh_lock(&process->start_lock);
	mode = gsh_load_relaxed(&process->mode);
	if (mode == GSH_MODE_NEW) {
		mode = open_account(process);
		/* Pairs with the acquire in gsh_enter(). */
		gsh_store_release(&process->mode, mode);
	}
	gsh_unlock(&process->start_lock);
	gsh_resolve_settle();
	errno = saved_errno;
	return (enum gsh_mode)mode;
}
