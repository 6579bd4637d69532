/*
 * main.c - runs a fuzz harness for a second without a fuzzer: `make test` does.
 *
 * Knows: the inputs of corpus/NAME, in the order of their names, and how to spoil them in a
 * way that is the same each time. Refuses to know what is fuzzed, and what was reached:
 * finding new ways is libFuzzer's business (`make fuzz`).
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16, INPUTS_MAX = 256, SECONDS = 1 };

static uint8_t *inputs[INPUTS_MAX];
static size_t sizes[INPUTS_MAX];
static unsigned inputs_count;
static uint64_t state = 88172645463325252u;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void read_corpus(const char *directory)
{
	struct dirent **names = NULL;
	int count = scandir(directory, &names, not_hidden, alphasort);

	for (int i = 0; i < count; i++) {
		char path[4096];
		FILE *file;

		snprintf(path, sizeof(path), "%.1023s/%s", directory, names[i]->d_name);
		free(names[i]);
		file = inputs_count < INPUTS_MAX ? fopen(path, "rb") : NULL;
		if (!file)
			continue;
		inputs[inputs_count] = malloc(INPUT_MAX);
		if (inputs[inputs_count])
			sizes[inputs_count] = fread(inputs[inputs_count], 1, INPUT_MAX,
						    file);
		inputs_count += inputs[inputs_count] != NULL;
		fclose(file);
	}
	free(names);
}

/* Some bytes changed, a piece cut out, doubled, or taken from another input. */
static size_t spoil(uint8_t *data, size_t size)
{
	for (uint64_t changes = next() % 8; changes > 0 && size > 0; changes--) {
		size_t at = next() % size, length = 1 + next() % 64;
		unsigned from = inputs_count ? next() % inputs_count : 0;

		length = length < size - at ? length : size - at;
		switch (next() % 6) {
		case 0:
			data[at] = (uint8_t)next();
			break;
		case 1:
			data[at] ^= (uint8_t)(1u << next() % 8);
			break;
		case 2:
			memmove(data + at, data + at + length, size - at - length);
			size -= length;
			break;
		case 3:
			size = at;
			break;
		case 4:
			if (size + length <= INPUT_MAX) {
				memmove(data + at + length, data + at, size - at);
				size += length;
			}
			break;
		default:
			if (inputs_count && sizes[from] >= length)
				memcpy(data + at,
				       inputs[from] + next() % (sizes[from] - length + 1),
				       length);
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	char directory[1024];
	uint8_t *data = malloc(INPUT_MAX);
	unsigned long runs = 0;
	time_t end;

	(void)argc;
	snprintf(directory, sizeof(directory), "tests/fuzz/corpus/%s",
		 name ? name + 1 : argv[0]);
	read_corpus(directory);
	if (!data || inputs_count == 0) {
		fprintf(stderr, "%s has no inputs; run this from the repository's root\n",
			directory);
		free(data);
		return 1;
	}
	for (unsigned i = 0; i < inputs_count; i++)
		LLVMFuzzerTestOneInput(inputs[i], sizes[i]);
	for (end = time(NULL) + SECONDS; time(NULL) <= end; runs++) {
		unsigned from = next() % inputs_count;

		memcpy(data, inputs[from], sizes[from]);
		LLVMFuzzerTestOneInput(data, spoil(data, sizes[from]));
	}
	printf("%u inputs of %s, and %lu spoilt ones\n", inputs_count, directory, runs);
	printf("%s: 1 passed, 0 failed, 0 skipped\n", name ? name + 1 : argv[0]);
	for (unsigned i = 0; i < inputs_count; i++)
		free(inputs[i]);
	free(data);
	return 0;
}
