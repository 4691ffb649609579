/* test_cudasim_cudnn_refusals.c: calls that the stand-in for cuDNN refuses or aborts, and its lists
 * of algorithms. */
#include "library_fixture.h"

#include <math.h>

static const cudnnTensorFormat_t NCHW = CUDNN_TENSOR_NCHW;
static const cudnnDataType_t FLOAT = CUDNN_DATA_FLOAT;
static const cudnnConvolutionMode_t CROSS = CUDNN_CROSS_CORRELATION;

/* ---- a convolution whose arguments can be spoiled one by one --------------------------------- */

struct forward_call {
    cudnnHandle_t handle;
    const void *alpha, *beta, *x, *w;
    cudnnTensorDescriptor_t x_desc, y_desc;
    cudnnFilterDescriptor_t w_desc;
    cudnnConvolutionDescriptor_t conv;
    cudnnConvolutionFwdAlgo_t algo;
    void *workspace, *y;
    size_t bytes;
};

static cudnnStatus_t forward(const struct forward_call *c) {
    return cudnnConvolutionForward(c->handle, c->alpha, c->x_desc, c->x, c->w_desc, c->w, c->conv,
                                   c->algo, c->workspace, c->bytes, c->beta, c->y_desc, c->y);
}

static void run_forward(void *call) {
    cudnnStatus_t status = forward(call);
    if (status == CUDNN_STATUS_SUCCESS && cudaDeviceSynchronize() == cudaSuccess)
        fputs("nothing was noticed\n", stderr);
}

/* A good call: 2 x 4 x 5 x 5 with 3 filters of 3 x 3. */
static struct forward_call forward_make(const struct conv_case *v) {
    struct forward_call c = {make_handle(), &one, &zero, .x_desc = v->x, .y_desc = v->y};
    c.w_desc = v->filter;
    c.conv = v->conv;
    c.algo = CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
    c.x = device_copy(random_doubles(v->x_count, -1, 1), v->x_count);
    c.w = device_copy(random_doubles(v->w_count, -1, 1), v->w_count);
    c.y = device_blank(v->y_count);
    CUDNN(cudnnGetConvolutionForwardWorkspaceSize(c.handle, v->x, v->filter, v->conv, v->y, c.algo,
                                                  &c.bytes));
    c.workspace = device_blank(c.bytes / sizeof(float));
    CUDNN(forward(&c));
    return c;
}

static const int conv_shape[] = {2, 4, 5, 5, 3, 3, 1};

/* A call with one member changed. */
#define SPOILED(how, member, value)                                                                \
    do {                                                                                           \
        struct forward_call spoiled = c;                                                           \
        spoiled.member = (value);                                                                  \
        how(forward(&spoiled));                                                                    \
    } while (0)
#define ABORTS(member, value, part)                                                                \
    do {                                                                                           \
        struct forward_call spoiled = c;                                                           \
        spoiled.member = (value);                                                                  \
        assert_aborts(run_forward, &spoiled, part);                                                \
    } while (0)

static void conv_arguments(void **unused) {
    (void)unused;
    case_name("arguments");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH);
    struct forward_call c = forward_make(&v);
    SPOILED(BAD, handle, NULL);
    SPOILED(BAD, alpha, NULL);
    SPOILED(BAD, beta, NULL);
    SPOILED(BAD, x, NULL);
    SPOILED(BAD, w, NULL);
    SPOILED(BAD, y, NULL);
    SPOILED(BAD, x_desc, NULL);
    SPOILED(BAD, y_desc, NULL);
    SPOILED(BAD, w_desc, NULL);
    SPOILED(BAD, conv, NULL);
    SPOILED(BAD, y_desc, v.x);
    SPOILED(BAD, workspace, NULL);
    SPOILED(BAD, bytes, c.bytes - 1);
    SPOILED(BAD, bytes, 0);
    SPOILED(BAD, algo, (cudnnConvolutionFwdAlgo_t)-1);
    SPOILED(BAD, algo, CUDNN_CONVOLUTION_FWD_ALGO_COUNT);
    SPOILED(UNSUPPORTED, algo, CUDNN_CONVOLUTION_FWD_ALGO_DIRECT);
    CUDNN(cudnnDestroy(c.handle));
    conv_drop(&v);
}

/* Descriptors that do not fit one another, or need an unsupported feature. */
static void conv_descriptors(void **unused) {
    size_t bytes;
    (void)unused;
    case_name("descriptors");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH);
    cudnnHandle_t handle = make_handle();
#define ASK()                                                                                      \
    cudnnGetConvolutionForwardWorkspaceSize(handle, v.x, v.filter, v.conv, v.y,                    \
                                            CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, &bytes)
    CUDNN(ASK());
    for (int i = 0; i < 4; i++) { /* each dimension of y is one too large */
        int y[] = {2, 3, 5, 5};
        y[i]++;
        CUDNN(cudnnSetTensor4dDescriptor(v.y, NCHW, FLOAT, y[0], y[1], y[2], y[3]));
        REFUSED(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, ASK());
    }
    CUDNN(cudnnSetTensor4dDescriptor(v.y, NCHW, FLOAT, 2, 3, 5, 5));
    CUDNN(cudnnSetFilter4dDescriptor(v.filter, FLOAT, NCHW, 3, 2, 3, 3));
    BAD(ASK());
    CUDNN(cudnnSetFilter4dDescriptor(v.filter, CUDNN_DATA_HALF, NCHW, 3, 4, 3, 3));
    BAD(ASK());
    CUDNN(cudnnSetFilter4dDescriptor(v.filter, FLOAT, CUDNN_TENSOR_NHWC, 3, 4, 3, 3));
    UNSUPPORTED(ASK());
    CUDNN(cudnnSetFilter4dDescriptor(v.filter, FLOAT, NCHW, 3, 4, 3, 3));
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 1, 1, 1, 1, 1, 1, CUDNN_CONVOLUTION, FLOAT));
    UNSUPPORTED(ASK());
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 1, 1, 1, 1, 1, 1, CROSS, CUDNN_DATA_HALF));
    UNSUPPORTED(ASK());
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 2, 2, 1, 1, 2, 2, CROSS, FLOAT));
    UNSUPPORTED(ASK());
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 0, 1, 1, 1, 1, 1, CROSS, FLOAT));
    BAD(ASK());
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 1, 1, 1, 1, 1, 1, CROSS, FLOAT));
    CUDNN(ASK());
    CUDNN(cudnnDestroy(handle));
    conv_drop(&v);
}

static void setters(void **unused) {
    int n, c, h, w;
    (void)unused;
    case_name("setters");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH);
    BAD(cudnnCreateTensorDescriptor(NULL));
    BAD(cudnnSetTensor4dDescriptor(NULL, NCHW, FLOAT, 1, 1, 1, 1));
    BAD(cudnnSetTensor4dDescriptor(v.x, NCHW, FLOAT, 0, 1, 1, 1));
    BAD(cudnnSetTensor4dDescriptor(v.x, NCHW, FLOAT, 1, 1, 1, -1));
    BAD(cudnnSetTensor4dDescriptor(v.x, (cudnnTensorFormat_t)7, FLOAT, 1, 1, 1, 1));
    BAD(cudnnSetTensor4dDescriptor(v.x, NCHW, (cudnnDataType_t)99, 1, 1, 1, 1));
    UNSUPPORTED(cudnnSetTensor4dDescriptor(v.x, NCHW, FLOAT, 1 << 16, 1 << 10, 32, 1));
    BAD(cudnnSetFilter4dDescriptor(v.filter, FLOAT, NCHW, 1, 0, 1, 1));
    BAD(cudnnSetConvolution2dDescriptor(v.conv, -1, 1, 1, 1, 1, 1, CROSS, FLOAT));
    BAD(cudnnSetConvolution2dDescriptor(v.conv, 1, 1, 0, 1, 1, 1, CROSS, FLOAT));
    BAD(cudnnSetConvolution2dDescriptor(v.conv, 1, 1, 1, 1, 1, 0, CROSS, FLOAT));
    BAD(cudnnSetConvolution2dDescriptor(v.conv, 1, 1, 1, 1, 1, 1, (cudnnConvolutionMode_t)2,
                                        FLOAT));
    BAD(cudnnSetConvolutionMathType(v.conv, (cudnnMathType_t)4));
    CUDNN(cudnnGetConvolution2dForwardOutputDim(v.conv, v.x, v.filter, &n, &c, &h, &w));
    assert_true(n == 2 && c == 3 && h == 5 && w == 5); /* nothing was changed */
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 0, 1, 2, 3, 1, 2, CROSS, FLOAT));
    CUDNN(cudnnGetConvolution2dForwardOutputDim(v.conv, v.x, v.filter, &n, &c, &h, &w));
    assert_true(h == 2 && w == 1); /* (5 - 3) / 2 + 1, (5 + 2 - 5) / 3 + 1 */
    CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 0, 0, 1, 1, 3, 3, CROSS, FLOAT));
    BAD(cudnnGetConvolution2dForwardOutputDim(v.conv, v.x, v.filter, &n, &c, &h, &w));
    conv_drop(&v);
    CUDNN(cudnnCreateTensorDescriptor(&v.x));
    CUDNN(cudnnCreateFilterDescriptor(&v.filter));
    CUDNN(cudnnCreateConvolutionDescriptor(&v.conv));
    REFUSED(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED,
            cudnnGetConvolution2dForwardOutputDim(v.conv, v.x, v.filter, &n, &c, &h, &w));
    CUDNN(cudnnDestroyConvolutionDescriptor(v.conv));
    CUDNN(cudnnDestroyFilterDescriptor(v.filter));
    CUDNN(cudnnDestroyTensorDescriptor(v.x));
}

/* On a GPU these are memory faults, or go unnoticed. */
static void conv_faults(void **unused) {
    (void)unused;
    case_name("faults");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH), gone;
    struct forward_call c = forward_make(&v);
    static float on_host[200];
    float *x = device_blank(v.x_count), *w = device_blank(v.w_count + 1);
    ABORTS(x, x + 1, "x (");               /* ends one float too late */
    ABORTS(x, (const char *)x - 4, "x ("); /* begins too early */
    ABORTS(w, (const char *)w + 2, "w ("); /* misaligned, and too long */
    ABORTS(x, on_host, "x (");             /* not device memory */
    ABORTS(workspace, (char *)c.workspace + 16, "the workspace (");
    ABORTS(y, (void *)(size_t)c.x, "x and y overlap");
    ABORTS(y, c.workspace, "y and the workspace overlap");
    ABORTS(x, c.workspace, "x and the workspace overlap");
    struct forward_call smaller = c;
    smaller.workspace = (char *)c.workspace + 8;
    smaller.algo = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
    smaller.bytes = c.bytes - 8;
    assert_aborts(run_forward, &smaller, "not aligned to 16 bytes");
    gone = conv_make(conv_shape, CUDNN_FMA_MATH);
    conv_drop(&gone);
    ABORTS(x_desc, gone.x, "does not exist");
    ABORTS(w_desc, gone.filter, "does not exist");
    ABORTS(conv, gone.conv, "does not exist");
    cudnnHandle_t handle = make_handle();
    CUDNN(cudnnDestroy(handle));
    ABORTS(handle, handle, "does not exist");
    CUDNN(cudnnDestroy(c.handle));
    conv_drop(&v);
}

static void launch(void *exec) {
    if (cudaGraphLaunch(exec, stream) == cudaSuccess && cudaDeviceSynchronize() == cudaSuccess)
        fputs("nothing was noticed\n", stderr);
}

/* A graph keeps addresses, not memory. */
static void captured_and_freed(void **unused) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    (void)unused;
    case_name("captured and freed");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH);
    struct forward_call c = forward_make(&v);
    CUDA(cudaMalloc(&c.y, v.y_count * sizeof(float)));
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CUDNN(forward(&c));
    CUDA(cudaStreamEndCapture(stream, &graph));
    CUDA(cudaGraphInstantiate(&exec, graph, 0));
    CUDA(cudaGraphLaunch(exec, stream));
    CUDA(cudaStreamSynchronize(stream));
    CUDA(cudaFree(c.y));
    assert_aborts(launch, exec, "y (");
    CUDA(cudaGraphExecDestroy(exec));
    CUDA(cudaGraphDestroy(graph));
    CUDNN(cudnnDestroy(c.handle));
    conv_drop(&v);
}

/* ---- lists of algorithms --------------------------------------------------------------------- */

/* For each direction: entries that a caller must filter out come first in the list, and each entry
 * agrees with the other calls. */
#define CHECK_LIST(results, returned, count, deterministic_only)                                   \
    do {                                                                                           \
        int good = -1, varying = -1, unsupported = -1;                                             \
        assert_int_equal(returned, count);                                                         \
        for (int i = returned - 1; i >= 0; i--) {                                                  \
            assert_int_equal(results[i].mathType, CUDNN_FMA_MATH);                                 \
            if (results[i].status != CUDNN_STATUS_SUCCESS)                                         \
                unsupported = i;                                                                   \
            else if (results[i].determinism == CUDNN_DETERMINISTIC)                                \
                good = i;                                                                          \
            else                                                                                   \
                varying = i;                                                                       \
        }                                                                                          \
        assert_in_range(good, 0, returned - 1);                                                    \
        assert_in_range(unsupported, 0, returned - 1);                                             \
        assert_int_equal(varying == 0, deterministic_only ? 0 : 1);                                \
        assert_in_range(results[good].memory, 1, 1 << 20);                                         \
    } while (0)

static void heuristics(void **unused) {
    cudnnConvolutionFwdAlgoPerf_t forwards[10];
    cudnnConvolutionBwdDataAlgoPerf_t datas[10];
    cudnnConvolutionBwdFilterAlgoPerf_t filters[10];
    int count, got;
    (void)unused;
    case_name("heuristics");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH);
    cudnnHandle_t handle = make_handle();
    CUDNN(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &count));
    CUDNN(cudnnGetConvolutionForwardAlgorithm_v7(handle, v.x, v.filter, v.conv, v.y, 10, &got,
                                                 forwards));
    CHECK_LIST(forwards, got, count, true);
    assert_int_equal(forwards[0].status, CUDNN_STATUS_SUCCESS);
    CUDNN(cudnnGetConvolutionBackwardDataAlgorithmMaxCount(handle, &count));
    CUDNN(cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, v.filter, v.y, v.conv, v.x, 10, &got,
                                                      datas));
    CHECK_LIST(datas, got, count, false);
    CUDNN(cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(handle, &count));
    CUDNN(cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, v.x, v.y, v.conv, v.filter, 10,
                                                        &got, filters));
    CHECK_LIST(filters, got, count, false);
    CUDNN(cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, v.x, v.y, v.conv, v.filter, 2, &got,
                                                        filters));
    assert_int_equal(got, 2);
    BAD(cudnnGetConvolutionForwardAlgorithm_v7(handle, v.x, v.filter, v.conv, v.y, 0, &got,
                                               forwards));
    BAD(cudnnGetConvolutionForwardAlgorithm_v7(handle, v.x, v.filter, v.conv, v.x, 10, &got,
                                               forwards));
    BAD(cudnnGetConvolutionForwardAlgorithm_v7(handle, v.x, v.filter, v.conv, v.y, 10, &got, NULL));
    CUDNN(cudnnDestroy(handle));
    conv_drop(&v);
}

/* The memory in a list is the size that the workspace call returns; it grows with the batch. */
static void workspace_sizes(void **unused) {
    size_t before[CUDNN_CONVOLUTION_FWD_ALGO_COUNT] = {0};
    (void)unused;
    case_name("workspace sizes");
    cudnnHandle_t handle = make_handle();
    for (int batch = 1; batch <= 64; batch *= 4) {
        cudnnConvolutionFwdAlgoPerf_t results[10];
        int got, needing = 0;
        struct conv_case v = conv_make((int[]){batch, 3, 8, 8, 4, 3, 1}, CUDNN_FMA_MATH);
        CUDNN(cudnnGetConvolutionForwardAlgorithm_v7(handle, v.x, v.filter, v.conv, v.y, 10, &got,
                                                     results));
        for (int i = 0; i < got; i++) {
            cudnnConvolutionFwdAlgo_t algo = results[i].algo;
            size_t bytes;
            cudnnStatus_t status = cudnnGetConvolutionForwardWorkspaceSize(
                handle, v.x, v.filter, v.conv, v.y, algo, &bytes);
            assert_int_equal(status, results[i].status);
            if (status != CUDNN_STATUS_SUCCESS || bytes == 0)
                continue;
            assert_int_equal(bytes, results[i].memory);
            assert_true(bytes > before[algo]);
            before[algo] = bytes;
            needing++;
        }
        assert_in_range(needing, 4, got - 2);
        conv_drop(&v);
    }
    CUDNN(cudnnDestroy(handle));
}

/* A list made for TF32 holds algorithms without it, with their memory without TF32. */
static void mathematics(void **unused) {
    cudnnConvolutionBwdDataAlgoPerf_t results[10];
    int got, kinds[4] = {0};
    size_t bytes;
    (void)unused;
    case_name("mathematics");
    struct conv_case v = conv_make(conv_shape, CUDNN_DEFAULT_MATH);
    cudnnHandle_t handle = make_handle();
    CUDNN(cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, v.filter, v.y, v.conv, v.x, 10, &got,
                                                      results));
    for (int i = 0; i < got; i++) {
        if (results[i].status != CUDNN_STATUS_SUCCESS)
            continue;
        CUDNN(cudnnSetConvolutionMathType(v.conv, results[i].mathType));
        CUDNN(cudnnGetConvolutionBackwardDataWorkspaceSize(handle, v.filter, v.y, v.conv, v.x,
                                                           results[i].algo, &bytes));
        assert_int_equal(bytes, results[i].memory);
        kinds[results[i].mathType]++;
    }
    assert_true(kinds[CUDNN_DEFAULT_MATH] > 0 && kinds[CUDNN_FMA_MATH] > 0);
    CUDNN(cudnnDestroy(handle));
    conv_drop(&v);
}

/* Timing waits for the device, puts failed algorithms last, and cannot be captured. */
static void timing(void **unused) {
    cudnnConvolutionFwdAlgoPerf_t results[10];
    cudaGraph_t graph;
    int got;
    (void)unused;
    case_name("timing");
    struct conv_case v = conv_make(conv_shape, CUDNN_FMA_MATH);
    cudnnHandle_t handle = make_handle();
    cudasim_reset_counts();
    CUDNN(cudnnFindConvolutionForwardAlgorithm(handle, v.x, v.filter, v.conv, v.y, 10, &got,
                                               results));
    assert_true(cudasim_counts().synchronizations > 0 && cudasim_counts().allocations > 0);
    for (int i = 0; i < got; i++) {
        bool runs = results[i].status == CUDNN_STATUS_SUCCESS;
        assert_true(runs ? results[i].time > 0 : results[i].time == -1);
        if (i > 0 && runs)
            assert_true(results[i].time > results[i - 1].time &&
                        results[i - 1].status == CUDNN_STATUS_SUCCESS);
    }
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    REFUSED(CUDNN_STATUS_EXECUTION_FAILED,
            cudnnFindConvolutionForwardAlgorithm(handle, v.x, v.filter, v.conv, v.y, 10, &got,
                                                 results));
    assert_int_not_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    (void)cudaGetLastError();
    CUDNN(cudnnDestroy(handle));
    conv_drop(&v);
}

/* ---- batch norm ------------------------------------------------------------------------------ */

struct train_call {
    cudnnHandle_t handle;
    cudnnBatchNormMode_t mode;
    const void *alpha, *beta, *x, *scale, *bias;
    cudnnTensorDescriptor_t x_desc, y_desc, derived;
    void *y, *running_mean, *running_var, *mean, *rstd;
    double factor, epsilon;
};

static cudnnStatus_t train(const struct train_call *c) {
    return cudnnBatchNormalizationForwardTraining(c->handle, c->mode, c->alpha, c->beta, c->x_desc,
                                                  c->x, c->y_desc, c->y, c->derived, c->scale,
                                                  c->bias, c->factor, c->running_mean,
                                                  c->running_var, c->epsilon, c->mean, c->rstd);
}

static void run_train(void *call) {
    if (train(call) == CUDNN_STATUS_SUCCESS && cudaDeviceSynchronize() == cudaSuccess)
        fputs("nothing was noticed\n", stderr);
}

#define TRAIN_SPOILED(how, member, value)                                                          \
    do {                                                                                           \
        struct train_call spoiled = c;                                                             \
        spoiled.member = (value);                                                                  \
        how(train(&spoiled));                                                                      \
    } while (0)
#define TRAIN_ABORTS(member, value, part)                                                          \
    do {                                                                                           \
        struct train_call spoiled = c;                                                             \
        spoiled.member = (value);                                                                  \
        assert_aborts(run_train, &spoiled, part);                                                  \
    } while (0)

enum { CHANNELS = 3, COUNT = 2 * 3 * 4 * 5 };

static struct train_call train_make(void) {
    struct train_call c = {make_handle(), CUDNN_BATCHNORM_SPATIAL, &one, &zero, .factor = 0.1};
    CUDNN(cudnnCreateTensorDescriptor(&c.x_desc));
    CUDNN(cudnnCreateTensorDescriptor(&c.y_desc));
    CUDNN(cudnnCreateTensorDescriptor(&c.derived));
    CUDNN(cudnnSetTensor4dDescriptor(c.x_desc, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 2, 3, 4, 5));
    CUDNN(cudnnSetTensor4dDescriptor(c.y_desc, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 2, 3, 4, 5));
    CUDNN(cudnnDeriveBNTensorDescriptor(c.derived, c.x_desc, c.mode));
    c.x = device_copy(random_doubles(COUNT, -1, 1), COUNT);
    c.scale = device_blank(CHANNELS);
    c.bias = device_blank(CHANNELS);
    c.y = device_blank(COUNT);
    c.running_mean = device_blank(CHANNELS);
    c.running_var = device_blank(CHANNELS);
    c.mean = device_blank(CHANNELS);
    c.rstd = device_blank(CHANNELS);
    c.epsilon = 1e-5;
    CUDNN(train(&c));
    return c;
}

static void train_drop(const struct train_call *c) {
    CUDNN(cudnnDestroyTensorDescriptor(c->derived));
    CUDNN(cudnnDestroyTensorDescriptor(c->y_desc));
    CUDNN(cudnnDestroyTensorDescriptor(c->x_desc));
    CUDNN(cudnnDestroy(c->handle));
}

static void norm_arguments(void **unused) {
    (void)unused;
    case_name("norm arguments");
    struct train_call c = train_make();
    TRAIN_SPOILED(BAD, handle, NULL);
    TRAIN_SPOILED(BAD, alpha, NULL);
    TRAIN_SPOILED(BAD, x, NULL);
    TRAIN_SPOILED(BAD, scale, NULL);
    TRAIN_SPOILED(BAD, derived, NULL);
    TRAIN_SPOILED(BAD, derived, c.x_desc);
    TRAIN_SPOILED(BAD, y_desc, c.derived);
    TRAIN_SPOILED(BAD, mean, NULL);
    TRAIN_SPOILED(BAD, running_var, NULL);
    TRAIN_SPOILED(BAD, epsilon, -1e-9);
    TRAIN_SPOILED(BAD, epsilon, (double)NAN);
    TRAIN_SPOILED(BAD, factor, 1.5);
    TRAIN_SPOILED(BAD, factor, -0.1);
    TRAIN_SPOILED(BAD, mode, (cudnnBatchNormMode_t)3);
    TRAIN_SPOILED(UNSUPPORTED, mode, CUDNN_BATCHNORM_PER_ACTIVATION);
    TRAIN_SPOILED(CUDNN, epsilon, CUDNN_BN_MIN_EPSILON);
    CUDNN(cudnnSetTensor4dDescriptor(c.derived, NCHW, FLOAT, 1, CHANNELS, 2, 1));
    BAD(train(&c));
    CUDNN(cudnnDeriveBNTensorDescriptor(c.derived, c.x_desc, c.mode));
    struct train_call none = c; /* no statistics at all */
    none.mean = none.rstd = none.running_mean = none.running_var = NULL;
    CUDNN(train(&none));
    TRAIN_ABORTS(y, (void *)(size_t)c.x, "x and y overlap");
    TRAIN_ABORTS(mean, c.rstd, "overlap");
    TRAIN_ABORTS(running_mean, (void *)(size_t)c.scale, "overlap");
    TRAIN_ABORTS(bias, (const float *)c.bias + 1, "the bias");
    CUDNN(cudnnSetTensor4dDescriptor(c.y_desc, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 2, 3, 4, 5));
    UNSUPPORTED(train(&c));
    CUDNN(cudnnSetTensor4dDescriptor(c.y_desc, CUDNN_TENSOR_NCHW, CUDNN_DATA_DOUBLE, 2, 3, 4, 5));
    UNSUPPORTED(train(&c));
    train_drop(&c);
}

static void norm_backward_arguments(void **unused) {
    (void)unused;
    case_name("norm backward arguments");
    struct train_call c = train_make();
    float *dx = device_blank(COUNT), *dscale = device_blank(CHANNELS);
    float *dbias = device_blank(CHANNELS);
#define BACKWARD(dscale, dbias, epsilon, mean, rstd)                                               \
    cudnnBatchNormalizationBackward(c.handle, c.mode, &one, &zero, &one, &zero, c.x_desc, c.x,     \
                                    c.y_desc, c.y, c.x_desc, dx, c.derived, c.scale, dscale,       \
                                    dbias, epsilon, mean, rstd)
    CUDNN(BACKWARD(dscale, dbias, 1e-5, c.mean, c.rstd));
    CUDNN(BACKWARD(dscale, dbias, 1e-5, NULL, NULL));
    BAD(BACKWARD(dscale, dbias, 1e-5, c.mean, NULL));
    BAD(BACKWARD(dscale, NULL, 1e-5, c.mean, c.rstd));
    BAD(BACKWARD(NULL, dbias, 1e-5, c.mean, c.rstd));
    BAD(BACKWARD(dscale, dbias, -1e-5, c.mean, c.rstd));
    train_drop(&c);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, free_arrays)
    const struct CMUnitTest tests[] = {
        TEST(conv_arguments),
        TEST(conv_descriptors),
        TEST(setters),
        TEST(conv_faults),
        TEST(captured_and_freed),
        TEST(heuristics),
        TEST(workspace_sizes),
        TEST(mathematics),
        TEST(timing),
        TEST(norm_arguments),
        TEST(norm_backward_arguments),
    };
    return cmocka_run_group_tests(tests, stream_make, stream_drop);
}
