// cudnn.cpp: the stand-in for cuDNN: handles, errors, descriptors.
//
// Arguments may be checked more strictly than by cuDNN: anything that its documentation does not
// promise is refused. Memory faults end the program. Descriptors and handles stay allocated after
// they are destroyed, so that a later use of one is always noticed.
#include "cudnn_internal.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>

using namespace cudasim;

static struct {
    std::deque<cudnnContext> handles;
    std::deque<cudnnTensorStruct> tensors;
    std::deque<cudnnFilterStruct> filters;
    std::deque<cudnnConvolutionStruct> convolutions;
    char last_error[512];
} state;

static const char *const HANDLE = "cuDNN handle", *const TENSOR = "cuDNN tensor descriptor",
                         *const FILTER = "cuDNN filter descriptor",
                         *const CONVOLUTION = "cuDNN convolution descriptor";

enum { SCRATCH_BYTES = 1 << 16 };

bool cudasim::rough_cudnn() {
    const char *text = getenv("CUDASIM_CUDNN");
    return text != nullptr && strcmp(text, "rough") == 0;
}

// ---- errors -------------------------------------------------------------------------------------

struct status_name {
    cudnnStatus_t status;
    const char *name;
};

#define NAME(status)                                                                               \
    { status, #status }
static const status_name status_names[] = {
    NAME(CUDNN_STATUS_SUCCESS),
    NAME(CUDNN_STATUS_NOT_INITIALIZED),
    NAME(CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH),
    NAME(CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH),
    NAME(CUDNN_STATUS_DEPRECATED),
    NAME(CUDNN_STATUS_LICENSE_ERROR),
    NAME(CUDNN_STATUS_RUNTIME_IN_PROGRESS),
    NAME(CUDNN_STATUS_RUNTIME_FP_OVERFLOW),
    NAME(CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED),
    NAME(CUDNN_STATUS_BAD_PARAM),
    NAME(CUDNN_STATUS_INVALID_VALUE),
    NAME(CUDNN_STATUS_BAD_PARAM_NULL_POINTER),
    NAME(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER),
    NAME(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED),
    NAME(CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND),
    NAME(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT),
    NAME(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH),
    NAME(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH),
    NAME(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES),
    NAME(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE),
    NAME(CUDNN_STATUS_BAD_PARAM_CUDA_GRAPH_MISMATCH),
    NAME(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE),
    NAME(CUDNN_STATUS_NOT_SUPPORTED),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_SHAPE),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_PADDING),
    NAME(CUDNN_STATUS_NOT_SUPPORTED_BAD_LAUNCH_PARAM),
    NAME(CUDNN_STATUS_INTERNAL_ERROR),
    NAME(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED),
    NAME(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED),
    NAME(CUDNN_STATUS_EXECUTION_FAILED),
    NAME(CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER),
    NAME(CUDNN_STATUS_EXECUTION_FAILED_CUBLAS),
    NAME(CUDNN_STATUS_EXECUTION_FAILED_CUDART),
};

static const char *name_of(int status) {
    for (const status_name &s : status_names)
        if (s.status == status)
            return s.name;
    return nullptr;
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
    const char *name = name_of(status);
    return name != nullptr ? name : "CUDNN_UNKNOWN_STATUS";
}

void cudnnGetLastErrorString(char *message, size_t max_size) {
    if (message == nullptr || max_size == 0)
        return;
    snprintf(message, max_size, "%s", state.last_error);
    state.last_error[0] = '\0';
}

size_t cudnnGetVersion() {
    return CUDNN_VERSION;
}

cudnnStatus_t cudasim::refuse(cudnnStatus_t status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state.last_error, sizeof state.last_error, format, arguments);
    va_end(arguments);
    return status;
}

cudnnStatus_t cudasim::enter(const char *call) {
    int status;
    if (!library_call_fails(&status, call))
        return CUDNN_STATUS_SUCCESS;
    if (status == 0 || name_of(status) == nullptr)
        status = CUDNN_STATUS_EXECUTION_FAILED;
    return refuse((cudnnStatus_t)status, "%s: fails as the test asked", call);
}

// ---- live objects -------------------------------------------------------------------------------

static cudnnStatus_t exists(const char *call, const void *object, const char *kind) {
    if (object == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: %s is NULL", call, kind);
    if (!handle_exists(object, kind))
        fail("%s: %s %p does not exist, or no longer", call, kind, object);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudasim::enter(const char *call, cudnnHandle_t handle) {
    if (cudnnStatus_t status = enter(call))
        return status;
    return exists(call, handle, HANDLE);
}

template <typename descriptor>
static cudnnStatus_t exists_and_set(const char *call, const descriptor *d, const char *kind) {
    if (cudnnStatus_t status = exists(call, d, kind))
        return status;
    if (!d->set)
        return refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "%s: %s was never set", call, kind);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudasim::known(const char *call, const cudnnTensorStruct *tensor) {
    return exists_and_set(call, tensor, TENSOR);
}

cudnnStatus_t cudasim::known(const char *call, const cudnnFilterStruct *filter) {
    return exists_and_set(call, filter, FILTER);
}

cudnnStatus_t cudasim::known(const char *call, const cudnnConvolutionStruct *convolution) {
    return exists_and_set(call, convolution, CONVOLUTION);
}

template <typename object>
static cudnnStatus_t make(object **out, std::deque<object> &all, const char *kind,
                          const char *call) {
    if (cudnnStatus_t status = enter(call))
        return status;
    if (out == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: nowhere to put the %s", call, kind);
    all.emplace_back();
    *out = &all.back();
    handle_made(*out, kind);
    return CUDNN_STATUS_SUCCESS;
}

// Never fails at a test's request: a program could not undo half a destruction.
static cudnnStatus_t destroy(const void *object, const char *kind, const char *call) {
    if (cudnnStatus_t status = exists(call, object, kind))
        return status;
    handle_gone(object, kind);
    return CUDNN_STATUS_SUCCESS;
}

// ---- handle -------------------------------------------------------------------------------------

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    if (cudnnStatus_t status = make(handle, state.handles, HANDLE, "cudnnCreate"))
        return status;
    // Refused while a stream is captured, as cuDNN's own allocations are.
    if (cudaMalloc(&(*handle)->scratch, SCRATCH_BYTES) == cudaSuccess)
        return CUDNN_STATUS_SUCCESS;
    handle_gone(*handle, HANDLE);
    *handle = nullptr;
    return refuse(CUDNN_STATUS_NOT_INITIALIZED, "cudnnCreate: out of device memory");
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    if (cudnnStatus_t status = destroy(handle, HANDLE, "cudnnDestroy"))
        return status;
    if (cudaFree(handle->scratch) != cudaSuccess)
        return refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART,
                      "cudnnDestroy: the device is in an error state");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    if (cudnnStatus_t status = enter("cudnnSetStream", handle))
        return status;
    if (!stream_exists(stream))
        fail("cudnnSetStream: stream %p does not exist, or no longer", (void *)stream);
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream) {
    if (cudnnStatus_t status = enter("cudnnGetStream", handle))
        return status;
    if (stream == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER,
                      "cudnnGetStream: nowhere to put the stream");
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

// ---- descriptors --------------------------------------------------------------------------------

static bool is_format(cudnnTensorFormat_t format) {
    return format >= CUDNN_TENSOR_NCHW && format <= CUDNN_TENSOR_NCHW_VECT_C;
}

static bool is_type(cudnnDataType_t type) {
    return type >= CUDNN_DATA_FLOAT && type <= CUDNN_DATA_INT64;
}

static cudnnStatus_t set_shape(shape *out, const char *call, cudnnTensorFormat_t format,
                               cudnnDataType_t type, int n, int c, int h, int w) {
    if (!is_format(format) || !is_type(type))
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: format %d, data type %d", call, (int)format,
                      (int)type);
    if (n < 1 || c < 1 || h < 1 || w < 1)
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: dimensions %d, %d, %d, %d", call, n, c, h, w);
    if ((double)n * c * h * w >= (double)(1u << 31))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "%s: more than 2^31 - 1 elements", call);
    *out = {true, format, type, n, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor) {
    return make(tensor, state.tensors, TENSOR, "cudnnCreateTensorDescriptor");
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
    const char *call = "cudnnSetTensor4dDescriptor";
    if (cudnnStatus_t status = enter(call))
        return status;
    if (cudnnStatus_t status = exists(call, tensor, TENSOR))
        return status;
    return set_shape(tensor, call, format, type, n, c, h, w);
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
    return destroy(tensor, TENSOR, "cudnnDestroyTensorDescriptor");
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filter) {
    return make(filter, state.filters, FILTER, "cudnnCreateFilterDescriptor");
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
    const char *call = "cudnnSetFilter4dDescriptor";
    if (cudnnStatus_t status = enter(call))
        return status;
    if (cudnnStatus_t status = exists(call, filter, FILTER))
        return status;
    return set_shape(filter, call, format, type, k, c, h, w);
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
    return destroy(filter, FILTER, "cudnnDestroyFilterDescriptor");
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convolution) {
    return make(convolution, state.convolutions, CONVOLUTION, "cudnnCreateConvolutionDescriptor");
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h,
                                              int pad_w, int u, int v, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute_type) {
    const char *call = "cudnnSetConvolution2dDescriptor";
    if (cudnnStatus_t status = enter(call))
        return status;
    if (cudnnStatus_t status = exists(call, convolution, CONVOLUTION))
        return status;
    if (pad_h < 0 || pad_w < 0 || u < 1 || v < 1 || dilation_h < 1 || dilation_w < 1)
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: padding %d, %d, stride %d, %d, dilation %d, %d",
                      call, pad_h, pad_w, u, v, dilation_h, dilation_w);
    if ((mode != CUDNN_CONVOLUTION && mode != CUDNN_CROSS_CORRELATION) || !is_type(compute_type))
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: mode %d, compute type %d", call, (int)mode,
                      (int)compute_type);
    cudnnMathType_t math = convolution->math; // not set by this call
    *convolution = {true, pad_h, pad_w, u, v, dilation_h, dilation_w, mode, compute_type, math};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution,
                                          cudnnMathType_t math_type) {
    const char *call = "cudnnSetConvolutionMathType";
    if (cudnnStatus_t status = enter(call))
        return status;
    if (cudnnStatus_t status = exists(call, convolution, CONVOLUTION))
        return status;
    if (math_type < CUDNN_DEFAULT_MATH || math_type > CUDNN_FMA_MATH)
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: math type %d", call, (int)math_type);
    convolution->math = math_type;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution) {
    return destroy(convolution, CONVOLUTION, "cudnnDestroyConvolutionDescriptor");
}
