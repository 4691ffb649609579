/* variant.h: what differs between the instruction sets that this folder is compiled for: the width
 * of a vector, the tile of the convolutions, and the suffix of every external name.
 *
 * Each file here is compiled once for each VARIANT (see the Makefile): baseline, avx2, avx512.
 * Vectors are GCC's generic ones. The compiler handles vectors wider than the machine's badly, so
 * each variant has its own width. */
#ifndef VARIANT_H
#define VARIANT_H

#include "cpu/device.h"

#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define VARIANT_PASTE2(name, variant) name##_##variant
#define VARIANT_PASTE(name, variant) VARIANT_PASTE2(name, variant)
/* NAME(conv_forward) is conv_forward_avx512 in the AVX-512 compilation. */
#define NAME(name) VARIANT_PASTE(name, VARIANT)
#include "operations.h"

#if defined(__AVX512F__)
enum { LANES = 16, TILE_VECTORS = 4 }; /* 32 registers: 4 x 4 accumulators, 4 of x, 4 weights */
#define LOW_SINGLES 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_SINGLES 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define LOW_PAIRS 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_PAIRS 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOWER_HALVES 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define UPPER_HALVES 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#elif defined(__AVX2__)
enum { LANES = 8, TILE_VECTORS = 2 }; /* 16 registers: 4 x 2 accumulators, 2 of x, 1 weight */
#define LOW_SINGLES 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_SINGLES 2, 10, 3, 11, 6, 14, 7, 15
#define LOW_PAIRS 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_PAIRS 2, 3, 10, 11, 6, 7, 14, 15
#define LOWER_HALVES 0, 8, 2, 10, 4, 12, 6, 14
#define UPPER_HALVES 1, 9, 3, 11, 5, 13, 7, 15
#else
enum { LANES = 4, TILE_VECTORS = 2 };
#define LOW_SINGLES 0, 4, 1, 5
#define HIGH_SINGLES 2, 6, 3, 7
#define LOW_PAIRS 0, 1, 4, 5
#define HIGH_PAIRS 2, 3, 6, 7
#define LOWER_HALVES 0, 4, 2, 6
#define UPPER_HALVES 1, 5, 3, 7
#endif

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

static inline vector vector_load(const float *p) {
    vector v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vector_store(float *p, vector v) {
    memcpy(p, &v, sizeof v);
}

/* Lanes of two vectors, numbered through both: SHUFFLE(a, b, LOW_PAIRS) begins with a[0], a[1], b[0],
 * b[1]. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lane_numbers){__VA_ARGS__})
#endif
typedef int lane_numbers __attribute__((vector_size(LANES * sizeof(int))));

/* Exchanges rows and columns of the 4x4 lanes of each quad: quad q of to[i] has lane i of quad q of
 * each of the four. */
static inline void transpose_quads(vector to[4], vector a, vector b, vector c, vector d) {
    vector ab = SHUFFLE(a, b, LOW_SINGLES), cd = SHUFFLE(c, d, LOW_SINGLES);
    to[0] = SHUFFLE(ab, cd, LOW_PAIRS);
    to[1] = SHUFFLE(ab, cd, HIGH_PAIRS);
    ab = SHUFFLE(a, b, HIGH_SINGLES), cd = SHUFFLE(c, d, HIGH_SINGLES);
    to[2] = SHUFFLE(ab, cd, LOW_PAIRS);
    to[3] = SHUFFLE(ab, cd, HIGH_PAIRS);
}

/* Vectors of 16 lanes hold 4x4 of them: their rows and columns exchanged. */
static inline vector transpose_square(vector v) {
#if defined(__AVX512F__)
    return SHUFFLE(v, v, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#else
    return v;
#endif
}

/* Quads of a vector that lie `step` floats apart. */
static inline vector load_quads(const float *from, size_t step) {
#if defined(__AVX512F__)
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(from));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(from + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(from + 2 * step), 2);
    return (vector)_mm512_insertf32x4(v, _mm_loadu_ps(from + 3 * step), 3);
#elif defined(__AVX2__)
    return (vector)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)),
                                        _mm_loadu_ps(from + step), 1);
#else
    (void)step;
    return vector_load(from);
#endif
}

static inline void store_quads(float *to, size_t step, vector v) {
#if defined(__AVX512F__)
    _mm_storeu_ps(to, _mm512_castps512_ps128((__m512)v));
    _mm_storeu_ps(to + step, _mm512_extractf32x4_ps((__m512)v, 1));
    _mm_storeu_ps(to + 2 * step, _mm512_extractf32x4_ps((__m512)v, 2));
    _mm_storeu_ps(to + 3 * step, _mm512_extractf32x4_ps((__m512)v, 3));
#elif defined(__AVX2__)
    _mm_storeu_ps(to, _mm256_castps256_ps128((__m256)v));
    _mm_storeu_ps(to + step, _mm256_extractf128_ps((__m256)v, 1));
#else
    (void)step;
    vector_store(to, v);
#endif
}

/* Keeps a loaded vector in a register where the compiler would repeat the load at each use: an
 * unaligned load costs as much as two aligned ones. */
#if defined(__x86_64__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define IN_REGISTER(v) ((void)(v))
#endif

/* The sum of the lanes, by halves: log2(LANES) additions in a fixed order. */
static inline float vector_sum(vector v) {
    float lane[LANES];
    memcpy(lane, &v, sizeof lane);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

#endif
