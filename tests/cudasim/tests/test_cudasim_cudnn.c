/* test_cudasim_cudnn.c: results of the stand-in for cuDNN, against doubles: every algorithm of a
 * convolution, and batch norm; rounding to TF32, results that vary, workspace that is overwritten,
 * streams and graphs. */
#include "library_fixture.h"
#include "reference_ops.h"

#include <math.h>

static double sum_tolerance(double terms) {
    return 1e-6 * sqrt(terms) + 1e-6;
}

/* alpha * new + beta * old */
static double *blended(const double *new, const double *old, size_t count, double alpha,
                       double beta) {
    double *out = doubles(count);
    for (size_t i = 0; i < count; i++)
        out[i] = alpha * new[i] + (beta == 0 ? 0 : beta * old[i]);
    return out;
}

/* The output's first content: NaN where it is not read. */
static float *device_old(const double *old, size_t count, float beta) {
    return beta == 0 ? device_blank(count) : device_copy(old, count);
}

/* ---- convolution ----------------------------------------------------------------------------- */

/* A convolution with its data, and the expected results without alpha and beta. */
struct conv_data {
    struct conv_case v;
    double *x, *w, *dy, *y, *dx, *dw;
    const float *dev_x, *dev_w, *dev_dy;
};

static struct conv_data conv_data_make(const int shape[7], cudnnMathType_t math) {
    struct conv_data d = {.v = conv_make(shape, math)};
    const struct conv_case *v = &d.v;
    struct conv_args a = {v->n, v->c, v->h, v->w, v->k, v->kernel, v->padding, .x = NULL};
    d.x = random_doubles(v->x_count, -1, 1);
    d.w = random_doubles(v->w_count, -1, 1);
    d.dy = random_doubles(v->y_count, -1, 1);
    d.y = doubles(v->y_count);
    d.dx = doubles(v->x_count);
    d.dw = doubles(v->w_count);
    reference_conv_forward(d.y, &a, d.x, d.w);
    reference_conv_backward(d.dx, d.dw, &a, d.x, d.w, d.dy);
    d.dev_x = device_copy(d.x, v->x_count);
    d.dev_w = device_copy(d.w, v->w_count);
    d.dev_dy = device_copy(d.dy, v->y_count);
    return d;
}

/* Runs one of the three operations with exactly the workspace that it needs. Returns its output, or
 * NULL if the algorithm is not supported. */
enum way { FORWARD, BACKWARD_DATA, BACKWARD_FILTER };

static cudnnStatus_t conv_workspace_bytes(cudnnHandle_t handle, const struct conv_case *v,
                                          enum way way, int algo, size_t *bytes) {
    switch (way) {
    case FORWARD:
        return cudnnGetConvolutionForwardWorkspaceSize(handle, v->x, v->filter, v->conv, v->y,
                                                       (cudnnConvolutionFwdAlgo_t)algo, bytes);
    case BACKWARD_DATA:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(
            handle, v->filter, v->y, v->conv, v->x, (cudnnConvolutionBwdDataAlgo_t)algo, bytes);
    case BACKWARD_FILTER:
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(
            handle, v->x, v->y, v->conv, v->filter, (cudnnConvolutionBwdFilterAlgo_t)algo, bytes);
    }
    return CUDNN_STATUS_BAD_PARAM;
}

static cudnnStatus_t conv_run(cudnnHandle_t handle, const struct conv_data *d, enum way way,
                              int algo, void *workspace, size_t bytes, float *out, float alpha,
                              float beta) {
    const struct conv_case *v = &d->v;
    switch (way) {
    case FORWARD:
        return cudnnConvolutionForward(handle, &alpha, v->x, d->dev_x, v->filter, d->dev_w, v->conv,
                                       (cudnnConvolutionFwdAlgo_t)algo, workspace, bytes, &beta,
                                       v->y, out);
    case BACKWARD_DATA:
        return cudnnConvolutionBackwardData(handle, &alpha, v->filter, d->dev_w, v->y, d->dev_dy,
                                            v->conv, (cudnnConvolutionBwdDataAlgo_t)algo, workspace,
                                            bytes, &beta, v->x, out);
    case BACKWARD_FILTER:
        return cudnnConvolutionBackwardFilter(handle, &alpha, v->x, d->dev_x, v->y, d->dev_dy,
                                              v->conv, (cudnnConvolutionBwdFilterAlgo_t)algo,
                                              workspace, bytes, &beta, v->filter, out);
    }
    return CUDNN_STATUS_BAD_PARAM;
}

/* Winograd's algorithms, which round worse. */
static bool is_winograd(enum way way, int algo) {
    static const int algorithms[][2] = {
        {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED},
        {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
         CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED},
        {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
         CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED}};
    return algo == algorithms[way][0] || algo == algorithms[way][1];
}

/* Compares one algorithm with the doubles; false: it is not supported. */
static bool check_conv(cudnnHandle_t handle, const struct conv_data *d, enum way way, int algo,
                       float alpha, float beta) {
    const size_t counts[] = {d->v.y_count, d->v.x_count, d->v.w_count};
    const double *const results[] = {d->y, d->dx, d->dw};
    const double terms[] = {(double)d->v.w_count / d->v.k, (double)d->v.w_count / d->v.c,
                            (double)d->v.y_count / d->v.k};
    size_t bytes, count = counts[way];
    cudnnStatus_t status = conv_workspace_bytes(handle, &d->v, way, algo, &bytes);
    if (status == CUDNN_STATUS_NOT_SUPPORTED)
        return false;
    CUDNN(status);
    double *old = random_doubles(count, -1, 1);
    float *out = device_old(old, count, beta);
    float *workspace = bytes > 0 ? device_blank(bytes / sizeof(float)) : NULL;
    CUDNN(conv_run(handle, d, way, algo, workspace, bytes, out, alpha, beta));
    check_array("output", out, blended(results[way], old, count, alpha, beta), count,
                sum_tolerance(terms[way]) * (is_winograd(way, algo) ? 20 : 1));
    return true;
}

static void convolution(void **state) {
    static const int shapes[][7] = {{2, 3, 5, 7, 4, 3, 1},  {1, 1, 3, 3, 1, 3, 0},
                                    {3, 5, 1, 1, 2, 3, 1},  {2, 4, 6, 11, 3, 1, 0},
                                    {2, 2, 9, 4, 5, 3, 2},  {4, 3, 32, 32, 8, 3, 1},
                                    {1, 2, 8, 13, 3, 5, 2}, {2, 3, 1, 9, 2, 1, 0}};
    static const int counts[] = {CUDNN_CONVOLUTION_FWD_ALGO_COUNT,
                                 CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT,
                                 CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT};
    static const float alpha_beta[][2] = {{1, 0}, {1, 1}, {0.5f, -2}};
    cudnnHandle_t handle = make_handle();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int way = FORWARD; way <= BACKWARD_FILTER; way++) {
            int supported = 0;
            for (int algo = 0; algo < counts[way]; algo++) {
                case_name("shape %zu, way %d, algorithm %d", i, way, algo);
                struct conv_data d = conv_data_make(shapes[i], CUDNN_FMA_MATH);
                const float *ab = alpha_beta[(size_t)algo % 3];
                supported += check_conv(handle, &d, (enum way)way, algo, ab[0], ab[1]);
                conv_drop(&d.v);
                free_arrays(state);
            }
            assert_in_range(supported, 3, counts[way] - 1); /* never all of them */
        }
    CUDNN(cudnnDestroy(handle));
}

/* Repeats an algorithm on the same data; returns in how many of `runs` the bits differ from the
 * first run's. */
static int differing_runs(cudnnHandle_t handle, const struct conv_data *d, enum way way, int algo,
                          size_t count) {
    enum { RUNS = 8 };
    size_t bytes;
    int differing = 0;
    const float *first = NULL;
    CUDNN(conv_workspace_bytes(handle, &d->v, way, algo, &bytes));
    float *workspace = bytes > 0 ? device_blank(bytes / sizeof(float)) : NULL;
    float *out = device_blank(count);
    for (int run = 0; run < RUNS; run++) {
        CUDNN(conv_run(handle, d, way, algo, workspace, bytes, out, 1, 0));
        const float *now = host_copy(out, count);
        first = first == NULL ? now : first;
        differing += memcmp(first, now, count * sizeof *now) != 0;
    }
    return differing;
}

static void check_varying(const int shape[7]) {
    case_name("%d images, %d to %d channels", shape[0], shape[1], shape[4]);
    cudnnHandle_t handle = make_handle();
    struct conv_data d = conv_data_make(shape, CUDNN_FMA_MATH);
    size_t x = d.v.x_count, w = d.v.w_count;
    assert_in_range(differing_runs(handle, &d, BACKWARD_DATA, CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, x),
                    3, 7);
    assert_in_range(
        differing_runs(handle, &d, BACKWARD_FILTER, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, w), 3, 7);
    assert_in_range(
        differing_runs(handle, &d, BACKWARD_FILTER, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, w), 3, 7);
    assert_int_equal(
        differing_runs(handle, &d, BACKWARD_DATA, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, x), 0);
    assert_int_equal(
        differing_runs(handle, &d, BACKWARD_FILTER, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, w), 0);
    conv_drop(&d.v);
    CUDNN(cudnnDestroy(handle));
}

static void results_that_vary(void **unused) {
    (void)unused;
    check_varying((int[]){3, 4, 8, 7, 5, 3, 1});
    check_varying((int[]){1, 2, 8, 7, 1, 3, 1}); /* only pixels and taps to reorder */
}

/* In TF32 1 + 2^-11 is 1, and 1 + 3 * 2^-11 is 1 + 2^-9: ties go to even. */
static void tf32(void **unused) {
    static const cudnnMathType_t rounding[] = {CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH,
                                               CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION};
    const double x[] = {1 + ldexp(1, -11), 1 + 3 * ldexp(1, -11), -3, INFINITY}, w[] = {1};
    const double expected[] = {1, 1 + ldexp(1, -9), -3, INFINITY};
    float out[4], *dev_x, *dev_w, *dev_y;
    (void)unused;
    case_name("tf32");
    dev_x = device_copy(x, 4);
    dev_w = device_copy(w, 1);
    dev_y = device_blank(4);
    cudnnHandle_t handle = make_handle();
    struct conv_case v = conv_make((int[]){1, 1, 1, 4, 1, 1, 0}, CUDNN_FMA_MATH);
    for (size_t i = 0; i <= 3; i++) {
        CUDNN(cudnnSetConvolutionMathType(v.conv, i < 3 ? rounding[i] : CUDNN_FMA_MATH));
        CUDNN(cudnnSetConvolution2dDescriptor(v.conv, 0, 0, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                              CUDNN_DATA_FLOAT)); /* keeps the math type */
        CUDNN(cudnnConvolutionForward(handle, &one, v.x, dev_x, v.filter, dev_w, v.conv,
                                      CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, NULL, 0, &zero, v.y,
                                      dev_y));
        memcpy(out, host_copy(dev_y, 4), sizeof out);
        for (int k = 0; k < 4; k++)
            assert_true((double)out[k] == (i < 3 ? expected[k] : x[k]));
    }
    conv_drop(&v);
    CUDNN(cudnnDestroy(handle));
}

/* The operation may use the whole workspace that it gets, however much it needs. */
static void workspace_is_overwritten(void **unused) {
    (void)unused;
    case_name("workspace");
    size_t bytes, extra = 12;
    cudnnHandle_t handle = make_handle();
    struct conv_data d = conv_data_make((int[]){2, 2, 5, 5, 3, 3, 1}, CUDNN_FMA_MATH);
    CUDNN(conv_workspace_bytes(handle, &d.v, FORWARD, CUDNN_CONVOLUTION_FWD_ALGO_GEMM, &bytes));
    size_t count = bytes / sizeof(float) + extra;
    float *workspace = device_copy(random_doubles(count + 1, -1, 1), count + 1);
    CUDNN(conv_run(handle, &d, FORWARD, CUDNN_CONVOLUTION_FWD_ALGO_GEMM, workspace,
                   count * sizeof(float), device_blank(d.v.y_count), 1, 0));
    const float *after = host_copy(workspace, count + 1);
    for (size_t i = 0; i < count; i++)
        assert_true(isnan(after[i]));
    assert_false(isnan(after[count]));
    conv_drop(&d.v);
    CUDNN(cudnnDestroy(handle));
}

/* ---- batch norm ------------------------------------------------------------------------------ */

/* Tensors of a batch norm; x is positive, so that the reference's ReLU does nothing. */
struct norm_data {
    struct norm_args a;
    struct norm_tensors t;
    size_t count, channels;
    cudnnTensorDescriptor_t x_desc, derived;
};

static struct norm_data norm_data_make(int n, int c, int h, int w) {
    struct norm_data d = {.a = {.batch = n,
                                .channels = c,
                                .pixels = h * w,
                                .training = true,
                                .activation = RELU_BEFORE,
                                .epsilon = 1e-3f,
                                .stat_momentum = 0.3f},
                          .count = (size_t)(n * c * h * w),
                          .channels = (size_t)c};
    size_t channels = d.channels;
    d.t = (struct norm_tensors){.x = random_doubles(d.count, 0.5, 2),
                                .weight = random_doubles(channels, -1, 1),
                                .bias = random_doubles(channels, -1, 1),
                                .y = doubles(d.count),
                                .mean = doubles(channels),
                                .rstd = doubles(channels),
                                .running_mean = random_doubles(channels, -1, 1),
                                .running_var = random_doubles(channels, 0.5, 1),
                                .dy = random_doubles(d.count, -1, 1),
                                .dx = doubles(d.count),
                                .dweight = doubles(channels),
                                .dbias = doubles(channels)};
    CUDNN(cudnnCreateTensorDescriptor(&d.x_desc));
    CUDNN(cudnnCreateTensorDescriptor(&d.derived));
    CUDNN(cudnnSetTensor4dDescriptor(d.x_desc, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, n, c, h, w));
    CUDNN(cudnnDeriveBNTensorDescriptor(d.derived, d.x_desc, CUDNN_BATCHNORM_SPATIAL));
    return d;
}

static void norm_data_drop(const struct norm_data *d) {
    CUDNN(cudnnDestroyTensorDescriptor(d->derived));
    CUDNN(cudnnDestroyTensorDescriptor(d->x_desc));
}

static void check_norm_forward(cudnnHandle_t handle, struct norm_data *d, float alpha, float beta) {
    size_t channels = d->channels;
    double *old = random_doubles(d->count, -1, 1);
    float *y = device_old(old, d->count, beta);
    float *mean = device_blank(channels), *rstd = device_blank(channels);
    float *running_mean = device_copy(d->t.running_mean, channels);
    float *running_var = device_copy(d->t.running_var, channels);
    CUDNN(cudnnBatchNormalizationForwardTraining(
        handle, CUDNN_BATCHNORM_SPATIAL_PERSISTENT, &alpha, &beta, d->x_desc,
        device_copy(d->t.x, d->count), d->x_desc, y, d->derived, device_copy(d->t.weight, channels),
        device_copy(d->t.bias, channels), (double)d->a.stat_momentum, running_mean, running_var,
        (double)d->a.epsilon, mean, rstd));
    reference_norm_forward(&d->t, NORM_BATCH, &d->a, 0);
    check_array("y", y, blended(d->t.y, old, d->count, alpha, beta), d->count, 1e-5);
    check_array("mean", mean, d->t.mean, channels, 1e-6);
    check_array("rstd", rstd, d->t.rstd, channels, 1e-6);
    check_array("running mean", running_mean, d->t.running_mean, channels, 1e-6);
    check_array("running variance", running_var, d->t.running_var, channels, 1e-6);
}

static void check_norm_inference(cudnnHandle_t handle, struct norm_data *d, float alpha,
                                 float beta) {
    size_t channels = d->channels;
    double *old = random_doubles(d->count, -1, 1);
    float *y = device_old(old, d->count, beta);
    d->a.training = false;
    reference_norm_forward(&d->t, NORM_BATCH, &d->a, 0);
    CUDNN(cudnnBatchNormalizationForwardInference(
        handle, CUDNN_BATCHNORM_SPATIAL, &alpha, &beta, d->x_desc, device_copy(d->t.x, d->count),
        d->x_desc, y, d->derived, device_copy(d->t.weight, channels),
        device_copy(d->t.bias, channels), device_copy(d->t.running_mean, channels),
        device_copy(d->t.running_var, channels), (double)d->a.epsilon));
    check_array("y", y, blended(d->t.y, old, d->count, alpha, beta), d->count, 1e-5);
}

/* With the saved statistics, and without. */
static void check_norm_backward(cudnnHandle_t handle, struct norm_data *d, bool saved, float alpha,
                                float beta) {
    size_t channels = d->channels;
    double *old = random_doubles(d->count, -1, 1),
           *old_parameters = random_doubles(channels, -1, 1);
    float *dx = device_old(old, d->count, alpha == 1 ? 0 : 1), data_beta = alpha == 1 ? 0 : 1;
    float *dweight = device_old(old_parameters, channels, beta);
    float *dbias = device_old(old_parameters, channels, beta);
    CUDNN(cudnnBatchNormalizationBackward(
        handle, CUDNN_BATCHNORM_SPATIAL, &alpha, &data_beta, &one, &beta, d->x_desc,
        device_copy(d->t.x, d->count), d->x_desc, device_copy(d->t.dy, d->count), d->x_desc, dx,
        d->derived, device_copy(d->t.weight, channels), dweight, dbias, (double)d->a.epsilon,
        saved ? device_copy(d->t.mean, channels) : NULL,
        saved ? device_copy(d->t.rstd, channels) : NULL));
    reference_norm_backward(&d->t, NORM_BATCH, &d->a, 0);
    check_array("dx", dx, blended(d->t.dx, old, d->count, alpha, data_beta), d->count, 1e-5);
    check_array("dweight", dweight, blended(d->t.dweight, old_parameters, channels, 1, beta),
                channels, 1e-4);
    check_array("dbias", dbias, blended(d->t.dbias, old_parameters, channels, 1, beta), channels,
                1e-4);
}

static void batch_norm(void **state) {
    static const int shapes[][4] = {
        {2, 3, 5, 7}, {3, 1, 1, 1}, {1, 4, 2, 1}, {7, 5, 3, 3}, {16, 8, 7, 7}};
    cudnnHandle_t handle = make_handle();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int blends = 0; blends <= 1; blends++) {
            const int *s = shapes[i];
            float alpha = blends ? 0.5f : 1, beta = blends ? 2 : 0;
            case_name("batch norm %d x %d x %d x %d, alpha %g", s[0], s[1], s[2], s[3],
                      (double)alpha);
            struct norm_data d = norm_data_make(s[0], s[1], s[2], s[3]);
            check_norm_forward(handle, &d, alpha, beta);
            check_norm_backward(handle, &d, blends, alpha, beta);
            check_norm_inference(handle, &d, alpha, beta);
            norm_data_drop(&d);
            free_arrays(state);
        }
    CUDNN(cudnnDestroy(handle));
}

/* ---- streams and graphs ---------------------------------------------------------------------- */

/* Work is queued: shapes and scalars are read at the call, the data when it runs. */
static void asynchronous(void **unused) {
    const double before[] = {1, 2, 3}, after[] = {10, 20, 30}, w[] = {4}, expected[] = {20, 40, 60};
    float alpha = 0.5f;
    (void)unused;
    case_name("asynchronous");
    cudasim_set_order(CUDASIM_LATEST);
    cudnnHandle_t handle = make_handle();
    struct conv_case v = conv_make((int[]){1, 1, 1, 3, 1, 1, 0}, CUDNN_FMA_MATH);
    float *x = device_copy(before, 3), *source = device_copy(after, 3), *y = device_blank(3);
    const float *filter = device_copy(w, 1);
    CUDA(cudaMemcpyAsync(x, source, 3 * sizeof(float), cudaMemcpyDeviceToDevice, stream));
    CUDNN(cudnnConvolutionForward(handle, &alpha, v.x, x, v.filter, filter, v.conv,
                                  CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, NULL, 0, &zero, v.y,
                                  y));
    alpha = 100;
    conv_drop(&v);
    CUDA(cudaStreamSynchronize(stream));
    check_array("y", y, expected, 3, 0);
    CUDNN(cudnnDestroy(handle));
}

/* A convolution and a product captured into a graph and replayed: sums of 1, 2 and 3 runs. */
static void captured(void **unused) {
    const double w[] = {2};
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    (void)unused;
    case_name("captured");
    cudnnHandle_t handle = make_handle();
    struct conv_case v = conv_make((int[]){1, 1, 1, 1, 1, 1, 0}, CUDNN_FMA_MATH);
    const float *x = device_copy(w, 1);
    float *y = device_copy((double[]){0}, 1), *z = device_copy((double[]){0}, 1);
    cublasHandle_t blas = make_blas();
    CUBLAS(cublasSetWorkspace(blas, device_room(4096), 4096));
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CUDNN(cudnnConvolutionForward(handle, &one, v.x, x, v.filter, x, v.conv,
                                  CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, NULL, 0, &one, v.y, y));
    CUBLAS(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, x, 1, x, 1, &one, z, 1));
    CUDA(cudaStreamEndCapture(stream, &graph));
    assert_true(*host_copy(y, 1) == 0);
    CUDA(cudaGraphInstantiate(&exec, graph, 0));
    for (int run = 1; run <= 3; run++) {
        CUDA(cudaGraphLaunch(exec, stream));
        assert_true(*host_copy(y, 1) == 4 * (float)run);
        assert_true(*host_copy(z, 1) == 4 * (float)run);
    }
    CUDA(cudaGraphExecDestroy(exec));
    CUDA(cudaGraphDestroy(graph));
    CUBLAS(cublasDestroy(blas));
    CUDNN(cudnnDestroy(handle));
    conv_drop(&v);
}

/* The gradients of a convolution, as branches of a graph: the filter's on a stream that joined the
 * capture. */
struct gradients {
    cudnnHandle_t handle;
    cublasHandle_t blas;
    struct conv_data d;
    cudaStream_t side;
    cudaEvent_t event;
    float *dx, *dw, *product;
    void *workspaces[2];
    size_t bytes[2];
};

static struct gradients gradients_make(int filter_algo) {
    struct gradients g = {.handle = make_handle(), .blas = make_blas()};
    g.d = conv_data_make((int[]){3, 4, 8, 7, 5, 3, 1}, CUDNN_FMA_MATH);
    CUDA(cudaStreamCreateWithFlags(&g.side, cudaStreamNonBlocking));
    CUDA(cudaEventCreateWithFlags(&g.event, cudaEventDisableTiming));
    CUDNN(conv_workspace_bytes(g.handle, &g.d.v, BACKWARD_DATA, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                               &g.bytes[0]));
    CUDNN(conv_workspace_bytes(g.handle, &g.d.v, BACKWARD_FILTER, filter_algo, &g.bytes[1]));
    for (int i = 0; i < 2; i++)
        g.workspaces[i] = device_room(g.bytes[i] + 256);
    g.dx = device_blank(g.d.v.x_count);
    g.dw = device_blank(g.d.v.w_count);
    g.product = device_blank(1);
    return g;
}

static void gradients_drop(const struct gradients *g) {
    CUDA(cudaStreamDestroy(g->side));
    CUDA(cudaEventDestroy(g->event));
    CUBLAS(cublasDestroy(g->blas));
    CUDNN(cudnnDestroy(g->handle));
    conv_drop(&g->d.v);
}

static void on_side(const struct gradients *g, int filter_algo, void *workspace) {
    CUDA(cudaEventRecord(g->event, stream));
    CUDA(cudaStreamWaitEvent(g->side, g->event, 0));
    CUDNN(cudnnSetStream(g->handle, g->side));
    CUDNN(conv_run(g->handle, &g->d, BACKWARD_FILTER, filter_algo, workspace, g->bytes[1], g->dw, 1,
                   0));
    CUDNN(cudnnSetStream(g->handle, stream));
}

static void gradients_run(const struct gradients *g, int filter_algo, void *side_workspace) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUBLAS(cublasSetStream(g->blas, g->side));
    CUBLAS(cublasSetWorkspace(g->blas, device_room(4096), 4096));
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    on_side(g, filter_algo, side_workspace);
    CUBLAS(cublasSgemm(g->blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, g->d.dev_x, 1, g->d.dev_x,
                       1, &zero, g->product, 1));
    CUDNN(conv_run(g->handle, &g->d, BACKWARD_DATA, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                   g->workspaces[0], g->bytes[0], g->dx, 1, 0));
    CUDA(cudaEventRecord(g->event, g->side));
    CUDA(cudaStreamWaitEvent(stream, g->event, 0));
    CUDA(cudaStreamEndCapture(stream, &graph));
    CUDA(cudaGraphInstantiate(&exec, graph, 0));
    CUDA(cudaGraphDestroy(graph));
    assert_int_equal(cudasim_counts().graph_nodes, 3);
    assert_int_equal(cudasim_counts().graph_chain, 2);
    CUDA(cudaGraphLaunch(exec, stream));
    CUDA(cudaStreamSynchronize(stream));
    CUDA(cudaGraphExecDestroy(exec));
}

/* ALGO_0 sums in another order each time, which is no fault of the branches. */
static void captured_on_two_streams(void **state) {
    static const int algos[] = {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                                CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0};
    for (int order = CUDASIM_LATEST; order <= CUDASIM_OTHER; order++)
        for (int i = 0; i < 2; i++) {
            case_name("order %d, algorithm %d", order, algos[i]);
            cudasim_set_order((enum cudasim_order)order);
            struct gradients g = gradients_make(algos[i]);
            const double square = (double)(float)g.d.x[0] * (float)g.d.x[0];
            for (int run = 0; run < 2; run++)
                gradients_run(&g, algos[i], g.workspaces[1]);
            check_array("dx", g.dx, g.d.dx, g.d.v.x_count, sum_tolerance(36));
            check_array("dw", g.dw, g.d.dw, g.d.v.w_count, sum_tolerance(168));
            check_array("product", g.product, &square, 1, 1e-6);
            gradients_drop(&g);
            free_arrays(state);
        }
    cudasim_set_order(CUDASIM_LATEST);
}

static void share_workspace(void *argument) {
    const struct gradients *g = argument;
    gradients_run(g, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, g->workspaces[0]);
}

static void two_streams_with_one_workspace(void **unused) {
    (void)unused;
    case_name("one workspace");
    struct gradients g = gradients_make(CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1);
    assert_in_range(g.bytes[1], 1, g.bytes[0] + 256);
    assert_aborts(share_workspace, &g,
                  "cudnnConvolutionBackwardFilter (the workspace) and cudnnConvolutionBackwardData "
                  "(the workspace) are captured in streams that no event orders, and use the same "
                  "memory: device allocation");
    gradients_drop(&g);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, free_arrays)
    const struct CMUnitTest tests[] = {
        TEST(convolution),
        TEST(results_that_vary),
        TEST(tf32),
        TEST(workspace_is_overwritten),
        TEST(batch_norm),
        TEST(asynchronous),
        TEST(captured),
        TEST(captured_on_two_streams),
        TEST(two_streams_with_one_workspace),
    };
    return cmocka_run_group_tests(tests, stream_make, stream_drop);
}
