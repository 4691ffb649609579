/* probes.c: the loops that show what a CPU can do. Like src/cpu/simd this file is compiled once for
 * each instruction set. */
#include "cpu/simd/variant.h"

#include "machine.h"

/* Independent chains of multiply-adds, all in registers, of which there are 16 or 32. A core starts
 * 1 to 4 a cycle, and each takes 4 or 5 cycles (8 where it is two instructions). GCC unrolls loops
 * of up to 16 rounds. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { CHAINS = 16 };
#else
enum { CHAINS = 12 };
#endif

/* Each chain tends to 1; none becomes subnormal. */
static float multiply_adds(long rounds) {
    vector x[CHAINS], sum = {0}, half = sum + 0.5f;
    for (int i = 0; i < CHAINS; i++)
        x[i] = half + (float)i;
    for (long round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++)
            x[i] = x[i] * half + half;
    for (int i = 0; i < CHAINS; i++)
        sum += x[i];
    return vector_sum(sum);
}

static float sum(const float *x, size_t count) {
    enum { SUMS = 4 };
    vector sums[SUMS] = {{0}};
    for (size_t i = 0; i < count; i += (size_t)SUMS * LANES)
        for (int k = 0; k < SUMS; k++)
            sums[k] += vector_load(x + i + (size_t)k * LANES);
    return vector_sum(sums[0] + sums[1] + sums[2] + sums[3]);
}

const struct probes NAME(probes) = {2.0 * CHAINS * LANES, multiply_adds, sum};
