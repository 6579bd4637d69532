/*
 * feed.c - the way of a sample into the model and a document; see feed.h.
 */
#include "top/feed.h"

#include "top/json.h"

void top_feed_begin(struct top_feed *feed, uint64_t now_ns, uint64_t unix_ns)
{
	top_model_begin(feed->model, now_ns, unix_ns);
	if (feed->document)
		top_document_begin(feed->document, feed->model);
}

void top_feed_add(struct top_feed *feed, const struct top_look *look)
{
	size_t first_row = feed->model->rows_count;

	top_model_add(feed->model, look);
	if (feed->document)
		top_document_add(feed->document, feed->model, look, first_row);
}

void top_feed_end(struct top_feed *feed)
{
	top_model_end(feed->model);
	if (feed->document)
		top_document_end(feed->document, feed->model);
}
