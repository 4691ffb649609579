/* planes.h: what the norms do with one plane, the contiguous pixels of one channel of one image. A
 * plane fits the first-level cache, so a second pass over it costs no memory traffic.
 *
 * Sums run in float over one plane only and in double over planes. Notation as in backend.h: u is x
 * after RELU_BEFORE, v the normalized value, hat the value before weight and bias, dv the gradient
 * of v. */
#ifndef PLANES_H
#define PLANES_H

#include "cpu/simd/dropout.h"
#include "cpu/simd/variant.h"

#include <math.h>

/* NaN passes, as in PyTorch: a broken value has to reach the loss to be noticed. */
static inline float relu(float x) {
    return x < 0 ? 0 : x;
}

/* relu() of each lane. */
static inline vector relu_lanes(vector x) {
    return (vector)((lane_numbers)x & ~(lane_numbers)(x < (vector){0}));
}

/* e^x within 2e-7 of it, x limited to +-87; without a branch, so that loops over it become vectors.
 * x = n ln 2 + r, |r| <= ln 2 / 2, with ln 2 in two parts; e^r by the polynomial of Cephes' expf.
 * n is rounded by adding 1.5 * 2^23, in whose last bits it then stands. */
static inline float exponential(float x) {
    const float shift = 0x1.8p23f;
    union {
        float number;
        uint32_t bits;
    } rounded, power;
    x = x < -87 ? -87 : x; /* NaN passes */
    x = x > 87 ? 87 : x;
    rounded.number = x * 0x1.715476p0f + shift;
    const float n = rounded.number - shift;
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float sum = 1.9875691500e-4f;
    sum = sum * r + 1.3981999507e-3f;
    sum = sum * r + 8.3334519073e-3f;
    sum = sum * r + 4.1665795894e-2f;
    sum = sum * r + 1.6666665459e-1f;
    sum = sum * r + 5.0000001201e-1f;
    power.bits = (rounded.bits + 127) << 23;
    return (sum * r * r + r + 1) * power.number;
}

static inline float sigmoid(float v) {
    return 1 / (1 + exponential(-v));
}

static inline float silu(float v) {
    return v * sigmoid(v);
}

static inline float silu_slope(float v) {
    const float s = sigmoid(v);
    return s + v * s * (1 - s);
}

/* What follows the norm. `activation` is a constant at every call. */
static inline __attribute__((always_inline)) float activate(float v, enum activation activation) {
    return activation == RELU_AFTER ? relu(v) : activation == SILU_AFTER ? silu(v) : v;
}

/* dy through it: the gradient of v. */
static inline __attribute__((always_inline)) float activate_back(float dy, float v,
                                                                 enum activation activation) {
    return activation == SILU_AFTER ? dy * silu_slope(v) : v > 0 ? dy : 0;
}

enum { SUMS = 4 }; /* partial sums: each addition would wait for the one before */

/* The sum of u - mean, or of its square. The last two are constants at every call. */
static inline __attribute__((always_inline)) float
plane_total(const float *x, int pixels, float mean, bool squared, bool relu_first) {
    vector sum[SUMS] = {{0}};
    int i = 0;
    for (; i + SUMS * LANES <= pixels; i += SUMS * LANES)
        for (int j = 0; j < SUMS; j++) {
            vector u = vector_load(x + i + j * LANES);
            u = (relu_first ? relu_lanes(u) : u) - mean;
            sum[j] += squared ? u * u : u;
        }
    for (; i + LANES <= pixels; i += LANES) {
        vector u = vector_load(x + i);
        u = (relu_first ? relu_lanes(u) : u) - mean;
        sum[0] += squared ? u * u : u;
    }
    float total = vector_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (; i < pixels; i++) {
        float u = (relu_first ? relu(x[i]) : x[i]) - mean;
        total += squared ? u * u : u;
    }
    return total;
}

static inline float plane_sum(const float *x, int pixels, bool relu_first) {
    return relu_first ? plane_total(x, pixels, 0, false, true)
                      : plane_total(x, pixels, 0, false, false);
}

/* The sum of (u - mean)^2. */
static inline float plane_squares(const float *x, int pixels, float mean, bool relu_first) {
    return relu_first ? plane_total(x, pixels, mean, true, true)
                      : plane_total(x, pixels, mean, true, false);
}

/* A plane's statistics and its weight and bias: one number each, or one for each pixel. */
struct plane_affine {
    float mean, rstd;
    const float *weight, *bias;
    bool per_element;
    bool relu_first;
    enum activation activation;
};

static inline struct plane_affine plane_affine(const struct norm_args *a, int channel, float mean,
                                               float rstd) {
    size_t at = (size_t)channel * (a->per_element ? (size_t)a->pixels : 1);
    return (struct plane_affine){.mean = mean,
                                 .rstd = rstd,
                                 .weight = a->weight + at,
                                 .bias = a->bias + at,
                                 .per_element = a->per_element,
                                 .relu_first = a->activation == RELU_BEFORE,
                                 .activation = a->activation};
}

/* y = f(v). `activation` is a constant at every call. */
static inline __attribute__((always_inline)) void plane_outputs(float *restrict y,
                                                                const float *restrict x, int pixels,
                                                                const struct plane_affine *p,
                                                                enum activation activation) {
    const float mean = p->mean,
                rstd = p->rstd, *restrict weight = p->weight, *restrict bias = p->bias;
    const bool relu_first = activation == RELU_BEFORE;
    if (p->per_element) {
        for (int i = 0; i < pixels; i++) {
            float u = relu_first ? relu(x[i]) : x[i];
            y[i] = activate((u - mean) * rstd * weight[i] + bias[i], activation);
        }
        return;
    }
    const float scale = rstd * weight[0], shift = bias[0];
    for (int i = 0; i < pixels; i++) {
        float u = relu_first ? relu(x[i]) : x[i];
        y[i] = activate((u - mean) * scale + shift, activation);
    }
}

static inline void plane_normalize(float *restrict y, const float *restrict x, int pixels,
                                   const struct plane_affine *p) {
    switch (p->activation) {
    case RELU_BEFORE:
        plane_outputs(y, x, pixels, p, RELU_BEFORE);
        return;
    case RELU_AFTER:
        plane_outputs(y, x, pixels, p, RELU_AFTER);
        return;
    case SILU_AFTER:
        plane_outputs(y, x, pixels, p, SILU_AFTER);
        return;
    }
}

/* dv = dy f'(v), where the activation comes last. `activation` is a constant at every call. dv may
 * be dy. */
static inline __attribute__((always_inline)) void plane_gradients(float *dv, const float *dy,
                                                                  const float *x, int pixels,
                                                                  const struct plane_affine *p,
                                                                  enum activation activation) {
    const float mean = p->mean,
                rstd = p->rstd, *restrict weight = p->weight, *restrict bias = p->bias;
    if (p->per_element) {
#pragma omp simd
        for (int i = 0; i < pixels; i++) {
            const float d = dy[i]; /* read whether used or not: else it would be a branch */
            dv[i] = activate_back(d, (x[i] - mean) * rstd * weight[i] + bias[i], activation);
        }
        return;
    }
    const float scale = rstd * weight[0], shift = bias[0];
#pragma omp simd
    for (int i = 0; i < pixels; i++) {
        const float d = dy[i];
        dv[i] = activate_back(d, (x[i] - mean) * scale + shift, activation);
    }
}

/* The sums of dv and of dv * hat over a plane. */
struct plane_sums {
    float d, d_hat;
};

/* `relu_first` is a constant at every call. */
static inline __attribute__((always_inline)) struct plane_sums
plane_gradient_totals(const float *dv, const float *x, int pixels, float mean, bool relu_first) {
    vector d[SUMS] = {{0}}, d_hat[SUMS] = {{0}};
    int i = 0;
    for (; i + SUMS * LANES <= pixels; i += SUMS * LANES)
        for (int j = 0; j < SUMS; j++) {
            vector u = vector_load(x + i + j * LANES), gradient = vector_load(dv + i + j * LANES);
            d[j] += gradient;
            d_hat[j] += gradient * ((relu_first ? relu_lanes(u) : u) - mean);
        }
    for (; i + LANES <= pixels; i += LANES) {
        vector u = vector_load(x + i), gradient = vector_load(dv + i);
        d[0] += gradient;
        d_hat[0] += gradient * ((relu_first ? relu_lanes(u) : u) - mean);
    }
    struct plane_sums totals = {vector_sum((d[0] + d[1]) + (d[2] + d[3])),
                                vector_sum((d_hat[0] + d_hat[1]) + (d_hat[2] + d_hat[3]))};
    for (; i < pixels; i++) {
        totals.d += dv[i];
        totals.d_hat += dv[i] * ((relu_first ? relu(x[i]) : x[i]) - mean);
    }
    return totals;
}

static inline struct plane_sums plane_gradient_sums(const float *dv, const float *x, int pixels,
                                                    const struct plane_affine *p) {
    struct plane_sums sums = p->relu_first ? plane_gradient_totals(dv, x, pixels, p->mean, true)
                                           : plane_gradient_totals(dv, x, pixels, p->mean, false);
    sums.d_hat *= p->rstd;
    return sums;
}

/* The same for weight and bias of each pixel: the sums of weight * dv and of weight * dv * hat; dv
 * and dv * hat of each pixel are added to dbias and dweight. */
static inline struct plane_sums plane_element_sums(float *restrict dweight, float *restrict dbias,
                                                   const float *restrict dv,
                                                   const float *restrict x, int pixels,
                                                   const struct plane_affine *p) {
    const float mean = p->mean, rstd = p->rstd, *restrict weight = p->weight;
    /* The ReLU as a bound, not as a branch, which would keep the loop from being vectorized. */
    const float least = p->relu_first ? 0 : -INFINITY;
    float d = 0, d_hat = 0;
#pragma omp simd reduction(+ : d, d_hat)
    for (int i = 0; i < pixels; i++) {
        float u = x[i] < least ? least : x[i]; /* NaN passes */
        float hat = (u - mean) * rstd;
        dbias[i] += dv[i];
        dweight[i] += dv[i] * hat;
        d += weight[i] * dv[i];
        d_hat += weight[i] * dv[i] * hat;
    }
    return (struct plane_sums){d, d_hat};
}

/* dx = rstd * (weight * dv - mean_d - hat * mean_d_hat), zero where RELU_BEFORE let nothing
 * through. dx may be dv. */
static inline void plane_input_gradient(float *dx, const float *dv, const float *x, int pixels,
                                        float mean_d, float mean_d_hat,
                                        const struct plane_affine *p) {
    const float mean = p->mean, rstd = p->rstd, *restrict weight = p->weight;
    if (p->per_element) {
#pragma omp simd
        for (int i = 0; i < pixels; i++) {
            float u = p->relu_first ? relu(x[i]) : x[i];
            float d = rstd * (weight[i] * dv[i] - mean_d - (u - mean) * rstd * mean_d_hat);
            dx[i] = p->relu_first && !(x[i] > 0) ? 0 : d;
        }
        return;
    }
    const float scale = rstd * weight[0], shift = rstd * mean_d, slope = rstd * rstd * mean_d_hat;
    if (p->relu_first) {
#pragma omp simd
        for (int i = 0; i < pixels; i++) {
            float d = scale * dv[i] - shift - (x[i] - mean) * slope;
            dx[i] = x[i] > 0 ? d : 0;
        }
        return;
    }
#pragma omp simd
    for (int i = 0; i < pixels; i++)
        dx[i] = scale * dv[i] - shift - (x[i] - mean) * slope;
}

static inline bool drops(const struct norm_args *a) {
    return a->training && a->dropout > 0;
}

/* dv of one plane: dy through the mask of dropout and an activation after the norm. It is in a->dx,
 * or where neither changes it, still in a->dy. */
static inline const float *plane_output_gradient(const struct norm_args *a, size_t plane,
                                                 const struct plane_affine *p) {
    size_t first = plane * (size_t)a->pixels;
    const float *dv = a->dy + first;
    float *changed = a->dx + first;
    if (drops(a)) {
        if (changed != dv)
            memcpy(changed, dv, (size_t)a->pixels * sizeof(float));
        dropout_apply(changed, first, (size_t)a->pixels, a);
        dv = changed;
    }
    switch (a->activation) {
    case RELU_BEFORE:
        return dv;
    case RELU_AFTER:
        plane_gradients(changed, dv, a->x + first, a->pixels, p, RELU_AFTER);
        break;
    case SILU_AFTER:
        plane_gradients(changed, dv, a->x + first, a->pixels, p, SILU_AFTER);
        break;
    }
    return changed;
}

/* Where plane_output_gradient() left it. */
static inline const float *output_gradient(const struct norm_args *a) {
    return drops(a) || a->activation != RELU_BEFORE ? a->dx : a->dy;
}

#endif
