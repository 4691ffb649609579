/* vectors.cuh: what a thread reads and writes at once, and the arithmetic that all norms share. */
#ifndef KERNELS_VECTORS_CUH
#define KERNELS_VECTORS_CUH

#include "kernels/kernel.cuh"

/* V consecutive floats: 4 where rows and pointers are multiples of 16 bytes, else 1; the pool also
 * uses 2, for multiples of 8 bytes. */
template <int V> struct values { float at[V]; };

__device__ inline struct values<4> unpacked(float4 v) {
    return {{v.x, v.y, v.z, v.w}};
}

__device__ inline float4
packed(const struct values<4> &v) {
    return make_float4(v.at[0], v.at[1], v.at[2], v.at[3]);
}

template <int V> __device__ inline struct values<V> load(const float *p) {
    struct values<V> v;
    if constexpr (V == 4) {
        v = unpacked(load4(p));
    } else if constexpr (V == 2) {
        const float2 both = *reinterpret_cast<const float2 *>(p);
        v.at[0] = both.x, v.at[1] = both.y;
    } else {
        v.at[0] = *p;
    }
    return v;
}

template <int V>
__device__ inline void store(float *p, const struct values<V> &v) {
    if constexpr (V == 4)
        store4(p, packed(v));
    else if constexpr (V == 2)
        *reinterpret_cast<float2 *>(p) = make_float2(v.at[0], v.at[1]);
    else
        *p = v.at[0];
}

template <int V> __device__ inline struct values<V> broadcast(float number) {
    struct values<V> v;
    UNROLL
    for (int i = 0; i < V; i++)
        v.at[i] = number;
    return v;
}

/* NaN passes, as in PyTorch: a broken value has to reach the loss to be noticed. (fmaxf drops
 * it.) */
__device__ inline float
relu(float x) {
    return x < 0 ? 0 : x;
}

/* v / (1 + exp(-v)), and its slope. The division is the hardware's, within 2 roundings: IEEE's would
 * need registers that the kernels do not have. */
__device__ inline float sigmoid(float v) {
    return __fdividef(1, 1 + expf(-v));
}

__device__ inline float silu(float v) {
    return v * sigmoid(v);
}

__device__ inline float silu_slope(float v) {
    const float s = sigmoid(v);
    return s + v * s * (1 - s);
}

/* What follows the norm. */
__device__ inline float activate(float v, enum activation activation) {
    return activation == RELU_AFTER ? relu(v) : activation == SILU_AFTER ? silu(v) : v;
}

/* dy through it: the gradient of v. ReLU's at 0 is 0. */
__device__ inline float activate_back(float dy, float v, enum activation activation) {
    return activation == SILU_AFTER             ? dy * silu_slope(v)
           : activation == RELU_BEFORE || v > 0 ? dy
                                                : 0;
}

/* The normalized value before and after weight and bias. The rounding of each step is fixed here,
 * whatever the compiler contracts elsewhere: backward must get the same sign of v as forward. */
__device__ inline float normalized(float u, float mean, float rstd) {
    return (u - mean) * rstd;
}

__device__ inline float affine(float hat, float weight, float bias) {
    return fmaf(hat, weight, bias);
}

static inline bool aligned(const void *p, size_t bytes) {
    return (uintptr_t)p % bytes == 0;
}

/* Whether 16-byte accesses are legal; also for NULL, a tensor that a call does not use. */
static inline bool vectors_allowed(const void *p) {
    return aligned(p, sizeof(float4));
}

#endif
