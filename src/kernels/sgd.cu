/* sgd.cu: the optimizer, over the whole parameter arena in one launch.
 *
 * Reads gradient, weight and velocity once and writes weight and velocity once: the floor is 20
 * bytes per parameter. A thread updates four parameters with 16-byte accesses, or one if an array
 * is not aligned to 16 bytes. */
#include "kernels/vectors.cuh"

enum { THREADS = 128, RUN = 4 };

/* WIDTH parameters, beginning with `first`. Weight decay may end anywhere among them. */
template <int WIDTH> __device__ static void update(const struct sgd_args *a, size_t first) {
    const float rate = a->state->learning_rate;
    const struct values<WIDTH> gradient = load<WIDTH>(a->gradient + first);
    struct values<WIDTH> w = load<WIDTH>(a->weight + first);
    struct values<WIDTH> v = load<WIDTH>(a->velocity + first);
    for (int i = 0; i < WIDTH; i++) {
        const float decay = first + i < a->decayed ? a->decay : 0;
        const float g = gradient.at[i] + decay * w.at[i];
        v.at[i] = a->momentum * v.at[i] + g;
        w.at[i] -= rate * (a->nesterov ? g + a->momentum * v.at[i] : v.at[i]);
    }
    store(a->velocity + first, v);
    store(a->weight + first, w);
}

template <int WIDTH> __global__ void sgd_kernel(struct sgd_args a) {
    const size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * WIDTH;
    if (first + WIDTH <= a.count)
        update<WIDTH>(&a, first);
    else
        for (size_t i = first; i < a.count; i++)
            update<1>(&a, i);
}

enum status cuda_sgd(struct error *error, struct device *device, const struct sgd_args *a) {
    const bool wide =
        vectors_allowed(a->weight) && vectors_allowed(a->velocity) && vectors_allowed(a->gradient);
    const size_t share = THREADS * (wide ? RUN : 1); /* a block's */
    void (*const sgd)(struct sgd_args) = wide ? sgd_kernel<RUN> : sgd_kernel<1>;
    LAUNCH(sgd, (unsigned)((a->count + share - 1) / share), THREADS, 0, device->compute, *a);
    return check_launch(error, "sgd");
}
