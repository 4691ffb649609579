/* batch_norm.c: normalization over N, H, W for each channel (Ioffe and Szegedy 2015).
 *
 * Forward, training: one pass computes mean and squared differences of each plane, combined over
 * the batch as in Chan, Golub and LeVeque 1979, in the order of the images; a second pass
 * normalizes. That is 2 reads and 1 write. Backward: a pass for the two sums (2 reads), a pass for
 * dx (2 reads, 1 write); with dropout or a ReLU after the norm, the first pass also writes dv to
 * dx. */
#include "cpu/simd/planes.h"
#include "operation_checks.h"

#include <math.h>

enum { PLANES = 32 }; /* per task */

/* Statistics of one plane in the workspace, [batch][channels]. */
struct plane_moments {
    float mean, squares;
};

/* The workspace holds a plane_moments for each plane in forward, a plane_sums in backward. */
size_t NAME(batch_norm_workspace)(const struct device *device, const struct norm_args *a) {
    (void)device;
    _Static_assert(sizeof(struct plane_moments) == sizeof(struct plane_sums), "one size for both");
    return (size_t)a->batch * (size_t)a->channels * sizeof(struct plane_sums);
}

/* Mean and biased variance of a channel from its planes. */
static void join_moments(double *mean, double *variance, const struct plane_moments *planes,
                         const struct norm_args *a) {
    double sum = 0, squares = 0, between = 0;
    for (int n = 0; n < a->batch; n++) {
        sum += (double)planes[n * a->channels].mean;
        squares += (double)planes[n * a->channels].squares;
    }
    *mean = sum / a->batch;
    for (int n = 0; n < a->batch; n++) {
        double difference = (double)planes[n * a->channels].mean - *mean;
        between += difference * difference;
    }
    *variance = (squares + a->pixels * between) / ((double)a->batch * a->pixels);
}

static void batch_statistics(const struct norm_args *a, int threads) {
    struct plane_moments *moments = a->workspace;
    bool relu_first = a->activation == RELU_BEFORE;
    int planes = a->batch * a->channels;
#pragma omp parallel for num_threads(threads) schedule(dynamic, PLANES)
    for (int i = 0; i < planes; i++) {
        const float *x = a->x + (size_t)i * (size_t)a->pixels;
        moments[i].mean = plane_sum(x, a->pixels, relu_first) / (float)a->pixels;
        moments[i].squares = plane_squares(x, a->pixels, moments[i].mean, relu_first);
    }
    double count = (double)a->batch * a->pixels, rate = (double)a->stat_momentum;
    for (int c = 0; c < a->channels; c++) {
        double mean, variance;
        join_moments(&mean, &variance, moments + c, a);
        a->mean[c] = (float)mean;
        a->rstd[c] = (float)(1 / sqrt(variance + (double)a->epsilon));
        double unbiased = count > 1 ? variance * count / (count - 1) : variance;
        a->running_mean[c] = (float)((1 - rate) * (double)a->running_mean[c] + rate * mean);
        a->running_var[c] = (float)((1 - rate) * (double)a->running_var[c] + rate * unbiased);
    }
}

static void running_statistics(const struct norm_args *a) {
    for (int c = 0; c < a->channels; c++) {
        a->mean[c] = a->running_mean[c];
        a->rstd[c] = (float)(1 / sqrt((double)a->running_var[c] + (double)a->epsilon));
    }
}

enum status NAME(batch_norm_forward)(struct error *error, struct device *device,
                                     const struct norm_args *a) {
    if (check_batch_norm(error, a) != STATUS_OK)
        return error->status;
    if (a->training)
        batch_statistics(a, device->threads);
    else
        running_statistics(a);
    int planes = a->batch * a->channels;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, PLANES)
    for (int i = 0; i < planes; i++) {
        int c = i % a->channels;
        size_t first = (size_t)i * (size_t)a->pixels;
        struct plane_affine p = plane_affine(a, c, a->mean[c], a->rstd[c]);
        plane_normalize(a->y + first, a->x + first, a->pixels, &p);
        if (drops(a))
            dropout_apply(a->y + first, first, (size_t)a->pixels, a);
    }
    return STATUS_OK;
}

/* dweight and dbias of each channel, summed over the images in their order. */
static void join_sums(const struct norm_args *a, const struct plane_sums *sums) {
    for (int c = 0; c < a->channels; c++) {
        double d = 0, d_hat = 0;
        for (int n = 0; n < a->batch; n++) {
            d += (double)sums[n * a->channels + c].d;
            d_hat += (double)sums[n * a->channels + c].d_hat;
        }
        a->dbias[c] = (float)d;
        a->dweight[c] = (float)d_hat;
    }
}

enum status NAME(batch_norm_backward)(struct error *error, struct device *device,
                                      const struct norm_args *a) {
    if (check_batch_norm(error, a) != STATUS_OK)
        return error->status;
    struct plane_sums *sums = a->workspace;
    int planes = a->batch * a->channels;
    float count = (float)a->batch * (float)a->pixels;
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, PLANES)
    for (int i = 0; i < planes; i++) {
        int c = i % a->channels;
        size_t first = (size_t)i * (size_t)a->pixels;
        struct plane_affine p = plane_affine(a, c, a->mean[c], a->rstd[c]);
        const float *dv = plane_output_gradient(a, (size_t)i, &p);
        sums[i] = plane_gradient_sums(dv, a->x + first, a->pixels, &p);
    }
    join_sums(a, sums);
#pragma omp parallel for num_threads(device->threads) schedule(dynamic, PLANES)
    for (int i = 0; i < planes; i++) {
        int c = i % a->channels;
        size_t first = (size_t)i * (size_t)a->pixels;
        struct plane_affine p = plane_affine(a, c, a->mean[c], a->rstd[c]);
        plane_input_gradient(a->dx + first, output_gradient(a) + first, a->x + first, a->pixels,
                             a->weight[c] * a->dbias[c] / count,
                             a->weight[c] * a->dweight[c] / count, &p);
    }
    return STATUS_OK;
}
