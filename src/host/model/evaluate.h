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

/* Turns counters into means and percentages; all are 0 without images. */
struct score score_of(const struct counters *counters);

/* Runs the images of `feed` through the model in evaluation mode. Unless `logits` is NULL, writes
 * the logits of all images to it, [images][CLASS_COUNT] in the order of the feed. Leaves the
 * model's counters at zero. Waits for the device. Errors: those of the device. */
enum status evaluate(struct error *error, struct score *out, float *logits, struct model *model,
                     struct feed *feed);

/* Turns logits into probabilities, in double precision; subtracts the largest logit first. */
void softmax(double out[CLASS_COUNT], const float logits[CLASS_COUNT]);

#endif
