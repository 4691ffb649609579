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
#elif defined(__AVX2__)
enum { LANES = 8, TILE_VECTORS = 2 }; /* 16 registers: 4 x 2 accumulators, 2 of x, 1 weight */
#else
enum { LANES = 4, TILE_VECTORS = 2 };
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
