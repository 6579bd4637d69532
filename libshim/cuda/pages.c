/* Memory for tables of this process; see pages.h. */
#include "cuda/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"

void *gsh_pages_map(size_t bytes)
{
	int kept = errno;
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		pages = NULL;
	else
		/* Where the advice fails a forked child has pages that it does not know of. */
		madvise(pages, bytes, MADV_DONTFORK);
	errno = kept;
	return pages;
}

void gsh_pages_unmap(void *pages, size_t bytes)
{
	int kept = errno;

	if (pages)
		munmap(pages, bytes);
	errno = kept;
}

void *gsh_pages_once(void **place, size_t bytes)
{
	/* Pairs with the exchange below. */
	void *there = gsh_load_acquire(place), *fresh;

	if (gsh_likely(there))
		return there;
	fresh = gsh_pages_map(bytes);
	if (!fresh)
		return NULL;
	if (gsh_cas_acq_rel(place, &there, fresh))
		return fresh;
	gsh_pages_unmap(fresh, bytes);
	return there;
}

/* ---- pieces ---- */

enum { PIECES_BYTES = 65536 };

void *gsh_pieces_take(struct gsh_pieces *pieces, size_t bytes)
{
	char *pages;
	void *piece;

	if (!pieces->free) {
		pages = gsh_pages_map(PIECES_BYTES);
		if (!pages)
			return NULL;
		for (size_t at = 0; at + bytes <= PIECES_BYTES; at += bytes)
			gsh_pieces_give(pieces, pages + at);
	}
	piece = pieces->free;
	if (!piece)
		return NULL;
	pieces->free = *(void **)piece;
	memset(piece, 0, bytes);
	return piece;
}

void gsh_pieces_give(struct gsh_pieces *pieces, void *piece)
{
	*(void **)piece = pieces->free;
	pieces->free = piece;
}
