// cudnn_convolution.cpp: the stand-in for cuDNN: the calls that describe and run a convolution.
#include "cudnn_internal.hpp"

#include <cstring>

using namespace cudasim;

static unsigned
    calls_without_order; // of algorithms that are not deterministic; each sums in another order

// ---- whether descriptors fit one another --------------------------------------------------------

static int out_size(int in, int pad, int filter, int dilation, int stride) {
    int reach = in + 2 * pad - ((filter - 1) * dilation + 1);
    return reach < 0 ? 0 : reach / stride + 1;
}

static cudnnStatus_t check_types(const char *call, const shape &x, const shape &w, const shape &y,
                                 const cudnnConvolutionStruct &convolution) {
    if (x.type != w.type || x.type != y.type)
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: data types %d, %d and %d differ", call,
                      (int)x.type, (int)w.type, (int)y.type);
    if (x.type != CUDNN_DATA_FLOAT || convolution.compute_type != CUDNN_DATA_FLOAT)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "%s: data type %d, compute type %d",
                      call, (int)x.type, (int)convolution.compute_type);
    if (x.format != CUDNN_TENSOR_NCHW || w.format != CUDNN_TENSOR_NCHW ||
        y.format != CUDNN_TENSOR_NCHW)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "%s: a format other than NCHW", call);
    return CUDNN_STATUS_SUCCESS;
}

// Features of cuDNN that this project does not use.
static cudnnStatus_t check_kind(const char *call, const shape &w, const cudnnConvolutionStruct &c) {
    if (c.mode != CUDNN_CROSS_CORRELATION)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "%s: the stand-in has no CUDNN_CONVOLUTION",
                      call);
    if (c.stride_h != 1 || c.stride_w != 1 || c.dilation_h != 1 || c.dilation_w != 1)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED,
                      "%s: the stand-in has strides and dilations of 1 only", call);
    if (c.pad_h >= w.h || c.pad_w >= w.w)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED_PADDING,
                      "%s: the stand-in has no padding as wide as the filter", call);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudasim::problem_of(problem *p, const char *call, const cudnnTensorStruct *x,
                                  const cudnnFilterStruct *w,
                                  const cudnnConvolutionStruct *convolution,
                                  const cudnnTensorStruct *y) {
    if (cudnnStatus_t status = known(call, x))
        return status;
    if (cudnnStatus_t status = known(call, w))
        return status;
    if (cudnnStatus_t status = known(call, convolution))
        return status;
    if (cudnnStatus_t status = known(call, y))
        return status;
    if (cudnnStatus_t status = check_types(call, *x, *w, *y, *convolution))
        return status;
    const cudnnConvolutionStruct &c = *convolution;
    int out_h = out_size(x->h, c.pad_h, w->h, c.dilation_h, c.stride_h);
    int out_w = out_size(x->w, c.pad_w, w->w, c.dilation_w, c.stride_w);
    if (x->c != w->c || y->n != x->n || y->c != w->n || y->h != out_h || y->w != out_w)
        return refuse(
            CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
            "%s: x %d x %d x %d x %d and filters %d x %d x %d x %d give maps of %d x %d; y is "
            "%d x %d x %d x %d",
            call, x->n, x->c, x->h, x->w, w->n, w->c, w->h, w->w, out_h, out_w, y->n, y->c, y->h,
            y->w);
    if (cudnnStatus_t status = check_kind(call, *w, c))
        return status;
    *p = {x->n, x->c, x->h, x->w, w->n, w->h, w->w, c.pad_h, c.pad_w, out_h, out_w, c.math, false};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t convolution,
                                                    const cudnnTensorDescriptor_t x,
                                                    const cudnnFilterDescriptor_t w, int *n, int *c,
                                                    int *out_h, int *out_w) {
    const char *call = "cudnnGetConvolution2dForwardOutputDim";
    if (cudnnStatus_t status = enter(call))
        return status;
    if (cudnnStatus_t status = known(call, convolution))
        return status;
    if (cudnnStatus_t status = known(call, x))
        return status;
    if (cudnnStatus_t status = known(call, w))
        return status;
    if (n == nullptr || c == nullptr || out_h == nullptr || out_w == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: nowhere to put the dimensions",
                      call);
    int h =
        out_size(x->h, convolution->pad_h, w->h, convolution->dilation_h, convolution->stride_h);
    int v =
        out_size(x->w, convolution->pad_w, w->w, convolution->dilation_w, convolution->stride_w);
    if (x->c != w->c || h < 1 || v < 1)
        return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
                      "%s: no output: %d channels for %d, maps of %d x %d", call, x->c, w->c, h, v);
    *n = x->n;
    *c = w->n;
    *out_h = h;
    *out_w = v;
    return CUDNN_STATUS_SUCCESS;
}

// ---- workspace ----------------------------------------------------------------------------------

static cudnnStatus_t check_algorithm(algorithm *out, const char *call, const problem &p,
                                     direction direction, int algo) {
    *out = algorithm_for(p, direction, algo);
    if (out->status != CUDNN_STATUS_SUCCESS)
        return refuse(out->status, "%s: algorithm %d: %s", call, algo, out->reason);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t workspace_size(const char *call, cudnnHandle_t handle,
                                    const cudnnTensorStruct *x, const cudnnFilterStruct *w,
                                    const cudnnConvolutionStruct *convolution,
                                    const cudnnTensorStruct *y, direction direction, int algo,
                                    size_t *bytes) {
    problem p;
    algorithm a;
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (bytes == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: nowhere to put the size", call);
    if (cudnnStatus_t status = problem_of(&p, call, x, w, convolution, y))
        return status;
    if (cudnnStatus_t status = check_algorithm(&a, call, p, direction, algo))
        return status;
    *bytes = a.workspace;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t y,
    cudnnConvolutionFwdAlgo_t algo, size_t *bytes) {
    return workspace_size("cudnnGetConvolutionForwardWorkspaceSize", handle, x, w, convolution, y,
                          FORWARD, algo, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnTensorDescriptor_t dx,
    cudnnConvolutionBwdDataAlgo_t algo, size_t *bytes) {
    return workspace_size("cudnnGetConvolutionBackwardDataWorkspaceSize", handle, dx, w,
                          convolution, dy, BACKWARD_DATA, algo, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t convolution, const cudnnFilterDescriptor_t dw,
    cudnnConvolutionBwdFilterAlgo_t algo, size_t *bytes) {
    return workspace_size("cudnnGetConvolutionBackwardFilterWorkspaceSize", handle, x, dw,
                          convolution, dy, BACKWARD_FILTER, algo, bytes);
}

// ---- running ------------------------------------------------------------------------------------

// The common part of the three operations.
struct operation {
    const char *call;
    cudnnHandle_t handle;
    direction way;
    int algo;
    void *workspace;
    size_t workspace_bytes;
    problem p;
    algorithm a;
    blend scale;
};

// alpha and beta are floats on the host, read now.
static cudnnStatus_t begin(operation *op, const void *alpha, const void *beta,
                           const cudnnTensorStruct *x, const cudnnFilterStruct *w,
                           const cudnnConvolutionStruct *convolution, const cudnnTensorStruct *y,
                           std::initializer_list<const void *> data) {
    if (cudnnStatus_t status = enter(op->call, op->handle))
        return status;
    if (alpha == nullptr || beta == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: alpha or beta is NULL", op->call);
    for (const void *pointer : data)
        if (pointer == nullptr)
            return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: a tensor is NULL", op->call);
    if (cudnnStatus_t status = problem_of(&op->p, op->call, x, w, convolution, y))
        return status;
    if (cudnnStatus_t status = check_algorithm(&op->a, op->call, op->p, op->way, op->algo))
        return status;
    if (op->a.workspace > 0 && (op->workspace == nullptr || op->workspace_bytes < op->a.workspace))
        return refuse(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                      "%s: algorithm %d needs %zu bytes of workspace, not %zu", op->call, op->algo,
                      op->a.workspace, op->workspace == nullptr ? 0 : op->workspace_bytes);
    op->p.winograd = op->a.winograd;
    op->scale = {*(const float *)alpha, *(const float *)beta};
    return CUDNN_STATUS_SUCCESS;
}

// Overwrites the whole workspace, which belongs to the operation, and runs `loops`.
static cudnnStatus_t run(const operation &op, std::vector<span> spans,
                         std::function<void(unsigned order)> loops) {
    void *workspace = op.workspace;
    size_t bytes = workspace == nullptr ? 0 : op.workspace_bytes;
    spans.push_back({"the workspace", workspace, bytes, 16, true});
    bool deterministic = op.a.deterministic;
    enqueue_on(op.handle->stream, op.call, std::move(spans),
               [workspace, bytes, deterministic, loops] {
                   if (bytes > 0)
                       memset(workspace, 0xff, bytes); // NaN as floats
                   if (!deterministic)
                       results_vary();
                   loops(deterministic ? 0 : ++calls_without_order);
               });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                      const cudnnTensorDescriptor_t x_desc, const void *x,
                                      const cudnnFilterDescriptor_t w_desc, const void *w,
                                      const cudnnConvolutionDescriptor_t convolution,
                                      cudnnConvolutionFwdAlgo_t algo, void *workspace,
                                      size_t workspace_bytes, const void *beta,
                                      const cudnnTensorDescriptor_t y_desc, void *y) {
    operation op = {"cudnnConvolutionForward", handle, FORWARD, algo, workspace,
                    workspace_bytes,           {},     {},      {}};
    if (cudnnStatus_t status =
            begin(&op, alpha, beta, x_desc, w_desc, convolution, y_desc, {x, w, y}))
        return status;
    problem p = op.p;
    blend scale = op.scale;
    return run(
        op,
        {floats_in("x", x, p.x_count()), floats_in("w", w, p.w_count()),
         floats_out("y", y, p.y_count())},
        [=](unsigned) { convolve((float *)y, (const float *)x, (const float *)w, p, scale); });
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
                                           const cudnnFilterDescriptor_t w_desc, const void *w,
                                           const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                           const cudnnConvolutionDescriptor_t convolution,
                                           cudnnConvolutionBwdDataAlgo_t algo, void *workspace,
                                           size_t workspace_bytes, const void *beta,
                                           const cudnnTensorDescriptor_t dx_desc, void *dx) {
    operation op = {"cudnnConvolutionBackwardData",
                    handle,
                    BACKWARD_DATA,
                    algo,
                    workspace,
                    workspace_bytes,
                    {},
                    {},
                    {}};
    if (cudnnStatus_t status =
            begin(&op, alpha, beta, dx_desc, w_desc, convolution, dy_desc, {w, dy, dx}))
        return status;
    problem p = op.p;
    blend scale = op.scale;
    return run(op,
               {floats_in("w", w, p.w_count()), floats_in("dy", dy, p.y_count()),
                floats_out("dx", dx, p.x_count())},
               [=](unsigned order) {
                   convolve_backward_data((float *)dx, (const float *)w, (const float *)dy, p,
                                          scale, order);
               });
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
                                             const cudnnTensorDescriptor_t x_desc, const void *x,
                                             const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                             const cudnnConvolutionDescriptor_t convolution,
                                             cudnnConvolutionBwdFilterAlgo_t algo, void *workspace,
                                             size_t workspace_bytes, const void *beta,
                                             const cudnnFilterDescriptor_t dw_desc, void *dw) {
    operation op = {"cudnnConvolutionBackwardFilter",
                    handle,
                    BACKWARD_FILTER,
                    algo,
                    workspace,
                    workspace_bytes,
                    {},
                    {},
                    {}};
    if (cudnnStatus_t status =
            begin(&op, alpha, beta, x_desc, dw_desc, convolution, dy_desc, {x, dy, dw}))
        return status;
    problem p = op.p;
    blend scale = op.scale;
    return run(op,
               {floats_in("x", x, p.x_count()), floats_in("dy", dy, p.y_count()),
                floats_out("dw", dw, p.w_count())},
               [=](unsigned order) {
                   convolve_backward_filter((float *)dw, (const float *)x, (const float *)dy, p,
                                            scale, order);
               });
}
