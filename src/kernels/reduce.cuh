/* reduce.cuh: sums over the lanes of a warp and the threads of a block, in an order that depends
 * only on their number. T is float, double or int. */
#ifndef KERNELS_REDUCE_CUH
#define KERNELS_REDUCE_CUH

#include "kernels/kernel.cuh"

/* The sum over each `width` neighbouring lanes (a power of two, at most WARP), in all of them. */
template <typename T> __device__ inline T lanes_sum(T v, int width) {
    for (int distance = 1; distance < width; distance *= 2)
        v += __shfl_xor_sync(ALL_LANES, v, distance);
    return v;
}

template <typename T> __device__ inline T warp_sum(T v) {
    UNROLL
    for (int distance = 1; distance < WARP; distance *= 2)
        v += __shfl_xor_sync(ALL_LANES, v, distance);
    return v;
}

/* The sum over a block of whole warps, in every thread. A kernel with several calls gives each its
 * own number, and so its own shared memory: then one barrier is enough. */
template <int CALL, typename T> __device__ inline T block_sum(T v) {
    SHARED(T, sums, WARP);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const T own = warp_sum(v);
    if (lane == 0)
        sums[warp] = own;
    __syncthreads();
    return warp_sum(lane < (int)blockDim.x / WARP ? (T)sums[lane] : T(0));
}

#endif
