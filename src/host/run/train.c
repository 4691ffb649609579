/* train.c: the command `train`: sets up a run, trains and evaluates epoch by epoch, and closes it.
 *
 * The path of a batch: feed_next brings it to the device, model_step runs the network forward and
 * backward and updates the weights, feed_release releases its slot. Nothing in that loop waits for
 * the device, except that the counters are read at the end of an epoch, for the progress bar and
 * for checkpoints.
 *
 * struct run_state and the model's state together determine the rest of the run; a checkpoint holds
 * both. */
#include "run/train.h"

#include "base/clock.h"
#include "base/stop.h"
#include "memory.h"
#include "model/evaluate.h"
#include "model/feed.h"
#include "model/model.h"
#include "model/weights.h"
#include "network/schedule.h"
#include "run/checkpoint_writer.h"
#include "run/console.h"
#include "run/device_setup.h"
#include "run/progress.h"
#include "run/report.h"
#include "run/run_folder.h"

#include <inttypes.h>
#include <math.h>

struct training {
    struct network network;
    struct device_choice device;
    struct model *model;
    struct feed *train_feed, *test_feed;
    struct run_description run;
    struct run_folder folder;
    struct progress progress;
    struct checkpoint_writer writer;
    struct run_state at;
    struct epoch_metrics now;       /* of the current epoch */
    char checkpoint[PATH_CAPACITY]; /* its path */
    double run_began, epoch_began;  /* clock_seconds, as if there had been no interruption */
    double saved;                   /* clock_seconds of the last checkpoint */
    float *logits; /* [images evaluated][CLASS_COUNT], of the last evaluation, for the report */
    int64_t saved_step; /* step of the last checkpoint */
};

/* ---- setting up ------------------------------------------------------------------------------ */

/* Checks that a new run may use its folder, or that there is a run to resume in it. */
static enum status check_folder(struct error *error, bool *unfinished,
                                const struct options *options) {
    *unfinished = false;
    if (!options->resume)
        return run_folder_check(error, unfinished, options->out, options->force);
    char path[PATH_CAPACITY];
    if (run_folder_weights_path(error, path, options->out, WEIGHTS_CHECKPOINT) != STATUS_OK)
        return error->status;
    return checkpoint_find(error, path);
}

/* Checks all input, then opens the device, which takes longest. */
static enum status check_inputs(struct error *error, struct training *training, bool *unfinished,
                                const struct options *options, const struct dataset *dataset) {
    const struct recipe *recipe = &options->recipe;
    if (network_build(error, &training->network, recipe) != STATUS_OK ||
        check_folder(error, unfinished, options) != STATUS_OK)
        return error->status;
    if (recipe->batch_size > dataset->train.count)
        return error_set(error, STATUS_USAGE,
                         "--batch-size %d: the training set of %s has only %d images; give at most "
                         "that many",
                         recipe->batch_size, dataset->name, dataset->train.count);
    return device_set_up(error, &training->device, &options->device);
}

/* Restores the state from the checkpoint. More epochs make another run, because a schedule may
 * depend on their number. */
static enum status resume(struct error *error, struct training *training,
                          const struct options *options) {
    struct error ignored;
    char weights[PATH_CAPACITY];
    enum status status = checkpoint_read(error, &training->at, training->model,
                                         training->checkpoint, &training->run);
    if (status == STATUS_USAGE &&
        run_folder_weights_path(&ignored, weights, options->out, WEIGHTS_FINAL) == STATUS_OK &&
        file_exists(weights))
        error_append(error,
                     "; to train its final weights further, start a new run with --weights '%s'",
                     weights);
    return status;
}

static enum status create_model(struct error *error, struct training *training,
                                const struct options *options) {
    const struct recipe *recipe = &options->recipe;
    const struct model_options model_options = {
        .batch = recipe->batch_size,
        .evaluation_images = training->run.dataset->test.count,
        .seed = options->seed,
        .augment = recipe->augment == AUGMENT_FLIP_CROP,
        .crop = recipe->crop,
        .momentum = recipe->momentum,
        .weight_decay = recipe->weight_decay,
        .nesterov = recipe->nesterov,
        .muon = recipe->optimizer == OPTIMIZER_MUON,
        .muon_momentum = recipe->muon_momentum,
        .muon_scale = recipe->muon_rate / recipe->learning_rate,
        .replay = !options->no_graph,
    };
    if (model_set_up(error, &training->model, &training->device, &training->network,
                     &model_options) != STATUS_OK)
        return error->status;
    if (options->resume)
        return resume(error, training, options);
    if (options->weights[0] != '\0') {
        const struct weights_origin use = {recipe, training->run.dataset};
        return weights_load(error, training->model, NULL, options->weights, &use);
    }
    return model_initialize(error, training->model, options->seed);
}

static enum status create_feed(struct error *error, struct training *training, struct feed **out,
                               const struct image_set *set, int batch, bool shuffle) {
    const struct loader_options loader_options = {
        .batch_size = batch,
        .shuffle = shuffle,
        .seed = training->run.options->seed,
    };
    return feed_create(error, out, training->device.backend, training->device.device, set,
                       &loader_options);
}

static enum status start_checkpoint(struct error *error, struct training *training) {
    return checkpoint_writer_start(error, &training->writer, training->checkpoint, training->model,
                                   &training->at, &training->run);
}

/* A new run writes its first checkpoint before it changes anything else in the folder; from then on
 * it can be resumed. */
static enum status open_folder(struct error *error, struct training *training) {
    const struct run_description *run = &training->run;
    training->run_began = clock_seconds() - training->at.elapsed;
    training->saved = clock_seconds();
    training->saved_step = training->at.step;
    if (run_folder_make(error, &training->folder, run->options->out) != STATUS_OK)
        return error->status;
    if (!run->options->resume && (start_checkpoint(error, training) != STATUS_OK ||
                                  checkpoint_writer_wait(error, &training->writer) != STATUS_OK))
        return error->status;
    if (!run_ended(&training->at, run->options) &&
        report_remove(error, run->options->out) != STATUS_OK)
        return error->status;
    return run_folder_open(error, &training->folder, run, &training->at);
}

static enum status set_up(struct error *error, struct training *training,
                          const struct options *options, const struct dataset *dataset) {
    bool unfinished = false;
    if (check_inputs(error, training, &unfinished, options, dataset) != STATUS_OK)
        return error->status;
    training->run = (struct run_description){
        .options = options,
        .dataset = dataset,
        .network = &training->network,
        .device = &training->device,
        .steps_per_epoch = loader_batches(dataset->train.count, options->recipe.batch_size),
    };
    if (run_folder_weights_path(error, training->checkpoint, options->out, WEIGHTS_CHECKPOINT) !=
            STATUS_OK ||
        create_model(error, training, options) != STATUS_OK)
        return error->status;
    training->run.evaluation_batch = model_evaluation_batch(training->model);
    if (create_feed(error, training, &training->train_feed, &dataset->train,
                    options->recipe.batch_size, !options->no_shuffle) != STATUS_OK ||
        create_feed(error, training, &training->test_feed, &dataset->test,
                    training->run.evaluation_batch, false) != STATUS_OK)
        return error->status;
    console_header(&training->run, options->resume ? &training->at : NULL, unfinished);
    progress_open(&training->progress, !options->quiet && !options->no_progress);
    if (stop_on_signals(error) != STATUS_OK) /* before there is a run that could be resumed */
        return error->status;
    return open_folder(error, training);
}

static void tear_down(struct training *training) {
    feed_destroy(training->test_feed);
    feed_destroy(training->train_feed);
    model_destroy(training->model);
    memory_free(training->logits);
    device_close(&training->device);
}

/* ---- checkpoints, stops, divergence ---------------------------------------------------------- */

static enum status check_loss(struct error *error, struct training *training, const char *which,
                              double loss) {
    if (isfinite(loss))
        return STATUS_OK;
    if (checkpoint_writer_wait(error, &training->writer) != STATUS_OK) /* is it there? */
        return error->status;
    return error_set(error, STATUS_DIVERGED,
                     "training diverged: the %s loss is %s in epoch %d, found after step %" PRId64
                     " at learning rate %g; try a smaller --lr (the checkpoint of step %" PRId64
                     " is kept)",
                     which, isnan(loss) ? "not a number" : "infinite", training->at.epoch,
                     training->at.step, (double)training->at.learning_rate, training->saved_step);
}

/* Reads the device's counters for this epoch. Waits for the device. */
static enum status read_counters(struct error *error, struct training *training) {
    struct counters *sum = &training->at.sum;
    if (model_read_counters(error, training->model, sum) != STATUS_OK)
        return error->status;
    training->now.train = score_of(sum);
    return check_loss(error, training, "training", sum->loss);
}

/* Starts to write a checkpoint; training may go on. */
static enum status save_checkpoint(struct error *error, struct training *training) {
    training->at.elapsed = clock_seconds() - training->run_began;
    if (start_checkpoint(error, training) != STATUS_OK)
        return error->status;
    training->saved = clock_seconds();
    training->saved_step = training->at.step;
    return STATUS_OK;
}

/* The same within an epoch. */
static enum status save_here(struct error *error, struct training *training) {
    training->at.seconds = clock_seconds() - training->epoch_began;
    if (read_counters(error, training) != STATUS_OK)
        return error->status;
    return save_checkpoint(error, training);
}

static enum status save_when_due(struct error *error, struct training *training) {
    double interval = (double)training->run.options->checkpoint_seconds;
    if (interval <= 0 || clock_seconds() - training->saved < interval)
        return STATUS_OK;
    return save_here(error, training);
}

/* If a signal asked to stop, writes a checkpoint and stops. */
static enum status check_stop(struct error *error, struct training *training) {
    enum status stop = stop_requested();
    if (stop == STATUS_OK)
        return STATUS_OK;
    if (save_here(error, training) != STATUS_OK ||
        checkpoint_writer_wait(error, &training->writer) != STATUS_OK)
        return error->status;
    return error_set(
        error, stop, "stopped by %s in epoch %d after step %" PRId64 ", which is saved in '%s'",
        stop_signal_name(stop), training->at.epoch, training->at.step, training->checkpoint);
}

/* ---- one epoch ------------------------------------------------------------------------------- */

static enum status draw_progress(struct error *error, struct training *training) {
    if (!progress_due(&training->progress))
        return STATUS_OK;
    if (read_counters(error, training) != STATUS_OK)
        return error->status;
    progress_draw(&training->progress, training->at.batch, &training->now.train);
    return STATUS_OK;
}

/* Takes the next batch through one optimizer step; *more is false after the last batch. */
static enum status train_step(struct error *error, struct training *training, bool *more) {
    const struct run_description *run = &training->run;
    struct run_state *at = &training->at;
    const struct step_state state = {
        .step = (uint64_t)at->step,
        .learning_rate = schedule_rate(&run->options->recipe, at->step, run->steps_per_epoch),
    };
    struct device_batch batch;
    if (feed_next(error, training->train_feed, &batch, &state) != STATUS_OK)
        return error->status;
    *more = batch.count > 0;
    if (!*more)
        return STATUS_OK;
    if (model_step(error, training->model, &batch, true) != STATUS_OK ||
        feed_release(error, training->train_feed) != STATUS_OK)
        return error->status;
    at->step++;
    at->batch++;
    at->learning_rate = state.learning_rate;
    return STATUS_OK;
}

static bool steps_done(const struct training *training) {
    int64_t limit = training->run.options->max_steps;
    return limit > 0 && training->at.step >= limit;
}

/* Trains the rest of the current epoch, or as much of it as --max-steps allows. */
static enum status train_epoch(struct error *error, struct training *training) {
    struct run_state *at = &training->at;
    struct epoch_metrics *now = &training->now;
    bool more = true;
    training->epoch_began = clock_seconds() - at->seconds;
    if (model_set_counters(error, training->model, &at->sum) != STATUS_OK ||
        feed_begin(error, training->train_feed, at->epoch - 1, at->batch) != STATUS_OK)
        return error->status;
    while (more && !steps_done(training))
        if (check_stop(error, training) != STATUS_OK ||
            train_step(error, training, &more) != STATUS_OK ||
            save_when_due(error, training) != STATUS_OK ||
            draw_progress(error, training) != STATUS_OK)
            return error->status;
    if (read_counters(error, training) != STATUS_OK)
        return error->status;
    now->step = at->step;
    now->learning_rate = at->learning_rate;
    now->seconds = clock_seconds() - training->epoch_began;
    now->images_per_second = now->seconds > 0 ? (double)at->sum.images / now->seconds : 0;
    return STATUS_OK;
}

/* Evaluates the test or validation images; keeps their logits if the report will need them. */
static enum status evaluate_test(struct error *error, struct training *training, bool last) {
    const struct run_description *run = &training->run;
    if (last && !run->options->no_report &&
        memory_alloc(error, &training->logits, (size_t)run->dataset->test.count,
                     CLASS_COUNT * sizeof *training->logits,
                     "the results of the evaluation") != STATUS_OK)
        return error->status;
    return evaluate(error, &training->now.test, training->logits, training->model,
                    training->test_feed);
}

static enum status evaluate_epoch(struct error *error, struct training *training) {
    double start = clock_seconds();
    struct run_state next = training->at; /* as record_epoch leaves it */
    next.epoch++;
    next.batch = 0;
    progress_evaluating(&training->progress);
    if (evaluate_test(error, training, run_ended(&next, training->run.options)) != STATUS_OK)
        return error->status;
    training->now.eval_seconds = clock_seconds() - start;
    return check_loss(error, training, evaluated_word(training->now.validation),
                      training->now.test.loss);
}

static enum status save_weights(struct error *error, struct training *training,
                                enum run_weights which) {
    struct tensor_list tensors = {0};
    enum status status = model_export(error, training->model, &tensors);
    if (status == STATUS_OK)
        status = run_folder_save(error, &training->folder, which, &tensors, &training->run);
    tensor_list_free(&tensors);
    return status;
}

/* Records the epoch once the checkpoint before is in its place: its line, its weights if they are
 * the best, and last the checkpoint, which relies on both. That one is written while the next epoch
 * begins. */
static enum status record_epoch(struct error *error, struct training *training) {
    const struct epoch_metrics *now = &training->now;
    struct run_state *at = &training->at;
    bool best = at->best_epoch == 0 || now->test.accuracy > at->best_accuracy;
    progress_clear(&training->progress);
    if (checkpoint_writer_wait(error, &training->writer) != STATUS_OK ||
        run_folder_add(error, &training->folder, now) != STATUS_OK ||
        (best && save_weights(error, training, WEIGHTS_BEST) != STATUS_OK))
        return error->status;
    at->last_accuracy = now->test.accuracy;
    if (best) {
        at->best_epoch = now->epoch;
        at->best_accuracy = now->test.accuracy;
    }
    at->epoch++;
    at->batch = 0;
    at->sum = (struct counters){0};
    at->seconds = 0;
    if (save_checkpoint(error, training) != STATUS_OK)
        return error->status;
    console_epoch(&training->run, now);
    return STATUS_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* A run that had ended when it was resumed is evaluated now. */
static enum status write_report(struct error *error, struct training *training) {
    if ((training->logits == NULL && evaluate_test(error, training, true) != STATUS_OK) ||
        report_write(error, &training->run, &training->at, &training->now.test, training->logits) !=
            STATUS_OK)
        return error->status;
    return run_folder_show_mistakes(error, &training->folder, training->at.step);
}

static enum status run_epochs(struct error *error, struct training *training) {
    const struct options *options = training->run.options;
    struct run_state *at = &training->at;
    while (!run_ended(at, options)) {
        training->now = (struct epoch_metrics){.epoch = at->epoch,
                                               .validation = training->run.dataset->validation > 0};
        progress_begin(&training->progress, at->epoch, options->recipe.epochs,
                       training->run.steps_per_epoch, at->seconds);
        if (train_epoch(error, training) != STATUS_OK ||
            evaluate_epoch(error, training) != STATUS_OK ||
            record_epoch(error, training) != STATUS_OK)
            return error->status;
    }
    if (checkpoint_writer_wait(error, &training->writer) != STATUS_OK ||
        save_weights(error, training, WEIGHTS_FINAL) != STATUS_OK)
        return error->status;
    if (!options->no_report && write_report(error, training) != STATUS_OK)
        return error->status;
    if (run_folder_close(error, &training->folder) != STATUS_OK)
        return error->status;
    console_closing(&training->run, at);
    return STATUS_OK;
}

enum status train_on(struct error *error, const struct options *options,
                     const struct dataset *dataset) {
    struct training training = {.folder = RUN_FOLDER_CLOSED, .at = RUN_STATE_NEW};
    enum status status = set_up(error, &training, options, dataset);
    if (status == STATUS_OK)
        status = run_epochs(error, &training);
    progress_clear(&training.progress);
    if (status != STATUS_OK) {
        struct error ignored; /* the first error is reported */
        (void)checkpoint_writer_wait(&ignored, &training.writer);
        (void)run_folder_close(&ignored, &training.folder);
    }
    tear_down(&training);
    return status;
}

enum status train(struct error *error, const struct options *options) {
    struct dataset dataset = {0};
    struct network network;
    bool unfinished;
    /* cheap checks before 180 MB are checked */
    if (network_build(error, &network, &options->recipe) != STATUS_OK ||
        check_folder(error, &unfinished, options) != STATUS_OK ||
        dataset_open_split(error, &dataset, options->data, options->validation) != STATUS_OK)
        return error->status;
    enum status status = train_on(error, options, &dataset);
    dataset_close(&dataset);
    if (stop_signal_name(status) != NULL)
        error_append(error, "; resume with the same command and --resume");
    return status;
}
