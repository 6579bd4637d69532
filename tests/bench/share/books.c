/* The device's own books of one cell; see books.h. */
#include "books.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A new row, all zero; NULL without memory. */
static struct books_row *new_row(struct books *books)
{
	struct books_row *rows = books->rows;

	if (books->nrows == books->room) {
		books->room = books->room ? 2 * books->room : 512;
		rows = realloc(rows, books->room * sizeof(*rows));
		if (!rows)
			return NULL;
		books->rows = rows;
	}
	rows += books->nrows++;
	memset(rows, 0, sizeof(*rows));
	return rows;
}

int books_look(struct books *books, struct simgpu_monitor *monitor, const pid_t *pids)
{
	struct simgpu_truth *truth = simgpu_truth(monitor);
	struct books_row *row = truth ? new_row(books) : NULL;
	int result = row ? 0 : -1;

	if (row) {
		row->at_ns = truth->now_ns;
		row->idle_ns = truth->devices[0].idle_ns;
		row->switch_ns = truth->devices[0].switch_ns;
		row->busy_ns = truth->devices[0].busy_ns;
		row->late = truth->devices[0].late;
	}
	for (unsigned i = 0; row && i < books->nprocesses; i++) {
		const struct simgpu_client *client = simgpu_find(truth, pids[i]);

		if (!client || client->gone)
			result = -1;
		if (!client)
			continue;
		row->process[i].gpu_ns = client->gpu_ns[0];
		row->process[i].kernels = client->kernels;
	}
	simgpu_free(truth);
	return result;
}

int books_save(const struct books *books, const char *path)
{
	char part[600];
	FILE *file;

	snprintf(part, sizeof(part), "%s.part", path);
	file = fopen(part, "w");
	if (!file)
		return -errno;
	fprintf(file,
		"# processes %u begin_ns %" PRIu64 " set_ns %" PRIu64 " %" PRIu64 "\n",
		books->nprocesses, books->begin_ns, books->set_ns[0], books->set_ns[1]);
	fputs("at_ns,idle_ns,switch_ns,busy_ns,late", file);
	for (unsigned i = 0; i < books->nprocesses; i++)
		fprintf(file, ",gpu_ns_%u,kernels_%u", i, i);
	fputc('\n', file);
	for (const struct books_row *r = books->rows; r < books->rows + books->nrows;
	     r++) {
		fprintf(file, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
			r->at_ns, r->idle_ns, r->switch_ns, r->busy_ns, r->late);
		for (unsigned i = 0; i < books->nprocesses; i++)
			fprintf(file, ",%" PRIu64 ",%" PRIu64, r->process[i].gpu_ns,
				r->process[i].kernels);
		fputc('\n', file);
	}
	if (fclose(file) != 0)
		return -EIO;
	return rename(part, path) == 0 ? 0 : -errno;
}

static bool read_row(char *line, struct books *books)
{
	enum { HEAD = 5, WORDS = HEAD + 2 * PROCESSES_MAX };
	struct books_row *row = new_row(books);
	uint64_t words[WORDS] = { 0 };

	for (unsigned i = 0; i < HEAD + 2 * books->nprocesses; i++) {
		char *end;

		words[i] = strtoull(line, &end, 10);
		if (end == line)
			return false;
		line = *end == ',' ? end + 1 : end;
	}
	if (!row)
		return false;
	*row = (struct books_row){ .at_ns = words[0],
				   .idle_ns = words[1],
				   .switch_ns = words[2],
				   .busy_ns = words[3],
				   .late = words[4] };
	for (unsigned i = 0; i < books->nprocesses; i++) {
		row->process[i].gpu_ns = words[HEAD + 2 * i];
		row->process[i].kernels = words[HEAD + 2 * i + 1];
	}
	return true;
}

int books_load(struct books *books, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[1024];
	int result = -EINVAL;

	*books = (struct books){ 0 };
	if (!file)
		return -errno;
	if (fgets(line, sizeof(line), file) &&
	    sscanf(line,
		   "# processes %u begin_ns %" SCNu64 " set_ns %" SCNu64 " %" SCNu64,
		   &books->nprocesses, &books->begin_ns, &books->set_ns[0],
		   &books->set_ns[1]) == 4 &&
	    books->nprocesses <= PROCESSES_MAX && fgets(line, sizeof(line), file))
		result = 0;
	while (result == 0 && fgets(line, sizeof(line), file))
		if (!read_row(line, books))
			result = -EINVAL;
	fclose(file);
	if (result < 0)
		books_free(books);
	return result;
}

void books_free(struct books *books)
{
	free(books->rows);
	*books = (struct books){ 0 };
}
