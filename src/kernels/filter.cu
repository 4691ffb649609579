/* filter.cu: filters standardized to zero mean and a given L2 norm (Qiao et al. 2019).
 *
 * One warp per filter, alone in its block, so that the filters spread over the multiprocessors. The
 * largest layer has 32 filters of 252 numbers, 32 KB: a kernel of a few microseconds, bound by
 * latency. So the warp simply passes over its filter three times; only the first pass reaches
 * memory (forward reads weight and writes y once; backward reads weight, reads and writes d once),
 * the first-level cache serves the others. Rows of 27 or 252 numbers are not aligned, so
 * neighbouring lanes make neighbouring 4-byte accesses. Sums are double, as on the CPU: a mean
 * rounded to float would show in filters that are nearly constant. */
#include "kernels/reduce.cuh"

/* Statistics of a filter. */
struct standard {
    double mean, inverse_norm; /* 1 / sqrt(sum (w - mean)^2 + 1e-10) */
};

__device__ static struct standard standard_of(const float *w, int elements) {
    double sum = 0, squares = 0;
    for (int i = (int)threadIdx.x; i < elements; i += WARP)
        sum += (double)w[i];
    const double mean = warp_sum(sum) / elements;
    for (int i = (int)threadIdx.x; i < elements; i += WARP)
        squares += ((double)w[i] - mean) * ((double)w[i] - mean);
    return {mean, 1 / sqrt(warp_sum(squares) + 1e-10)};
}

__global__ static void filter_forward_kernel(struct filter_args a) {
    const size_t first = (size_t)blockIdx.x * (size_t)a.elements;
    const float *w = a.weight + first;
    const struct standard s = standard_of(w, a.elements);
    for (int i = (int)threadIdx.x; i < a.elements; i += WARP)
        a.y[first + i] = (float)((double)a.gain * ((double)w[i] - s.mean) * s.inverse_norm);
}

/* With c = w - mean and r = 1 / |c|: dw = gain * r * (d - mean(d) - r^2 * c * sum(d * c)). */
__global__ static void filter_backward_kernel(struct filter_args a) {
    const size_t first = (size_t)blockIdx.x * (size_t)a.elements;
    const float *w = a.weight + first;
    float *d = a.d + first;
    const struct standard s = standard_of(w, a.elements);
    double sum = 0, product = 0;
    for (int i = (int)threadIdx.x; i < a.elements; i += WARP) {
        sum += (double)d[i];
        product += (double)d[i] * ((double)w[i] - s.mean);
    }
    const double mean = warp_sum(sum) / a.elements;
    const double slope = warp_sum(product) * s.inverse_norm * s.inverse_norm;
    for (int i = (int)threadIdx.x; i < a.elements; i += WARP)
        d[i] = (float)((double)a.gain * s.inverse_norm *
                       ((double)d[i] - mean - ((double)w[i] - s.mean) * slope));
}

enum status cuda_filter_forward(struct error *error, struct device *device,
                                const struct filter_args *a) {
    LAUNCH(filter_forward_kernel, (unsigned)a->filters, WARP, 0, device->compute, *a);
    return check_launch(error, "filter_forward");
}

enum status cuda_filter_backward(struct error *error, struct device *device,
                                 const struct filter_args *a) {
    LAUNCH(filter_backward_kernel, (unsigned)a->filters, WARP, 0, device->compute, *a);
    return check_launch(error, "filter_backward");
}
