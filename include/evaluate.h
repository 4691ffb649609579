/* evaluate.h: loss and accuracy over a set of images. */
#ifndef EVALUATE_H
#define EVALUATE_H

#include "feed.h"
#include "model.h"

#include <stdint.h>

struct score {
    double loss;     /* mean over the images */
    double accuracy; /* percent */
    uint64_t correct, images;
};

/* Counters as mean and percentage; no images: all zero. */
struct score score_of(const struct counters *counters);

/* Runs the images of `feed` through the model in evaluation mode. The model's counters must have
 * been taken before. Waits for the device. */
enum status evaluate(struct error *error, struct score *out, struct model *model,
                     struct feed *feed);

#endif
