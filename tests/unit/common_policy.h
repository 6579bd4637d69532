/*
 * common_policy.h - policy pages and directories for tests, made without the code under test.
 *
 * Limits of a tenant are written as a page by hand, byte for byte as gpushim/policy.h says,
 * so that reading them is checked against the document and not against our own writer.
 */
#ifndef TESTS_UNIT_COMMON_POLICY_H
#define TESTS_UNIT_COMMON_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpushim/policy.h"

/* A new, empty directory below TMPDIR; the caller's buffer. Ends the program if it cannot. */
void policy_make_dir(char *dir, size_t bytes);
/* "DIR/NAME", in one of a few static buffers that take turns. */
const char *policy_path(const char *dir, const char *name);

/* Valid limits, not sealed: memory_bytes on every device, no compute limit. */
void policy_limits(struct gpushim_policy_limits *limits, const char *tenant,
		   uint64_t memory_bytes);
/* Generation and checksum. */
void policy_seal(struct gpushim_policy_limits *limits, uint64_t generation);

/* A page with these limits in force as they are, sealed or not. */
void policy_page(struct gpushim_policy_page *page,
		 const struct gpushim_policy_limits *limits);
/* Makes the file anew, or overwrites it in place. */
void policy_write(const char *path, const void *bytes, size_t count);
void policy_overwrite(const char *path, const void *bytes, size_t count, uint64_t offset);
/* A page at path, made anew, with sealed limits of generation 1. */
void policy_write_page(const char *path, const char *tenant, uint64_t memory_bytes);
/* Puts limits in force in the page at path: the next generation. */
void policy_change(const char *path, struct gpushim_policy_limits *limits);

/* What is in force in a page, judged by the document alone; false: nothing valid is. */
bool policy_in_force(const struct gpushim_policy_page *page,
		     struct gpushim_policy_limits *limits);

/* True if text contains part; prints both if not. */
bool policy_says(const char *text, const char *part);

#endif
