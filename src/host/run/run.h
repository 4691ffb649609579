/* run.h: a training run: its description and its state, for the code that saves and reports it. */
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
    int evaluation_batch;
};

/* The state of a run between two steps; with the model's state, all that is needed to resume. */
struct run_state {
    int64_t step;                        /* optimizer steps done */
    int epoch;                           /* the current one, from 1; earlier ones are recorded */
    int batch;                           /* batches done in this epoch */
    struct counters sum;                 /* counted in these batches */
    double seconds;                      /* taken by these batches */
    float learning_rate;                 /* of the last step; 0 before the first */
    int best_epoch;                      /* among the recorded epochs; 0: none is recorded */
    double best_accuracy, last_accuracy; /* of the images evaluated, in percent */
    double elapsed;                      /* seconds taken by the run, without interruptions */
};

/* The state of a new run. */
#define RUN_STATE_NEW                                                                              \
    { .epoch = 1 }

/* Whether all epochs, or all steps that --max-steps allows, are done. */
static inline bool run_ended(const struct run_state *state, const struct options *options) {
    bool steps_done = options->max_steps > 0 && state->step >= options->max_steps;
    return state->epoch > options->recipe.epochs || (steps_done && state->batch == 0);
}

#endif
