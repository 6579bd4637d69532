/*
 * json.h - a sample as a document of JSON, for scripts and for recordings.
 *
 * Tenants are as in common/report.h, with what the model knows besides; top.schema.json says
 * it all. Whoever wants one puts a struct top_document into a feed.
 */
#ifndef GSH_TOOLS_TOP_JSON_H
#define GSH_TOOLS_TOP_JSON_H

#include <stdio.h>

#include "top/model.h"

enum { TOP_DOCUMENT_VERSION = 1 };

struct cJSON;

struct top_document {
	/* "" and TOP_NO_DEVICE: all. The first is the caller's to choose. */
	char tenant[GPUSHIM_NAME_BYTES];
	uint32_t device;
	/* Made by the three below; kept until the next begin. */
	struct cJSON *root, *tenants;
	uint64_t before_ns;   /* time of the sample before; 0: none */
	uint64_t events_seen; /* those before stand in documents before */
};

void top_document_init(struct top_document *document);
void top_document_begin(struct top_document *document, const struct top_model *model);
/* first_row: where the look's rows in the model begin. */
void top_document_add(struct top_document *document, const struct top_model *model,
		      const struct top_look *look, size_t first_row);
void top_document_end(struct top_document *document, const struct top_model *model);

/* Leaves one device in this document and in those to come, and who uses it. */
void top_document_restrict(struct top_document *document, const struct top_model *model,
			   uint32_t device);

/* Writes it, indented or as one line, and a newline. 0, or -errno. */
int top_document_write(const struct top_document *document, bool indented, FILE *to);
void top_document_free(struct top_document *document);

#endif
