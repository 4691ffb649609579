/* answers.h: a network's answers on a set of images: its mistakes, and the confusion matrix. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "data/dataset.h"

#include <stdint.h>

/* Borrowed: does not own what its members point to. */
struct answers {
    int count;
    const uint8_t *const *images;   /* [count] of [3][32][32] */
    const uint8_t *labels;          /* [count] */
    const float *probabilities;     /* [count][CLASS_COUNT], 0 to 1 */
    const char *const *class_names; /* [CLASS_COUNT] */
};

/* The class with the highest probability, the first of equal ones; NaN ranks below all numbers. */
int answers_predicted(const struct answers *answers, int image);

/* Probability of one class of one image. */
float answers_probability(const struct answers *answers, int image, int class_index);

/* Writes the `limit` most confident mistakes to `out` (image numbers, the most confident first,
 * equal ones in the order of the set, NaN last). Returns the number of all mistakes, which may be
 * more or fewer than `limit`. */
int answers_mistakes(int *out, int limit, const struct answers *answers);

/* Counts the images of each true class (first index) by predicted class (second). */
void answers_confusion(int out[CLASS_COUNT][CLASS_COUNT], const struct answers *answers);

#endif
