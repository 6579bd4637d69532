/*
 * feed.h - the way of a sample: from where it is read into the model and, where that is
 * wanted, into a document of JSON.
 *
 * Sources (live.h, replay.h) call these three and know neither. One thread at a time.
 */
#ifndef GSH_TOOLS_TOP_FEED_H
#define GSH_TOOLS_TOP_FEED_H

#include "top/model.h"

struct top_document;

struct top_feed {
	struct top_model *model;
	struct top_document *document; /* NULL: none is wanted */
};

void top_feed_begin(struct top_feed *feed, uint64_t now_ns, uint64_t unix_ns);
void top_feed_add(struct top_feed *feed, const struct top_look *look);
void top_feed_end(struct top_feed *feed);

#endif
