/*
 * Memory and events of one process used by another ("Memory Management", the cuIpc calls,
 * in the CUDA Driver API manual).
 */
#include "memory_books.h"

#include <sys/socket.h>
#include <sys/wait.h>

static CUcontext ctx;

/* The other process: forked before CUDA is touched here. */
static int peer = -1;
static pid_t peer_pid;

/* What the test tells it to do, and what it answers. */
enum order { OPEN = 1, CHECK_AND_CHANGE, CLOSE, OPEN_EVENT, WAIT_EVENT, OPEN_BAD, QUIT };

struct letter {
	enum order order;
	unsigned seed;
	CUipcMemHandle memory;
	CUipcEventHandle event;
};

struct answer {
	CUresult res;
	int good;
	CUdeviceptr ptr;
};

static struct answer obey(const struct letter *letter)
{
	static CUdeviceptr ptr;
	static CUevent event;
	static unsigned char data[4096];
	struct answer answer = { .good = 1 };

	switch (letter->order) {
	case OPEN:
	case OPEN_BAD:
		answer.res = cuIpcOpenMemHandle(&ptr, letter->memory,
						CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
		break;
	case CHECK_AND_CHANGE:
		answer.res = cuMemcpyDtoH(data, ptr, sizeof(data));
		answer.good = is_pattern(data, sizeof(data), letter->seed);
		pattern(data, sizeof(data), letter->seed + 1);
		if (answer.res == CUDA_SUCCESS)
			answer.res = cuMemcpyHtoD(ptr, data, sizeof(data));
		break;
	case CLOSE:
		answer.res = cuIpcCloseMemHandle(ptr);
		break;
	case OPEN_EVENT:
		answer.res = cuIpcOpenEventHandle(&event, letter->event);
		break;
	case WAIT_EVENT:
		answer.res = letter->seed ? cuEventSynchronize(event)
					  : cuEventQuery(event);
		break;
	case QUIT:
		break;
	}
	answer.ptr = ptr;
	return answer;
}

static int serve(int sock)
{
	struct letter letter = { .order = QUIT };
	CUcontext mine;
	bool begun = false;

	while (read(sock, &letter, sizeof(letter)) == (ssize_t)sizeof(letter) &&
	       letter.order != QUIT) {
		struct answer answer = { .res = CUDA_ERROR_UNKNOWN };

		if (!begun && cuInit(0) == CUDA_SUCCESS &&
		    cuCtxCreate(&mine, NULL, 0, 0) == CUDA_SUCCESS)
			begun = true;
		if (begun)
			answer = obey(&letter);
		if (write(sock, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
			break;
	}
	return 0;
}

static struct answer tell(struct letter letter)
{
	struct answer answer = { .res = CUDA_ERROR_UNKNOWN };

	CU_ASSERT_EQUAL(write(peer, &letter, sizeof(letter)), (ssize_t)sizeof(letter));
	CU_ASSERT_EQUAL(read(peer, &answer, sizeof(answer)), (ssize_t)sizeof(answer));
	return answer;
}

static int begin(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return 1;
	peer_pid = fork();
	if (peer_pid == 0) {
		close(pair[0]);
		_exit(serve(pair[1]));
	}
	close(pair[1]);
	peer = pair[0];
	return peer_pid < 0;
}

static int end(void)
{
	close(peer);
	return waitpid(peer_pid, NULL, 0) < 0;
}

static void setup(void)
{
	ctx = gpu_context();
}

static void teardown(void)
{
	gpu_context_end(ctx);
}

static void both_processes_see_the_same_bytes_which_count_once(void)
{
	struct letter letter = { .order = OPEN };
	static unsigned char data[4096];
	struct simgpu_device before, during;
	struct answer first, second;
	CUdeviceptr ptr;

	OK(cuMemAlloc(&ptr, MIB(4)));
	pattern(data, sizeof(data), 5);
	OK(cuMemcpyHtoD(ptr, data, sizeof(data)));
	OK(cuIpcGetMemHandle(&letter.memory, ptr));
	tell((struct letter){ .order = WAIT_EVENT }); /* so that it has its context */
	books_of(0, &before);
	first = tell(letter);
	IS(CUDA_SUCCESS, first.res);
	books_of(0, &during);
	CU_ASSERT_EQUAL(during.requested_bytes, before.requested_bytes);
	second = tell(letter); /* a second opening counts, and gives the same address */
	IS(CUDA_SUCCESS, second.res);
	CU_ASSERT_EQUAL(first.ptr, second.ptr);
	letter.order = CHECK_AND_CHANGE;
	letter.seed = 5;
	second = tell(letter);
	IS(CUDA_SUCCESS, second.res);
	CU_ASSERT(second.good);
	OK(cuMemcpyDtoH(data, ptr, sizeof(data)));
	CU_ASSERT(is_pattern(data, sizeof(data), 6));
	letter.order = CLOSE;
	IS(CUDA_SUCCESS, tell(letter).res);
	letter.order = CHECK_AND_CHANGE;
	letter.seed = 6;
	IS(CUDA_SUCCESS, tell(letter).res);
	letter.order = CLOSE;
	IS(CUDA_SUCCESS, tell(letter).res);
	IS(CUDA_ERROR_INVALID_VALUE, tell(letter).res);
	letter.order = CHECK_AND_CHANGE;
	IS(CUDA_ERROR_INVALID_VALUE, tell(letter).res);
	OK(cuMemFree(ptr));
}

static void handles_are_of_plain_allocations_only(void)
{
	CUipcMemHandle handle;
	CUdeviceptr plain, managed, pooled;

	OK(cuMemAlloc(&plain, MIB(2)));
	OK(cuMemAllocManaged(&managed, MIB(2), CU_MEM_ATTACH_GLOBAL));
	OK(cuMemAllocAsync(&pooled, MIB(2), NULL));
	OK(cuIpcGetMemHandle(&handle, plain));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(NULL, plain));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&handle, managed));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&handle, pooled));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcGetMemHandle(&handle, 4096));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcCloseMemHandle(plain));
	OK(cuMemFree(plain));
	OK(cuMemFree(managed));
	OK(cuMemFreeAsync(pooled, NULL));
	OK(cuCtxSynchronize());
}

static void bad_handles_are_refused(void)
{
	struct letter letter = { .order = OPEN_BAD };
	CUdeviceptr ptr, opened;

	CU_ASSERT_NOT_EQUAL(tell(letter).res, CUDA_SUCCESS);
	memset(&letter.memory, 0xff, sizeof(letter.memory));
	IS(CUDA_ERROR_INVALID_HANDLE, tell(letter).res);
	OK(cuMemAlloc(&ptr, MIB(2)));
	OK(cuIpcGetMemHandle(&letter.memory, ptr));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcOpenMemHandle(&opened, letter.memory, 0x80));
	IS(CUDA_ERROR_INVALID_CONTEXT,
	   cuIpcOpenMemHandle(&opened, letter.memory,
			      CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
	OK(cuMemFree(ptr));
	CU_ASSERT_NOT_EQUAL(tell(letter).res, CUDA_SUCCESS); /* what it named has gone */
}

static void an_event_is_seen_by_the_other_process(void)
{
	struct letter letter = { .order = OPEN_EVENT };
	CUevent event, plain;
	CUstream stream;
	struct gate gate;

	OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
	OK(cuEventCreate(&event, CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
	IS(CUDA_ERROR_INVALID_VALUE, cuIpcGetEventHandle(&letter.event, plain));
	IS(CUDA_ERROR_INVALID_HANDLE,
	   cuIpcGetEventHandle(&letter.event, (CUevent)&plain));
	OK(cuIpcGetEventHandle(&letter.event, event));
	gate = gate_close(stream);
	OK(cuEventRecord(event, stream));
	IS(CUDA_SUCCESS, tell(letter).res);
	letter.order = WAIT_EVENT;
	IS(CUDA_ERROR_NOT_READY, tell(letter).res);
	gate_open(&gate);
	OK(cuEventSynchronize(event));
	letter.seed = 1;
	IS(CUDA_SUCCESS, tell(letter).res);
	letter.seed = 0;
	IS(CUDA_SUCCESS, tell(letter).res);
	gate_free(&gate);
	OK(cuEventDestroy(event));
	OK(cuEventDestroy(plain));
	OK(cuStreamDestroy(stream));
}

const struct unit_suite unit_suite = {
	.name = "sharing between processes",
	.init = begin,
	.cleanup = end,
	.setup = setup,
	.teardown = teardown,
	.tests = {
		UNIT_TEST(both_processes_see_the_same_bytes_which_count_once),
		UNIT_TEST(handles_are_of_plain_allocations_only),
		UNIT_TEST(bad_handles_are_refused),
		UNIT_TEST(an_event_is_seen_by_the_other_process),
	},
};
