/* Policy pages written by hand; see common_policy.h. */
#include "common_policy.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void policy_make_dir(char *dir, size_t bytes)
{
	const char *base = getenv("TMPDIR");

	snprintf(dir, bytes, "%s/policy-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		abort();
	}
}

const char *policy_path(const char *dir, const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	return path;
}

void policy_limits(struct gpushim_policy_limits *limits, const char *tenant,
		   uint64_t memory_bytes)
{
	memset(limits, 0, sizeof(*limits));
	snprintf(limits->tenant, sizeof(limits->tenant), "%s", tenant);
	snprintf(limits->source, sizeof(limits->source), "a test");
	limits->others.memory_bytes = memory_bytes;
	limits->others.limit_permille = 1000;
}

/* FNV-1a, 64 bits, from its published definition. */
static uint64_t fnv1a(const unsigned char *bytes, size_t count)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	while (count-- > 0)
		hash = (hash ^ *bytes++) * UINT64_C(1099511628211);
	return hash;
}

void policy_seal(struct gpushim_policy_limits *limits, uint64_t generation)
{
	limits->generation = generation;
	limits->checksum = fnv1a((const unsigned char *)limits, 1552);
}

void policy_page(struct gpushim_policy_page *page,
		 const struct gpushim_policy_limits *limits)
{
	memset(page, 0, sizeof(*page));
	memcpy(&page->magic, "GSHPOLCY", 8);
	page->version = 1;
	page->bytes = 16384;
	page->generation = limits->generation;
	page->limits[limits->generation & 1] = *limits;
	page->ready = 1;
}

void policy_overwrite(const char *path, const void *bytes, size_t count, uint64_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes, count, (off_t)offset) != (ssize_t)count) {
		perror(path);
		abort();
	}
	close(fd);
}

void policy_write(const char *path, const void *bytes, size_t count)
{
	int fd;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		perror(path);
		abort();
	}
	close(fd);
	policy_overwrite(path, bytes, count, 0);
}

void policy_write_page(const char *path, const char *tenant, uint64_t memory_bytes)
{
	struct gpushim_policy_limits limits;
	struct gpushim_policy_page page;

	policy_limits(&limits, tenant, memory_bytes);
	policy_seal(&limits, 1);
	policy_page(&page, &limits);
	policy_write(path, &page, sizeof(page));
}

void policy_change(const char *path, struct gpushim_policy_limits *limits)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t generation = 0;

	if (fd < 0 || pread(fd, &generation, sizeof(generation), 16) != 8) {
		perror(path);
		abort();
	}
	close(fd);
	generation++;
	policy_seal(limits, generation);
	policy_overwrite(path, limits, sizeof(*limits),
			 1024 + (generation & 1) * sizeof(*limits));
	policy_overwrite(path, &generation, sizeof(generation), 16);
}

bool policy_in_force(const struct gpushim_policy_page *page,
		     struct gpushim_policy_limits *limits)
{
	if (memcmp(&page->magic, "GSHPOLCY", 8) != 0 || page->version != 1 ||
	    page->bytes != 16384 || page->ready != 1 || page->generation == 0)
		return false;
	*limits = page->limits[page->generation & 1];
	return limits->generation == page->generation &&
	       limits->checksum == fnv1a((const unsigned char *)limits, 1552);
}

bool policy_says(const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	printf("      '%s' does not say '%s'\n", text, part);
	return false;
}
