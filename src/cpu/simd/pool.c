/* pool.c: [skip add, ReLU,] 2x2 max pooling. Forward reads x and skip once and writes y and a byte
 * for each output; backward reads dy and the bytes once and writes ds once. */
#include "cpu/simd/variant.h"

enum {
    PLANES = 32,   /* per task */
    SEGMENT = 128, /* columns that are worked on at a time */
};

/* One step of a running maximum: the first of equal values stays, and a NaN wins. */
static inline void take_larger(float *best, int *place, float candidate, int where) {
    bool larger = candidate > *best || candidate != candidate;
    *best = larger ? candidate : *best;
    *place = larger ? where : *place;
}

/* One row of at most SEGMENT / 2 outputs from two rows of s. */
static void pool_row(float *restrict y, int *restrict place, const float *restrict top,
                     const float *restrict bottom, int outputs) {
    for (int i = 0; i < outputs; i++) {
        float best = top[2 * i]; // NOLINT(clang-analyzer-core.uninitialized.Assign)
        int where = 0;
        // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
        take_larger(&best, &where, top[2 * i + 1], 1);
        take_larger(&best, &where, bottom[2 * i], 2);
        take_larger(&best, &where, bottom[2 * i + 1], 3);
        y[i] = best;
        place[i] = where;
    }
}

/* One row of max(x + skip, 0). NaN passes. */
static void sum_row(float *restrict s, const float *restrict x, const float *restrict skip,
                    int width) {
    for (int i = 0; i < width; i++) {
        float sum = x[i] + skip[i];
        s[i] = sum < 0 ? 0 : sum;
    }
}

/* Codes from places; ReLU stops a maximum of zero, wherever it was. */
static void write_codes(uint8_t *restrict code, const int *restrict place, const float *restrict y,
                        int outputs, bool relu) {
    for (int i = 0; i < outputs; i++)
        code[i] = (uint8_t)(relu && y[i] <= 0 ? POOL_STOPPED : place[i]);
}

static void pool_plane(float *y, uint8_t *code, const float *x, const float *skip,
                       const struct pool_args *a) {
    int out_height = a->height / 2, out_width = a->width / 2;
    for (int row = 0; row < out_height; row++)
        for (int column = 0; column < out_width; column += SEGMENT / 2) {
            int outputs = out_width - column < SEGMENT / 2 ? out_width - column : SEGMENT / 2;
            size_t from = (size_t)(2 * row) * (size_t)a->width + (size_t)(2 * column);
            size_t to = (size_t)row * (size_t)out_width + (size_t)column;
            float sums[2][SEGMENT]; /* sum_row fills the 2 * outputs that pool_row reads */
            int places[SEGMENT / 2];
            const float *top = x + from, *bottom = x + from + a->width;
            if (skip != NULL) {
                sum_row(sums[0], top, skip + from, 2 * outputs);
                sum_row(sums[1], bottom, skip + from + a->width, 2 * outputs);
                top = sums[0];
                bottom = sums[1];
            }
            pool_row(y + to, places, top, bottom, outputs);
            if (code != NULL)
                write_codes(code + to, places, y + to, outputs, skip != NULL);
        }
}

enum status NAME(pool_forward)(struct error *error, struct device *device,
                               const struct pool_args *a) {
    (void)error;
    size_t in = (size_t)a->height * (size_t)a->width;
    size_t out = (size_t)(a->height / 2) * (size_t)(a->width / 2);
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, PLANES)
    for (int i = 0; i < a->batch * a->channels; i++) {
        size_t plane = (size_t)i;
        pool_plane(a->y + plane * out, a->code == NULL ? NULL : a->code + plane * out,
                   a->x + plane * in, a->skip == NULL ? NULL : a->skip + plane * in, a);
    }
    return STATUS_OK;
}

/* Two rows of ds from a row of at most SEGMENT / 2 outputs. */
static void pool_row_gradient(float *restrict top, float *restrict bottom,
                              const uint8_t *restrict code, const float *restrict dy, int outputs) {
    int place[SEGMENT / 2];
    for (int i = 0; i < outputs; i++)
        place[i] = code[i];
    for (int i = 0; i < outputs; i++) {
        const float d = dy[i]; /* read whether used or not: a read under a condition is a branch */
        top[2 * i] = place[i] == 0 ? d : 0;
        top[2 * i + 1] = place[i] == 1 ? d : 0;
    }
    for (int i = 0; i < outputs; i++) {
        const float d = dy[i];
        bottom[2 * i] = place[i] == 2 ? d : 0;
        bottom[2 * i + 1] = place[i] == 3 ? d : 0;
    }
}

static void pool_plane_gradient(float *ds, const uint8_t *code, const float *dy,
                                const struct pool_args *a) {
    int out_height = a->height / 2, out_width = a->width / 2;
    for (int row = 0; row < out_height; row++) {
        float *top = ds + (size_t)(2 * row) * (size_t)a->width, *bottom = top + a->width;
        for (int column = 0; column < out_width; column += SEGMENT / 2) {
            int outputs = out_width - column < SEGMENT / 2 ? out_width - column : SEGMENT / 2;
            pool_row_gradient(top + 2 * column, bottom + 2 * column, code + column, dy + column,
                              outputs);
        }
        if (a->width % 2 != 0)
            top[a->width - 1] = bottom[a->width - 1] = 0;
        code += out_width;
        dy += out_width;
    }
    if (a->height % 2 != 0)
        memset(ds + (size_t)(a->height - 1) * (size_t)a->width, 0,
               (size_t)a->width * sizeof(float));
}

enum status NAME(pool_backward)(struct error *error, struct device *device,
                                const struct pool_args *a) {
    (void)error;
    size_t in = (size_t)a->height * (size_t)a->width;
    size_t out = (size_t)(a->height / 2) * (size_t)(a->width / 2);
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, PLANES)
    for (int i = 0; i < a->batch * a->channels; i++)
        pool_plane_gradient(a->ds + (size_t)i * in, a->code + (size_t)i * out,
                            a->dy + (size_t)i * out, a);
    return STATUS_OK;
}
