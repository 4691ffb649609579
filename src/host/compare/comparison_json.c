/* comparison_json.c: makes the JSON of compare.json. All functions return NULL if there is no
 * memory, and accept NULL from each other. */
#include "base/text.h"
#include "base/version.h"
#include "compare/comparison_text.h"

#include <math.h>

/* JSON has no NaN: an unknown number is null. */
static json_t *number_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *sample_json(const struct sample *sample) {
    return json_pack("{s:f, s:o, s:f, s:f}", "mean", sample->mean, "standard_deviation",
                     number_json(sample->deviation), "lowest", sample->low, "highest",
                     sample->high);
}

/* The names of the figures that say which images they are of. */
struct keys {
    const char *accuracy, *best, *loss;
};

static struct keys keys_of(const struct compared_run *run) {
    return run->validation > 0
               ? (struct keys){"validation_accuracy", "best_validation_accuracy", "validation_loss"}
               : (struct keys){"test_accuracy", "best_test_accuracy", "test_loss"};
}

static json_t *run_json(const struct compared_run *run) {
    const struct epoch_metrics *last = &run->epochs[run->epoch_count - 1];
    const struct epoch_metrics *best = &run->epochs[run->best];
    const struct keys keys = keys_of(run);
    return json_pack("{s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:i, s:f}", "folder",
                     text_json(run->folder), "seed", text_json_uint64(run->seed), "device",
                     text_json(run->device), keys.accuracy, last->test.accuracy, keys.loss,
                     last->test.loss, "train_accuracy", last->train.accuracy, "train_loss",
                     last->train.loss, keys.best, best->test.accuracy, "best_epoch", best->epoch,
                     "seconds_per_epoch", run->seconds);
}

static json_t *runs_json(const struct run_group *group) {
    json_t *runs = json_array();
    for (int i = 0; i < group->count; i++)
        runs = text_json_append(runs, run_json(&group->runs[i]));
    return runs;
}

static json_t *group_json(const struct run_group *group) {
    const struct keys keys = keys_of(&group->runs[0]);
    return json_pack("{s:s, s:i, s:f, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "norm",
                     norm_option(group->norm), "parameters", group->runs[0].parameters,
                     "learning_rate", group->runs[0].learning_rate, "seeds", group->count,
                     keys.accuracy, sample_json(&group->test), "train_accuracy",
                     sample_json(&group->train), keys.best, sample_json(&group->best), keys.loss,
                     sample_json(&group->test_loss), "seconds_per_epoch",
                     sample_json(&group->seconds), "runs", runs_json(group));
}

static json_t *groups_json(const struct run_set *set) {
    json_t *groups = json_array();
    for (int i = 0; i < set->group_count; i++)
        groups = text_json_append(groups, group_json(&set->groups[i]));
    return groups;
}

static json_t *difference_json(const struct norm_difference *difference) {
    const struct welch *welch = &difference->welch;
    return json_pack(
        "{s:s, s:s, s:f, s:o, s:o, s:o, s:o}", "higher", norm_option(difference->higher->norm),
        "lower", norm_option(difference->lower->norm), "points", welch->difference, "t",
        number_json(welch->t), "degrees_of_freedom", number_json(welch->freedom), "p",
        number_json(welch->p), "exceeds_noise",
        welch->kind == WELCH_KNOWN ? json_boolean(welch_exceeds_noise(welch)) : json_null());
}

static json_t *differences_json(const struct run_set *set) {
    struct norm_difference differences[MAX_DIFFERENCES];
    json_t *array = json_array();
    int count = norm_differences(differences, set);
    for (int i = 0; i < count; i++)
        array = text_json_append(array, difference_json(&differences[i]));
    return array;
}

static json_t *sweep_json(const struct comparison *comparison) {
    json_t *sweep = json_array();
    for (int i = 0; i < comparison->sweep_count; i++) {
        const struct run_set *set = &comparison->sweep[i];
        sweep = text_json_append(
            sweep, json_pack("{s:i, s:o, s:o}", "batch_size", set->runs[0].batch_size, "norms",
                             groups_json(set), "differences", differences_json(set)));
    }
    return sweep;
}

json_t *comparison_json(const struct comparison *comparison) {
    const struct compared_run *any = &comparison->main.runs[0];
    return json_pack("{s:s, s:s, s:s, s:o*, s:s, s:i, s:i, s:o, s:o, s:o}", "program", PROGRAM_NAME,
                     "version", PROGRAM_VERSION, "dataset", any->dataset, "validation",
                     any->validation == 0 ? NULL : json_integer(any->validation), "recipe",
                     recipe_option(any->recipe), "epochs", any->epoch_count, "batch_size",
                     any->batch_size, "norms", groups_json(&comparison->main), "differences",
                     differences_json(&comparison->main), "sweep", sweep_json(comparison));
}
