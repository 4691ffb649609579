/* answers.h: what a network says of a set of images: its mistakes, and which class is taken for
 * which. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "data/dataset.h"

#include <stdint.h>

/* Borrowed: nothing in it is released with it. */
struct answers {
    int count;
    const uint8_t *images;          /* [count][3][32][32] */
    const uint8_t *labels;          /* [count] */
    const float *probabilities;     /* [count][CLASS_COUNT], 0 to 1 */
    const char *const *class_names; /* [CLASS_COUNT] */
};

/* The class of the highest probability, the first of equals; NaN is below everything. */
int answers_predicted(const struct answers *answers, int image);

/* Probability of one class of one image. */
float answers_probability(const struct answers *answers, int image, int class_index);

/* Puts the `limit` most confident mistakes into `out` (image numbers; the most confident first, of
 * equals the first of the set; NaN last) and returns how many mistakes there are in all, which may
 * be more or fewer than `limit`. */
int answers_mistakes(int *out, int limit, const struct answers *answers);

/* Counts the images of each true class (first index) by predicted class (second). */
void answers_confusion(int out[CLASS_COUNT][CLASS_COUNT], const struct answers *answers);

#endif
