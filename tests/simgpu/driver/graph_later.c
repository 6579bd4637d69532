/*
 * graph_later.c - things to be done when work of the device is done, or on a thread that is
 * not the application's: what in-flight graphs hold, destructors of user objects.
 *
 * One thread, begun with the first job. It looks at what is not ready at growing intervals
 * and sleeps without end when there are no jobs.
 */
#include "driver/graph.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "driver/client.h"

#define FIRST_NS 500000
#define MOST_NS 50000000

struct job {
	bool (*ready)(void *arg);
	void (*run)(void *arg);
	void *arg;
	struct job *next;
};

/* Guards what follows; never held while a job runs or is asked. Taken last. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct job *added, **added_end = &added;
static bool thread_runs;

bool sim_mark_done(const struct sim_mark *mark)
{
	return mark->seq == 0 || sim.chan == NULL || sim_slot_done(mark->slot, mark->seq);
}

/* Sleeps until a job is added, at most *pause_ns if that is not 0. */
static struct job *wait_for_jobs(long pause_ns)
{
	struct timespec until;
	struct job *jobs;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += pause_ns;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&lock);
	while (!added) {
		if (pause_ns == 0)
			pthread_cond_wait(&changed, &lock);
		else if (pthread_cond_timedwait(&changed, &lock, &until) == ETIMEDOUT)
			break;
	}
	jobs = added;
	added = NULL;
	added_end = &added;
	pthread_mutex_unlock(&lock);
	return jobs;
}

static void *serve(void *arg)
{
	struct job *jobs = NULL, **end = &jobs;
	long pause_ns = 0;

	for (;;) {
		bool ran = false;

		*end = wait_for_jobs(pause_ns);
		for (end = &jobs; *end;) {
			struct job *job = *end;

			if (job->ready && !job->ready(job->arg)) {
				end = &job->next;
				continue;
			}
			*end = job->next;
			job->run(job->arg);
			free(job);
			ran = true;
		}
		if (!jobs)
			pause_ns = 0;
		else if (ran || pause_ns == 0)
			pause_ns = FIRST_NS;
		else if (pause_ns < MOST_NS)
			pause_ns *= 2;
	}
	return arg;
}

/* Under the lock. The thread takes no signals: they are the application's. */
static bool start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;

	if (thread_runs)
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

bool sim_later(bool (*ready)(void *arg), void (*run)(void *arg), void *arg)
{
	struct job *job = malloc(sizeof(*job));
	bool ok;

	if (!job)
		return false;
	*job = (struct job){ .ready = ready, .run = run, .arg = arg };
	pthread_mutex_lock(&lock);
	ok = start_thread();
	if (ok) {
		*added_end = job;
		added_end = &job->next;
		pthread_cond_signal(&changed);
	}
	pthread_mutex_unlock(&lock);
	if (!ok)
		free(job);
	return ok;
}
