/*
 * greedy.c - takes device memory until it is refused, and goes on living with what it got.
 *
 * Knows: what a program may expect of a refusal: the code is CUDA_ERROR_OUT_OF_MEMORY, the
 * context works, what it holds stays its own. Refuses to know who refused it.
 *
 * Prints `ready BYTES` when it was refused for the first time, asks again in each round until
 * its standard input ends, and then `right: N rounds, N refusals, N bytes held`.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common.h"

enum { BLOCKS_MAX = 65536, PAUSE_MS = 20 };

static CUdeviceptr blocks[BLOCKS_MAX];

static bool take(CUdeviceptr *block, uint64_t bytes)
{
	CUresult result = cuMemAlloc(block, bytes);

	if (result != CUDA_SUCCESS && result != CUDA_ERROR_OUT_OF_MEMORY)
		ex_fail("it was refused with %s, not CUDA_ERROR_OUT_OF_MEMORY.",
			ex_code_name(result));
	return result == CUDA_SUCCESS;
}

/* The rest between two rounds; false once nobody is there any more. */
static bool goes_on(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	char word;

	return poll(&input, 1, PAUSE_MS) == 0 || read(0, &word, 1) > 0;
}

int main(int argc, char **argv)
{
	uint64_t chunk_bytes = UINT64_C(64) << 20, rounds = 0, refusals = 1, words;
	const struct ex_option options[] = { { "chunk", EX_BYTES, &chunk_bytes, 4096,
					       "SIZE", "size of each block" },
					     { 0 } };
	int device = ex_options(argc, argv,
				"Takes memory until it is refused, and lives on until "
				"standard input ends.",
				options);
	struct ex_gpu gpu;
	uint32_t held = 0;

	ex_open(&gpu, device, EX_PRIMARY_CONTEXT);
	words = chunk_bytes / sizeof(uint32_t);
	while (held < BLOCKS_MAX && take(&blocks[held], chunk_bytes)) {
		ex_fill(&gpu, blocks[held], held + 1, words, NULL);
		held++;
	}
	if (held == BLOCKS_MAX)
		ex_fail("nothing was ever refused.");
	printf("ready %" PRIu64 "\n", held * chunk_bytes);
	fflush(stdout);

	while (goes_on()) {
		CUdeviceptr more;

		if (take(&more, chunk_bytes))
			ex_fail("it was given memory that it was refused before.");
		refusals++;
		rounds++;
		if (held)
			ex_fill(&gpu, blocks[rounds % held], rounds % held + 1, words,
				NULL);
	}
	for (uint32_t i = 0; i < held; i++) {
		if (ex_count_wrong(blocks[i], i + 1, words))
			ex_fail("block %" PRIu32 " has changed.", i);
		EX_TRY(cuMemFree(blocks[i]));
	}
	printf("right: %" PRIu64 " rounds, %" PRIu64 " refusals, %" PRIu64
	       " bytes held\n",
	       rounds, refusals, held * chunk_bytes);
	ex_close(&gpu);
	return EX_EXIT_OK;
}
