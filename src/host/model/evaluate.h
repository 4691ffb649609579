/* evaluate.h: loss and accuracy over a set of images. */
#ifndef EVALUATE_H
#define EVALUATE_H

#include "model/feed.h"
#include "model/model.h"

#include <stdint.h>

struct score {
    double loss;     /* mean over the images */
    double accuracy; /* percent */
    uint64_t correct, images;
};

/* Counters as mean and percentage; no images: all zero. */
struct score score_of(const struct counters *counters);

/* Runs the images of `feed` through the model in evaluation mode. `logits`, unless it is NULL, gets
 * those of every image, [images][CLASS_COUNT] in the order of the feed. The model's counters are
 * zero after it. Waits for the device. */
enum status evaluate(struct error *error, struct score *out, float *logits, struct model *model,
                     struct feed *feed);

/* Probabilities from logits, in double precision; the largest logit is subtracted first. */
void softmax(double out[CLASS_COUNT], const float logits[CLASS_COUNT]);

#endif
