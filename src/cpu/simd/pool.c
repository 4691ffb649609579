/* pool.c: [skip add, ReLU,] 2x2 max pooling. Forward reads x and skip once and writes y and a byte
 * for each output; backward reads dy and the bytes once and writes ds once. */
#include "cpu/simd/variant.h"

enum { PLANES = 32 }; /* per task */

/* One step of a running maximum: the first of equal values stays, and a NaN wins. */
static inline void take_larger(float *best, int *place, float candidate, int where) {
    bool larger = candidate > *best || candidate != candidate;
    *best = larger ? candidate : *best;
    *place = larger ? where : *place;
}

/* At most LANES outputs from two rows of s; `outputs` is a constant where it is LANES. */
static inline __attribute__((always_inline)) void pool_row(float *restrict y, int *restrict place,
                                                           const float *restrict top,
                                                           const float *restrict bottom,
                                                           int outputs) {
#pragma omp simd
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

/* max(x + skip, 0). NaN passes. */
static inline __attribute__((always_inline)) void
sum_row(float *restrict s, const float *restrict x, const float *restrict skip, int width) {
#pragma omp simd
    for (int i = 0; i < width; i++) {
        float sum = x[i] + skip[i];
        s[i] = sum < 0 ? 0 : sum;
    }
}

/* Codes from places; ReLU stops a maximum of zero, wherever it was. */
static inline __attribute__((always_inline)) void write_codes(uint8_t *restrict code,
                                                              const int *restrict place,
                                                              const float *restrict y, int outputs,
                                                              bool relu) {
#pragma omp simd
    for (int i = 0; i < outputs; i++)
        code[i] = (uint8_t)(relu && y[i] <= 0 ? POOL_STOPPED : place[i]);
}

/* At most LANES outputs from x and skip, whose next row is `width` floats on. */
static inline __attribute__((always_inline)) void
pool_part(float *y, uint8_t *code, const float *x, const float *skip, int width, int outputs) {
    float sums[2][2 * LANES];
    int places[LANES];
    const float *top = x, *bottom = x + width;
    if (skip != NULL) {
        sum_row(sums[0], top, skip, 2 * outputs);
        sum_row(sums[1], bottom, skip + width, 2 * outputs);
        top = sums[0];
        bottom = sums[1];
    }
    pool_row(y, places, top, bottom, outputs);
    if (code != NULL)
        write_codes(code, places, y, outputs, skip != NULL);
}

/* How many outputs of a row to compute at once, from `column` on: LANES, even past the row's end,
 * as long as the vectors stay within the plane: the next row is written later. */
static inline int part_outputs(int row, int column, int height, int width) {
    int left = width / 2 - column, out = row * (width / 2) + column;
    bool whole = out + LANES <= height / 2 * (width / 2) &&
                 (2 * row + 1) * width + 2 * (column + LANES) <= height * width;
    return whole || left > LANES ? LANES : left;
}

static void pool_plane(float *y, uint8_t *code, const float *x, const float *skip, int height,
                       int width) {
    for (int row = 0; row < height / 2; row++)
        for (int column = 0; column < width / 2; column += LANES) {
            int outputs = part_outputs(row, column, height, width);
            int from = 2 * (row * width + column), to = row * (width / 2) + column;
            const float *part = skip == NULL ? NULL : skip + from;
            uint8_t *codes = code == NULL ? NULL : code + to;
            if (outputs == LANES)
                pool_part(y + to, codes, x + from, part, width, LANES);
            else
                pool_part(y + to, codes, x + from, part, width, outputs);
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
                   a->x + plane * in, a->skip == NULL ? NULL : a->skip + plane * in, a->height,
                   a->width);
    }
    return STATUS_OK;
}

/* A row of ds from at most LANES outputs; `left` is the code of its even columns. */
static inline __attribute__((always_inline)) void pool_part_gradient(float *restrict ds,
                                                                     const uint8_t *restrict code,
                                                                     const float *restrict dy,
                                                                     int left, int outputs) {
    int place[LANES];
    float d[LANES]; /* read whether used or not: a read under a condition is a branch */
#pragma omp simd
    for (int i = 0; i < outputs; i++) {
        place[i] = code[i] - left;
        d[i] = dy[i];
    }
#pragma omp simd
    for (int i = 0; i < outputs; i++) {
        ds[2 * i] = place[i] == 0 ? d[i] : 0;
        ds[2 * i + 1] = place[i] == 1 ? d[i] : 0;
    }
}

/* A row of ds is finished before the next one begins, into which its last vector may reach. */
static void pool_plane_gradient(float *ds, const uint8_t *code, const float *dy, int height,
                                int width) {
    for (int i = 0; i < height / 2 * 2; i++) {
        int row = i / 2, left = i % 2 * 2;
        float *to = ds + (size_t)i * (size_t)width;
        for (int column = 0; column < width / 2; column += LANES) {
            int outputs = part_outputs(row, column, height, width);
            int from = row * (width / 2) + column;
            if (outputs == LANES)
                pool_part_gradient(to + 2 * column, code + from, dy + from, left, LANES);
            else
                pool_part_gradient(to + 2 * column, code + from, dy + from, left, outputs);
        }
        if (width % 2 != 0)
            to[width - 1] = 0;
    }
    if (height % 2 != 0)
        memset(ds + (size_t)(height - 1) * (size_t)width, 0, (size_t)width * sizeof(float));
}

enum status NAME(pool_backward)(struct error *error, struct device *device,
                                const struct pool_args *a) {
    (void)error;
    size_t in = (size_t)a->height * (size_t)a->width;
    size_t out = (size_t)(a->height / 2) * (size_t)(a->width / 2);
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, PLANES)
    for (int i = 0; i < a->batch * a->channels; i++)
        pool_plane_gradient(a->ds + (size_t)i * in, a->code + (size_t)i * out,
                            a->dy + (size_t)i * out, a->height, a->width);
    return STATUS_OK;
}
