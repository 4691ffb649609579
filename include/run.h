/* run.h: what a training run is and what an epoch of it gave, for everything that reports them. */
#ifndef RUN_H
#define RUN_H

#include "dataset.h"
#include "evaluate.h"
#include "network.h"
#include "settings.h"

#include <stdint.h>

/* Fixed before the first step. */
struct run_description {
    const struct options *options;
    const struct dataset *dataset;
    const struct network *network;
    const struct device_choice *device;
    int steps_per_epoch;
};

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
