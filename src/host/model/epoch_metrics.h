/* epoch_metrics.h: the figures of one epoch: a line of metrics.jsonl, a point of a curve. */
#ifndef EPOCH_METRICS_H
#define EPOCH_METRICS_H

#include "model/evaluate.h"

#include <stdint.h>

struct epoch_metrics {
    int epoch;           /* from 1 */
    int64_t step;        /* optimizer steps done so far */
    float learning_rate; /* of the last step */
    struct score train;  /* counted while training, the weights moving */
    struct score test;
    double seconds; /* of the training alone */
    double images_per_second;
    double eval_seconds;
};

#endif
