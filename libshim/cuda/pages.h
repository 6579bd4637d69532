/*
 * pages.h - memory for tables of this process: mapped, all zero, not inherited by fork.
 * Keeps errno. Any thread.
 */
#ifndef GSH_CUDA_PAGES_H
#define GSH_CUDA_PAGES_H

#include <stddef.h>

/* NULL: the system has none. Never given back. */
void *gsh_pages_map(size_t bytes);
void gsh_pages_unmap(void *pages, size_t bytes);

/* What *place points to, mapped by the first who asks. place: of struct gsh_process. */
void *gsh_pages_once(void **place, size_t bytes);

/*
 * Pieces of equal size out of mapped pages, for tables with links. All zero is empty; the
 * caller's lock guards it. bytes: the same in every call, at least a pointer's.
 */
struct gsh_pieces {
	void *free;
};
/* All zero; NULL: the system has no memory. */
void *gsh_pieces_take(struct gsh_pieces *pieces, size_t bytes);
void gsh_pieces_give(struct gsh_pieces *pieces, void *piece);

#endif
