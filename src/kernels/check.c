/* check.c: error messages for calls of CUDA, cuDNN and cuBLAS that fail. */
#include "kernels/check.h"

#include <stdio.h>
#include <string.h>

/* What a user can do about an error. */
struct remedy {
    cudaError_t code;
    const char *text;
};

static const char earlier_kernel[] = "; an earlier kernel failed: run again without recorded steps "
                                     "and with CUDA_LAUNCH_BLOCKING=1 to "
                                     "see which one, or under compute-sanitizer to see where";

static const struct remedy remedies[] = {
    {cudaErrorMemoryAllocation, "; end other programs on the GPU (nvidia-smi lists them)"},
    {cudaErrorDevicesUnavailable, "; another program may use the GPU exclusively: see nvidia-smi"},
    {cudaErrorUnsupportedPtxVersion, "; update the NVIDIA driver"},
    {cudaErrorSystemDriverMismatch,
     "; the parts of the NVIDIA driver have different versions: after an update, "
     "restart"},
    {cudaErrorSystemNotReady, "; the services of the NVIDIA driver are not running"},
    {cudaErrorECCUncorrectable, "; the GPU's memory is faulty: see nvidia-smi -q"},
    {cudaErrorStreamCaptureUnsupported, "; it is needed for recorded steps only"},
    {cudaErrorStreamCaptureInvalidated, "; it is needed for recorded steps only"},
    {cudaErrorStreamCaptureImplicit, "; it is needed for recorded steps only"},
    {cudaErrorIllegalAddress, earlier_kernel},
    {cudaErrorMisalignedAddress, earlier_kernel},
    {cudaErrorInvalidAddressSpace, earlier_kernel},
    {cudaErrorInvalidPc, earlier_kernel},
    {cudaErrorIllegalInstruction, earlier_kernel},
    {cudaErrorHardwareStackError, earlier_kernel},
    {cudaErrorAssert, earlier_kernel},
    {cudaErrorLaunchTimeout, earlier_kernel},
    {cudaErrorLaunchFailure, earlier_kernel},
};

static const char *remedy_of(cudaError_t result) {
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (remedies[i].code == result)
            return remedies[i].text;
    return "";
}

/* The path within the repository, wherever it was compiled. */
static const char *in_repository(const char *file) {
    const char *found = strstr(file, "src/kernels/");
    return found == NULL ? file : found;
}

/* "cudaMalloc (src/kernels/backend_cuda.c:80)" */
static const char *place(char *out, size_t capacity, const char *call, const char *file, int line) {
    snprintf(out, capacity, "%.*s (%s:%d)", (int)strcspn(call, "("), call, in_repository(file),
             line);
    return out;
}

enum { PLACE_CAPACITY = 256, DETAIL_CAPACITY = 512 };

enum status check_cuda(struct error *error, cudaError_t result, const char *call, const char *file,
                       int line) {
    char text[PLACE_CAPACITY];
    if (result == cudaSuccess)
        return STATUS_OK;
    /* A failed call also leaves its error where check_launch would find it. */
    cudaError_t pending = cudaGetLastError();
    (void)pending;
    return error_set(error, STATUS_FAILED, "%s: %s (%s)%s",
                     place(text, sizeof text, call, file, line), cudaGetErrorString(result),
                     cudaGetErrorName(result), remedy_of(result));
}

/* CUDA's own error behind the failure of a library; "": none. */
static const char *cuda_detail(char *out, size_t capacity) {
    cudaError_t pending = cudaGetLastError();
    out[0] = '\0';
    if (pending != cudaSuccess)
        snprintf(out, capacity, "; CUDA: %s (%s)%s", cudaGetErrorString(pending),
                 cudaGetErrorName(pending), remedy_of(pending));
    return out;
}

/* cuDNN's description of its last failure, as the rest of a line; "": none. */
static const char *cudnn_detail(char *out, size_t capacity) {
    char text[DETAIL_CAPACITY - 2] = "";
    cudnnGetLastErrorString(text, sizeof text);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
    snprintf(out, capacity, "%s%s", text[0] == '\0' ? "" : ": ", text);
    return out;
}

enum status check_cudnn(struct error *error, cudnnStatus_t result, const char *call,
                        const char *file, int line) {
    char text[PLACE_CAPACITY], cuda[DETAIL_CAPACITY], cudnn[DETAIL_CAPACITY];
    if (result == CUDNN_STATUS_SUCCESS)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s: %s%s%s", place(text, sizeof text, call, file, line),
                     cudnnGetErrorString(result), cudnn_detail(cudnn, sizeof cudnn),
                     cuda_detail(cuda, sizeof cuda));
}

enum status check_cublas(struct error *error, cublasStatus_t result, const char *call,
                         const char *file, int line) {
    char text[PLACE_CAPACITY], cuda[DETAIL_CAPACITY];
    if (result == CUBLAS_STATUS_SUCCESS)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s: %s (%s)%s",
                     place(text, sizeof text, call, file, line), cublasGetStatusString(result),
                     cublasGetStatusName(result), cuda_detail(cuda, sizeof cuda));
}

enum status check_launch(struct error *error, const char *kernel) {
    cudaError_t result = cudaGetLastError();
    if (result == cudaSuccess)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "kernel %s was not launched: %s (%s)%s", kernel,
                     cudaGetErrorString(result), cudaGetErrorName(result), remedy_of(result));
}
