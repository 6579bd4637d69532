/*
 * graph_user.c - user objects: something of the application's that lives as long as graphs
 * refer to it. Its destructor is called on an internal thread.
 */
#include "driver/graph.h"

#include <limits.h>
#include <stdlib.h>

struct sim_user { /* CUuserObject */
	struct sim_object object;
	void *ptr;
	CUhostFn destroy;
	uint64_t count;
};

struct destruction {
	CUhostFn destroy;
	void *ptr;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all counts */

static void destroy_now(void *arg)
{
	struct destruction *job = arg;

	job->destroy(job->ptr);
	free(job);
}

static void user_ref(struct sim_user *user, uint64_t count)
{
	pthread_mutex_lock(&lock);
	user->count += count;
	pthread_mutex_unlock(&lock);
}

/* False if there are not so many references. */
static bool user_unref(struct sim_user *user, uint64_t count)
{
	struct destruction *job = NULL;
	bool enough, last;

	pthread_mutex_lock(&lock);
	enough = count <= user->count;
	if (enough)
		user->count -= count;
	last = enough && user->count == 0;
	pthread_mutex_unlock(&lock);
	if (!last)
		return enough;
	job = malloc(sizeof(*job));
	if (job) {
		*job = (struct destruction){ user->destroy, user->ptr };
		if (!sim_later(NULL, destroy_now, job))
			free(job);
	}
	sim_object_delete(user);
	return true;
}

CUresult sim_user_refs_copy(const struct sim_user_ref *from, struct sim_user_ref **to)
{
	for (; from; from = from->next) {
		struct sim_user_ref *ref = malloc(sizeof(*ref));

		if (!ref)
			return CUDA_ERROR_OUT_OF_MEMORY;
		*ref = (struct sim_user_ref){ from->user, from->count, *to };
		*to = ref;
		user_ref(ref->user, ref->count);
	}
	return CUDA_SUCCESS;
}

void sim_user_refs_drop(struct sim_user_ref *list)
{
	while (list) {
		struct sim_user_ref *next = list->next;

		user_unref(list->user, list->count);
		free(list);
		list = next;
	}
}

static bool valid_count(unsigned count)
{
	return count > 0 && count <= INT_MAX;
}

static CUresult user_get(CUuserObject handle, unsigned count, struct sim_user **user)
{
	if (!sim_object_check(handle, SIM_T_USER) || !valid_count(count))
		return CUDA_ERROR_INVALID_VALUE;
	*user = (struct sim_user *)handle;
	return CUDA_SUCCESS;
}

/* ---- entry points ---- */

SIM_EXPORT CUresult cuUserObjectCreate(CUuserObject *object_out, void *ptr,
				       CUhostFn destroy, unsigned int initialRefcount,
				       unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuUserObjectCreate);
	struct sim_user *user;

	if (res != CUDA_SUCCESS)
		return res;
	if (!object_out || !destroy || !valid_count(initialRefcount) ||
	    flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
		return CUDA_ERROR_INVALID_VALUE;
	user = sim_object_new(SIM_T_USER, sizeof(*user));
	if (!user)
		return CUDA_ERROR_OUT_OF_MEMORY;
	user->ptr = ptr;
	user->destroy = destroy;
	user->count = initialRefcount;
	*object_out = (CUuserObject)user;
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuUserObjectRetain(CUuserObject object, unsigned int count)
{
	CUresult res = sim_enter(SIM_FN_cuUserObjectRetain);
	struct sim_user *user;

	if (res == CUDA_SUCCESS)
		res = user_get(object, count, &user);
	if (res == CUDA_SUCCESS)
		user_ref(user, count);
	return res;
}

SIM_EXPORT CUresult cuUserObjectRelease(CUuserObject object, unsigned int count)
{
	CUresult res = sim_enter(SIM_FN_cuUserObjectRelease);
	struct sim_user *user;

	if (res == CUDA_SUCCESS)
		res = user_get(object, count, &user);
	if (res == CUDA_SUCCESS && !user_unref(user, count))
		res = CUDA_ERROR_INVALID_VALUE;
	return res;
}

/* The graph's references to a user object, or the end of its list. */
static struct sim_user_ref **find_ref(struct sim_graph *graph,
				      const struct sim_user *user)
{
	struct sim_user_ref **at = &graph->users;

	while (*at && (*at)->user != user)
		at = &(*at)->next;
	return at;
}

static CUresult retain(struct sim_graph *graph, struct sim_user *user, unsigned count,
		       bool move)
{
	struct sim_user_ref **at = find_ref(graph, user);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return CUDA_ERROR_OUT_OF_MEMORY;
		(*at)->user = user;
	}
	(*at)->count += count;
	if (!move)
		user_ref(user, count);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object,
					    unsigned int count, unsigned int flags)
{
	CUresult res = sim_enter(SIM_FN_cuGraphRetainUserObject);
	struct sim_graph *owner;
	struct sim_user *user;

	if (res == CUDA_SUCCESS)
		res = user_get(object, count, &user);
	if (res == CUDA_SUCCESS && flags > CU_GRAPH_USER_OBJECT_MOVE)
		res = CUDA_ERROR_INVALID_VALUE;
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(graph, &owner);
	if (res == CUDA_SUCCESS)
		res = retain(owner, user, count, flags == CU_GRAPH_USER_OBJECT_MOVE);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}

static CUresult release(struct sim_graph *graph, struct sim_user *user, unsigned count)
{
	struct sim_user_ref **at = find_ref(graph, user), *ref = *at;

	if (!ref || ref->count < count)
		return CUDA_ERROR_INVALID_VALUE;
	ref->count -= count;
	if (ref->count == 0) {
		*at = ref->next;
		free(ref);
	}
	user_unref(user, count);
	return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object,
					     unsigned int count)
{
	CUresult res = sim_enter(SIM_FN_cuGraphReleaseUserObject);
	struct sim_graph *owner;
	struct sim_user *user;

	if (res == CUDA_SUCCESS)
		res = user_get(object, count, &user);
	if (res != CUDA_SUCCESS)
		return res;
	pthread_mutex_lock(&sim_graph_mutex);
	res = sim_graph_get(graph, &owner);
	if (res == CUDA_SUCCESS)
		res = release(owner, user, count);
	pthread_mutex_unlock(&sim_graph_mutex);
	return res;
}
