/* norm_math.cuh: what the norms compute for each vector. Notation as in backend.h: u is x after
 * RELU_BEFORE, hat the normalized value, v the same with weight and bias; dv is the gradient of
 * v. */
#ifndef KERNELS_NORM_MATH_CUH
#define KERNELS_NORM_MATH_CUH

#include "kernels/dropout.cuh"

/* ---- forward --------------------------------------------------------------------------------- */

/* u from x */
template <int V>
__device__ inline struct values<V> input_of(struct values<V> x, const struct norm_args &a) {
    UNROLL
    for (int i = 0; i < V; i++)
        x.at[i] = a.activation == RELU_BEFORE ? relu(x.at[i]) : x.at[i];
    return x;
}

template <int V>
__device__ inline float total(const struct values<V> &u) {
    float sum = 0;
    UNROLL
    for (int i = 0; i < V; i++)
        sum += u.at[i];
    return sum;
}

template <int V> __device__ inline float squares(const struct values<V> &u, float mean) {
    float sum = 0;
    UNROLL
    for (int i = 0; i < V; i++)
        sum = fmaf(u.at[i] - mean, u.at[i] - mean, sum);
    return sum;
}

/* y from u; `at` is the place of its first element in the batch. */
template <int V>
__device__ inline struct values<V> output_of(const struct values<V> &u, const struct norm_args &a,
                                             const struct dropout &dropout, size_t at, float mean,
                                             float rstd, const struct values<V> &weight,
                                             const struct values<V> &bias) {
    struct values<V> y;
    UNROLL
    for (int i = 0; i < V; i++) {
        const float v = affine(normalized(u.at[i], mean, rstd), weight.at[i], bias.at[i]);
        y.at[i] = activate(v, a.activation);
    }
    if (dropout.on)
        dropout_apply<V>(y, dropout, at);
    return y;
}

/* ---- backward -------------------------------------------------------------------------------- */

template <int V>
__device__ inline struct values<V> hat_of(const struct values<V> &x, const struct norm_args &a,
                                          float mean, float rstd) {
    struct values<V> hat;
    UNROLL
    for (int i = 0; i < V; i++)
        hat.at[i] = normalized(a.activation == RELU_BEFORE ? relu(x.at[i]) : x.at[i], mean, rstd);
    return hat;
}

/* dy becomes dv, through the mask of dropout and an activation after the norm. DROPS: there may be dropout; drawing the mask costs registers, which kernels without it
 * save. */
template <int V, bool DROPS>
__device__ inline void undo_output(struct values<V> &dy, const struct norm_args &a,
                                   const struct dropout &dropout, size_t at,
                                   const struct values<V> &hat, const struct values<V> &weight,
                                   const struct values<V> &bias) {
    if (DROPS && dropout.on)
        dropout_apply<V>(dy, dropout, at);
    if (a.activation == RELU_BEFORE)
        return;
    UNROLL
    for (int i = 0; i < V; i++)
        dy.at[i] =
            activate_back(dy.at[i], affine(hat.at[i], weight.at[i], bias.at[i]), a.activation);
}

#endif
