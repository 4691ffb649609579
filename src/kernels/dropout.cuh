/* dropout.cuh: dropout masks from Philox (backend.h, struct norm_args), drawn again wherever they
 * are needed: nothing is stored. */
#ifndef KERNELS_DROPOUT_CUH
#define KERNELS_DROPOUT_CUH

#include "kernels/vectors.cuh"

struct dropout {
    bool on;
    uint32_t threshold; /* elements with a smaller draw become zero */
    float scale;        /* of the others */
    uint32_t stream;
    uint64_t seed;
    const struct step_state *state;
};

static inline struct dropout dropout_of(const struct norm_args *a) {
    struct dropout d;
    d.on = a->training && a->dropout > 0;
    d.threshold = (uint32_t)ceilf(a->dropout * 65536);
    d.scale = 1 / (1 - a->dropout);
    d.stream = (uint32_t)PHILOX_DROPOUT + (uint32_t)a->layer;
    d.seed = a->seed;
    d.state = a->state;
    return d;
}

/* The factors of the two elements that share a word of draws: element 8 i + 2 j of the batch uses
 * the lower half of word j of block i, element 8 i + 2 j + 1 the upper half. */
__device__ inline float dropout_low(const struct dropout &d, uint32_t word) {
    return (word & 0xffff) >= d.threshold ? d.scale : 0;
}

__device__ inline float dropout_high(const struct dropout &d, uint32_t word) {
    return word >> 16 >= d.threshold ? d.scale : 0;
}

/* The factors of elements first ... first + V - 1, where V divides first. A call draws a whole
 * block and uses V of its 8 elements. */
template <int V>
__device__ inline void dropout_apply(struct values<V> &v, const struct dropout &d, size_t first) {
    const struct philox_block block =
        philox(d.seed, d.stream, d.state->step, (uint32_t)(first / 8));
    const bool upper = first & 4;
    /* Indexing by a variable would put the block into local memory. */
    const uint32_t word0 = upper ? block.word[2] : block.word[0];
    const uint32_t word1 = upper ? block.word[3] : block.word[1];
    if constexpr (V == 4) {
        v.at[0] *= dropout_low(d, word0);
        v.at[1] *= dropout_high(d, word0);
        v.at[2] *= dropout_low(d, word1);
        v.at[3] *= dropout_high(d, word1);
    } else {
        const uint32_t word = first & 2 ? word1 : word0;
        v.at[0] *= first & 1 ? dropout_high(d, word) : dropout_low(d, word);
    }
}

#endif
