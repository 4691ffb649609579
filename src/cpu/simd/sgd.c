/* sgd.c: the optimizer, over the whole parameter arena: 3 reads and 2 writes per element. */
#include "cpu/simd/variant.h"

/* A range with one weight decay. */
static void step_range(const struct sgd_args *a, size_t first, size_t end, float decay) {
    float *restrict w = a->weight, *restrict v = a->velocity;
    const float *restrict gradient = a->gradient;
    const float rate = a->state->learning_rate, momentum = a->momentum;
    const bool nesterov = a->nesterov;
    for (size_t i = first; i < end; i++) {
        float g = gradient[i] + decay * w[i];
        v[i] = momentum * v[i] + g;
        w[i] -= rate * (nesterov ? g + momentum * v[i] : v[i]);
    }
}

enum status NAME(sgd)(struct error *error, struct device *device, const struct sgd_args *a) {
    (void)error;
    (void)device;
    step_range(a, 0, a->decayed, a->decay);
    step_range(a, a->decayed, a->count, 0);
    return STATUS_OK;
}
