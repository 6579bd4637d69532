/*
 * limits.c - a limits.json as a whole: read, kept, asked, and its errors put into words.
 *
 * What the keys mean is in limits_parse.c, what fits on a device in limits_fit.c.
 */
#include "common/limits_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"

/* A node has tens of tenants, and one takes some hundred bytes. */
enum { FILE_BYTES_MAX = 1 << 20 };

/* ---- errors ---- */

/* Bytes of terminals' escape sequences have no place in a message. */
static void tame(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void refuse_at(const struct gsh_limits_file *file, const char *pointer,
		      size_t offset, struct gsh_limits_error *error, const char *format,
		      va_list args)
{
	unsigned line, column;
	char sentence[512];

	vsnprintf(sentence, sizeof(sentence), format, args);
	gsh_locate_place(file->text, file->bytes, offset, &line, &column);
	/* A pointer can be longer than a message; the sentence is what matters. */
	snprintf(error->text, sizeof(error->text), "%.240s:%u:%u: %.200s%s%s", file->path,
		 line, column, pointer, *pointer ? ": " : "", sentence);
	tame(error->text);
}

int gsh_limits_refuse_at(const struct gsh_limits_file *file, const char *pointer,
			 size_t offset, struct gsh_limits_error *error,
			 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	refuse_at(file, pointer, offset, error, format, args);
	va_end(args);
	return -EINVAL;
}

int gsh_limits_refuse(const struct gsh_limits_file *file, const char *pointer,
		      enum gsh_locate_what what, struct gsh_limits_error *error,
		      const char *format, ...)
{
	char around[GSH_POINTER_BYTES];
	size_t offset = 0;
	va_list args;

	snprintf(around, sizeof(around), "%s", pointer);
	if (gsh_locate_find(file->text, file->bytes, around, what, &offset) == 0)
		while (*around) {
			*strrchr(around, '/') = '\0';
			if (gsh_locate_find(file->text, file->bytes, around,
					    GSH_LOCATE_VALUE, &offset) > 0)
				break;
		}
	va_start(args, format);
	refuse_at(file, pointer, offset, error, format, args);
	va_end(args);
	return -EINVAL;
}

static void refuse_file(const char *path, struct gsh_limits_error *error, const char *why)
{
	snprintf(error->text, sizeof(error->text), "%.400s: %s", path, why);
	tame(error->text);
}

static void refuse_errno(const char *path, struct gsh_limits_error *error, int number)
{
	struct gsh_text text;
	char why[160];

	gsh_text_init(&text, why, sizeof(why));
	gsh_text_add(&text, "cannot be read: ");
	gsh_text_add_errno(&text, number);
	refuse_file(path, error, why);
}

/* ---- reading ---- */

struct gsh_limits_file *gsh_limits_parse(const char *text, size_t bytes, const char *path,
					 struct gsh_limits_error *error)
{
	struct gsh_limits_file *file = calloc(1, sizeof(*file));
	struct gsh_locate_fault *fault = malloc(sizeof(*fault));

	if (file) {
		file->path = strdup(path);
		file->text = malloc(bytes + 1);
		file->bytes = bytes;
	}
	if (!file || !fault || !file->path || !file->text) {
		refuse_errno(path, error, ENOMEM);
		goto refused;
	}
	memcpy(file->text, text, bytes);
	file->text[bytes] = '\0';
	if (bytes > FILE_BYTES_MAX) {
		refuse_file(path, error, "is larger than 1 MiB and no limits.json");
		goto refused;
	}
	if (gsh_locate_check(file->text, bytes, fault) < 0) {
		gsh_limits_refuse_at(file, fault->pointer.text, fault->offset, error,
				     "%s", fault->text);
		goto refused;
	}
	if (gsh_limits_read_text(file, error) < 0)
		goto refused;
	free(fault);
	return file;

refused:
	free(fault);
	gsh_limits_free(file);
	return NULL;
}

/* The whole file, to be freed; links are followed: Kubernetes mounts files as links. */
static char *slurp(const char *path, size_t *bytes, struct gsh_limits_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct gsh_file_status status;
	char *text = NULL;
	ssize_t got;
	int failed;

	*bytes = 0;
	if (fd < 0) {
		refuse_errno(path, error, errno);
		return NULL;
	}
	failed = gsh_file_status(fd, &status);
	if (failed < 0) {
		refuse_errno(path, error, -failed);
	} else if (!S_ISREG(status.mode)) {
		refuse_file(path, error, "is not a regular file");
	} else if (!(text = malloc(FILE_BYTES_MAX + 1))) {
		refuse_errno(path, error, ENOMEM);
	} else {
		do {
			got = read(fd, text + *bytes, FILE_BYTES_MAX + 1 - *bytes);
			*bytes += got > 0 ? (size_t)got : 0;
		} while (got > 0 || (got < 0 && errno == EINTR));
		if (got < 0) {
			refuse_errno(path, error, errno);
			free(text);
			text = NULL;
		}
	}
	close(fd);
	return text;
}

struct gsh_limits_file *gsh_limits_read(const char *path, struct gsh_limits_error *error)
{
	struct gsh_limits_file *file = NULL;
	size_t bytes;
	char *text = slurp(path, &bytes, error);

	if (text)
		file = gsh_limits_parse(text, bytes, path, error);
	free(text);
	return file;
}

void gsh_limits_free(struct gsh_limits_file *file)
{
	if (!file)
		return;
	free(file->path);
	free(file->text);
	free(file->tenants);
	free(file);
}

/* ---- asking ---- */

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

int gsh_limits_uuid(const char *text, uint8_t uuid[16])
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	uint8_t bytes[16] = { 0 };
	size_t digits = 0;

	if (strncmp(text, "GPU-", 4) != 0 && strncmp(text, "MIG-", 4) != 0)
		return -EINVAL;
	text += 4;
	if (strlen(text) != sizeof(form) - 1)
		return -EINVAL;
	for (size_t i = 0; form[i]; i++) {
		int digit = hex_digit(text[i]);

		if (form[i] == '-') {
			if (text[i] != '-')
				return -EINVAL;
			continue;
		}
		if (digit < 0)
			return -EINVAL;
		bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | digit);
		digits++;
	}
	memcpy(uuid, bytes, sizeof(bytes));
	return 0;
}

const char *gsh_limits_tenant(const struct gsh_limits_file *file, size_t index)
{
	return index < file->tenants_count ? file->tenants[index].name : NULL;
}

const struct gsh_limits_tenant *gsh_limits_entry(const struct gsh_limits_file *file,
						 const char *name)
{
	for (size_t i = 0; i < file->tenants_count; i++)
		if (strcmp(file->tenants[i].name, name) == 0)
			return &file->tenants[i];
	return NULL;
}

int gsh_limits_of(const struct gsh_limits_file *file, const char *tenant,
		  struct gpushim_policy_limits *limits, struct gsh_limits_error *error)
{
	const struct gsh_limits_tenant *entry = NULL;

	if (strcmp(tenant, "*") != 0 && !gsh_parse_is_tenant(tenant)) {
		snprintf(
			error->text, sizeof(error->text),
			"'%.80s' cannot be a tenant's name: 1 to 63 of a-z, 0-9, '-', '.' "
			"and '_', the first a letter or a digit",
			tenant);
		tame(error->text);
		return -ENOENT;
	}
	entry = gsh_limits_entry(file, tenant);
	if (!entry)
		entry = gsh_limits_entry(file, "*");
	if (!entry) {
		snprintf(
			error->text, sizeof(error->text),
			"%.240s: tenant '%s' is not listed and there is no template \"*\"",
			file->path, tenant);
		tame(error->text);
		return -ENOENT;
	}
	*limits = entry->limits;
	snprintf(limits->tenant, sizeof(limits->tenant), "%s", tenant);
	snprintf(limits->source, sizeof(limits->source), "%.110s, /tenants/%s",
		 file->path, entry->name);
	tame(limits->source);
	return 0;
}
