/* run.h: a training run, its description and its state, for all that reports or saves it. */
#ifndef RUN_H
#define RUN_H

#include "backend.h"
#include "data/dataset.h"
#include "model/epoch_metrics.h"
#include "network/network.h"
#include "run/options.h"

#include <stdint.h>

/* Fixed before the first step. */
struct run_description {
    const struct options *options;
    const struct dataset *dataset;
    const struct network *network;
    const struct device_choice *device;
    int steps_per_epoch;
};

/* The state of a run between two steps: with the model's state, all that resuming needs. */
struct run_state {
    int64_t step;                        /* optimizer steps done */
    int epoch;                           /* the current one, from 1; those before it are recorded */
    int batch;                           /* batches of it done */
    struct counters sum;                 /* counted in these batches */
    double seconds;                      /* that these batches took */
    float learning_rate;                 /* of the last step; 0 before the first */
    int best_epoch;                      /* of the recorded ones; 0: there is none */
    double best_accuracy, last_accuracy; /* on the test set, in percent */
    double elapsed;                      /* seconds that the run took, over all resumptions */
};

/* The state of a new run. */
#define RUN_STATE_NEW                                                                              \
    { .epoch = 1 }

/* Whether all epochs, or the steps that --max-steps allows, are done. */
static inline bool run_ended(const struct run_state *state, const struct options *options) {
    bool steps_done = options->max_steps > 0 && state->step >= options->max_steps;
    return state->epoch > options->recipe.epochs || (steps_done && state->batch == 0);
}

#endif
