/* cuda_runtime.h: the part of the CUDA runtime that this project uses, for the stand-in
 * (../cudasim.h). C and C++.
 *
 * Signatures, types and values are those of CUDA 13 ("CUDA Runtime API" and the headers
 * driver_types.h and vector_types.h), except that ignoring an error code is a compiler warning. C++
 * gets the device language, too, in cudasim_device.h. */
#ifndef CUDASIM_CUDA_RUNTIME_H
#define CUDASIM_CUDA_RUNTIME_H

#include <stddef.h>

#define CUDART_VERSION 13000

#ifdef __cplusplus
extern "C" {
#endif

/* ---- types ----------------------------------------------------------------------------------- */

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInitializationError = 3,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidHostPointer = 16,
    cudaErrorInvalidDevicePointer = 17,
    cudaErrorInvalidMemcpyDirection = 21,
    cudaErrorInsufficientDriver = 35,
    cudaErrorInvalidDeviceFunction = 98,
    cudaErrorDevicesUnavailable = 46,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorECCUncorrectable = 214,
    cudaErrorUnsupportedPtxVersion = 222,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorIllegalState = 401,
    cudaErrorNotReady = 600,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchOutOfResources = 701,
    cudaErrorLaunchTimeout = 702,
    cudaErrorAssert = 710,
    cudaErrorHardwareStackError = 714,
    cudaErrorIllegalInstruction = 715,
    cudaErrorMisalignedAddress = 716,
    cudaErrorInvalidAddressSpace = 717,
    cudaErrorInvalidPc = 718,
    cudaErrorLaunchFailure = 719,
    cudaErrorCooperativeLaunchTooLarge = 720,
    cudaErrorNotPermitted = 800,
    cudaErrorNotSupported = 801,
    cudaErrorSystemNotReady = 802,
    cudaErrorSystemDriverMismatch = 803,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureMerge = 902,
    cudaErrorStreamCaptureUnmatched = 903,
    cudaErrorStreamCaptureUnjoined = 904,
    cudaErrorStreamCaptureIsolation = 905,
    cudaErrorStreamCaptureImplicit = 906,
    cudaErrorCapturedEvent = 907,
    cudaErrorStreamCaptureWrongThread = 908,
    cudaErrorUnknown = 999
} cudaError_t;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

enum cudaMemcpyKind {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4
};

enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrWarpSize = 10,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrMemoryClockRate = 36, /* kHz */
    cudaDevAttrGlobalMemoryBusWidth = 37,
    cudaDevAttrL2CacheSize = 38,
    cudaDevAttrMaxThreadsPerMultiProcessor = 39,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    size_t sharedMemPerBlock;
    int regsPerBlock;
    int warpSize;
    int maxThreadsPerBlock;
    int maxThreadsDim[3];
    int maxGridSize[3];
    int major;
    int minor;
    int multiProcessorCount;
    int memoryBusWidth;
    int l2CacheSize;
    int maxThreadsPerMultiProcessor;
    size_t sharedMemPerMultiprocessor;
    size_t sharedMemPerBlockOptin;
};

enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
    cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

struct cudaFuncAttributes {
    size_t sharedSizeBytes;
    size_t constSizeBytes;
    size_t localSizeBytes;
    int maxThreadsPerBlock;
    int numRegs;
    int ptxVersion;
    int binaryVersion;
    int cacheModeCA;
    int maxDynamicSharedSizeBytes;
    int preferredShmemCarveout;
};

enum cudaStreamCaptureStatus {
    cudaStreamCaptureStatusNone = 0,
    cudaStreamCaptureStatusActive = 1,
    cudaStreamCaptureStatusInvalidated = 2
};

enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal = 0,
    cudaStreamCaptureModeThreadLocal = 1,
    cudaStreamCaptureModeRelaxed = 2
};

#define cudaHostAllocDefault 0x00
#define cudaHostAllocPortable 0x01
#define cudaHostAllocMapped 0x02
#define cudaHostAllocWriteCombined 0x04
#define cudaStreamDefault 0x00
#define cudaStreamNonBlocking 0x01
#define cudaEventDefault 0x00
#define cudaEventBlockingSync 0x01
#define cudaEventDisableTiming 0x02
#define cudaEventRecordDefault 0x00
#define cudaEventWaitDefault 0x00

/* ---- calls ----------------------------------------------------------------------------------- */

#define CUDASIM_CHECKED __attribute__((warn_unused_result))

CUDASIM_CHECKED cudaError_t cudaGetDeviceCount(int *count);
CUDASIM_CHECKED cudaError_t cudaSetDevice(int device);
CUDASIM_CHECKED cudaError_t cudaGetDevice(int *device);
CUDASIM_CHECKED cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device);
CUDASIM_CHECKED cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr,
                                                   int device);
CUDASIM_CHECKED cudaError_t cudaDriverGetVersion(int *version);
CUDASIM_CHECKED cudaError_t cudaRuntimeGetVersion(int *version);
CUDASIM_CHECKED cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
CUDASIM_CHECKED cudaError_t cudaDeviceSynchronize(void);

CUDASIM_CHECKED cudaError_t cudaMalloc(void **memory, size_t bytes);
CUDASIM_CHECKED cudaError_t cudaFree(void *memory);
CUDASIM_CHECKED cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned int flags);
CUDASIM_CHECKED cudaError_t cudaFreeHost(void *memory);
CUDASIM_CHECKED cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes,
                                       enum cudaMemcpyKind kind);
CUDASIM_CHECKED cudaError_t cudaMemset(void *to, int value, size_t bytes);
CUDASIM_CHECKED cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                                            enum cudaMemcpyKind kind, cudaStream_t stream);
CUDASIM_CHECKED cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);

CUDASIM_CHECKED cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags);
CUDASIM_CHECKED cudaError_t cudaStreamDestroy(cudaStream_t stream);
CUDASIM_CHECKED cudaError_t cudaStreamSynchronize(cudaStream_t stream);
CUDASIM_CHECKED cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                                unsigned int flags);
CUDASIM_CHECKED cudaError_t cudaStreamIsCapturing(cudaStream_t stream,
                                                  enum cudaStreamCaptureStatus *status);
CUDASIM_CHECKED cudaError_t cudaStreamBeginCapture(cudaStream_t stream,
                                                   enum cudaStreamCaptureMode mode);
CUDASIM_CHECKED cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);

CUDASIM_CHECKED cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags);
CUDASIM_CHECKED cudaError_t cudaEventDestroy(cudaEvent_t event);
CUDASIM_CHECKED cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
CUDASIM_CHECKED cudaError_t cudaEventSynchronize(cudaEvent_t event);
CUDASIM_CHECKED cudaError_t cudaEventQuery(cudaEvent_t event);
CUDASIM_CHECKED cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start,
                                                 cudaEvent_t end);

CUDASIM_CHECKED cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                                 unsigned long long flags);
CUDASIM_CHECKED cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream);
CUDASIM_CHECKED cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
CUDASIM_CHECKED cudaError_t cudaGraphDestroy(cudaGraph_t graph);
CUDASIM_CHECKED cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

CUDASIM_CHECKED cudaError_t cudaFuncSetAttribute(const void *function,
                                                 enum cudaFuncAttribute attribute, int value);
CUDASIM_CHECKED cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes,
                                                  const void *function);

/* These two may be called to forget an error. */
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);

/* ---- vector types ---------------------------------------------------------------------------- */

typedef struct uint3 {
    unsigned int x, y, z;
} uint3;

typedef struct dim3 {
    unsigned int x, y, z;
#ifdef __cplusplus
    constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1)
        : x(vx), y(vy), z(vz) {
    }
#endif
} dim3;

#ifdef __cplusplus
} /* extern "C" */

#include "cudasim_device.h"
#endif

#endif
