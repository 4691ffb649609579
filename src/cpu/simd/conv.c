/* conv.c: direct convolution, stride 1, kernels of 1 and 3: forward, and backward to x. (Backward
 * to the weights: conv_weight.c. Kernels of 3 with many channels: winograd.c.)
 *
 * An image is copied into planes with zero borders ("padded"), so that no tap needs a test, and
 * channels do not lie a power of two apart, where they would share a few cache sets. Then a tile of
 * TILE_VECTORS vectors of output pixels x OUT_BLOCK output channels is held in registers while all
 * input channels and taps are added to it: each vector of x is used OUT_BLOCK times, each weight
 * TILE_VECTORS times. Where the output width is a multiple of the vector width, vectors lie in
 * rows; elsewhere the image is treated as one long row with the padded width as its stride, and the
 * few values between the rows are dropped. Both cases differ only in vector_offset().
 *
 * The gradient of x is the same correlation of dy with the filters rotated by 180 degrees and
 * transposed.
 *
 * Floor: 2 * multiply-adds / peak; bench/ shows the share reached. */
#include "cpu/simd/conv_layout.h"
#include "cpu/simd/winograd.h"
#include "operation_checks.h"

#include <omp.h>

/* ---- forward, and backward to x -------------------------------------------------------------- */

static void pack_forward(float *packed, const float *weight, int in_channels, int out_channels,
                         int taps) {
    int blocks = (out_channels + OUT_BLOCK - 1) / OUT_BLOCK;
    for (int block = 0; block < blocks; block++)
        for (int i = 0; i < in_channels * taps; i++)
            for (int o = 0; o < OUT_BLOCK; o++) {
                int out = block * OUT_BLOCK + o;
                *packed++ = out < out_channels ? weight[out * in_channels * taps + i] : 0;
            }
}

/* The filters of the gradient: rotated by 180 degrees, input and output channels exchanged. */
static void pack_transposed(float *packed, const float *weight, int in_channels, int out_channels,
                            int taps) {
    int blocks = (in_channels + OUT_BLOCK - 1) / OUT_BLOCK;
    for (int block = 0; block < blocks; block++)
        for (int out = 0; out < out_channels; out++)
            for (int tap = 0; tap < taps; tap++)
                for (int i = 0; i < OUT_BLOCK; i++) {
                    int in = block * OUT_BLOCK + i;
                    *packed++ = in < in_channels
                                    ? weight[(out * in_channels + in) * taps + taps - 1 - tap]
                                    : 0;
                }
}

/* One tile of a correlation: what tile() reads and writes. */
struct tile_job {
    float *out; /* [valid] rows of vectors, `out_plane` floats apart */
    size_t out_plane;
    int valid; /* output channels of the block that exist */
    bool accumulate;
    const float *x[TILE_VECTORS]; /* where each vector's first tap lies in the first padded plane */
    size_t plane;                 /* of the padded input */
    int stride;
    int channels;
    const float *packed;
};

/* Sums all channels and taps in registers. `kernel` and `count` are constants at every call. */
static inline __attribute__((always_inline)) void tile(const struct tile_job *job, int kernel,
                                                       int count) {
    vector sum[OUT_BLOCK][TILE_VECTORS], zero = {0};
    IN_REGISTER(zero); /* else the compiler clears the sums in memory first */
    const float *x[TILE_VECTORS];
    const float *packed = job->packed;
    for (int v = 0; v < count; v++) {
        x[v] = job->x[v];
        for (int o = 0; o < OUT_BLOCK; o++)
            sum[o][v] = zero;
    }
    for (int c = 0; c < job->channels; c++) {
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                vector value[TILE_VECTORS];
                for (int v = 0; v < count; v++)
                    value[v] = vector_load(x[v] + ky * job->stride + kx);
                for (int o = 0; o < OUT_BLOCK; o++)
                    for (int v = 0; v < count; v++)
                        sum[o][v] += value[v] * packed[o];
                packed += OUT_BLOCK;
            }
        for (int v = 0; v < count; v++)
            x[v] += job->plane;
    }
    for (int o = 0; o < OUT_BLOCK; o++) {
        if (o >= job->valid)
            continue;
        float *out = job->out + (size_t)o * job->out_plane;
        for (int v = 0; v < count; v++) {
            if (job->accumulate)
                sum[o][v] += vector_load(out + v * LANES);
            vector_store(out + v * LANES, sum[o][v]);
        }
    }
}

/* Calls tile() with constants. A count above TILE_VECTORS does not occur; its case must compile all
 * the same. */
static void run_tile(const struct tile_job *job, int kernel, int count) {
#define TILE_CASE(vectors)                                                                         \
    case vectors: {                                                                                \
        enum { COUNT = (vectors) < TILE_VECTORS ? (vectors) : TILE_VECTORS };                      \
        if (kernel == 1)                                                                           \
            tile(job, 1, COUNT);                                                                   \
        else                                                                                       \
            tile(job, 3, COUNT);                                                                   \
        break;                                                                                     \
    }
    switch (count) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
    }
#undef TILE_CASE
}

/* Copies (or adds) the long rows of `flat`, [channels][vectors * LANES], into maps without the
 * padding. */
static void unpad(float *y, const float *flat, int channels, bool accumulate,
                  const struct geometry *g) {
    for (int c = 0; c < channels; c++)
        for (int row = 0; row < g->out_height; row++) {
            const float *from = flat + (size_t)c * (size_t)(g->vectors * LANES) + row * g->stride;
            for (int column = 0; column < g->out_width; column++, y++)
                *y = accumulate ? *y + from[column] : from[column];
        }
}

/* y[out] (+)= correlation of the padded maps with the packed filters. `flat` has room for
 * [out_channels][vectors * LANES]. */
static void correlate(float *y, bool accumulate, const float *padded, const float *packed,
                      int channels, int out_channels, const struct geometry *g, float *flat) {
    int taps = g->kernel * g->kernel;
    struct tile_job job = {
        .out_plane = (size_t)(g->in_rows ? g->out_height * g->out_width : g->vectors * LANES),
        .accumulate = accumulate && g->in_rows,
        .plane = g->plane,
        .stride = g->stride,
        .channels = channels,
    };
    for (int first = 0; first < g->vectors; first += TILE_VECTORS) {
        int count = g->vectors - first < TILE_VECTORS ? g->vectors - first : TILE_VECTORS;
        for (int v = 0; v < count; v++)
            job.x[v] = padded + vector_offset(g, first + v);
        for (int out = 0; out < out_channels; out += OUT_BLOCK) {
            job.out = (g->in_rows ? y : flat) + (size_t)out * job.out_plane + first * LANES;
            job.valid = out_channels - out < OUT_BLOCK ? out_channels - out : OUT_BLOCK;
            job.packed = packed + (size_t)out * (size_t)(channels * taps);
            run_tile(&job, g->kernel, count);
        }
    }
    if (!g->in_rows)
        unpad(y, flat, out_channels, accumulate, g);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Correlates each image of `from` with the packed filters into `to`, one image per task. */
static void correlate_batch(float *to, bool accumulate, const float *from, int batch, int channels,
                            int out_channels, const struct geometry *g, const struct layout *l,
                            float *workspace, int threads) {
    const float *packed = workspace;
    float *scratch = workspace + l->packed;
    size_t from_image = (size_t)(channels * g->height * g->width);
    size_t to_image = (size_t)(out_channels * g->out_height * g->out_width);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int n = 0; n < batch; n++) {
        float *padded = scratch + (size_t)omp_get_thread_num() * (l->padded + l->flat + l->spread);
        pad_image(padded, from + (size_t)n * from_image, channels, g);
        correlate(to + (size_t)n * to_image, accumulate, padded, packed, channels, out_channels, g,
                  padded + l->padded);
    }
}

/* The correlations of a convolution as jobs for winograd.c. */
static struct winograd_job forward_job(const struct conv_args *a, const struct geometry *g) {
    return (struct winograd_job){a->batch, a->in_channels, a->out_channels, *g};
}

static struct winograd_job backward_job(const struct conv_args *a, const struct geometry *g) {
    return (struct winograd_job){a->batch, a->out_channels, a->in_channels, transposed_geometry(g)};
}

static size_t job_workspace(const struct winograd_job *job, int threads) {
    return NAME(winograd_pays)(job) ? NAME(winograd_workspace)(job, threads) : 0;
}

size_t NAME(conv_workspace)(struct device *device, const struct conv_args *a) {
    struct geometry g = geometry_of(a->height, a->width, a->kernel, a->padding);
    struct winograd_job forward = forward_job(a, &g), backward = backward_job(a, &g);
    size_t winograd =
        larger(job_workspace(&forward, device->threads), job_workspace(&backward, device->threads));
    if (NAME(winograd_weight_pays)(a, &g))
        winograd = larger(winograd, NAME(winograd_weight_workspace)(a, &g, device->threads));
    return larger(layout_of(device, a).total, winograd) * sizeof(float);
}

enum status NAME(conv_forward)(struct error *error, struct device *device,
                               const struct conv_args *a) {
    if (check_conv(error, a) != STATUS_OK)
        return error->status;
    struct geometry g = geometry_of(a->height, a->width, a->kernel, a->padding);
    struct winograd_job job = forward_job(a, &g);
    if (NAME(winograd_pays)(&job)) {
        NAME(winograd_correlate)
        (a->y, false, a->x, a->weight, false, &job, a->workspace, device->threads);
        return STATUS_OK;
    }
    struct layout l = layout_of(device, a);
    pack_forward(a->workspace, a->weight, a->in_channels, a->out_channels, a->kernel * a->kernel);
    correlate_batch(a->y, false, a->x, a->batch, a->in_channels, a->out_channels, &g, &l,
                    a->workspace, device->threads);
    return STATUS_OK;
}

/* dx (+)= correlation of dy with the rotated filters. */
static void input_gradient(const struct conv_args *a, const struct geometry *g,
                           const struct layout *l, int threads) {
    struct winograd_job job = backward_job(a, g);
    if (NAME(winograd_pays)(&job)) {
        NAME(winograd_correlate)
        (a->dx, a->accumulate, a->dy, a->weight, true, &job, a->workspace, threads);
        return;
    }
    pack_transposed(a->workspace, a->weight, a->in_channels, a->out_channels,
                    a->kernel * a->kernel);
    correlate_batch(a->dx, a->accumulate, a->dy, a->batch, a->out_channels, a->in_channels, &job.g,
                    l, a->workspace, threads);
}

enum status NAME(conv_backward)(struct error *error, struct device *device,
                                const struct conv_args *a) {
    if (check_conv(error, a) != STATUS_OK)
        return error->status;
    struct geometry g = geometry_of(a->height, a->width, a->kernel, a->padding);
    struct layout l = layout_of(device, a);
    if (a->dweight != NULL && NAME(winograd_weight_pays)(a, &g))
        NAME(winograd_weight_gradient)(a, &g, device->threads);
    else if (a->dweight != NULL)
        NAME(conv_weight_gradient)(a, &g, &l, device->threads);
    if (a->dx != NULL)
        input_gradient(a, &g, &l, device->threads);
    return STATUS_OK;
}
