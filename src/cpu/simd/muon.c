/* muon.c: Muon's update of the filters (backend.h has its formulas).
 *
 * With A = X X^T, a step X <- P X has the polynomial P = a + b A + c A^2, which commutes with A. So
 * the next A is P A P, and the three steps are products of small square matrices; only the first
 * Gram matrix and the last product, with all three polynomials at once, touch X. A tall matrix is
 * transposed first. Rows are padded with zeros to whole vectors. A thread takes a matrix at a
 * time. */
#include "cpu/simd/variant.h"

#include <math.h>

enum { STEPS = 3, SQUARES = 4 };

/* The working memory of a matrix. */
struct work {
    int rows, columns;      /* of x; rows <= columns */
    size_t stride, side;    /* floats from row to row: of x and y, and of the squares */
    float *x, *y;           /* [rows][stride] */
    float *square[SQUARES]; /* [rows][side] */
};

static size_t whole_vectors(int count) {
    return ((size_t)count + LANES - 1) / LANES * LANES;
}

/* `memory` may be NULL. Returns how many floats of it are used. */
static size_t lay_out(struct work *out, const struct muon_matrix *m, float *memory) {
    const bool tall = m->rows > m->columns;
    out->rows = tall ? m->columns : m->rows;
    out->columns = tall ? m->rows : m->columns;
    out->stride = whole_vectors(out->columns);
    out->side = whole_vectors(out->rows);
    size_t rows = (size_t)out->rows, end = 2 * rows * out->stride;
    out->x = memory;
    out->y = memory == NULL ? NULL : memory + rows * out->stride;
    for (int i = 0; i < SQUARES; i++, end += rows * out->side)
        out->square[i] = memory == NULL ? NULL : memory + end;
    return end;
}

size_t NAME(muon_workspace)(const struct device *device, const struct muon_args *a) {
    (void)device;
    struct work work;
    size_t floats = 0;
    for (int i = 0; i < a->count; i++)
        floats += lay_out(&work, &a->matrices[i], NULL);
    return floats * sizeof(float);
}

static double root_of_squares(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}

/* Where element (row, column) of the matrix is in x and y. */
static inline size_t place(const struct work *work, const struct muon_matrix *m, int row,
                           int column) {
    bool tall = m->rows > m->columns;
    return tall ? (size_t)column * work->stride + (size_t)row
                : (size_t)row * work->stride + (size_t)column;
}

/* Updates the velocity, and sets x to u / (|u| + 1e-7). */
static void take_gradient(struct work *work, const struct muon_matrix *m, float momentum) {
    size_t count = (size_t)work->rows * work->stride;
    memset(work->x, 0, count * sizeof(float));
    for (int row = 0; row < m->rows; row++)
        for (int column = 0; column < m->columns; column++) {
            size_t i = (size_t)row * (size_t)m->columns + (size_t)column;
            float v = momentum * m->velocity[i] + m->gradient[i];
            m->velocity[i] = v;
            work->x[place(work, m, row, column)] = m->gradient[i] + momentum * v;
        }
    float scale = (float)(1 / (root_of_squares(work->x, count) + 1e-7));
    for (size_t i = 0; i < count; i++)
        work->x[i] *= scale;
}

/* to = x x^T. */
static void gram(float *to, const struct work *work) {
    memset(to, 0, (size_t)work->rows * work->side * sizeof(float));
    for (int i = 0; i < work->rows; i++)
        for (int j = 0; j <= i; j++) {
            const float *a = work->x + (size_t)i * work->stride;
            const float *b = work->x + (size_t)j * work->stride;
            vector sum = {0};
            for (size_t k = 0; k < work->stride; k += LANES)
                sum += vector_load(a + k) * vector_load(b + k);
            to[(size_t)i * work->side + (size_t)j] = to[(size_t)j * work->side + (size_t)i] =
                vector_sum(sum);
        }
}

/* to = a b: a is square, [rows][side], b and `to` are [rows][stride]. */
static void multiply(float *restrict to, const float *restrict a, const float *restrict b,
                     const struct work *work, size_t stride) {
    for (int i = 0; i < work->rows; i++)
        for (size_t j = 0; j < stride; j += LANES) {
            vector sum = {0};
            for (int k = 0; k < work->rows; k++)
                sum +=
                    a[(size_t)i * work->side + (size_t)k] * vector_load(b + (size_t)k * stride + j);
            vector_store(to + (size_t)i * stride + j, sum);
        }
}

/* to = 3.4445 + A (-4.7750 + 2.0315 A), where `to` holds A^2. */
static void polynomial(float *to, const float *gram, const struct work *work) {
    for (int i = 0; i < work->rows; i++) {
        float *row = to + (size_t)i * work->side;
        for (size_t j = 0; j < work->side; j++)
            row[j] = 2.0315f * row[j] - 4.7750f * gram[(size_t)i * work->side + j];
        row[i] += 3.4445f;
    }
}

/* The product of all steps' polynomials. */
static const float *newton_schulz(const struct work *work) {
    const size_t bytes = (size_t)work->rows * work->side * sizeof(float);
    float *a = work->square[0], *p = work->square[1], *all = work->square[2];
    float *product = work->square[3];
    gram(a, work);
    for (int step = 0; step < STEPS; step++) {
        multiply(p, a, a, work, work->side);
        polynomial(p, a, work);
        if (step > 0)
            multiply(product, p, all, work, work->side);
        memcpy(all, step == 0 ? p : product, bytes);
        if (step == STEPS - 1)
            break;
        multiply(product, p, a, work, work->side);
        multiply(a, product, p, work, work->side); /* of the next x */
    }
    return all;
}

/* w = w * sqrt(rows) / (|w| + 1e-9) - rate * all x. */
static void update(const struct muon_matrix *m, const struct work *work, const float *all,
                   float rate) {
    const double size = root_of_squares(m->weight, (size_t)m->rows * (size_t)m->columns);
    const float scale = (float)(sqrt(m->rows) / (size + 1e-9));
    multiply(work->y, all, work->x, work, work->stride);
    for (int row = 0; row < m->rows; row++)
        for (int column = 0; column < m->columns; column++) {
            float *w = m->weight + (size_t)row * (size_t)m->columns + (size_t)column;
            *w = *w * scale - rate * work->y[place(work, m, row, column)];
        }
}

enum status NAME(muon)(struct error *error, struct device *device, const struct muon_args *a) {
    (void)error;
    const float rate = a->rate_scale * a->state->learning_rate;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic)
    for (int i = 0; i < a->count; i++) {
        struct work work;
        float *memory = a->workspace;
        for (int before = 0; before < i; before++)
            memory += lay_out(&work, &a->matrices[before], NULL);
        lay_out(&work, &a->matrices[i], memory);
        take_gradient(&work, &a->matrices[i], a->momentum);
        update(&a->matrices[i], &work, newton_schulz(&work), rate);
    }
    return STATUS_OK;
}
