/* dropout.h: dropout masks from Philox, many blocks at a time. */
#ifndef DROPOUT_H
#define DROPOUT_H

#include "cpu/simd/variant.h"
#include "philox.h"

#include <math.h>

enum {
    DROPOUT_BLOCKS = 64,                /* Philox blocks drawn at once */
    DROPOUT_DRAWS = 8 * DROPOUT_BLOCKS, /* elements they serve */
    PHILOX_VECTORS = 2,                 /* vectors of blocks that are worked on at once */
};

typedef uint32_t words __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint64_t wide_words __attribute__((vector_size(LANES * sizeof(uint32_t))));

/* The 64-bit products of the even lanes. The generic form compiles to a 64 x 64 bit product, three
 * times as slow. */
static inline wide_words multiply_even(words a, words b) {
#if defined(__AVX512F__)
    return (wide_words)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (wide_words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (wide_words)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return ((wide_words)a & 0xffffffff) * ((wide_words)b & 0xffffffff);
#endif
}

/* Upper and lower halves of the products of all lanes. (Lane 0 is the lower half of wide lane
 * 0.) */
static inline void multiply(words *high, words *low, words a, words b) {
    words even = (words)multiply_even(a, b);
    words odd = (words)multiply_even((words)((wide_words)a >> 32), b);
    *high = SHUFFLE(even, odd, UPPER_HALVES);
    *low = SHUFFLE(even, odd, LOWER_HALVES);
}

/* Words of consecutive blocks, `count` of them and some more: philox() of philox.h, a few vectors of
 * blocks at a time, since each waits for its products. word[w][b] is word w of block b. */
static inline void dropout_words(uint32_t word[4][DROPOUT_BLOCKS], uint32_t count, uint64_t seed,
                                 uint32_t stream, uint64_t step, uint32_t first) {
    const words zero = {0}, m0 = zero + PHILOX_MULTIPLIER_0, m1 = zero + PHILOX_MULTIPLIER_1;
    for (uint32_t b = 0; b < count; b += PHILOX_VECTORS * LANES) {
        words c[4][PHILOX_VECTORS];
        for (uint32_t v = 0; v < PHILOX_VECTORS; v++) {
            c[0][v] = zero + first + b + v * LANES;
            for (uint32_t lane = 0; lane < LANES; lane++)
                c[0][v][lane] += lane;
            c[1][v] = zero + (uint32_t)step;
            c[2][v] = zero + (uint32_t)(step >> 32);
            c[3][v] = zero + stream;
        }
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++, k0 += PHILOX_KEY_0, k1 += PHILOX_KEY_1)
            for (int v = 0; v < PHILOX_VECTORS; v++) {
                words high0, low0, high1, low1;
                multiply(&high0, &low0, c[0][v], m0);
                multiply(&high1, &low1, c[2][v], m1);
                c[0][v] = high1 ^ c[1][v] ^ k0;
                c[2][v] = high0 ^ c[3][v] ^ k1;
                c[1][v] = low1;
                c[3][v] = low0;
            }
        for (int w = 0; w < 4; w++)
            memcpy(&word[w][b], c[w], sizeof c[w]);
    }
}

/* The 16-bit draws of `elements` elements, beginning with element 8 * first (and of some more). */
static inline void dropout_draws(uint16_t draws[DROPOUT_DRAWS], size_t elements,
                                 const struct norm_args *a, uint32_t first) {
    const uint32_t blocks = (uint32_t)((elements + 127) / 128 * 16);
    uint32_t word[4][DROPOUT_BLOCKS], ordered[4 * DROPOUT_BLOCKS];
    dropout_words(word, blocks, a->seed, PHILOX_DROPOUT + (uint32_t)a->layer, a->state->step,
                  first);
    for (uint32_t b = 0; b < blocks; b++) {
        ordered[4 * b] = word[0][b];
        ordered[4 * b + 1] = word[1][b];
        ordered[4 * b + 2] = word[2][b];
        ordered[4 * b + 3] = word[3][b];
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // cppcheck-suppress uninitvar ; nobody reads what the blocks do not fill
    memcpy(draws, ordered, sizeof ordered);
#else
    for (uint32_t i = 0; i < 4 * blocks; i++) {
        draws[2 * i] = (uint16_t)ordered[i];
        draws[2 * i + 1] = (uint16_t)(ordered[i] >> 16);
    }
#endif
}

/* Zeroes the values that their draws select and scales the others by 1 / (1 - p); `first` is the
 * index of the first value in the batch. */
static inline void dropout_apply(float *restrict values, size_t first, size_t count,
                                 const struct norm_args *a) {
    uint16_t draws[DROPOUT_DRAWS];
    const float scale = 1 / (1 - a->dropout);
    const int threshold = (int)ceilf(a->dropout * 65536);
    size_t last = first + count;
    for (size_t start = first / 8 * 8; start < last; start += DROPOUT_DRAWS) {
        size_t from = start > first ? start : first;
        size_t to = start + DROPOUT_DRAWS < last ? start + DROPOUT_DRAWS : last;
        dropout_draws(draws, to - start, a, (uint32_t)(start / 8));
        float *restrict value = values + (from - first);
        const uint16_t *restrict draw = draws + (from - start);
        for (size_t i = 0; i < to - from; i++)
            // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): they are filled
            value[i] *= draw[i] >= threshold ? scale : 0;
    }
}

#endif
