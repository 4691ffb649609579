/* shuffle.c: the Fisher-Yates shuffle in Durstenfeld's form (CACM 7, 1964, algorithm 235). */
#include "data/shuffle.h"

void shuffle(int32_t *order, int count, uint64_t seed, enum philox_stream stream, uint64_t step) {
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        uint32_t word = philox(seed, stream, step, (uint32_t)i).word[0];
        uint32_t j = philox_below(word, (uint32_t)i + 1);
        int32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}
