// cublas.cpp: the stand-in for cuBLAS: handles, the workspace, one matrix product.
#include "library.hpp"

#include <cublas_v2.h>

#include <algorithm>
#include <deque>

using namespace cudasim;

struct cublasContext {
    cudaStream_t stream;
    cublasMath_t math;
    void *own_workspace; // device memory, as in the real handle
    void *workspace;     // the caller's, or NULL
    size_t workspace_bytes;
};

static const char *const HANDLE = "cuBLAS handle";

enum { OWN_WORKSPACE_BYTES = 1 << 16, WORKSPACE_ALIGNMENT = 256 };

// Handles stay here after they are destroyed, so that a later use of one is noticed.
static struct { std::deque<cublasContext> handles; } state;

// ---- status -------------------------------------------------------------------------------------

struct status_text {
    cublasStatus_t status;
    const char *name, *text;
};

static const status_text status_texts[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED",
     "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "an unsupported value was given"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH",
     "the device lacks what this needs"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR",
     "device memory could not be accessed"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the device program failed"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "this is not supported"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "a license could not be checked"},
};

static const status_text *text_of(int status) {
    for (const status_text &t : status_texts)
        if (t.status == status)
            return &t;
    return nullptr;
}

const char *cublasGetStatusName(cublasStatus_t status) {
    const status_text *t = text_of(status);
    return t != nullptr ? t->name : "unknown cuBLAS status";
}

const char *cublasGetStatusString(cublasStatus_t status) {
    const status_text *t = text_of(status);
    return t != nullptr ? t->text : "unknown cuBLAS status";
}

static cublasStatus_t enter() {
    int status;
    if (!library_call_fails(&status, "a call of cuBLAS"))
        return CUBLAS_STATUS_SUCCESS;
    return status == 0 || text_of(status) == nullptr ? CUBLAS_STATUS_EXECUTION_FAILED
                                                     : (cublasStatus_t)status;
}

static cublasStatus_t exists(const char *call, cublasHandle_t handle) {
    if (handle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!handle_exists(handle, HANDLE))
        fail("%s: cuBLAS handle %p does not exist, or no longer", call, (void *)handle);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t enter(const char *call, cublasHandle_t handle) {
    if (cublasStatus_t status = enter())
        return status;
    return exists(call, handle);
}

// ---- handle -------------------------------------------------------------------------------------

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
    if (cublasStatus_t status = enter())
        return status;
    if (handle == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    void *workspace; // refused while a stream is captured, as cuBLAS's own allocations are
    if (cudaMalloc(&workspace, OWN_WORKSPACE_BYTES) != cudaSuccess)
        return CUBLAS_STATUS_ALLOC_FAILED;
    state.handles.push_back({nullptr, CUBLAS_DEFAULT_MATH, workspace, nullptr, 0});
    *handle = &state.handles.back();
    handle_made(*handle, HANDLE);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    if (cublasStatus_t status = exists("cublasDestroy", handle))
        return status;
    handle_gone(handle, HANDLE);
    return cudaFree(handle->own_workspace) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                          : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version) {
    if (cublasStatus_t status = enter("cublasGetVersion", handle))
        return status;
    if (version == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

// Takes the caller's workspace away, as the documentation of cublasSetStream says.
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    if (cublasStatus_t status = enter("cublasSetStream", handle))
        return status;
    if (!stream_exists(stream))
        fail("cublasSetStream: stream %p does not exist, or no longer", (void *)stream);
    handle->stream = stream;
    handle->workspace = nullptr;
    handle->workspace_bytes = 0;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
    if (cublasStatus_t status = enter("cublasSetWorkspace", handle))
        return status;
    if ((size_t)workspace % WORKSPACE_ALIGNMENT != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes > 0 && !on_device(workspace, bytes))
        fail("cublasSetWorkspace: %p (%zu bytes) does not lie inside one allocation of device "
             "memory",
             workspace, bytes);
    handle->workspace = bytes > 0 ? workspace : nullptr;
    handle->workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    if (cublasStatus_t status = enter("cublasSetMathMode", handle))
        return status;
    switch ((int)mode & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) {
    case CUBLAS_DEFAULT_MATH:
    case CUBLAS_TENSOR_OP_MATH:
    case CUBLAS_PEDANTIC_MATH:
    case CUBLAS_TF32_TENSOR_OP_MATH:
    case CUBLAS_FP32_EMULATED_BF16X9_MATH:
    case CUBLAS_FP64_EMULATED_FIXEDPOINT_MATH:
        handle->math = mode;
        return CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

// Whether inputs are rounded to 10 bits of mantissa.
static bool rounds(cublasMath_t mode) {
    int kind = (int)mode & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    return kind == CUBLAS_TF32_TENSOR_OP_MATH || kind == CUBLAS_TENSOR_OP_MATH;
}

// ---- the product --------------------------------------------------------------------------------

struct matrix {
    const float *data; // column by column, `stride` floats apart
    int rows, columns, stride;

    size_t span() const { // from the first to the last element
        return rows == 0 || columns == 0 ? 0
                                         : (size_t)(columns - 1) * (size_t)stride + (size_t)rows;
    }
};

static bool is_operation(cublasOperation_t op) {
    return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C;
}

// The matrix whose op is rows x columns.
static matrix before(cublasOperation_t op, const float *data, int rows, int columns, int stride) {
    if (op == CUBLAS_OP_N)
        return {data, rows, columns, stride};
    return {data, columns, rows, stride};
}

static float element(const matrix &a, cublasOperation_t op, int row, int column) {
    if (op != CUBLAS_OP_N)
        std::swap(row, column);
    return a.data[(size_t)column * (size_t)a.stride + (size_t)row];
}

struct product {
    int m, n, k;
    cublasOperation_t a_op, b_op;
    matrix a, b;
    float alpha, beta;
    float *c;
    int c_stride;
    bool tf32;
};

// Sums in double: no order of float32 sums is the right one.
static void multiply(const product &p) {
    for (int column = 0; column < p.n; column++)
        for (int row = 0; row < p.m; row++) {
            double sum = 0;
            for (int i = 0; i < p.k && p.alpha != 0; i++) {
                float a = element(p.a, p.a_op, row, i), b = element(p.b, p.b_op, i, column);
                sum += p.tf32 ? (double)to_tf32(a) * to_tf32(b) : (double)a * b;
            }
            float *c = p.c + (size_t)column * (size_t)p.c_stride + row;
            *c = (float)(p.alpha * sum + (p.beta == 0 ? 0 : (double)p.beta * *c));
        }
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa,
                              cublasOperation_t transb, int m, int n, int k, const float *alpha,
                              const float *A, int lda, const float *B, int ldb, const float *beta,
                              float *C, int ldc) {
    const char *call = "cublasSgemm";
    if (cublasStatus_t status = enter(call, handle))
        return status;
    if (!is_operation(transa) || !is_operation(transb) || m < 0 || n < 0 || k < 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    matrix a = before(transa, A, m, k, lda), b = before(transb, B, k, n, ldb), c = {C, m, n, ldc};
    for (const matrix &x : {a, b, c})
        if (x.stride < std::max(1, x.rows))
            return CUBLAS_STATUS_INVALID_VALUE;
    if (alpha == nullptr || beta == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (m == 0 || n == 0)
        return CUBLAS_STATUS_SUCCESS;
    if (capturing(handle->stream) && handle->workspace == nullptr)
        fail("cublasSgemm: while a stream is captured cuBLAS would allocate a workspace: call "
             "cublasSetWorkspace, after "
             "cublasSetStream");
    product p = {m, n, k, transa, transb, a, b, *alpha, *beta, C, ldc, rounds(handle->math)};
    bool reads = *alpha != 0;
    std::vector<span> spans = {
        floats_in("A", A, reads ? a.span() : 0),
        floats_in("B", B, reads ? b.span() : 0),
        floats_out("C", C, c.span()),
        {"the workspace", handle->workspace, handle->workspace_bytes, WORKSPACE_ALIGNMENT, true}};
    enqueue_on(handle->stream, call, spans, [p] { multiply(p); });
    return CUBLAS_STATUS_SUCCESS;
}
