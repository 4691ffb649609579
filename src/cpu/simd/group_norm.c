/* group_norm.c: normalization over the channels of a group, H and W for each image (Wu and He
 * 2018).
 *
 * A group is contiguous and stays in the cache of the thread that works on it: forward reads x from
 * memory once and writes y once, backward reads x and dy once and writes dx once. */
#include "cpu/simd/planes.h"

#include <math.h>

enum {
    CHUNK = 8,   /* images whose per-element weight gradients one thread adds up */
    BLOCK = 256, /* elements of weight whose partial sums are added up at once */
};

/* Images whose gradients share a partial sum, and the elements of weight (and of bias) in it. */
static int images_per_partial(const struct norm_args *a) {
    return a->per_element ? CHUNK : 1;
}

static int affine_count(const struct norm_args *a) {
    return a->channels * (a->per_element ? a->pixels : 1);
}

size_t NAME(group_norm_workspace)(const struct device *device, const struct norm_args *a) {
    (void)device;
    int images = images_per_partial(a);
    size_t partials = (size_t)((a->batch + images - 1) / images);
    return partials * (size_t)affine_count(a) * 2 * sizeof(float);
}

/* Mean and rstd of one group of one image. */
static void group_statistics(float *mean, float *rstd, const float *x, const struct norm_args *a) {
    int channels = a->channels / a->groups;
    bool relu_first = a->activation == RELU_BEFORE;
    double count = (double)channels * a->pixels, sum = 0, squares = 0;
    for (int c = 0; c < channels; c++)
        sum += (double)plane_sum(x + (size_t)c * (size_t)a->pixels, a->pixels, relu_first);
    *mean = (float)(sum / count);
    for (int c = 0; c < channels; c++)
        squares +=
            (double)plane_squares(x + (size_t)c * (size_t)a->pixels, a->pixels, *mean, relu_first);
    *rstd = (float)(1 / sqrt(squares / count + (double)a->epsilon));
}

enum status NAME(group_norm_forward)(struct error *error, struct device *device,
                                     const struct norm_args *a) {
    (void)error;
    int channels = a->channels / a->groups;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic)
    for (int group = 0; group < a->batch * a->groups; group++) {
        int first_channel = group % a->groups * channels;
        size_t first = (size_t)group * (size_t)(channels * a->pixels);
        group_statistics(&a->mean[group], &a->rstd[group], a->x + first, a);
        for (int c = 0; c < channels; c++, first += (size_t)a->pixels) {
            struct plane_affine p =
                plane_affine(a, first_channel + c, a->mean[group], a->rstd[group]);
            plane_normalize(a->y + first, a->x + first, a->pixels, &p);
            if (drops(a))
                dropout_apply(a->y + first, first, (size_t)a->pixels, a);
        }
    }
    return STATUS_OK;
}

/* Gradients of one group of one image: dx, and the group's part of dweight and dbias added to
 * `partial`, [2][affine_count]. */
static void group_backward(float *partial, const struct norm_args *a, int group) {
    int channels = a->channels / a->groups, first_channel = group % a->groups * channels;
    size_t pixels = (size_t)a->pixels, first_plane = (size_t)group * (size_t)channels;
    float *dweight = partial, *dbias = partial + affine_count(a);
    double d = 0, d_hat = 0, count = (double)channels * a->pixels;
    for (int c = 0; c < channels; c++) {
        int channel = first_channel + c;
        size_t plane = first_plane + (size_t)c;
        const float *x = a->x + plane * pixels;
        struct plane_affine p = plane_affine(a, channel, a->mean[group], a->rstd[group]);
        const float *dv = plane_output_gradient(a, plane, &p);
        struct plane_sums sums;
        if (a->per_element) {
            size_t at = (size_t)channel * pixels;
            sums = plane_element_sums(dweight + at, dbias + at, dv, x, a->pixels, &p);
        } else {
            sums = plane_gradient_sums(dv, x, a->pixels, &p);
            dweight[channel] += sums.d_hat;
            dbias[channel] += sums.d;
            sums.d *= a->weight[channel];
            sums.d_hat *= a->weight[channel];
        }
        d += (double)sums.d;
        d_hat += (double)sums.d_hat;
    }
    for (int c = 0; c < channels; c++) {
        size_t at = (first_plane + (size_t)c) * pixels;
        struct plane_affine p = plane_affine(a, first_channel + c, a->mean[group], a->rstd[group]);
        plane_input_gradient(a->dx + at, output_gradient(a) + at, a->x + at, a->pixels,
                             (float)(d / count), (float)(d_hat / count), &p);
    }
}

/* The sums of all partials for up to BLOCK elements: to[i] = sum of sums[partial * stride + i], in
 * the order of the partials. */
static void join_partials(float *restrict to, const float *restrict sums, int count, int partials,
                          size_t stride) {
    double total[BLOCK] = {0};
    for (int partial = 0; partial < partials; partial++, sums += stride)
        for (int i = 0; i < count; i++)
            total[i] += (double)sums[i];
    for (int i = 0; i < count; i++)
        to[i] = (float)total[i];
}

enum status NAME(group_norm_backward)(struct error *error, struct device *device,
                                      const struct norm_args *a) {
    (void)error;
    int images = images_per_partial(a), affine = affine_count(a);
    int partials = (a->batch + images - 1) / images;
    float *sums = a->workspace;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic)
    for (int partial = 0; partial < partials; partial++) {
        float *sum = sums + (size_t)partial * 2 * (size_t)affine;
        int end = (partial + 1) * images < a->batch ? (partial + 1) * images : a->batch;
        memset(sum, 0, 2 * (size_t)affine * sizeof(float));
        for (int group = partial * images * a->groups; group < end * a->groups; group++)
            group_backward(sum, a, group);
    }
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int first = 0; first < affine; first += BLOCK) {
        int count = affine - first < BLOCK ? affine - first : BLOCK;
        size_t stride = 2 * (size_t)affine;
        join_partials(a->dweight + first, sums + first, count, partials, stride);
        join_partials(a->dbias + first, sums + affine + first, count, partials, stride);
    }
    return STATUS_OK;
}
