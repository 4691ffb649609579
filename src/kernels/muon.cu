/* muon.cu: Muon's update of the filters (backend.h has its formulas), of all layers in one launch.
 *
 * One block per matrix, since its steps follow one another. With A = X X^T, a step X <- P X has the
 * polynomial P = a + b A + c A^2, which commutes with A. So the next A is P A P, and the three steps
 * are products of small square matrices; only the first Gram matrix and the last product, with all
 * three polynomials at once, touch X. A tall matrix is transposed first.
 *
 * Gradient, velocity and weight are read once (weight twice: for its norm) and velocity and weight
 * written once; the floor of the memory is 20 bytes per weight, 0.1 MB for a network. But the time
 * is latency: some 15 barriers, between which a thread does little. X and the squares lie in the
 * workspace, of any size; the first-level cache holds them. */
#include "kernels/reduce.cuh"

enum { THREADS = 1024, STEPS = 3, SQUARES = 4 };

/* A launch has up to MOST_MATRICES; a kernel's arguments have 4 KB at most. */
enum { MOST_MATRICES = 32 };
struct muon_launch {
    float momentum, rate_scale;
    const struct step_state *state;
    struct muon_matrix matrices[MOST_MATRICES];
    float *memory[MOST_MATRICES]; /* of each, work_floats() */
};

/* The working memory of a matrix. */
struct work {
    bool tall;         /* x is the transpose */
    int rows, columns; /* of x; rows <= columns */
    float *x;          /* [rows][columns] */
    float *squares;    /* [SQUARES][rows][rows] */
};

__host__ __device__ static struct work work_of(const struct muon_matrix &m, float *memory) {
    const bool tall = m.rows > m.columns;
    const int rows = tall ? m.columns : m.rows, columns = tall ? m.rows : m.columns;
    return {tall, rows, columns, memory, memory + (size_t)rows * (size_t)columns};
}

static size_t work_floats(const struct muon_matrix *m) {
    const size_t rows = (size_t)(m->rows < m->columns ? m->rows : m->columns);
    return (size_t)m->rows * (size_t)m->columns + SQUARES * rows * rows;
}

/* Where element i of the matrix is in x. */
__device__ static int place(const struct work &w, const struct muon_matrix &m, int i) {
    return w.tall ? i % m.columns * w.columns + i / m.columns : i;
}

/* Updates the velocity and writes u to x. Returns 1 / (|u| + 1e-7). */
__device__ static float take_gradient(const struct work &w, const struct muon_matrix &m,
                                      float momentum) {
    double squares = 0;
    for (int i = (int)threadIdx.x; i < m.rows * m.columns; i += THREADS) {
        const float g = m.gradient[i], v = momentum * m.velocity[i] + g, u = g + momentum * v;
        m.velocity[i] = v;
        w.x[place(w, m, i)] = u;
        squares += (double)u * (double)u;
    }
    return (float)(1 / (sqrt(block_sum<0>(squares)) + 1e-7)); /* has a barrier */
}

/* to = scale^2 x x^T, a warp for each element; then a barrier, as after all that follow. */
__device__ static void gram(float *to, const struct work &w, float scale) {
    const int lane = (int)threadIdx.x % WARP;
    for (int e = (int)threadIdx.x / WARP; e < w.rows * w.rows; e += THREADS / WARP) {
        const float *a = w.x + (size_t)(e / w.rows) * (size_t)w.columns;
        const float *b = w.x + (size_t)(e % w.rows) * (size_t)w.columns;
        float sum = 0;
        for (int k = lane; k < w.columns; k += WARP)
            sum += a[k] * b[k];
        sum = warp_sum(sum);
        if (lane == 0)
            to[e] = sum * scale * scale;
    }
    __syncthreads();
}

/* Element e of a b, where a is square and b has `columns`. */
__device__ static float product(const float *a, const float *b, int rows, int columns, int e) {
    const float *row = a + (size_t)(e / columns) * (size_t)rows;
    float sum = 0;
    UNROLL_BY(4)
    for (int k = 0; k < rows; k++)
        sum += row[k] * b[(size_t)k * (size_t)columns + (size_t)(e % columns)];
    return sum;
}

__device__ static void multiply(float *to, const float *a, const float *b, int rows) {
    for (int e = (int)threadIdx.x; e < rows * rows; e += THREADS)
        to[e] = product(a, b, rows, rows, e);
    __syncthreads();
}

/* to = 3.4445 + A (-4.7750 + 2.0315 A). */
__device__ static void polynomial(float *to, const float *a, int rows) {
    for (int e = (int)threadIdx.x; e < rows * rows; e += THREADS)
        to[e] = 2.0315f * product(a, a, rows, rows, e) - 4.7750f * a[e] +
                (e / rows == e % rows ? 3.4445f : 0);
    __syncthreads();
}

/* The product of all steps' polynomials. */
__device__ static const float *newton_schulz(const struct work &w, float scale) {
    const size_t square = (size_t)w.rows * (size_t)w.rows;
    float *a = w.squares, *p = a + square, *all = p + square, *spare = all + square;
    gram(a, w, scale);
    polynomial(all, a, w.rows);
    for (int step = 1; step < STEPS; step++) {
        const float *last = step == 1 ? all : p;
        multiply(spare, last, a, w.rows);
        multiply(a, spare, last, w.rows); /* of the next x */
        polynomial(p, a, w.rows);
        multiply(spare, p, all, w.rows);
        float *const old = all;
        all = spare;
        spare = old;
    }
    return all;
}

/* w = w * sqrt(rows) / (|w| + 1e-9) - rate * all x. */
__device__ static void update(const struct muon_matrix &m, const struct work &w, const float *all,
                              float rate) {
    double squares = 0;
    for (int i = (int)threadIdx.x; i < m.rows * m.columns; i += THREADS)
        squares += (double)m.weight[i] * (double)m.weight[i];
    const float scale = (float)(sqrt((double)m.rows) / (sqrt(block_sum<1>(squares)) + 1e-9));
    for (int i = (int)threadIdx.x; i < m.rows * m.columns; i += THREADS)
        m.weight[i] =
            m.weight[i] * scale - rate * product(all, w.x, w.rows, w.columns, place(w, m, i));
}

__global__ void __launch_bounds__(THREADS) muon_kernel(const BY_VALUE struct muon_launch launch) {
    const struct muon_matrix &m = launch.matrices[blockIdx.x];
    const struct work w = work_of(m, launch.memory[blockIdx.x]);
    const float scale = take_gradient(w, m, launch.momentum);
    const float *all = newton_schulz(w, scale);
    update(m, w, all, launch.rate_scale * launch.state->learning_rate * scale);
}

size_t cuda_muon_workspace(const struct device *device, const struct muon_args *a) {
    (void)device;
    size_t floats = 0;
    for (int i = 0; i < a->count; i++)
        floats += work_floats(&a->matrices[i]);
    return floats * sizeof(float);
}

enum status cuda_muon(struct error *error, struct device *device, const struct muon_args *a) {
    float *memory = static_cast<float *>(a->workspace);
    for (int i = 0; i < a->count; i += MOST_MATRICES) {
        struct muon_launch launch = {a->momentum, a->rate_scale, a->state, {}, {}};
        const int count = a->count - i < MOST_MATRICES ? a->count - i : MOST_MATRICES;
        for (int j = 0; j < count; j++) {
            launch.matrices[j] = a->matrices[i + j];
            launch.memory[j] = memory;
            memory += work_floats(&launch.matrices[j]);
        }
        LAUNCH(muon_kernel, (unsigned)count, THREADS, 0, device->compute, launch);
        if (check_launch(error, "muon") != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}
