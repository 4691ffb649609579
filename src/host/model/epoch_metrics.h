/* epoch_metrics.h: the figures of one epoch of training. */
#ifndef EPOCH_METRICS_H
#define EPOCH_METRICS_H

#include "model/evaluate.h"

#include <stdbool.h>
#include <stdint.h>

struct epoch_metrics {
    int epoch;           /* from 1 */
    int64_t step;        /* optimizer steps done so far */
    float learning_rate; /* of the last step */
    struct score train;  /* counted during training, while the weights change */
    struct score test;   /* of the test set, or of the images held out for validation */
    bool validation;     /* which of the two it is */
    double seconds;      /* of training alone */
    double images_per_second;
    double eval_seconds;
};

#endif
