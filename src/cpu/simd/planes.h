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

static inline float plane_sum(const float *x, int pixels, bool relu_first) {
    float sum = 0;
    if (relu_first) {
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < pixels; i++)
            sum += relu(x[i]);
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < pixels; i++)
        sum += x[i];
    return sum;
}

/* The sum of (u - mean)^2. */
static inline float plane_squares(const float *x, int pixels, float mean, bool relu_first) {
    float sum = 0;
    if (relu_first) {
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < pixels; i++)
            sum += (relu(x[i]) - mean) * (relu(x[i]) - mean);
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < pixels; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

/* A plane's statistics and its weight and bias: one number each, or one for each pixel. */
struct plane_affine {
    float mean, rstd;
    const float *weight, *bias;
    bool per_element;
    bool relu_first;
};

static inline struct plane_affine plane_affine(const struct norm_args *a, int channel, float mean,
                                               float rstd) {
    size_t at = (size_t)channel * (a->per_element ? (size_t)a->pixels : 1);
    return (struct plane_affine){mean,         rstd,           a->weight + at,
                                 a->bias + at, a->per_element, a->relu_place == RELU_BEFORE};
}

/* y = v, or relu(v) when ReLU comes after the norm. */
static inline void plane_normalize(float *restrict y, const float *restrict x, int pixels,
                                   const struct plane_affine *p) {
    const float mean = p->mean,
                rstd = p->rstd, *restrict weight = p->weight, *restrict bias = p->bias;
    if (p->per_element) {
        if (p->relu_first)
            for (int i = 0; i < pixels; i++)
                y[i] = (relu(x[i]) - mean) * rstd * weight[i] + bias[i];
        else
            for (int i = 0; i < pixels; i++)
                y[i] = relu((x[i] - mean) * rstd * weight[i] + bias[i]);
        return;
    }
    const float scale = rstd * weight[0], shift = bias[0];
    if (p->relu_first)
        for (int i = 0; i < pixels; i++)
            y[i] = (relu(x[i]) - mean) * scale + shift;
    else
        for (int i = 0; i < pixels; i++)
            y[i] = relu((x[i] - mean) * scale + shift);
}

/* dv *= (v > 0): the gradient of a ReLU after the norm. */
static inline void plane_relu_gradient(float *restrict dv, const float *restrict x, int pixels,
                                       const struct plane_affine *p) {
    const float mean = p->mean,
                rstd = p->rstd, *restrict weight = p->weight, *restrict bias = p->bias;
    if (p->per_element) {
        for (int i = 0; i < pixels; i++)
            dv[i] = (x[i] - mean) * rstd * weight[i] + bias[i] > 0 ? dv[i] : 0;
        return;
    }
    const float scale = rstd * weight[0], shift = bias[0];
    for (int i = 0; i < pixels; i++)
        dv[i] = (x[i] - mean) * scale + shift > 0 ? dv[i] : 0;
}

/* The sums of dv and of dv * hat over a plane. */
struct plane_sums {
    float d, d_hat;
};

static inline struct plane_sums plane_gradient_sums(const float *restrict dv,
                                                    const float *restrict x, int pixels,
                                                    const struct plane_affine *p) {
    const float mean = p->mean;
    float d = 0, d_hat = 0;
    if (p->relu_first) {
#pragma omp simd reduction(+ : d, d_hat)
        for (int i = 0; i < pixels; i++) {
            d += dv[i];
            d_hat += dv[i] * (relu(x[i]) - mean);
        }
    } else {
#pragma omp simd reduction(+ : d, d_hat)
        for (int i = 0; i < pixels; i++) {
            d += dv[i];
            d_hat += dv[i] * (x[i] - mean);
        }
    }
    return (struct plane_sums){d, d_hat * p->rstd};
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
 * through; in place on dv. */
static inline void plane_input_gradient(float *restrict dv, const float *restrict x, int pixels,
                                        float mean_d, float mean_d_hat,
                                        const struct plane_affine *p) {
    const float mean = p->mean, rstd = p->rstd, *restrict weight = p->weight;
    if (p->per_element) {
        for (int i = 0; i < pixels; i++) {
            float u = p->relu_first ? relu(x[i]) : x[i];
            float dx = rstd * (weight[i] * dv[i] - mean_d - (u - mean) * rstd * mean_d_hat);
            dv[i] = p->relu_first && !(x[i] > 0) ? 0 : dx;
        }
        return;
    }
    const float scale = rstd * weight[0], shift = rstd * mean_d, slope = rstd * rstd * mean_d_hat;
    if (p->relu_first)
        for (int i = 0; i < pixels; i++)
            dv[i] = x[i] > 0 ? scale * dv[i] - shift - (x[i] - mean) * slope : 0;
    else
        for (int i = 0; i < pixels; i++)
            dv[i] = scale * dv[i] - shift - (x[i] - mean) * slope;
}

static inline bool drops(const struct norm_args *a) {
    return a->training && a->dropout > 0;
}

/* dv of one plane into a->dx: dy through the masks of dropout and of a ReLU after the norm. */
static inline void plane_output_gradient(const struct norm_args *a, size_t plane,
                                         const struct plane_affine *p) {
    size_t first = plane * (size_t)a->pixels;
    if (a->dx != a->dy)
        memcpy(a->dx + first, a->dy + first, (size_t)a->pixels * sizeof(float));
    if (drops(a))
        dropout_apply(a->dx + first, first, (size_t)a->pixels, a);
    if (a->relu_place == RELU_AFTER)
        plane_relu_gradient(a->dx + first, a->x + first, a->pixels, p);
}

#endif
