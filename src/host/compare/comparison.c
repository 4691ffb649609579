/* comparison.c: the command `compare`: lists the runs, trains the missing ones and reports on all.
 * Each run is the same as with `train`, in its own folder. The report is made from the folders
 * alone, whether the runs were trained just now or long ago. */
#include "compare/comparison.h"

#include "base/output.h"
#include "base/stop.h"
#include "compare/comparison_figures.h"
#include "compare/comparison_report.h"
#include "data/loader.h"
#include "memory.h"
#include "run/checkpoint.h"
#include "run/device_setup.h"
#include "run/report.h"
#include "run/run_folder.h"
#include "run/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the list of runs ------------------------------------------------------------------------ */

/* The options of the run with this norm and seed. `batch_size` is from the sweep; 0: the recipe's
 * own. The learning rate is proportional to it, as in Wu and He, "Group Normalization" (2018),
 * section 4.1, following Goyal et al. (2017). At the recipe's own size the sweep shares the main
 * runs. */
static enum status run_options(struct error *error, struct options *out,
                               const struct options *options, enum norm_kind norm, uint64_t seed,
                               int batch_size) {
    char name[64], suffix[24] = "";
    *out = *options;
    out->recipe = options->recipes[norm];
    out->seed = seed;
    out->quiet = options->quiet || options->json;
    int own = out->recipe.batch_size;
    if (batch_size != 0 && batch_size != own) {
        out->recipe.batch_size = batch_size;
        out->recipe.learning_rate *= (float)batch_size / (float)own;
        snprintf(suffix, sizeof suffix, "-batch%d", batch_size);
    }
    snprintf(name, sizeof name, "%s-%s-%" PRIu64 "%s", norm_option(norm),
             recipe_option(out->recipe.kind), seed, suffix);
    return path_join(error, out->out, options->out, name);
}

/* The number of runs with one batch size: every norm with every seed. */
static int runs_of_a_set(const struct options *options) {
    return NORM_COUNT * options->seeds;
}

static int all_runs(const struct options *options) {
    return runs_of_a_set(options) * (1 + options->batch_sizes.count);
}

/* The options of run `index`. The runs with the recipe's batch size come first, then those of the
 * sweep. The norms take turns, so that an interrupted comparison has runs of all norms. */
static enum status numbered_run(struct error *error, struct options *out,
                                const struct options *options, int index) {
    int set = index / runs_of_a_set(options), rest = index % runs_of_a_set(options);
    return run_options(error, out, options, (enum norm_kind)(rest % NORM_COUNT),
                       options->seed + (uint64_t)(rest / NORM_COUNT),
                       set == 0 ? 0 : options->batch_sizes.values[set - 1]);
}

/* ---- the folders of the runs ----------------------------------------------------------------- */

/* What to do with a run. READ trains nothing: the run is complete, or is the same as an earlier one
 * in the list. */
enum action { TRAIN, RESUME, READ };

static enum status holds_weights(struct error *error, bool *out, const char *folder,
                                 enum run_weights which) {
    char path[PATH_CAPACITY];
    if (run_folder_weights_path(error, path, folder, which) != STATUS_OK)
        return error->status;
    *out = file_exists(path);
    return STATUS_OK;
}

/* Checks, before any training, that a complete run can be read. */
static enum status check_figures(struct error *error, const char *folder) {
    struct compared_run run = {0};
    if (path_join(error, run.folder, "", folder) != STATUS_OK)
        return error->status;
    enum status status = compared_run_read(error, &run);
    compared_run_free(&run);
    return status;
}

/* A run with a checkpoint of the same settings is resumed or, if it is complete, only read.
 * Resuming also writes a missing report. */
static enum status inspect_checkpoint(struct error *error, enum action *out,
                                      const struct run_description *run) {
    const struct options *options = run->options;
    char path[PATH_CAPACITY];
    struct run_state state;
    bool finished = false, reported = false;
    if (run_folder_weights_path(error, path, options->out, WEIGHTS_CHECKPOINT) != STATUS_OK ||
        checkpoint_look(error, &state, path, run) != STATUS_OK ||
        holds_weights(error, &finished, options->out, WEIGHTS_FINAL) != STATUS_OK ||
        report_is_there(error, &reported, options->out) != STATUS_OK)
        return error->status;
    bool complete = run_ended(&state, options) && finished && (reported || options->no_report);
    *out = complete ? READ : RESUME;
    return complete ? check_figures(error, options->out) : STATUS_OK;
}

static enum status inspect_run(struct error *error, enum action *out,
                               const struct run_description *run) {
    const struct options *options = run->options;
    bool begun = false, unfinished;
    *out = TRAIN;
    if (holds_weights(error, &begun, options->out, WEIGHTS_CHECKPOINT) != STATUS_OK)
        return error->status;
    if (begun && !options->force)
        return inspect_checkpoint(error, out, run);
    return run_folder_check(error, &unfinished, options->out, options->force);
}

/* Decides what to do with the run of these options. */
static enum status inspect(struct error *error, enum action *out, const struct options *run_options,
                           const struct dataset *dataset, const struct device_choice *device) {
    struct network network;
    const struct recipe *recipe = &run_options->recipe;
    if (network_build(error, &network, recipe) != STATUS_OK)
        return error->status;
    if (recipe->batch_size > dataset->train.count)
        return error_set(error, STATUS_USAGE,
                         "a batch of %d images is too large: the training set of %s has %d; use "
                         "smaller values for --batch-size and --batch-sizes",
                         recipe->batch_size, dataset->name, dataset->train.count);
    const struct run_description run = {
        .options = run_options,
        .dataset = dataset,
        .network = &network,
        .device = device,
        .steps_per_epoch = loader_batches(dataset->train.count, recipe->batch_size),
    };
    return inspect_run(error, out, &run);
}

/* Checks that every run can be trained or read, before hours are spent on the first one. */
static enum status inspect_all(struct error *error, enum action *actions,
                               const struct options *options, const struct dataset *dataset,
                               const struct device_choice *device) {
    for (int i = 0; i < all_runs(options); i++) {
        struct options run;
        if (numbered_run(error, &run, options, i) != STATUS_OK ||
            inspect(error, &actions[i], &run, dataset, device) != STATUS_OK)
            return error->status;
        bool shared = i >= runs_of_a_set(options) &&
                      run.recipe.batch_size == options->recipes[run.recipe.norm].batch_size;
        actions[i] = shared ? READ : actions[i];
    }
    return STATUS_OK;
}

/* ---- training -------------------------------------------------------------------------------- */

/* Announces the run that starts or resumes. */
static void announce(const struct options *run, int number, int total) {
    if (!run->quiet)
        output_progress("%srun %d of %d: %s\n", number == 1 ? "" : "\n", number, total, run->out);
}

/* The message of a diverging run does not name the run, so this adds its folder. */
static enum status train_run(struct error *error, const struct options *options,
                             const struct dataset *dataset) {
    struct error reason;
    enum status status = train_on(&reason, options, dataset);
    if (status == STATUS_DIVERGED)
        return error_set(error, status,
                         "%s: %.1500s; to change the rate or batch size, use another --out or "
                         "--force",
                         options->out, reason.text);
    if (status == STATUS_OK)
        return STATUS_OK;
    *error = reason;
    if (stop_signal_name(status) != NULL)
        error_append(error, "; resume with the same command%s",
                     options->force ? " without --force" : "");
    return status;
}

static enum status train_all(struct error *error, const struct options *options,
                             const struct dataset *dataset, const enum action *actions) {
    int total = 0, number = 0;
    for (int i = 0; i < all_runs(options); i++)
        total += actions[i] != READ;
    for (int i = 0; i < all_runs(options); i++) {
        struct options run;
        if (actions[i] == READ)
            continue;
        if (numbered_run(error, &run, options, i) != STATUS_OK)
            return error->status;
        announce(&run, ++number, total);
        run.resume = actions[i] == RESUME;
        if (train_run(error, &run, dataset) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

/* --force clears all folders first. After an interruption, all files then belong to this
 * comparison, and the same command without --force resumes it. */
static enum status clear_all(struct error *error, const struct options *options,
                             const enum action *actions) {
    for (int i = 0; i < all_runs(options); i++) {
        struct options run;
        if (actions[i] == TRAIN && (numbered_run(error, &run, options, i) != STATUS_OK ||
                                    run_folder_clear(error, run.out) != STATUS_OK))
            return error->status;
    }
    return STATUS_OK;
}

/* Opens the device only because its name is one of the settings; each run opens its own. */
static enum status complete_runs(struct error *error, const struct options *options,
                                 const struct dataset *dataset) {
    struct device_choice device = {0};
    enum action *actions;
    if (memory_alloc(error, &actions, (size_t)all_runs(options), sizeof *actions,
                     "the list of the runs") != STATUS_OK)
        return error->status;
    enum status status = device_set_up(error, &device, &options->device);
    if (status == STATUS_OK)
        status = inspect_all(error, actions, options, dataset, &device);
    device_close(&device);
    if (status == STATUS_OK && options->force)
        status = clear_all(error, options, actions);
    if (status == STATUS_OK)
        status = train_all(error, options, dataset, actions);
    memory_free(actions);
    return status;
}

/* ---- reporting ------------------------------------------------------------------------------- */

/* Reads the runs with one batch size, starting at run `first`. */
static enum status read_set(struct error *error, struct run_set *out, const struct options *options,
                            int first) {
    if (run_set_make(error, out, runs_of_a_set(options)) != STATUS_OK)
        return error->status;
    for (int i = 0; i < out->count; i++) {
        struct options run;
        if (numbered_run(error, &run, options, first + i) != STATUS_OK)
            return error->status;
        memcpy(out->runs[i].folder, run.out, sizeof run.out);
    }
    return run_set_read(error, out);
}

static enum status read_trained(struct error *error, struct comparison *comparison,
                                const struct options *options) {
    if (read_set(error, &comparison->main, options, 0) != STATUS_OK)
        return error->status;
    for (int i = 0; i < options->batch_sizes.count; i++) {
        struct run_set *set = &comparison->sweep[comparison->sweep_count++];
        if (read_set(error, set, options, (i + 1) * runs_of_a_set(options)) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

static enum status read_named(struct error *error, struct comparison *comparison,
                              const struct options *options) {
    struct run_set *set = &comparison->main;
    if (run_set_make(error, set, options->word_count) != STATUS_OK)
        return error->status;
    for (int i = 0; i < set->count; i++)
        if (path_join(error, set->runs[i].folder, "", options->words[i]) != STATUS_OK)
            return error->status;
    return run_set_read(error, set);
}

/* Reads the runs and reports on them. */
static enum status report_runs(struct error *error, const struct options *options) {
    struct comparison comparison = {0};
    char folder[PATH_CAPACITY];
    enum status status = options->runs ? read_named(error, &comparison, options)
                                       : read_trained(error, &comparison, options);
    if (status == STATUS_OK) {
        snprintf(folder, sizeof folder, "runs/compared-%s",
                 recipe_option(comparison.main.runs[0].recipe));
        comparison.folder = options->out[0] != '\0' ? options->out : folder;
        status = comparison_report(error, &comparison, options);
    }
    run_set_free(&comparison.main);
    for (int i = 0; i < comparison.sweep_count; i++)
        run_set_free(&comparison.sweep[i]);
    return status;
}

enum status compare_on(struct error *error, const struct options *options,
                       const struct dataset *dataset) {
    if (complete_runs(error, options, dataset) != STATUS_OK)
        return error->status;
    return report_runs(error, options);
}

enum status compare(struct error *error, const struct options *options) {
    struct dataset dataset = {0};
    struct network network;
    if (options->runs)
        return report_runs(error, options);
    for (int norm = 0; norm < NORM_COUNT; norm++) /* a cheap check comes first */
        if (network_build(error, &network, &options->recipes[norm]) != STATUS_OK)
            return error->status;
    if (dataset_open_split(error, &dataset, options->data, options->validation) != STATUS_OK)
        return error->status;
    enum status status = compare_on(error, options, &dataset);
    dataset_close(&dataset);
    return status;
}
