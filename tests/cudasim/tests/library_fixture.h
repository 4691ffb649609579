/* library_fixture.h: what the tests of the stand-ins for cuDNN and cuBLAS share: device arrays that
 * are freed after each test, the descriptors of a convolution, and checks that the program
 * aborts. */
#ifndef LIBRARY_FIXTURE_H
#define LIBRARY_FIXTURE_H

#include "compare.h"
#include "cudasim.h"
#include "support.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CUDA(call) assert_int_equal(call, cudaSuccess)
#define CUDNN(call) assert_int_equal(call, CUDNN_STATUS_SUCCESS)
#define CUBLAS(call) assert_int_equal(call, CUBLAS_STATUS_SUCCESS)

static const float zero = 0, one = 1;

/* ---- device arrays --------------------------------------------------------------------------- */

enum { MAX_ARRAYS = 64 };

static struct {
    void *memory[MAX_ARRAYS];
    int count;
} arrays;

static inline void *device_room(size_t bytes) {
    void *memory;
    assert_in_range(arrays.count, 0, MAX_ARRAYS - 1);
    CUDA(cudaMalloc(&memory, bytes));
    arrays.memory[arrays.count++] = memory;
    return memory;
}

/* Full of NaN. */
static inline float *device_blank(size_t count) {
    float *memory = device_room(count * sizeof(float));
    CUDA(cudaMemset(memory, 0xff, count * sizeof(float)));
    return memory;
}

static inline float *device_copy(const double *values, size_t count) {
    float *memory = device_room(count * sizeof(float));
    float *host = zeroed_bytes(count * sizeof *host);
    for (size_t i = 0; i < count; i++)
        host[i] = (float)values[i];
    CUDA(cudaMemcpy(memory, host, count * sizeof *host, cudaMemcpyHostToDevice));
    return memory;
}

/* Waits for the device; valid until the test ends. */
static inline float *host_copy(const float *device, size_t count) {
    float *host = zeroed_bytes(count * sizeof *host);
    CUDA(cudaDeviceSynchronize());
    CUDA(cudaMemcpy(host, device, count * sizeof *host, cudaMemcpyDeviceToHost));
    return host;
}

static inline void check_array(const char *what, const float *device, const double *expected,
                               size_t count, double tolerance) {
    check_floats(what, host_copy(device, count), expected, count, 1e-5, tolerance);
}

static inline int free_arrays(void **unused) {
    (void)unused;
    while (arrays.count > 0)
        CUDA(cudaFree(arrays.memory[--arrays.count]));
    numbers_free();
    return 0;
}

/* ---- handles and a convolution --------------------------------------------------------------- */

static cudaStream_t stream; /* of the whole program */

static inline int stream_make(void **unused) {
    (void)unused;
    CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return 0;
}

static inline int stream_drop(void **unused) {
    (void)unused;
    CUDA(cudaStreamDestroy(stream));
    return 0;
}

static inline cudnnHandle_t make_handle(void) {
    cudnnHandle_t handle;
    CUDNN(cudnnCreate(&handle));
    CUDNN(cudnnSetStream(handle, stream));
    return handle;
}

static inline cublasHandle_t make_blas(void) {
    cublasHandle_t handle;
    CUBLAS(cublasCreate(&handle));
    CUBLAS(cublasSetStream(handle, stream));
    return handle;
}

struct conv_case {
    int n, c, h, w, k, kernel, padding, out_h, out_w;
    size_t x_count, w_count, y_count;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t filter;
    cudnnConvolutionDescriptor_t conv;
};

/* n, c, h, w, k, kernel, padding */
static inline struct conv_case conv_make(const int s[7], cudnnMathType_t math) {
    struct conv_case v = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], .x = NULL};
    int n, c;
    CUDNN(cudnnCreateTensorDescriptor(&v.x));
    CUDNN(cudnnCreateTensorDescriptor(&v.y));
    CUDNN(cudnnCreateFilterDescriptor(&v.filter));
    CUDNN(cudnnCreateConvolutionDescriptor(&v.conv));
    CUDNN(cudnnSetTensor4dDescriptor(v.x, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, v.n, v.c, v.h, v.w));
    CUDNN(cudnnSetFilter4dDescriptor(v.filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, v.k, v.c,
                                     v.kernel, v.kernel));
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, v.padding, v.padding, 1, 1, 1, 1,
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    CUDNN(cudnnSetConvolutionMathType(v.conv, math));
    CUDNN(cudnnGetConvolution2dForwardOutputDim(v.conv, v.x, v.filter, &n, &c, &v.out_h, &v.out_w));
    assert_int_equal(n, v.n);
    assert_int_equal(c, v.k);
    CUDNN(cudnnSetTensor4dDescriptor(v.y, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, v.n, v.k, v.out_h,
                                     v.out_w));
    v.x_count = (size_t)v.n * (size_t)v.c * (size_t)v.h * (size_t)v.w;
    v.w_count = (size_t)v.k * (size_t)v.c * (size_t)v.kernel * (size_t)v.kernel;
    v.y_count = (size_t)v.n * (size_t)v.k * (size_t)v.out_h * (size_t)v.out_w;
    return v;
}

static inline void conv_drop(const struct conv_case *v) {
    CUDNN(cudnnDestroyConvolutionDescriptor(v->conv));
    CUDNN(cudnnDestroyFilterDescriptor(v->filter));
    CUDNN(cudnnDestroyTensorDescriptor(v->y));
    CUDNN(cudnnDestroyTensorDescriptor(v->x));
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Checks that the call returns this status, or one of this category, and says why. */
#define REFUSED(status, call) assert_cudnn_refused(status, call, #call)
#define BAD(call) REFUSED(CUDNN_STATUS_BAD_PARAM, call)
#define UNSUPPORTED(call) REFUSED(CUDNN_STATUS_NOT_SUPPORTED, call)

static inline void assert_cudnn_refused(cudnnStatus_t expected, cudnnStatus_t got,
                                        const char *call) {
    char message[200];
    int category = CUDNN_STATUS_CATEGORY((int)got);
    cudnnGetLastErrorString(message, sizeof message);
    if (got != expected && category != (int)expected)
        fail_msg("%s returned %s, not %s", call, cudnnGetErrorString(got),
                 cudnnGetErrorString(expected));
    if (strlen(message) < 10)
        fail_msg("%s failed without a message", call);
    cudnnGetLastErrorString(message, sizeof message);
    assert_string_equal(message, "");
}

/* ---- failures of the program ----------------------------------------------------------------- */

/* Checks that the function, run in a process of its own, aborts and says `part`. */
static inline void assert_aborts(void (*function)(void *), void *argument, const char *part) {
    char said[1024];
    size_t length = 0;
    ssize_t got;
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        function(argument);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + length, sizeof said - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(said, part) == NULL)
        fail_msg("expected an abort with \"%s\", got status %#x and \"%s\"", part, status, said);
}

#endif
