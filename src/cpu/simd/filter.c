/* filter.c: filters standardized to zero mean and a given L2 norm (Qiao et al. 2019). Tens of
 * thousands of numbers: one thread, double sums. */
#include "cpu/simd/variant.h"

#include <math.h>

/* 1 / sqrt(sum (w - mean)^2 + 1e-10), and the mean. */
static double inverse_norm(double *mean, const float *w, int elements) {
    double sum = 0, squares = 0;
    for (int i = 0; i < elements; i++)
        sum += (double)w[i];
    *mean = sum / elements;
    for (int i = 0; i < elements; i++)
        squares += ((double)w[i] - *mean) * ((double)w[i] - *mean);
    return 1 / sqrt(squares + 1e-10);
}

static void standardize(const struct filter_args *a) {
    for (int f = 0; f < a->filters; f++) {
        const float *w = a->weight + (size_t)f * (size_t)a->elements;
        float *y = a->y + (size_t)f * (size_t)a->elements;
        double mean, inverse = inverse_norm(&mean, w, a->elements);
        for (int i = 0; i < a->elements; i++)
            y[i] = (float)((double)a->gain * ((double)w[i] - mean) * inverse);
    }
}

/* With c = w - mean and r = 1 / |c|: dw = gain * r * (d - mean(d) - r^2 * c * sum(d * c)). */
static void standardize_backward(const struct filter_args *a) {
    for (int f = 0; f < a->filters; f++) {
        const float *w = a->weight + (size_t)f * (size_t)a->elements;
        float *d = a->d + (size_t)f * (size_t)a->elements;
        double mean, inverse = inverse_norm(&mean, w, a->elements), sum = 0, product = 0;
        for (int i = 0; i < a->elements; i++) {
            sum += (double)d[i];
            product += (double)d[i] * ((double)w[i] - mean);
        }
        for (int i = 0; i < a->elements; i++)
            d[i] = (float)((double)a->gain * inverse *
                           ((double)d[i] - sum / a->elements -
                            inverse * inverse * ((double)w[i] - mean) * product));
    }
}

enum status NAME(filter_forward)(struct error *error, struct device *device,
                                 const struct filter_list *list) {
    (void)error;
    (void)device;
    for (int i = 0; i < list->count; i++)
        standardize(&list->layers[i]);
    return STATUS_OK;
}

enum status NAME(filter_backward)(struct error *error, struct device *device,
                                  const struct filter_list *list) {
    (void)error;
    (void)device;
    for (int i = 0; i < list->count; i++)
        standardize_backward(&list->layers[i]);
    return STATUS_OK;
}
