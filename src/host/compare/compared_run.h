/* compared_run.h: a finished run, read from its folder. */
#ifndef COMPARED_RUN_H
#define COMPARED_RUN_H

#include "base/files.h"
#include "error.h"
#include "network/recipe.h"
#include "run/run.h"

#include <jansson.h>
#include <stdint.h>

struct compared_run {
    char folder[PATH_CAPACITY];
    json_t *config; /* config.json, which owns the text of `device` */
    enum norm_kind norm;
    enum recipe_kind recipe;
    uint64_t seed;
    const char *dataset, *device;
    int validation; /* training images held out and evaluated; 0: the test set was evaluated */
    int parameters, batch_size;
    double learning_rate;         /* peak */
    struct epoch_metrics *epochs; /* [epoch_count], all epochs of the run */
    int epoch_count;
    double seconds; /* mean training time per epoch */
    int best;       /* index of the epoch with the best test accuracy, the first of equal ones */
};

/* Fills the rest of *run from config.json and metrics.jsonl in run->folder, which are untrusted.
 * Release with compared_run_free, even after an error. Errors: STATUS_BAD_DATA naming the file and
 * the fault, also if the run is not finished; STATUS_FAILED: no memory. */
enum status compared_run_read(struct error *error, struct compared_run *run);
void compared_run_free(struct compared_run *run);

/* Checks that the runs, sorted by norm and seed, can be compared: all have the same recipe, data
 * set, number of epochs and so on; those of one norm have the same learning rate and so on, and
 * different seeds. Errors: STATUS_BAD_DATA naming two folders and the difference. */
enum status compared_runs_check(struct error *error, const struct compared_run *runs, int count);

#endif
