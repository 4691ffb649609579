/* filter.cu: filters standardized to zero mean and a given L2 norm (Qiao et al. 2019), of all
 * layers in one launch.
 *
 * One warp per filter, alone in its block, so that the filters spread over the multiprocessors: a
 * network has some 200 filters of 27 to 252 numbers, a few microseconds, bound by latency. So the
 * warp simply passes over its filter three times; only the first pass reaches memory (forward reads
 * weight and writes y once; backward reads weight, reads and writes d once), the first-level cache
 * serves the others. Rows of 27 or 252 numbers are not aligned, so
 * neighbouring lanes make neighbouring 4-byte accesses. Sums are double, as on the CPU: a mean
 * rounded to float would show in filters that are nearly constant. */
#include "kernels/reduce.cuh"

/* A launch has the filters of up to MOST_LAYERS layers: those of layer i are blocks first[i] to
 * first[i + 1] - 1. A kernel's arguments have 4 KB at most. */
enum { MOST_LAYERS = 32 };
struct filter_launch {
    unsigned first[MOST_LAYERS + 1];
    struct filter_args layers[MOST_LAYERS];
};

/* The filter of this block. */
struct filter {
    int elements;
    float gain;
    const float *w;
    float *y, *d;
};

__device__ static struct filter filter_of(const struct filter_launch &launch) {
    int i = 0;
    while (blockIdx.x >= launch.first[i + 1])
        i++;
    const struct filter_args &a = launch.layers[i];
    const size_t start = (size_t)(blockIdx.x - launch.first[i]) * (size_t)a.elements;
    return {a.elements, a.gain, a.weight + start, a.y + start, a.d + start};
}

/* Statistics of a filter. */
struct standard {
    double mean, inverse_norm; /* 1 / sqrt(sum (w - mean)^2 + 1e-10) */
};

__device__ static struct standard standard_of(const struct filter &f) {
    double sum = 0, squares = 0;
    for (int i = (int)threadIdx.x; i < f.elements; i += WARP)
        sum += (double)f.w[i];
    const double mean = warp_sum(sum) / f.elements;
    for (int i = (int)threadIdx.x; i < f.elements; i += WARP)
        squares += ((double)f.w[i] - mean) * ((double)f.w[i] - mean);
    return {mean, 1 / sqrt(warp_sum(squares) + 1e-10)};
}

__global__ static void filter_forward_kernel(const BY_VALUE struct filter_launch launch) {
    const struct filter f = filter_of(launch);
    const struct standard s = standard_of(f);
    for (int i = (int)threadIdx.x; i < f.elements; i += WARP)
        f.y[i] = (float)((double)f.gain * ((double)f.w[i] - s.mean) * s.inverse_norm);
}

/* With c = w - mean and r = 1 / |c|: dw = gain * r * (d - mean(d) - r^2 * c * sum(d * c)). */
__global__ static void filter_backward_kernel(const BY_VALUE struct filter_launch launch) {
    const struct filter f = filter_of(launch);
    const struct standard s = standard_of(f);
    double sum = 0, product = 0;
    for (int i = (int)threadIdx.x; i < f.elements; i += WARP) {
        sum += (double)f.d[i];
        product += (double)f.d[i] * ((double)f.w[i] - s.mean);
    }
    const double mean = warp_sum(sum) / f.elements;
    const double slope = warp_sum(product) * s.inverse_norm * s.inverse_norm;
    for (int i = (int)threadIdx.x; i < f.elements; i += WARP)
        f.d[i] = (float)((double)f.gain * s.inverse_norm *
                         ((double)f.d[i] - mean - ((double)f.w[i] - s.mean) * slope));
}

/* Launches `kernel` for all layers; `name` is for messages. */
static enum status launch_layers(struct error *error, struct device *device,
                                 void (*kernel)(const struct filter_launch), const char *name,
                                 const struct filter_list *list) {
    struct filter_launch launch = {};
    for (int i = 0; i < list->count; i += MOST_LAYERS) {
        const int count = list->count - i < MOST_LAYERS ? list->count - i : MOST_LAYERS;
        for (int j = 0; j < count; j++) {
            launch.layers[j] = list->layers[i + j];
            launch.first[j + 1] = launch.first[j] + (unsigned)launch.layers[j].filters;
        }
        LAUNCH(kernel, launch.first[count], WARP, 0, device->compute, launch);
        if (check_launch(error, name) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

enum status cuda_filter_forward(struct error *error, struct device *device,
                                const struct filter_list *list) {
    return launch_layers(error, device, filter_forward_kernel, "filter_forward", list);
}

enum status cuda_filter_backward(struct error *error, struct device *device,
                                 const struct filter_list *list) {
    return launch_layers(error, device, filter_backward_kernel, "filter_backward", list);
}
