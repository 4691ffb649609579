/* shuffle.h: orders drawn at random. */
#ifndef SHUFFLE_H
#define SHUFFLE_H

#include "philox.h"

#include <stdint.h>

/* Writes a permutation of 0 ... count - 1 to order[count], by Fisher-Yates from the Philox draws
 * (seed, stream, step, position). */
void shuffle(int32_t *order, int count, uint64_t seed, enum philox_stream stream, uint64_t step);

#endif
