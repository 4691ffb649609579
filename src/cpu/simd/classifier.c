/* classifier.c: the operations after the last block: average over the map, linear layer, softmax
 * cross-entropy. Little work: one thread, sums in the order of the images. */
#include "cpu/simd/variant.h"

#include <math.h>

enum status NAME(average_forward)(struct error *error, struct device *device,
                                  const struct average_args *a) {
    (void)error;
    (void)device;
    for (int i = 0; i < a->batch * a->channels; i++) {
        const float *x = a->x + (size_t)i * (size_t)a->pixels;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int p = 0; p < a->pixels; p++)
            sum += x[p];
        a->y[i] = sum / (float)a->pixels;
    }
    return STATUS_OK;
}

enum status NAME(average_backward)(struct error *error, struct device *device,
                                   const struct average_args *a) {
    (void)error;
    (void)device;
    for (int i = 0; i < a->batch * a->channels; i++) {
        float *dx = a->dx + (size_t)i * (size_t)a->pixels, share = a->dy[i] / (float)a->pixels;
        for (int p = 0; p < a->pixels; p++)
            dx[p] = share;
    }
    return STATUS_OK;
}

enum status NAME(linear_forward)(struct error *error, struct device *device,
                                 const struct linear_args *a) {
    (void)error;
    (void)device;
    for (int n = 0; n < a->batch; n++)
        for (int o = 0; o < a->outputs; o++) {
            const float *x = a->x + (size_t)n * (size_t)a->inputs;
            const float *w = a->weight + (size_t)o * (size_t)a->inputs;
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int i = 0; i < a->inputs; i++)
                sum += x[i] * w[i];
            a->y[(size_t)n * (size_t)a->outputs + (size_t)o] = sum;
        }
    return STATUS_OK;
}

/* to += scale * from. */
static void add_scaled(float *restrict to, const float *restrict from, float scale, int count) {
    for (int i = 0; i < count; i++)
        to[i] += scale * from[i];
}

enum status NAME(linear_backward)(struct error *error, struct device *device,
                                  const struct linear_args *a) {
    (void)error;
    (void)device;
    size_t inputs = (size_t)a->inputs, outputs = (size_t)a->outputs;
    memset(a->dx, 0, (size_t)a->batch * inputs * sizeof(float));
    memset(a->dweight, 0, outputs * inputs * sizeof(float));
    for (size_t n = 0; n < (size_t)a->batch; n++)
        for (size_t o = 0; o < outputs; o++) {
            float d = a->dy[n * outputs + o];
            add_scaled(a->dx + n * inputs, a->weight + o * inputs, d, a->inputs);
            add_scaled(a->dweight + o * inputs, a->x + n * inputs, d, a->inputs);
        }
    return STATUS_OK;
}

/* One image: returns its loss, log(sum exp(logit - max)) - (logit[label] - max); counts it if
 * correct. */
static double image_loss(bool *correct, float *dlogits, const float *logits, int label,
                         const struct loss_args *a) {
    int best = 0;
    for (int c = 1; c < a->classes; c++)
        if (logits[c] > logits[best])
            best = c;
    double sum = 0, largest = (double)logits[best];
    for (int c = 0; c < a->classes; c++)
        sum += exp((double)logits[c] - largest);
    *correct = best == label;
    for (int c = 0; dlogits != NULL && c < a->classes; c++)
        dlogits[c] = (float)((exp((double)logits[c] - largest) / sum - (c == label)) / a->batch);
    return log(sum) - ((double)logits[label] - largest);
}

enum status NAME(loss)(struct error *error, struct device *device, const struct loss_args *a) {
    (void)error;
    (void)device;
    for (int n = 0; n < a->batch; n++) {
        size_t first = (size_t)n * (size_t)a->classes;
        bool correct;
        a->counters->loss += image_loss(&correct, a->dlogits == NULL ? NULL : a->dlogits + first,
                                        a->logits + first, a->labels[n], a);
        a->counters->correct += correct;
    }
    a->counters->images += (uint64_t)a->batch;
    return STATUS_OK;
}
