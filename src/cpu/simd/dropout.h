/* dropout.h: dropout masks from Philox, many blocks at a time. */
#ifndef DROPOUT_H
#define DROPOUT_H

#include "operations.h"
#include "philox.h"

#include <math.h>

enum {
    DROPOUT_BLOCKS = 64, /* Philox blocks drawn at once */
    DROPOUT_MASK = 8 * DROPOUT_BLOCKS,
};

/* Words of `count` consecutive blocks, a multiple of 16 for the vectors: philox() of philox.h with
 * the loop over blocks inside the loop over rounds, which the compiler turns into vectors. */
static inline void dropout_words(uint32_t words[4 * DROPOUT_BLOCKS], uint32_t count, uint64_t seed,
                                 uint32_t stream, uint64_t step, uint32_t first) {
    enum { N = DROPOUT_BLOCKS };
    uint32_t c0[N], c1[N], c2[N], c3[N], k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (uint32_t b = 0; b < count; b++) {
        c0[b] = first + b;
        c1[b] = (uint32_t)step;
        c2[b] = (uint32_t)(step >> 32);
        c3[b] = stream;
    }
    for (int round = 0; round < 10; round++, k0 += PHILOX_KEY_0, k1 += PHILOX_KEY_1)
        for (uint32_t b = 0; b < count; b++) {
            uint64_t p0 = (uint64_t)PHILOX_MULTIPLIER_0 * c0[b];
            uint64_t p1 = (uint64_t)PHILOX_MULTIPLIER_1 * c2[b];
            c0[b] = (uint32_t)(p1 >> 32) ^ c1[b] ^ k0;
            c2[b] = (uint32_t)(p0 >> 32) ^ c3[b] ^ k1;
            c1[b] = (uint32_t)p1;
            c3[b] = (uint32_t)p0;
        }
    for (uint32_t b = 0; b < count; b++) {
        words[4 * b] = c0[b];
        words[4 * b + 1] = c1[b];
        words[4 * b + 2] = c2[b];
        words[4 * b + 3] = c3[b];
    }
}

/* The mask of `elements` elements from 8 * first on (and of some more): 0, or 1 / (1 - p). */
static inline void dropout_mask(float mask[DROPOUT_MASK], size_t elements,
                                const struct norm_args *a, uint32_t first) {
    const uint32_t blocks = (uint32_t)((elements + 127) / 128 * 16);
    uint32_t words[4 * DROPOUT_BLOCKS];
    const float scale = 1 / (1 - a->dropout);
    const int threshold = (int)ceilf(a->dropout * 65536);
    dropout_words(words, blocks, a->seed, PHILOX_DROPOUT + (uint32_t)a->layer, a->state->step,
                  first);
    for (uint32_t i = 0; i < 4 * blocks; i++) {
        mask[2 * i] = (int)(words[i] & 0xffff) >= threshold ? scale : 0;
        mask[2 * i + 1] = (int)(words[i] >> 16) >= threshold ? scale : 0;
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
