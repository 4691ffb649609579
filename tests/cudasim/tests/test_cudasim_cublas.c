/* test_cudasim_cublas.c: the stand-in for cuBLAS: matrix products against doubles, refusals and
 * aborts; and the parts shared with the stand-in for cuDNN: handles, failures on request. */
#include "library_fixture.h"

#include <math.h>

/* ---- matrix products ------------------------------------------------------------------------- */

/* op(A) op(B), in doubles; column by column. */
static double product_at(const double *a, int lda, bool ta, const double *b, int ldb, bool tb,
                         int row, int column, int k) {
    double sum = 0;
    for (int i = 0; i < k; i++)
        sum += a[ta ? row * lda + i : i * lda + row] * b[tb ? i * ldb + column : column * ldb + i];
    return sum;
}

static void check_product(cublasHandle_t handle, const int s[3], bool ta, bool tb, float alpha,
                          float beta) {
    int m = s[0], n = s[1], k = s[2], lda = (ta ? k : m) + 1, ldb = (tb ? n : k) + 2, ldc = m + 3;
    size_t a_count = (size_t)(lda * (ta ? m : k)), b_count = (size_t)(ldb * (tb ? k : n));
    size_t c_count = (size_t)(ldc * n);
    double *a = random_doubles(a_count, -1, 1), *b = random_doubles(b_count, -1, 1);
    double *c = random_doubles(c_count, -1, 1);
    float *device_c = device_copy(c, c_count);
    CUBLAS(cublasSgemm(handle, ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n,
                       k, &alpha, device_copy(a, a_count), lda, device_copy(b, b_count), ldb, &beta,
                       device_c, ldc));
    for (int column = 0; column < n; column++)
        for (int row = 0; row < m; row++) {
            double *at = c + column * ldc + row;
            *at = (double)alpha * product_at(a, lda, ta, b, ldb, tb, row, column, k) +
                  (double)beta * *at;
        }
    check_array("C", device_c, c, c_count, 1e-6); /* the gaps between its columns, too */
}

static void matrix_products(void **state) {
    static const int shapes[][3] = {{1, 1, 1}, {10, 17, 32}, {5, 3, 0}, {33, 2, 7}};
    cublasHandle_t handle = make_blas();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int ops = 0; ops < 4; ops++) {
            case_name("product %zu, ops %d", i, ops);
            check_product(handle, shapes[i], ops & 1, ops & 2, 1, 0);
            check_product(handle, shapes[i], ops & 1, ops & 2, -0.5f, 2);
            free_arrays(state);
        }
    CUBLAS(cublasDestroy(handle));
}

/* With beta 0, C is not read; only the TF32 mode rounds. */
static void product_modes(void **unused) {
    const double a[] = {1 + ldexp(1, -11)}, b[] = {1};
    (void)unused;
    case_name("modes");
    const float *device_a = device_copy(a, 1), *device_b = device_copy(b, 1);
    float *c = device_blank(1);
    cublasHandle_t handle = make_blas();
    for (int mode = CUBLAS_DEFAULT_MATH; mode <= CUBLAS_TF32_TENSOR_OP_MATH; mode++) {
        if (mode == CUBLAS_TENSOR_OP_MATH)
            continue;
        CUBLAS(cublasSetMathMode(handle, (cublasMath_t)mode));
        CUBLAS(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, device_a, 1, device_b,
                           1, &zero, c, 1));
        assert_true((double)*host_copy(c, 1) == (mode == CUBLAS_TF32_TENSOR_OP_MATH ? 1 : a[0]));
    }
    CUBLAS(cublasDestroy(handle));
}

/* ---- refusals and aborts --------------------------------------------------------------------- */

struct gemm_call {
    cublasHandle_t handle;
    cublasOperation_t ta, tb;
    int m, n, k;
    const float *alpha, *a;
    int lda;
    const float *b;
    int ldb;
    const float *beta;
    float *c;
    int ldc;
};

static cublasStatus_t gemm(const struct gemm_call *g) {
    return cublasSgemm(g->handle, g->ta, g->tb, g->m, g->n, g->k, g->alpha, g->a, g->lda, g->b,
                       g->ldb, g->beta, g->c, g->ldc);
}

static void run_gemm(void *call) {
    if (gemm(call) == CUBLAS_STATUS_SUCCESS && cudaDeviceSynchronize() == cudaSuccess)
        fputs("nothing was noticed\n", stderr);
}

#define GEMM_SPOILED(status, member, value)                                                        \
    do {                                                                                           \
        struct gemm_call spoiled = g;                                                              \
        spoiled.member = (value);                                                                  \
        assert_int_equal(gemm(&spoiled), status);                                                  \
    } while (0)

static void gemm_arguments(void **unused) {
    (void)unused;
    case_name("gemm arguments");
    float *c = device_blank(12), *a = device_blank(20), *b = device_blank(15);
    struct gemm_call g = {make_blas(), CUBLAS_OP_N, CUBLAS_OP_T, 4, 3,     5, &one,
                          a,           4,           b,           3, &zero, c, 4};
    CUBLAS(gemm(&g));
    GEMM_SPOILED(CUBLAS_STATUS_NOT_INITIALIZED, handle, NULL);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, ta, (cublasOperation_t)5);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, m, -1);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, k, -1);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, lda, 3);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, ldb, 2);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, ldc, 3);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, tb, CUBLAS_OP_N); /* ldb would have to be 5 */
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, alpha, NULL);
    GEMM_SPOILED(CUBLAS_STATUS_INVALID_VALUE, beta, NULL);
    GEMM_SPOILED(CUBLAS_STATUS_SUCCESS, n, 0);
    GEMM_SPOILED(CUBLAS_STATUS_SUCCESS, c, device_blank(12));
    struct gemm_call aborted = g;
    aborted.a = NULL;
    assert_aborts(run_gemm, &aborted, "A (");
    aborted = g;
    aborted.ldb = 4; /* B would have to be longer */
    assert_aborts(run_gemm, &aborted, "B (");
    aborted = g;
    aborted.c = a;
    assert_aborts(run_gemm, &aborted, "A and C overlap");
    cublasHandle_t gone = make_blas();
    CUBLAS(cublasDestroy(gone));
    aborted = g;
    aborted.handle = gone;
    assert_aborts(run_gemm, &aborted, "does not exist");
    assert_int_equal(cublasSetMathMode(g.handle, (cublasMath_t)5), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(cublasSetWorkspace(g.handle, (char *)a + 4, 4), CUBLAS_STATUS_INVALID_VALUE);
    CUBLAS(cublasDestroy(g.handle));
}

/* cublasSetStream takes the workspace away; a captured product must not allocate its own. */
static void gemm_workspace(void **unused) {
    cudaGraph_t graph;
    int version;
    (void)unused;
    case_name("gemm workspace");
    float *c = device_blank(1), *a = device_blank(1);
    void *workspace = device_room(4096);
    struct gemm_call g = {make_blas(), CUBLAS_OP_N, CUBLAS_OP_N, 1, 1,     1, &one,
                          a,           1,           a,           1, &zero, c, 1};
    CUBLAS(cublasGetVersion(g.handle, &version));
    assert_int_equal(version, CUBLAS_VERSION);
    CUBLAS(cublasSetWorkspace(g.handle, workspace, 4096));
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CUBLAS(gemm(&g));
    CUBLAS(cublasSetStream(g.handle, stream));
    assert_aborts(run_gemm, &g, "cublasSetWorkspace, after cublasSetStream");
    CUDA(cudaStreamEndCapture(stream, &graph));
    CUDA(cudaGraphDestroy(graph));
    CUBLAS(cublasDestroy(g.handle));
}

/* ---- both ------------------------------------------------------------------------------------ */

static void failures_on_request(void **unused) {
    cudnnTensorDescriptor_t tensor = NULL;
    cublasHandle_t blas;
    (void)unused;
    case_name("failures on request");
    cudasim_fail_library_call(3, CUDNN_STATUS_INTERNAL_ERROR);
    CUBLAS(cublasCreate(&blas));
    CUBLAS(cublasSetStream(blas, stream));
    REFUSED(CUDNN_STATUS_INTERNAL_ERROR, cudnnCreateTensorDescriptor(&tensor));
    assert_null(tensor);
    CUDNN(cudnnCreateTensorDescriptor(&tensor)); /* only once */
    cudasim_fail_library_call(1, CUDNN_STATUS_INTERNAL_ERROR);
    CUDNN(cudnnDestroyTensorDescriptor(tensor)); /* does not count */
    assert_int_equal(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH), CUBLAS_STATUS_EXECUTION_FAILED);
    cudasim_fail_library_call(1, CUBLAS_STATUS_ALLOC_FAILED);
    assert_int_equal(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH), CUBLAS_STATUS_ALLOC_FAILED);
    cudasim_fail_library_call(1, CUDNN_STATUS_INTERNAL_ERROR);
    cudasim_fail_library_call(0, 0);
    CUBLAS(cublasDestroy(blas));
}

/* Handles own device memory: some must be free, and no stream captured. */
static void handles(void **unused) {
    cudnnHandle_t handle;
    cublasHandle_t blas;
    cudaStream_t same;
    cudaGraph_t graph;
    (void)unused;
    case_name("handles");
    BAD(cudnnCreate(NULL));
    BAD(cudnnSetStream(NULL, stream));
    BAD(cudnnDestroy(NULL));
    assert_int_equal(cublasCreate(NULL), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(cublasDestroy(NULL), CUBLAS_STATUS_NOT_INITIALIZED);
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    REFUSED(CUDNN_STATUS_NOT_INITIALIZED, cudnnCreate(&handle));
    assert_int_equal(cublasCreate(&blas), CUBLAS_STATUS_ALLOC_FAILED);
    assert_int_not_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    (void)cudaGetLastError();
    handle = make_handle();
    CUDNN(cudnnGetStream(handle, &same));
    assert_ptr_equal(same, stream);
    CUDNN(cudnnDestroy(handle));
    assert_int_equal(cudnnGetVersion(), CUDNN_VERSION);
    assert_string_equal(cudnnGetErrorString(CUDNN_STATUS_BAD_PARAM), "CUDNN_STATUS_BAD_PARAM");
    assert_string_equal(cublasGetStatusName(CUBLAS_STATUS_ALLOC_FAILED),
                        "CUBLAS_STATUS_ALLOC_FAILED");
    assert_non_null(cublasGetStatusString(CUBLAS_STATUS_ALLOC_FAILED));
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, free_arrays)
    const struct CMUnitTest tests[] = {
        TEST(matrix_products), TEST(product_modes),       TEST(gemm_arguments),
        TEST(gemm_workspace),  TEST(failures_on_request), TEST(handles),
    };
    return cmocka_run_group_tests(tests, stream_make, stream_drop);
}
