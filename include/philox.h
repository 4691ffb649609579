/* philox.h: counter-based random numbers, the same on every backend.
 *
 * Philox 4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC 2011. A number is a pure function of (seed, stream, step, index): nothing is stored,
 * so a mask can be drawn again in the backward pass, in any order, by any thread, on any
 * device. Header only, since the CUDA kernels compile it too. */
#ifndef PHILOX_H
#define PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define PHILOX_FUNCTION static __host__ __device__ __forceinline__
#else
#define PHILOX_FUNCTION static inline
#endif

/* The purpose of a draw. Streams that exist once per layer add the layer's index, below 256. */
enum philox_stream {
    PHILOX_INITIAL_WEIGHTS = 0x100, /* + layer; index: element */
    PHILOX_DROPOUT = 0x200,         /* + layer; step: optimizer step; index: element / 8 */
    PHILOX_SHUFFLE = 0x300,         /* step: epoch; index: position */
    PHILOX_AUGMENT = 0x301,         /* step: optimizer step; index: image of the batch */
    PHILOX_SYNTHETIC = 0x302,       /* step: image; index: draw */
    PHILOX_VALIDATION = 0x303,      /* index: position */
};

#define PHILOX_MULTIPLIER_0 0xD2511F53u
#define PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define PHILOX_KEY_0 0x9E3779B9u /* what a round adds to the key */
#define PHILOX_KEY_1 0xBB67AE85u

struct philox_block {
    uint32_t word[4];
};

/* Four independent uniform 32-bit words. */
PHILOX_FUNCTION struct philox_block philox(uint64_t seed, uint32_t stream, uint64_t step,
                                           uint32_t index) {
    uint32_t c0 = index, c1 = (uint32_t)step, c2 = (uint32_t)(step >> 32), c3 = stream;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)PHILOX_MULTIPLIER_0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_MULTIPLIER_1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_KEY_0;
        k1 += PHILOX_KEY_1;
    }
    struct philox_block block = {{c0, c1, c2, c3}};
    return block;
}

/* A word as a float in [0, 1): its upper 24 bits. */
PHILOX_FUNCTION float philox_uniform(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* A word as an integer in [0, bound), bound > 0, by multiplication (Lemire 2019, without the
 * rejection: the bias is below bound / 2^32). */
PHILOX_FUNCTION uint32_t philox_below(uint32_t word, uint32_t bound) {
    return (uint32_t)(((uint64_t)word * bound) >> 32);
}

#endif
