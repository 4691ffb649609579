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

#define VARIANT_PASTE2(name, variant) name##_##variant
#define VARIANT_PASTE(name, variant) VARIANT_PASTE2(name, variant)
/* NAME(conv_forward) is conv_forward_avx512 in the AVX-512 compilation. */
#define NAME(name) VARIANT_PASTE(name, VARIANT)
#include "operations.h"

#if defined(__AVX512F__)
enum { LANES = 16, TILE_VECTORS = 4 }; /* 32 registers: 4 x 4 accumulators, 4 of x, 4 weights */
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define LOWER_PAIRS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER_PAIRS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define LOWER_HALVES 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define UPPER_HALVES 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#elif defined(__AVX2__)
enum { LANES = 8, TILE_VECTORS = 2 }; /* 16 registers: 4 x 2 accumulators, 2 of x, 1 weight */
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15
#define LOWER_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#define LOWER_HALVES 0, 8, 2, 10, 4, 12, 6, 14
#define UPPER_HALVES 1, 9, 3, 11, 5, 13, 7, 15
#else
enum { LANES = 4, TILE_VECTORS = 2 };
#define EVEN_LANES 0, 2, 4, 6
#define ODD_LANES 1, 3, 5, 7
#define LOWER_PAIRS 0, 4, 1, 5
#define UPPER_PAIRS 2, 6, 3, 7
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

/* Four floats, on any instruction set. */
typedef float quad __attribute__((vector_size(4 * sizeof(float))));

static inline quad quad_load(const float *p) {
    quad q;
    memcpy(&q, p, sizeof q);
    return q;
}

static inline void quad_store(float *p, quad q) {
    memcpy(p, &q, sizeof q);
}

/* Lanes of two vectors, numbered through both: SHUFFLE(a, b, EVEN_LANES) has those with an even
 * number, SHUFFLE(a, b, LOWER_PAIRS) begins with a[0], b[0], a[1], b[1]. */
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE_QUADS(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int lane_numbers __attribute__((vector_size(LANES * sizeof(int))));
typedef int quad_numbers __attribute__((vector_size(4 * sizeof(int))));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lane_numbers){__VA_ARGS__})
#define SHUFFLE_QUADS(a, b, ...) __builtin_shuffle(a, b, (quad_numbers){__VA_ARGS__})
#endif

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
