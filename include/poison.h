/* poison.h: a debugging aid of every backend. With TRAIN_GPU_POISON=1 in the environment when a
 * device is opened, its memory begins as POISON_BYTE, NaN as floats, instead of zeros: code that
 * reads what it never wrote is noticed. */
#ifndef POISON_H
#define POISON_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { POISON_BYTE = 0xFF };

static inline bool poison_wanted(void) {
    const char *text = getenv("TRAIN_GPU_POISON");
    return text != NULL && strcmp(text, "1") == 0;
}

#endif
