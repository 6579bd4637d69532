/*
 * object.c - the memory behind CUDA's handles.
 *
 * Knows: one slab of address space per type, whose pages are never given back, so that any
 * bit pattern can be asked whether it is a live object. Refuses to know: what objects hold.
 *
 * Freed objects are reused oldest first: a stale handle stays recognisable for as long as
 * that can be had.
 */
#include "driver/driver.h"

#include <string.h>
#include <sys/mman.h>

#include "driver/client.h"

#define SLAB_OBJECTS (1u << 20)
#define SLAB_STEP (64u << 10) /* bytes made usable at a time */

/* Objects hold memory of the heap; a leak checker in the process does not look for it in
 * mappings of its own accord. */
extern void __lsan_register_root_region(const void *base, size_t bytes)
	__attribute__((weak));

struct slab {
	_Atomic uintptr_t base; /* 0: not reserved yet */
	_Atomic size_t used;	/* bytes handed out once or more; published last */
	_Atomic size_t stride;	/* a power of two */
	size_t ready;		/* bytes that may be touched */
	struct sim_object *oldest, *newest; /* freed */
};

static struct slab slabs[SIM_TYPES];
/* Guards growth and the lists of freed objects; sim_object_check() does without. */
static pthread_mutex_t slabs_lock = PTHREAD_MUTEX_INITIALIZER;

static bool reserve(struct slab *slab, size_t bytes)
{
	size_t stride = 64;
	void *base;

	while (stride < bytes)
		stride *= 2;
	base = mmap(NULL, stride * SLAB_OBJECTS, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return false;
	madvise(base, stride * SLAB_OBJECTS, MADV_DONTDUMP);
	if (__lsan_register_root_region != NULL)
		__lsan_register_root_region(base, stride * SLAB_OBJECTS);
	atomic_store_explicit(&slab->stride, stride, memory_order_relaxed);
	/* With sim_object_check(). */
	atomic_store_explicit(&slab->base, (uintptr_t)base, memory_order_release);
	return true;
}

/* The next object never used before, or NULL. */
static struct sim_object *extend(struct slab *slab)
{
	uintptr_t base = atomic_load_explicit(&slab->base, memory_order_relaxed);
	size_t used = atomic_load_explicit(&slab->used, memory_order_relaxed);
	size_t stride = atomic_load_explicit(&slab->stride, memory_order_relaxed);
	size_t step = stride > SLAB_STEP ? stride : SLAB_STEP;

	if (used == stride * SLAB_OBJECTS)
		return NULL;
	if (used == slab->ready) {
		if (mprotect((void *)(base + used), step, PROT_READ | PROT_WRITE) != 0)
			return NULL;
		slab->ready += step;
	}
	/* With sim_object_check(): below `used` memory can be read. */
	atomic_store_explicit(&slab->used, used + stride, memory_order_release);
	return (struct sim_object *)(base + used);
}

void *sim_object_new(enum sim_type type, size_t bytes)
{
	struct slab *slab = &slabs[type];
	struct sim_object *object = NULL;

	pthread_mutex_lock(&slabs_lock);
	if (atomic_load_explicit(&slab->base, memory_order_relaxed) != 0 ||
	    reserve(slab, bytes)) {
		object = slab->oldest;
		if (object == NULL) {
			object = extend(slab);
		} else {
			slab->oldest = object->next_free;
			if (slab->oldest == NULL)
				slab->newest = NULL;
		}
	}
	pthread_mutex_unlock(&slabs_lock);
	if (object == NULL)
		return NULL;
	object->subtype = 0;
	object->next_free = NULL;
	atomic_store_explicit(&object->owner, NULL, memory_order_relaxed);
	memset(object + 1, 0, bytes - sizeof(*object));
	atomic_store_explicit(&object->live, type, memory_order_release);
	return object;
}

void sim_object_own(void *object, void *owner)
{
	/* With sim_object_each_of(): what the object holds. */
	atomic_store_explicit(&((struct sim_object *)object)->owner, owner,
			      memory_order_release);
}

void sim_object_delete(void *object)
{
	struct sim_object *freed = object;
	uint32_t type = atomic_exchange_explicit(&freed->live, 0, memory_order_acq_rel);
	struct slab *slab = &slabs[type];

	/* A program may destroy one thing in two threads at once: who comes second must not
	 * put it into the list twice. */
	if (type == 0)
		return;
	freed->next_free = NULL;
	pthread_mutex_lock(&slabs_lock);
	if (slab->newest != NULL)
		slab->newest->next_free = freed;
	else
		slab->oldest = freed;
	slab->newest = freed;
	pthread_mutex_unlock(&slabs_lock);
}

bool sim_object_check(const void *handle, enum sim_type type)
{
	struct slab *slab = &slabs[type];
	uintptr_t base = atomic_load_explicit(&slab->base, memory_order_acquire);
	size_t offset = (uintptr_t)handle - base;

	/* An empty slab has used == 0 and refuses everything. */
	if (offset >= atomic_load_explicit(&slab->used, memory_order_acquire) ||
	    (offset & (atomic_load_explicit(&slab->stride, memory_order_relaxed) - 1)) !=
		    0)
		return false;
	return atomic_load_explicit(&((struct sim_object *)(uintptr_t)handle)->live,
				    memory_order_acquire) == (uint32_t)type;
}

void sim_object_each_of(enum sim_type type, const void *owner, void (*fn)(void *object))
{
	struct slab *slab = &slabs[type];
	uintptr_t base = atomic_load_explicit(&slab->base, memory_order_acquire);
	size_t used = atomic_load_explicit(&slab->used, memory_order_acquire);
	size_t stride = atomic_load_explicit(&slab->stride, memory_order_relaxed);

	for (size_t offset = 0; offset < used; offset += stride) {
		struct sim_object *object = (struct sim_object *)(base + offset);

		if (sim_object_check(object, type) &&
		    atomic_load_explicit(&object->owner, memory_order_acquire) == owner)
			fn(object);
	}
}
