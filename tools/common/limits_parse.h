/*
 * limits_parse.h - reading the values of a limits.json, as the files limits*.c share it.
 */
#ifndef GSH_TOOLS_LIMITS_PARSE_H
#define GSH_TOOLS_LIMITS_PARSE_H

#include <cjson/cJSON.h>

#include "common/limits_file.h"

enum { GSH_LIMITS_PERMILLE = 1000, GSH_LIMITS_WRITTEN = 48 };

struct gsh_limits_parser {
	struct gsh_limits_file *file;
	struct gsh_pointer at;
	struct gsh_limits_error *error;
};

/* A key of an object, and who reads its value. The last row's name is NULL. */
struct gsh_limits_key {
	const char *name;
	int (*read)(struct gsh_limits_parser *parser, const cJSON *item, void *into);
};

/* With the place of the value, or of its key. -EINVAL. */
#define REFUSE(...)                                                        \
	gsh_limits_refuse(parser->file, parser->at.text, GSH_LOCATE_VALUE, \
			  parser->error, __VA_ARGS__)
#define REFUSE_KEY(...)                                                                 \
	gsh_limits_refuse(parser->file, parser->at.text, GSH_LOCATE_KEY, parser->error, \
			  __VA_ARGS__)

/* The value as it stands in the file, shortened, for messages. limits_parse.c */
const char *gsh_limits_written(const struct gsh_limits_parser *parser,
			       char text[GSH_LIMITS_WRITTEN]);

/* Reads all members of an object by their keys. limits_parse.c */
int gsh_limits_members(struct gsh_limits_parser *parser, const cJSON *object,
		       const struct gsh_limits_key *keys, void *into);

/* Readers of values; into: struct gpushim_policy_device. limits_values.c */
int gsh_limits_memory(struct gsh_limits_parser *parser, const cJSON *item, void *into);
int gsh_limits_compute(struct gsh_limits_parser *parser, const cJSON *item, void *into);
int gsh_limits_context_memory(struct gsh_limits_parser *parser, const cJSON *item,
			      void *into);

#endif
