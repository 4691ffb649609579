// cudasim_device.h: CUDA's additions to C++ for the stand-in: qualifiers, vector types, the
// built-in variables and the device functions that this project's kernels call. Included by
// cuda_runtime.h.
#ifndef CUDASIM_DEVICE_H
#define CUDASIM_DEVICE_H

#include <math.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

extern "C++" {

// ---- vector types: sizes and alignments of vector_types.h --------------------------------------

#define CUDASIM_VECTOR2(name, type, bytes)                                                         \
    struct alignas(bytes) name {                                                                   \
        type x, y;                                                                                 \
    };                                                                                             \
    static inline name make_##name(type x, type y) {                                               \
        return {x, y};                                                                             \
    }
#define CUDASIM_VECTOR4(name, type, bytes)                                                         \
    struct alignas(bytes) name {                                                                   \
        type x, y, z, w;                                                                           \
    };                                                                                             \
    static inline name make_##name(type x, type y, type z, type w) {                               \
        return {x, y, z, w};                                                                       \
    }
CUDASIM_VECTOR2(float2, float, 8)
CUDASIM_VECTOR2(int2, int, 8)
CUDASIM_VECTOR2(uint2, unsigned int, 8)
CUDASIM_VECTOR2(uchar2, unsigned char, 2)
CUDASIM_VECTOR4(float4, float, 16)
CUDASIM_VECTOR4(uint4, unsigned int, 16)
CUDASIM_VECTOR4(uchar4, unsigned char, 4)
#undef CUDASIM_VECTOR2
#undef CUDASIM_VECTOR4

// ---- built-in variables of the thread that runs now --------------------------------------------

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
enum { warpSize = 32 };

// ---- barriers and shuffles ---------------------------------------------------------------------
// Each knows the place of its call: threads that meet must be at the same one.

namespace cudasim {

void block_barrier(const char *file, int line);
void warp_barrier(unsigned mask, const char *file, int line);
// Passes `value` of the calling lane to the lanes of the mask that name it as `source`, a lane of
// the warp.
unsigned long long shuffle(unsigned mask, unsigned long long value, int source, const char *file,
                           int line);
int lane();

template <class T> T shuffle_as(unsigned mask, T value, int source, const char *file, int line) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles take 4 or 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = shuffle(mask, bits, source, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
} // namespace cudasim

#define CUDASIM_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(CUDASIM_HERE) {
    cudasim::block_barrier(file, line);
}

static inline void __syncwarp(unsigned mask = 0xffffffffu, CUDASIM_HERE) {
    cudasim::warp_barrier(mask, file, line);
}

// The sources of the four follow "Warp Shuffle Functions" of the CUDA C++ Programming Guide:
// `width` splits a warp into parts; a lane that asks beyond its part gets its own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, CUDASIM_HERE) {
    int first = cudasim::lane() & ~(width - 1);
    return cudasim::shuffle_as(mask, value, first + (source & (width - 1)), file, line);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, CUDASIM_HERE) {
    int lane = cudasim::lane(), source = lane - (int)delta;
    return cudasim::shuffle_as(mask, value, source < (lane & ~(width - 1)) ? lane : source, file,
                               line);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, CUDASIM_HERE) {
    int lane = cudasim::lane(), source = lane + (int)delta;
    return cudasim::shuffle_as(mask, value, source > (lane | (width - 1)) ? lane : source, file,
                               line);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize, CUDASIM_HERE) {
    int lane = cudasim::lane(), source = lane ^ lane_mask;
    return cudasim::shuffle_as(mask, value, source > (lane | (width - 1)) ? lane : source, file,
                               line);
}

#undef CUDASIM_HERE

// ---- arithmetic --------------------------------------------------------------------------------

template <class T> T __ldg(const T *address) {
    return *address;
}

static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}

static inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}

/* 0 for a divisor from 2^126 on, as the CUDA C++ Programming Guide says. */
static inline float __fdividef(float a, float b) {
    return b > 0x1p126f || b < -0x1p126f ? 0 : a / b;
}

static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define CUDASIM_MIN_MAX(type)                                                                      \
    static inline type min(type a, type b) {                                                       \
        return a < b ? a : b;                                                                      \
    }                                                                                              \
    static inline type max(type a, type b) {                                                       \
        return a > b ? a : b;                                                                      \
    }
CUDASIM_MIN_MAX(int)
CUDASIM_MIN_MAX(unsigned)
CUDASIM_MIN_MAX(long)
CUDASIM_MIN_MAX(unsigned long)
CUDASIM_MIN_MAX(long long)
CUDASIM_MIN_MAX(unsigned long long)
#undef CUDASIM_MIN_MAX

// Of a NaN and a number, the number is returned, as on the device.
static inline float min(float a, float b) {
    return fminf(a, b);
}

static inline float max(float a, float b) {
    return fmaxf(a, b);
}

static inline double min(double a, double b) {
    return fmin(a, b);
}

static inline double max(double a, double b) {
    return fmax(a, b);
}

// ---- templates of cuda_runtime.h ---------------------------------------------------------------

template <class T> CUDASIM_CHECKED cudaError_t cudaMalloc(T **memory, size_t bytes) {
    return cudaMalloc((void **)(void *)memory, bytes);
}

template <class T>
CUDASIM_CHECKED cudaError_t cudaHostAlloc(T **memory, size_t bytes, unsigned int flags) {
    return cudaHostAlloc((void **)(void *)memory, bytes, flags);
}

template <class T>
CUDASIM_CHECKED cudaError_t cudaFuncSetAttribute(T *kernel, enum cudaFuncAttribute attribute,
                                                 int value) {
    return cudaFuncSetAttribute((const void *)kernel, attribute, value);
}

template <class T>
CUDASIM_CHECKED cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes,
                                                  T *kernel) {
    return cudaFuncGetAttributes(attributes, (const void *)kernel);
}

} // extern "C++"

#endif
