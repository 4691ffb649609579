/* image_norm.cuh: how the kernels of group and layer norm divide a group among threads, and what
 * they do with each vector of it. Notation as in norm_math.cuh.
 *
 * One block works on one group of one image, which is contiguous in NCHW. To a kernel it is `rows`
 * rows: the channels where weight and bias are per channel, so that a row has one weight and its
 * gradient is a sum over the row; a single row where they are per element. `row_threads`
 * neighbouring threads work on a row: whole warps, or a part of one warp that is a power of two. */
#ifndef KERNELS_IMAGE_NORM_CUH
#define KERNELS_IMAGE_NORM_CUH

#include "kernels/norm_math.cuh"
#include "kernels/reduce.cuh"

enum {
    MOST_THREADS = 1024,   /* of a block, on every architecture */
    FEWEST_ROW_THREADS = 4 /* a power of two */
};

/* A kernel's arguments, passed by value. */
struct image_norm {
    struct norm_args a;
    struct dropout dropout;
    int rows, length; /* a group is [rows][length] vectors */
    int row_threads;
    int partials; /* backward, per channel: sums of a row that go to the workspace, one per warp */
};

/* How the backward pass divides a norm, and the size of its vectors (group_norm.cu). */
struct division {
    struct image_norm n;
    int vector;
};
struct division group_norm_division(const struct device *device, const struct norm_args *a);

/* dweight and dbias of `count` norms after their backward passes; before them where weights are per
 * element and dx takes the place of dy (norm_gradients.cu). */
enum status group_norm_gradients(struct error *error, struct device *device,
                                 const struct norm_args *norms, int count);

/* One row of the block's group, as one thread sees it. */
struct row {
    int length;         /* vectors; 0 for a thread past the last row */
    size_t start;       /* of the row in the batch, in elements */
    size_t affine;      /* where its weight and bias begin */
    float weight, bias; /* where they are per channel */
};

template <int V> __device__ inline struct row row_of(const struct image_norm &n, int number) {
    const size_t group = blockIdx.x, in_image = blockIdx.x % (unsigned)n.a.groups;
    const size_t elements = (size_t)n.length * V;
    struct row row;
    row.length = number < n.rows ? n.length : 0;
    row.start = (group * (size_t)n.rows + (size_t)number) * elements;
    row.affine = in_image * (size_t)n.rows + (size_t)number;
    row.weight = row.bias = 0;
    if (n.a.per_element) {
        row.affine *= elements;
    } else if (number < n.rows) {
        row.weight = n.a.weight[row.affine];
        row.bias = n.a.bias[row.affine];
    }
    return row;
}

__device__ inline int first_row(const struct image_norm &n) {
    return (int)threadIdx.x / n.row_threads;
}

__device__ inline int first_position(const struct image_norm &n) {
    return (int)threadIdx.x % n.row_threads;
}

/* a tensor of the batch at a position of the row */
template <int V>
__device__ inline struct values<V> load_at(const float *tensor, const struct row &row,
                                           int position) {
    return load<V>(tensor + row.start + (size_t)position * V);
}

/* weight or bias there */
template <int V>
__device__ inline struct values<V> affine_at(const struct image_norm &n, const float *all,
                                             float of_channel, const struct row &row,
                                             int position) {
    if (n.a.per_element)
        return load<V>(all + row.affine + (size_t)position * V);
    return broadcast<V>(of_channel);
}

/* ---- forward --------------------------------------------------------------------------------- */

template <int V>
__device__ inline struct values<V> load_input(const struct image_norm &n, const struct row &row,
                                              int position) {
    return input_of<V>(load_at<V>(n.a.x, row, position), n.a);
}

/* y at a position of the row, from u */
template <int V>
__device__ inline void store_output(const struct image_norm &n, const struct row &row, int position,
                                    const struct values<V> &u, float mean, float rstd) {
    const size_t at = row.start + (size_t)position * V;
    const struct values<V> weight = affine_at<V>(n, n.a.weight, row.weight, row, position);
    const struct values<V> bias = affine_at<V>(n, n.a.bias, row.bias, row, position);
    store<V>(n.a.y + at, output_of<V>(u, n.a, n.dropout, at, mean, rstd, weight, bias));
}

/* Mean of a group, and rstd from the sum of squared differences from it. */
__device__ inline float group_mean(const struct image_norm &n, int vector, float sum) {
    return sum / ((float)n.rows * (float)n.length * (float)vector);
}

__device__ inline float group_rstd(const struct image_norm &n, int vector, float square) {
    return 1 / sqrtf(group_mean(n, vector, square) + n.a.epsilon);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Sums over a row. Weights per channel: the sums of dv and dv hat, the row's parts of dbias and
 * dweight. Weights per element: the sums of weight dv and weight dv hat. */
struct row_sums {
    float d, d_hat;
};

/* dy at a position of the row becomes weight dv; added to the sums. */
template <int V, bool DROPS>
__device__ inline void weigh_gradient(struct values<V> &d, struct row_sums &sums,
                                      const struct image_norm &n, const struct row &row,
                                      int position, const struct values<V> &x, float mean,
                                      float rstd) {
    const size_t at = row.start + (size_t)position * V;
    const struct values<V> weight = affine_at<V>(n, n.a.weight, row.weight, row, position);
    const struct values<V> hat = hat_of<V>(x, n.a, mean, rstd);
    struct values<V> bias = {};
    if (n.a.activation != RELU_BEFORE)
        bias = affine_at<V>(n, n.a.bias, row.bias, row, position);
    undo_output<V, DROPS>(d, n.a, n.dropout, at, hat, weight, bias);
    UNROLL
    for (int i = 0; i < V; i++) {
        const float weighted = d.at[i] * weight.at[i];
        const float summed = n.a.per_element ? weighted : d.at[i];
        sums.d += summed;
        sums.d_hat = fmaf(summed, hat.at[i], sums.d_hat);
        d.at[i] = weighted;
    }
}

/* dx = rstd (weight dv - mean of weight dv - hat * mean of weight dv hat): Ioffe and Szegedy 2015,
 * section 3, with the three partial derivatives combined; zero where RELU_BEFORE let nothing
 * through. */
template <int V>
__device__ inline void store_gradient(const struct image_norm &n, const struct row &row,
                                      int position, const struct values<V> &x,
                                      const struct values<V> &weighted, float mean, float rstd,
                                      const struct row_sums &means) {
    const struct values<V> hat = hat_of<V>(x, n.a, mean, rstd);
    struct values<V> dx;
    UNROLL
    for (int i = 0; i < V; i++) {
        const float du = rstd * (weighted.at[i] - means.d - hat.at[i] * means.d_hat);
        dx.at[i] = n.a.activation != RELU_BEFORE || x.at[i] > 0 ? du : 0;
    }
    store<V>(n.a.dx + row.start + (size_t)position * V, dx);
}

#endif
