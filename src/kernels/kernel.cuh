/* kernel.cuh: what every kernel file includes. Four macros stand for the parts of CUDA C++ that no
 * other compiler accepts, so that the stand-in for CUDA (tests/cudasim) can give them its own
 * meaning:
 *
 *     SHARED(float, sums, 32)          __shared__ float sums[32]
 *     SHARED_DYNAMIC(float4, kept)     extern __shared__ float4 kept[]; float4 in every kernel
 *     LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)   kernel<<<...>>>(...)
 *     LAUNCH_COOPERATIVE(...)   the same; all blocks run at once and may wait for each other
 *
 * Elements of shared arrays are read and written whole (`float4 v = kept[i]`, never kept[i].x), and
 * no pointer to them is taken: the stand-in watches each access. */
#ifndef KERNELS_KERNEL_CUH
#define KERNELS_KERNEL_CUH

#include <cublas_v2.h> /* both contain C++, so they precede the 'extern "C"' */
#include <cuda_runtime.h>
#include <cudnn.h>

extern "C" {
#include "kernels/check.h"
#include "kernels/device.h"
#include "philox.h"
}

#ifdef __CUDACC__
#define SHARED(type, name, count) __shared__ type name[count]
#define SHARED_DYNAMIC(type, name) extern __shared__ type name[]
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                     \
    kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__)
#define LAUNCH_COOPERATIVE(kernel, grid, block, shared_bytes, stream, ...)                         \
    launch_cooperative(kernel, grid, block, shared_bytes, stream, __VA_ARGS__)

/* As after <<<...>>>, an error is left for cudaGetLastError. */
template <typename... P, typename... A>
static inline void launch_cooperative(void (*kernel)(P...), dim3 grid, dim3 block,
                                      size_t shared_bytes, cudaStream_t stream,
                                      const A &...arguments) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    (void)cudaLaunchKernelEx(&config, kernel, arguments...);
}
#else
#include <cudasim_kernel.h>
#endif

/* Before a kernel's argument: it is read where it is, in constant memory. Without this, indexing an
 * array in it by a variable would copy it into local memory. */
#ifdef __CUDACC__
#define BY_VALUE __grid_constant__
#else
#define BY_VALUE
#endif

/* Before a loop: unrolls it fully, or `count` times. */
#ifdef __CUDACC__
#define PRAGMA(text) _Pragma(#text)
#define UNROLL PRAGMA(unroll)
#define UNROLL_BY(count) PRAGMA(unroll count)
#else
#define UNROLL
#define UNROLL_BY(count)
#endif

enum { WARP = 32 };
#define ALL_LANES 0xffffffffu

/* 16 bytes at once: p is a multiple of 16 bytes. */
__device__ inline float4 load4(const float *p) {
    return *reinterpret_cast<const float4 *>(p);
}

__device__ inline void store4(float *p, float4 v) {
#ifdef __CUDACC__
    /* nvcc 13.0 splits a plain assignment into four stores of 4 bytes in group_norm.cu. */
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)),
                 "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w)
                 : "memory");
#else
    *reinterpret_cast<float4 *>(p) = v;
#endif
}

#endif
