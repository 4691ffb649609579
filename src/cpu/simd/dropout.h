/* dropout.h: dropout masks from Philox, many blocks at a time. */
#ifndef DROPOUT_H
#define DROPOUT_H

#include "operations.h"
#include "philox.h"

#include <math.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum {
    DROPOUT_BLOCKS = 64, /* Philox blocks drawn at once */
    DROPOUT_MASK = 8 * DROPOUT_BLOCKS,
};

typedef uint32_t words __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint64_t wide_words __attribute__((vector_size(LANES * sizeof(uint32_t))));

/* The 64-bit products of the even lanes. The generic form of it would become a 64 x 64 bit product,
 * three times as slow. */
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

/* Upper and lower halves of the products of all lanes. (Lane 0 is the lower half of wide lane 0.)
 */
static inline void multiply(words *high, words *low, words a, words b) {
    wide_words even = multiply_even(a, b);
    wide_words odd = multiply_even((words)((wide_words)a >> 32), b);
    *high = (words)((even >> 32) | (odd & 0xffffffff00000000));
    *low = (words)((even & 0xffffffff) | (odd << 32));
}

/* Words of `count` consecutive blocks, a multiple of 16: philox() of philox.h, LANES blocks at a
 * time. word[w][b] is word w of block b. */
static inline void dropout_words(uint32_t word[4][DROPOUT_BLOCKS], uint32_t count, uint64_t seed,
                                 uint32_t stream, uint64_t step, uint32_t first) {
    const words zero = {0}, m0 = zero + PHILOX_MULTIPLIER_0, m1 = zero + PHILOX_MULTIPLIER_1;
    for (uint32_t b = 0; b < count; b += LANES) {
        words c0 = zero + first + b, c1 = zero + (uint32_t)step;
        words c2 = zero + (uint32_t)(step >> 32), c3 = zero + stream;
        for (uint32_t lane = 0; lane < LANES; lane++)
            c0[lane] += lane;
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++, k0 += PHILOX_KEY_0, k1 += PHILOX_KEY_1) {
            words high0, low0, high1, low1;
            multiply(&high0, &low0, c0, m0);
            multiply(&high1, &low1, c2, m1);
            c0 = high1 ^ c1 ^ k0;
            c2 = high0 ^ c3 ^ k1;
            c1 = low1;
            c3 = low0;
        }
        memcpy(&word[0][b], &c0, sizeof c0);
        memcpy(&word[1][b], &c1, sizeof c1);
        memcpy(&word[2][b], &c2, sizeof c2);
        memcpy(&word[3][b], &c3, sizeof c3);
    }
}

/* The mask of `elements` elements from 8 * first on (and of some more): 0, or 1 / (1 - p). */
static inline void dropout_mask(float mask[DROPOUT_MASK], size_t elements,
                                const struct norm_args *a, uint32_t first) {
    const uint32_t blocks = (uint32_t)((elements + 127) / 128 * 16);
    uint32_t word[4][DROPOUT_BLOCKS];
    const float scale = 1 / (1 - a->dropout);
    const int threshold = (int)ceilf(a->dropout * 65536);
    dropout_words(word, blocks, a->seed, PHILOX_DROPOUT + (uint32_t)a->layer, a->state->step,
                  first);
    for (uint32_t b = 0; b < blocks; b++)
        for (int w = 0; w < 4; w++) {
            mask[8 * b + 2 * (uint32_t)w] = (int)(word[w][b] & 0xffff) >= threshold ? scale : 0;
            mask[8 * b + 2 * (uint32_t)w + 1] = (int)(word[w][b] >> 16) >= threshold ? scale : 0;
        }
}

/* Multiplies `count` values by their masks; `first` is the index of the first one in the batch. */
static inline void dropout_apply(float *restrict values, size_t first, size_t count,
                                 const struct norm_args *a) {
    float mask[DROPOUT_MASK];
    size_t last = first + count;
    for (size_t start = first / 8 * 8; start < last; start += DROPOUT_MASK) {
        size_t from = start > first ? start : first;
        size_t to = start + DROPOUT_MASK < last ? start + DROPOUT_MASK : last;
        dropout_mask(mask, to - start, a, (uint32_t)(start / 8));
        for (size_t i = 0; i < to - from; i++)
            values[from - first + i] *= mask[from - start + i];
    }
}

#endif
