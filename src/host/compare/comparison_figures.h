/* comparison_figures.h: the figures of a comparison: runs of several norms and seeds. */
#ifndef COMPARISON_FIGURES_H
#define COMPARISON_FIGURES_H

#include "compare/compared_run.h"
#include "compare/welch.h"
#include "error.h"
#include "run/options.h"

/* The runs of one norm. Accuracies are in percent. */
struct run_group {
    enum norm_kind norm;
    const struct compared_run *runs; /* [count], by rising seed */
    int count;
    struct sample test, train, test_loss; /* of the last epoch */
    struct sample best;                   /* best test accuracy of each run */
    struct sample seconds;                /* mean training time per epoch of each run */
};

/* Runs with the same recipe, data set, number of epochs and batch size. */
struct run_set {
    struct compared_run *runs; /* [count], by norm, then by seed */
    int count;
    struct run_group groups[NORM_COUNT]; /* [group_count], of the norms that have runs, in order */
    int group_count;
};

/* The difference between the final test accuracies of two groups. */
struct norm_difference {
    const struct run_group *higher, *lower; /* by mean */
    struct welch welch;                     /* higher minus lower */
};
enum { MAX_DIFFERENCES = NORM_COUNT * (NORM_COUNT - 1) / 2 };

/* Everything that the report covers. */
struct comparison {
    const char *folder; /* of the report */
    struct run_set main;
    struct run_set sweep[MAX_INTS]; /* [sweep_count], by rising batch size */
    int sweep_count;
};

/* Allocates `count` runs; the caller then fills in their folders. Errors: STATUS_FAILED. */
enum status run_set_make(struct error *error, struct run_set *out, int count);

/* Reads the runs from their folders, sorts them and fills in the groups. Release with run_set_free.
 * Errors: those of compared_run_read and compared_runs_check. */
enum status run_set_read(struct error *error, struct run_set *set);
void run_set_free(struct run_set *set);

/* The test error of a group whose test accuracy is `accuracy`, both in percent. */
struct sample error_sample(const struct sample *accuracy);

/* Fills out[] with all pairs of groups; returns their number. */
int norm_differences(struct norm_difference out[MAX_DIFFERENCES], const struct run_set *set);

#endif
