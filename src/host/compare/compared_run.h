/* compared_run.h: finished runs as `compare` reads them from their folders. */
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
    json_t *config; /* config.json; its strings are those below */
    enum norm_kind norm;
    enum recipe_kind recipe;
    uint64_t seed;
    const char *dataset, *device;
    int parameters, batch_size;
    double learning_rate;         /* peak */
    struct epoch_metrics *epochs; /* [epoch_count], of all the epochs that were to be trained */
    int epoch_count;
    double seconds; /* that an epoch's training took, their mean */
    int best;       /* place of the best test accuracy, the first of equals */
};

/* Reads config.json and metrics.jsonl of run->folder into the rest of *run, and trusts neither.
 * Release with compared_run_free, whatever comes back. Errors: STATUS_BAD_DATA naming file and
 * fault, a run that has not ended among them; STATUS_FAILED: no memory. */
enum status compared_run_read(struct error *error, struct compared_run *run);
void compared_run_free(struct compared_run *run);

/* Whether the runs, sorted by norm, can be held against each other: one recipe, data set, number of
 * epochs and so on for all, one rate and the like for those of one norm, no seed twice. Errors:
 * STATUS_BAD_DATA naming two folders and what differs. */
enum status compared_runs_check(struct error *error, const struct compared_run *runs, int count);

#endif
