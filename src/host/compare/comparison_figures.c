/* comparison_figures.c: groups the runs by norm and computes the figures of each group. */
#include "compare/comparison_figures.h"

#include "memory.h"

#include <stdlib.h>

enum status run_set_make(struct error *error, struct run_set *out, int count) {
    *out = (struct run_set){.count = count};
    enum status status =
        memory_alloc(error, &out->runs, (size_t)count, sizeof *out->runs, "the runs");
    if (status != STATUS_OK)
        out->count = 0;
    return status;
}

void run_set_free(struct run_set *set) {
    for (int i = 0; i < set->count; i++)
        compared_run_free(&set->runs[i]);
    memory_free(set->runs);
    *set = (struct run_set){0};
}

/* ---- groups ---------------------------------------------------------------------------------- */

static int by_norm_and_seed(const void *first, const void *second) {
    const struct compared_run *a = first, *b = second;
    if (a->norm != b->norm)
        return a->norm < b->norm ? -1 : 1;
    return (a->seed > b->seed) - (a->seed < b->seed);
}

/* One number of a run. */
enum figure { FINAL_TEST, FINAL_TRAIN, FINAL_LOSS, BEST_TEST, SECONDS };

static double figure_of(const struct compared_run *run, enum figure figure) {
    const struct epoch_metrics *last = &run->epochs[run->epoch_count - 1];
    switch (figure) {
    case FINAL_TEST:
        return last->test.accuracy;
    case FINAL_TRAIN:
        return last->train.accuracy;
    case FINAL_LOSS:
        return last->test.loss;
    case BEST_TEST:
        return run->epochs[run->best].test.accuracy;
    case SECONDS:
        return run->seconds;
    }
    return 0;
}

/* `values` has room for one value per run. */
static struct sample describe(double *values, const struct run_group *group, enum figure figure) {
    for (int i = 0; i < group->count; i++)
        values[i] = figure_of(&group->runs[i], figure);
    return sample_of(values, group->count);
}

/* The group that starts at runs[0], the first of `count` runs. */
static struct run_group group_of(double *values, const struct compared_run *runs, int count) {
    struct run_group group = {.norm = runs[0].norm, .runs = runs};
    while (group.count < count && runs[group.count].norm == group.norm)
        group.count++;
    group.test = describe(values, &group, FINAL_TEST);
    group.train = describe(values, &group, FINAL_TRAIN);
    group.test_loss = describe(values, &group, FINAL_LOSS);
    group.best = describe(values, &group, BEST_TEST);
    group.seconds = describe(values, &group, SECONDS);
    return group;
}

static enum status make_groups(struct error *error, struct run_set *set) {
    double *values;
    if (memory_alloc(error, &values, (size_t)set->count, sizeof *values, "the figures of runs") !=
        STATUS_OK)
        return error->status;
    for (int first = 0; first < set->count; first += set->groups[set->group_count++].count)
        set->groups[set->group_count] = group_of(values, &set->runs[first], set->count - first);
    memory_free(values);
    return STATUS_OK;
}

enum status run_set_read(struct error *error, struct run_set *set) {
    for (int i = 0; i < set->count; i++)
        if (compared_run_read(error, &set->runs[i]) != STATUS_OK)
            return error->status;
    qsort(set->runs, (size_t)set->count, sizeof *set->runs, by_norm_and_seed);
    if (compared_runs_check(error, set->runs, set->count) != STATUS_OK)
        return error->status;
    return make_groups(error, set);
}

struct sample error_sample(const struct sample *accuracy) {
    struct sample errors = *accuracy;
    errors.mean = 100 - accuracy->mean;
    errors.low = 100 - accuracy->high;
    errors.high = 100 - accuracy->low;
    return errors;
}

/* ---- differences ----------------------------------------------------------------------------- */

int norm_differences(struct norm_difference out[MAX_DIFFERENCES], const struct run_set *set) {
    int count = 0;
    for (int a = 0; a < set->group_count; a++)
        for (int b = a + 1; b < set->group_count; b++) {
            const struct run_group *first = &set->groups[a], *second = &set->groups[b];
            bool swapped = second->test.mean > first->test.mean;
            struct norm_difference *difference = &out[count++];
            difference->higher = swapped ? second : first;
            difference->lower = swapped ? first : second;
            difference->welch = welch_test(&difference->higher->test, &difference->lower->test);
        }
    return count;
}
