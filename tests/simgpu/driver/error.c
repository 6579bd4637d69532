/*
 * error.c - names of results, and what they mean in our words.
 *
 * Knows: every CUresult of cuda.h 13.0. Refuses to know: when they are returned.
 */
#include "driver/client.h"

struct error {
	CUresult code;
	const char *name, *text;
};

#define ERROR(code, text)         \
	{                         \
		code, #code, text \
	}

/* By code. */
static const struct error errors[] = {
	ERROR(CUDA_SUCCESS, "no error"),
	ERROR(CUDA_ERROR_INVALID_VALUE, "an argument is out of range or missing"),
	ERROR(CUDA_ERROR_OUT_OF_MEMORY, "not enough memory"),
	ERROR(CUDA_ERROR_NOT_INITIALIZED, "cuInit has not succeeded in this process"),
	ERROR(CUDA_ERROR_DEINITIALIZED, "the driver is shutting down"),
	ERROR(CUDA_ERROR_PROFILER_DISABLED, "a profiling tool has taken the profiler"),
	ERROR(CUDA_ERROR_PROFILER_NOT_INITIALIZED, "the profiler is not initialised"),
	ERROR(CUDA_ERROR_PROFILER_ALREADY_STARTED, "profiling is already on"),
	ERROR(CUDA_ERROR_PROFILER_ALREADY_STOPPED, "profiling is already off"),
	ERROR(CUDA_ERROR_STUB_LIBRARY, "this is the stub library, not a driver"),
	ERROR(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "the call needs a newer driver"),
	ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE, "the device cannot be used at present"),
	ERROR(CUDA_ERROR_NO_DEVICE, "there is no CUDA device"),
	ERROR(CUDA_ERROR_INVALID_DEVICE, "there is no device of that number"),
	ERROR(CUDA_ERROR_DEVICE_NOT_LICENSED, "the device has no licence"),
	ERROR(CUDA_ERROR_INVALID_IMAGE, "the code image cannot be understood"),
	ERROR(CUDA_ERROR_INVALID_CONTEXT, "no context is current, or it is not one"),
	ERROR(CUDA_ERROR_CONTEXT_ALREADY_CURRENT, "the context is current already"),
	ERROR(CUDA_ERROR_MAP_FAILED, "mapping failed"),
	ERROR(CUDA_ERROR_UNMAP_FAILED, "unmapping failed"),
	ERROR(CUDA_ERROR_ARRAY_IS_MAPPED, "the array is mapped and cannot be destroyed"),
	ERROR(CUDA_ERROR_ALREADY_MAPPED, "the resource is mapped already"),
	ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "the image holds no code for this device"),
	ERROR(CUDA_ERROR_ALREADY_ACQUIRED, "the resource has been acquired already"),
	ERROR(CUDA_ERROR_NOT_MAPPED, "the resource is not mapped"),
	ERROR(CUDA_ERROR_NOT_MAPPED_AS_ARRAY, "the resource is not mapped as an array"),
	ERROR(CUDA_ERROR_NOT_MAPPED_AS_POINTER,
	      "the resource is not mapped as a pointer"),
	ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "memory error that ECC could not correct"),
	ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "the device does not have this limit"),
	ERROR(CUDA_ERROR_CONTEXT_ALREADY_IN_USE, "another thread uses the context"),
	ERROR(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "the devices cannot reach each other"),
	ERROR(CUDA_ERROR_INVALID_PTX, "the PTX could not be compiled"),
	ERROR(CUDA_ERROR_INVALID_GRAPHICS_CONTEXT, "bad OpenGL or DirectX context"),
	ERROR(CUDA_ERROR_NVLINK_UNCORRECTABLE,
	      "NVLink error that could not be corrected"),
	ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "the PTX compiler library is missing"),
	ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the PTX is newer than the compiler"),
	ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, "compiling PTX is switched off"),
	ERROR(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY,
	      "this execution affinity is not to be had"),
	ERROR(CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC,
	      "the code synchronises on the device, which is not supported"),
	ERROR(CUDA_ERROR_CONTAINED, "an error of the device that was contained"),
	ERROR(CUDA_ERROR_INVALID_SOURCE, "the kernel source is not valid"),
	ERROR(CUDA_ERROR_FILE_NOT_FOUND, "the file was not found"),
	ERROR(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND,
	      "a shared library lacks a symbol"),
	ERROR(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED,
	      "a shared library could not be initialised"),
	ERROR(CUDA_ERROR_OPERATING_SYSTEM, "a call of the operating system failed"),
	ERROR(CUDA_ERROR_INVALID_HANDLE, "the handle is not valid"),
	ERROR(CUDA_ERROR_ILLEGAL_STATE,
	      "something is not in the state that the call needs"),
	ERROR(CUDA_ERROR_LOSSY_QUERY, "the answer would lose information"),
	ERROR(CUDA_ERROR_NOT_FOUND, "no such name"),
	ERROR(CUDA_ERROR_NOT_READY, "work is not done yet"),
	ERROR(CUDA_ERROR_ILLEGAL_ADDRESS,
	      "a kernel or copy touched an address that is not its own"),
	ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
	      "the launch needs more than the device has"),
	ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "a kernel ran too long"),
	ERROR(CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING,
	      "the launch uses an incompatible texturing mode"),
	ERROR(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is on already"),
	ERROR(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access is not on"),
	ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "the primary context is in use"),
	ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the context has been destroyed"),
	ERROR(CUDA_ERROR_ASSERT, "an assertion failed in a kernel"),
	ERROR(CUDA_ERROR_TOO_MANY_PEERS, "no more peers can be added"),
	ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
	      "the host memory is registered already"),
	ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "the host memory is not registered"),
	ERROR(CUDA_ERROR_HARDWARE_STACK_ERROR, "a kernel overran its stack"),
	ERROR(CUDA_ERROR_ILLEGAL_INSTRUCTION, "a kernel met an illegal instruction"),
	ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "a kernel used a misaligned address"),
	ERROR(CUDA_ERROR_INVALID_ADDRESS_SPACE,
	      "a kernel used an address of the wrong space"),
	ERROR(CUDA_ERROR_INVALID_PC, "a kernel jumped out of its code"),
	ERROR(CUDA_ERROR_LAUNCH_FAILED, "a kernel failed"),
	ERROR(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
	      "the cooperative launch does not fit at once"),
	ERROR(CUDA_ERROR_TENSOR_MEMORY_LEAK, "a kernel left tensor memory allocated"),
	ERROR(CUDA_ERROR_NOT_PERMITTED, "the operation is not permitted"),
	ERROR(CUDA_ERROR_NOT_SUPPORTED, "the operation is not supported"),
	ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "the system is not ready for CUDA yet"),
	ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
	      "kernel driver and library do not match"),
	ERROR(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
	      "the device does not do forward compatibility"),
	ERROR(CUDA_ERROR_MPS_CONNECTION_FAILED, "no connection to the MPS server"),
	ERROR(CUDA_ERROR_MPS_RPC_FAILURE, "the MPS server did not answer"),
	ERROR(CUDA_ERROR_MPS_SERVER_NOT_READY, "the MPS server is not ready"),
	ERROR(CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, "the MPS server takes no more clients"),
	ERROR(CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED,
	      "the MPS server takes no more connections"),
	ERROR(CUDA_ERROR_MPS_CLIENT_TERMINATED, "the MPS server has ended this client"),
	ERROR(CUDA_ERROR_CDP_NOT_SUPPORTED, "the device does not do dynamic parallelism"),
	ERROR(CUDA_ERROR_CDP_VERSION_MISMATCH,
	      "two versions of dynamic parallelism meet"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
	      "not allowed while a stream captures"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
	      "an earlier error has spoilt the capture"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_MERGE, "the call would join two captures"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
	      "the capture did not begin in this stream"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a forked stream has not been joined"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
	      "a dependency would leave the capture"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
	      "the legacy stream would join a capture"),
	ERROR(CUDA_ERROR_CAPTURED_EVENT, "the event was last recorded in a capture"),
	ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
	      "the capture belongs to another thread"),
	ERROR(CUDA_ERROR_TIMEOUT, "the wait has run out of time"),
	ERROR(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
	      "the graphs differ too much for an update"),
	ERROR(CUDA_ERROR_EXTERNAL_DEVICE, "another device than the GPU failed"),
	ERROR(CUDA_ERROR_INVALID_CLUSTER_SIZE,
	      "the clusters of the launch are not possible"),
	ERROR(CUDA_ERROR_FUNCTION_NOT_LOADED, "the function has not been loaded"),
	ERROR(CUDA_ERROR_INVALID_RESOURCE_TYPE, "the resource has another type"),
	ERROR(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION,
	      "the resource cannot be had like this"),
	ERROR(CUDA_ERROR_KEY_ROTATION, "an encryption key is being exchanged"),
	ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};

static const struct error *find(CUresult code)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].code == code)
			return &errors[i];
	return NULL;
}

const char *sim_error_name(CUresult error)
{
	const struct error *found = find(error);

	return found != NULL ? found->name : NULL;
}

SIM_EXPORT CUresult cuGetErrorName(CUresult error, const char **pStr)
{
	CUresult res = sim_enter_uninitialised(SIM_FN_cuGetErrorName);

	if (res != CUDA_SUCCESS)
		return res;
	if (pStr == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	*pStr = sim_error_name(error);
	return *pStr != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

SIM_EXPORT CUresult cuGetErrorString(CUresult error, const char **pStr)
{
	CUresult res = sim_enter_uninitialised(SIM_FN_cuGetErrorString);
	const struct error *found = find(error);

	if (res != CUDA_SUCCESS)
		return res;
	if (pStr == NULL)
		return CUDA_ERROR_INVALID_VALUE;
	*pStr = found != NULL ? found->text : NULL;
	return found != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
