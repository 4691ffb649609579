// cudnn_algorithms.cpp: the stand-in for cuDNN: the algorithms for a convolution, what each
// supports, and how much workspace it needs.
//
// Workspace sizes are made up: they differ from algorithm to algorithm, grow with the batch, and
// are not round numbers. The heuristics' lists begin with algorithms that a caller must filter out:
// unsupported ones, and fast ones whose results vary.
#include "cudnn_internal.hpp"

#include <algorithm>

using namespace cudasim;

// ---- the algorithms -----------------------------------------------------------------------------

enum method {
    IMPLICIT_GEMM,
    PRECOMPUTED_GEMM,
    EXPLICIT_GEMM,
    ATOMIC,         // partial sums are added in the order in which blocks end
    ATOMIC_INDEXED, // the same with a table
    FFT,
    FFT_TILING,
    WINOGRAD,
    WINOGRAD_NONFUSED,
    NONE // in the list, never implemented
};

static method method_of(cudnnConvolutionFwdAlgo_t algo) {
    static const method methods[] = {IMPLICIT_GEMM, PRECOMPUTED_GEMM, EXPLICIT_GEMM,    NONE, FFT,
                                     FFT_TILING,    WINOGRAD,         WINOGRAD_NONFUSED};
    return methods[algo];
}

static method method_of(cudnnConvolutionBwdDataAlgo_t algo) {
    static const method methods[] = {ATOMIC,     PRECOMPUTED_GEMM, FFT,
                                     FFT_TILING, WINOGRAD,         WINOGRAD_NONFUSED};
    return methods[algo];
}

static method method_of(cudnnConvolutionBwdFilterAlgo_t algo) {
    static const method methods[] = {ATOMIC, PRECOMPUTED_GEMM,  FFT,       ATOMIC_INDEXED,
                                     NONE,   WINOGRAD_NONFUSED, FFT_TILING};
    return methods[algo];
}

// NULL if the method supports the problem, else why not. Limits from the tables of supported
// algorithms in the documentation of cudnnConvolutionForward, ...BackwardData and
// ...BackwardFilter; strides and dilations other than 1 do not occur here.
static const char *unsupported(method method, const problem &p) {
    switch (method) {
    case IMPLICIT_GEMM:
    case PRECOMPUTED_GEMM:
    case EXPLICIT_GEMM:
    case ATOMIC:
    case ATOMIC_INDEXED:
        return nullptr;
    case FFT:
        return "the stand-in has no FFT of a whole map";
    case FFT_TILING:
        if (p.r > 32 || p.s > 32)
            return "FFT tiling takes filters up to 32 x 32";
        return nullptr;
    case WINOGRAD:
        if (p.r != 3 || p.s != 3)
            return "Winograd takes filters of 3 x 3";
        return nullptr;
    case WINOGRAD_NONFUSED:
        if ((p.r != 3 || p.s != 3) && (p.r != 5 || p.s != 5))
            return "Winograd, not fused, takes filters of 3 x 3 or 5 x 5";
        return nullptr;
    case NONE:
        return "this algorithm is not implemented";
    }
    return nullptr;
}

// In floats.
static size_t workspace_floats(method method, const problem &p) {
    size_t n = (size_t)p.n, channels = (size_t)(p.c + p.k), pairs = (size_t)p.c * (size_t)p.k;
    size_t tiles = (size_t)((p.out_h + 1) / 2) * (size_t)((p.out_w + 1) / 2);
    switch (method) {
    case PRECOMPUTED_GEMM:
        return n * (size_t)(p.out_h * p.out_w) + 253;
    case EXPLICIT_GEMM:
        return n * (size_t)(p.c * p.r * p.s) * 8 + 61;
    case ATOMIC_INDEXED:
        return n * 8 + p.w_count() + 5;
    case FFT_TILING:
        return n * channels * 64 + pairs * 32 + 17;
    case WINOGRAD:
        return n + 16 * pairs + 9;
    case WINOGRAD_NONFUSED:
        return n * channels * tiles + 16 * pairs + 33;
    case IMPLICIT_GEMM:
    case ATOMIC:
    case FFT:
    case NONE:
        return 0;
    }
    return 0;
}

// Winograd's transforms have no TF32 form.
static bool is_winograd(method method) {
    return method == WINOGRAD || method == WINOGRAD_NONFUSED;
}

static algorithm describe(method method, const problem &p) {
    bool deterministic = method != ATOMIC && method != ATOMIC_INDEXED;
    if (const char *reason = unsupported(method, p))
        return {CUDNN_STATUS_NOT_SUPPORTED, reason, 0, deterministic, false};
    size_t floats = workspace_floats(method, p);
    if (floats > 0 && p.tf32())
        floats += p.w_count(); // where converted filters would lie
    bool winograd = is_winograd(method) && p.r == 3 && !p.tf32();
    return {CUDNN_STATUS_SUCCESS, nullptr, floats * sizeof(float), deterministic, winograd};
}

template <typename number> static algorithm describe_if(int algo, int count, const problem &p) {
    if (algo < 0 || algo >= count)
        return {CUDNN_STATUS_BAD_PARAM, "there is no such algorithm", 0, true, false};
    return describe(method_of((number)algo), p);
}

algorithm cudasim::algorithm_for(const problem &p, direction direction, int algo) {
    switch (direction) {
    case FORWARD:
        return describe_if<cudnnConvolutionFwdAlgo_t>(algo, CUDNN_CONVOLUTION_FWD_ALGO_COUNT, p);
    case BACKWARD_DATA:
        return describe_if<cudnnConvolutionBwdDataAlgo_t>(algo,
                                                          CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT, p);
    case BACKWARD_FILTER:
        return describe_if<cudnnConvolutionBwdFilterAlgo_t>(
            algo, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT, p);
    }
    fail("no such direction of a convolution");
}

// ---- lists --------------------------------------------------------------------------------------

static const cudnnConvolutionFwdAlgo_t forward_rank[] = {
    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
    CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
    CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
    CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
    CUDNN_CONVOLUTION_FWD_ALGO_FFT,
    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
    CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
    CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
};
static const cudnnConvolutionBwdDataAlgo_t backward_data_rank[] = {
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
    CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
};
static const cudnnConvolutionBwdFilterAlgo_t backward_filter_rank[] = {
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
};

enum { FORWARD_COUNT = sizeof forward_rank / sizeof forward_rank[0] };
enum { BACKWARD_DATA_COUNT = sizeof backward_data_rank / sizeof backward_data_rank[0] };
enum { BACKWARD_FILTER_COUNT = sizeof backward_filter_rank / sizeof backward_filter_rank[0] };

static cudnnStatus_t max_count(const char *call, cudnnHandle_t handle, int *out, int count) {
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (out == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: nowhere to put the number", call);
    *out = count;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle, int *count) {
    return max_count("cudnnGetConvolutionForwardAlgorithmMaxCount", handle, count, FORWARD_COUNT);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithmMaxCount(cudnnHandle_t handle, int *count) {
    return max_count("cudnnGetConvolutionBackwardDataAlgorithmMaxCount", handle, count,
                     BACKWARD_DATA_COUNT);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(cudnnHandle_t handle, int *count) {
    return max_count("cudnnGetConvolutionBackwardFilterAlgorithmMaxCount", handle, count,
                     BACKWARD_FILTER_COUNT);
}

// The algorithm's math type: a list made for TF32 holds both kinds.
static cudnnMathType_t math_of(method method, const problem &p) {
    return is_winograd(method) ? CUDNN_FMA_MATH : p.math;
}

// The first `requested` algorithms of the ranking; those of Winograd lead it where cuDNN is to be
// rough. The memory of each is for its own math type.
template <typename perf, typename number, int count>
static void list(perf *results, int *returned, int requested, const problem &p,
                 const number (&rank)[count]) {
    number ranked[count];
    std::copy(rank, rank + count, ranked);
    if (rough_cudnn())
        std::stable_partition(ranked, ranked + count,
                              [](number n) { return is_winograd(method_of(n)); });
    *returned = std::min(requested, count);
    for (int i = 0; i < *returned; i++) {
        problem own = p;
        own.math = math_of(method_of(ranked[i]), p);
        algorithm a = describe(method_of(ranked[i]), own);
        results[i] = {ranked[i], a.status, -1, a.workspace, CUDNN_NON_DETERMINISTIC, own.math, {0}};
        if (a.deterministic)
            results[i].determinism = CUDNN_DETERMINISTIC;
    }
}

// As if timed: those that do not run come last. The times are made up.
template <typename perf, typename number, int count>
static void list_timed(perf *results, int *returned, int requested, const problem &p,
                       const number (&rank)[count]) {
    perf all[count];
    int ranked;
    list(all, &ranked, count, p, rank);
    std::stable_partition(all, all + count,
                          [](const perf &a) { return a.status == CUDNN_STATUS_SUCCESS; });
    if (all[1].status == CUDNN_STATUS_SUCCESS) // heuristics and times disagree
        std::swap(all[0], all[1]);
    for (int i = 0; i < count; i++)
        if (all[i].status == CUDNN_STATUS_SUCCESS)
            all[i].time = 0.015625f * (float)(i + 1);
    *returned = std::min(requested, count);
    std::copy(all, all + *returned, results);
}

template <typename perf>
static cudnnStatus_t check_request(const char *call, int requested, const int *returned,
                                   const perf *results) {
    if (returned == nullptr || results == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: nowhere to put the results", call);
    if (requested < 1)
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: %d algorithms requested", call, requested);
    return CUDNN_STATUS_SUCCESS;
}

// Timing allocates and waits, so it cannot be done while the stream is captured: the runtime
// refuses it, and that ends the capture.
static cudnnStatus_t time_all(const char *call, cudnnHandle_t handle, const problem &p) {
    void *memory;
    if (cudaStreamSynchronize(handle->stream) != cudaSuccess)
        return refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "%s: cannot wait for the stream", call);
    size_t floats = p.x_count() + p.w_count() + p.y_count() + workspace_floats(FFT_TILING, p);
    if (cudaMalloc(&memory, floats * sizeof(float)) != cudaSuccess)
        return refuse(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED,
                      "%s: out of device memory", call);
    if (cudaFree(memory) != cudaSuccess)
        return refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "%s: the device is in an error state",
                      call);
    return CUDNN_STATUS_SUCCESS;
}

// ---- calls --------------------------------------------------------------------------------------

template <typename perf, typename number, int count>
static cudnnStatus_t heuristics(const char *call, cudnnHandle_t handle, const cudnnTensorStruct *x,
                                const cudnnFilterStruct *w,
                                const cudnnConvolutionStruct *convolution,
                                const cudnnTensorStruct *y, int requested, int *returned,
                                perf *results, const number (&rank)[count]) {
    problem p;
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (cudnnStatus_t status = check_request(call, requested, returned, results))
        return status;
    if (cudnnStatus_t status = problem_of(&p, call, x, w, convolution, y))
        return status;
    list(results, returned, requested, p, rank);
    return CUDNN_STATUS_SUCCESS;
}

template <typename perf, typename number, int count>
static cudnnStatus_t timed(const char *call, cudnnHandle_t handle, const cudnnTensorStruct *x,
                           const cudnnFilterStruct *w, const cudnnConvolutionStruct *convolution,
                           const cudnnTensorStruct *y, int requested, int *returned, perf *results,
                           const number (&rank)[count]) {
    problem p;
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (cudnnStatus_t status = check_request(call, requested, returned, results))
        return status;
    if (cudnnStatus_t status = problem_of(&p, call, x, w, convolution, y))
        return status;
    if (cudnnStatus_t status = time_all(call, handle, p))
        return status;
    list_timed(results, returned, requested, p, rank);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t y,
    const int requested, int *returned, cudnnConvolutionFwdAlgoPerf_t *results) {
    return heuristics("cudnnGetConvolutionForwardAlgorithm_v7", handle, x, w, convolution, y,
                      requested, returned, results, forward_rank);
}

cudnnStatus_t cudnnFindConvolutionForwardAlgorithm(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t y,
    const int requested, int *returned, cudnnConvolutionFwdAlgoPerf_t *results) {
    return timed("cudnnFindConvolutionForwardAlgorithm", handle, x, w, convolution, y, requested,
                 returned, results, forward_rank);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t dx,
    const int requested, int *returned, cudnnConvolutionBwdDataAlgoPerf_t *results) {
    return heuristics("cudnnGetConvolutionBackwardDataAlgorithm_v7", handle, dx, w, convolution, dy,
                      requested, returned, results, backward_data_rank);
}

cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithm(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t dx,
    const int requested, int *returned, cudnnConvolutionBwdDataAlgoPerf_t *results) {
    return timed("cudnnFindConvolutionBackwardDataAlgorithm", handle, dx, w, convolution, dy,
                 requested, returned, results, backward_data_rank);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnFilterDescriptor_t dw,
    const int requested, int *returned, cudnnConvolutionBwdFilterAlgoPerf_t *results) {
    return heuristics("cudnnGetConvolutionBackwardFilterAlgorithm_v7", handle, x, dw, convolution,
                      dy, requested, returned, results, backward_filter_rank);
}

cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithm(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnFilterDescriptor_t dw,
    const int requested, int *returned, cudnnConvolutionBwdFilterAlgoPerf_t *results) {
    return timed("cudnnFindConvolutionBackwardFilterAlgorithm", handle, x, dw, convolution, dy,
                 requested, returned, results, backward_filter_rank);
}
