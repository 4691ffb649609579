/* train.c: the command `train`: sets a run up, trains and evaluates epoch by epoch, and closes it.
 *
 * The way of a batch: feed_next brings it to the device, model_train_step walks the network forward
 * and backward and updates the weights, feed_release gives its slot back. Nothing in that loop
 * waits for the device; the counters are fetched at the end of an epoch, and for the progress bar.
 */
#include "train.h"

#include "clock.h"
#include "console.h"
#include "evaluate.h"
#include "feed.h"
#include "model.h"
#include "progress.h"
#include "run_folder.h"
#include "schedule.h"
#include "stop.h"
#include "weights.h"

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
    int64_t step; /* optimizer steps done */
    struct epoch_metrics last, best;
    double start; /* clock_seconds when the first epoch began */
};

/* ---- setting up ------------------------------------------------------------------------------ */

/* Everything that the input can be wrong about, the device last because it costs the most. */
static enum status check_inputs(struct error *error, struct training *training, bool *unfinished,
                                const struct options *options, const struct dataset *dataset) {
    const struct recipe *recipe = &options->recipe;
    if (network_build(error, &training->network, recipe) != STATUS_OK ||
        run_folder_check(error, unfinished, options->out, options->force) != STATUS_OK)
        return error->status;
    if (recipe->batch_size > dataset->train.count)
        return error_set(error, STATUS_USAGE,
                         "--batch-size %d: the training set of %s has %d images; at most that many "
                         "are allowed",
                         recipe->batch_size, dataset->name, dataset->train.count);
    return device_choose(error, &training->device, backends, &options->device);
}

static enum status create_model(struct error *error, struct training *training,
                                const struct options *options) {
    const struct recipe *recipe = &options->recipe;
    const struct model_options model_options = {
        .batch = recipe->batch_size,
        .seed = options->seed,
        .augment = recipe->augment == AUGMENT_FLIP_CROP,
        .momentum = recipe->momentum,
        .weight_decay = recipe->weight_decay,
        .nesterov = recipe->nesterov,
        .replay = !options->no_graph,
    };
    if (model_create(error, &training->model, training->device.backend, training->device.device,
                     &training->network, &model_options) != STATUS_OK)
        return error->status;
    if (options->weights[0] != '\0')
        return weights_load(error, training->model, NULL, options->weights);
    return model_initialize(error, training->model, options->seed);
}

static enum status create_feed(struct error *error, struct training *training, struct feed **out,
                               const struct image_set *set, bool shuffle) {
    const struct options *options = training->run.options;
    int batch = options->recipe.batch_size;
    const struct loader_options loader_options = {
        .batch_size = batch < set->count ? batch : set->count, /* the test set may be smaller */
        .shuffle = shuffle,
        .seed = options->seed,
    };
    return feed_create(error, out, training->device.backend, training->device.device, set,
                       &loader_options);
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
    if (create_model(error, training, options) != STATUS_OK ||
        create_feed(error, training, &training->train_feed, &dataset->train,
                    !options->no_shuffle) != STATUS_OK ||
        create_feed(error, training, &training->test_feed, &dataset->test, false) != STATUS_OK ||
        console_header(error, &training->run, unfinished) != STATUS_OK ||
        run_folder_open(error, &training->folder, &training->run) != STATUS_OK)
        return error->status;
    progress_open(&training->progress, !options->quiet && !options->no_progress);
    return stop_on_signals(error);
}

static void tear_down(struct training *training) {
    feed_destroy(training->test_feed);
    feed_destroy(training->train_feed);
    model_destroy(training->model);
    device_close(&training->device);
}

/* ---- one epoch ------------------------------------------------------------------------------- */

static bool limit_reached(const struct training *training) {
    int64_t limit = training->run.options->max_steps;
    return limit > 0 && training->step >= limit;
}

static enum status check_loss(struct error *error, const struct training *training,
                              const char *which, double loss) {
    if (isfinite(loss))
        return STATUS_OK;
    return error_set(error, STATUS_DIVERGED,
                     "training diverged: the %s loss is %s in epoch %d, found after step %" PRId64
                     " at learning rate %g; try a smaller --lr",
                     which, isnan(loss) ? "not a number" : "infinite", training->last.epoch,
                     training->step, (double)training->last.learning_rate);
}

/* Adds what the device counted since the last call. Waits for the device. */
static enum status fetch_counters(struct error *error, struct training *training,
                                  struct counters *sum) {
    struct counters part;
    if (model_take_counters(error, training->model, &part) != STATUS_OK)
        return error->status;
    sum->loss += part.loss;
    sum->correct += part.correct;
    sum->images += part.images;
    training->last.train = score_of(sum);
    return check_loss(error, training, "training", sum->loss);
}

static enum status draw_progress(struct error *error, struct training *training,
                                 struct counters *sum, int step) {
    if (!progress_due(&training->progress))
        return STATUS_OK;
    if (fetch_counters(error, training, sum) != STATUS_OK)
        return error->status;
    progress_draw(&training->progress, step, &training->last.train);
    return STATUS_OK;
}

/* STATUS_OK, or the error of a run that a signal stops here. */
static enum status check_stop(struct error *error, const struct training *training) {
    enum status stop = stop_requested();
    if (stop == STATUS_OK)
        return STATUS_OK;
    return error_set(error, stop, "stopped by %s in epoch %d after step %" PRId64 "; %s '%s'",
                     stop == STATUS_INTERRUPTED ? "SIGINT" : "SIGTERM", training->last.epoch,
                     training->step,
                     training->best.epoch > 0 ? "the epochs before it and the best weights are in"
                                              : "no epoch had ended, there are no weights in",
                     training->folder.path);
}

/* Takes the next batch through one optimizer step; *more is false after the last batch. */
static enum status train_step(struct error *error, struct training *training, bool *more) {
    const struct run_description *run = &training->run;
    const struct step_state state = {
        .step = (uint64_t)training->step,
        .learning_rate = schedule_rate(&run->options->recipe, training->step, run->steps_per_epoch),
    };
    struct device_batch batch;
    if (check_stop(error, training) != STATUS_OK ||
        feed_next(error, training->train_feed, &batch, &state) != STATUS_OK)
        return error->status;
    *more = batch.count > 0;
    if (!*more)
        return STATUS_OK;
    if (model_train_step(error, training->model, &batch) != STATUS_OK ||
        feed_release(error, training->train_feed) != STATUS_OK)
        return error->status;
    training->step++;
    training->last.learning_rate = state.learning_rate;
    return STATUS_OK;
}

/* Trains one epoch, or as much of it as --max-steps leaves. */
static enum status train_epoch(struct error *error, struct training *training) {
    struct counters sum = {0};
    double start = clock_seconds();
    bool more = true;
    if (feed_begin(error, training->train_feed, training->last.epoch - 1, 0) != STATUS_OK)
        return error->status;
    for (int step = 1; more && !limit_reached(training); step++)
        if (train_step(error, training, &more) != STATUS_OK ||
            draw_progress(error, training, &sum, step) != STATUS_OK)
            return error->status;
    if (fetch_counters(error, training, &sum) != STATUS_OK)
        return error->status;
    training->last.step = training->step;
    training->last.seconds = clock_seconds() - start;
    training->last.images_per_second =
        training->last.seconds > 0 ? (double)sum.images / training->last.seconds : 0;
    return STATUS_OK;
}

static enum status evaluate_epoch(struct error *error, struct training *training) {
    double start = clock_seconds();
    progress_evaluating(&training->progress);
    if (evaluate(error, &training->last.test, training->model, training->test_feed) != STATUS_OK)
        return error->status;
    training->last.eval_seconds = clock_seconds() - start;
    return check_loss(error, training, "test", training->last.test.loss);
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum status save(struct error *error, struct training *training, enum run_weights which) {
    struct tensor_list tensors = {0};
    enum status status = model_export(error, training->model, &tensors, training->step);
    if (status == STATUS_OK)
        status = run_folder_save(error, &training->folder, which, &tensors, &training->run);
    tensor_list_free(&tensors);
    return status;
}

static enum status record_epoch(struct error *error, struct training *training) {
    progress_clear(&training->progress);
    if (run_folder_add(error, &training->folder, &training->last) != STATUS_OK)
        return error->status;
    if (training->best.epoch == 0 || training->last.test.accuracy > training->best.test.accuracy) {
        training->best = training->last;
        if (save(error, training, WEIGHTS_BEST) != STATUS_OK)
            return error->status;
    }
    return console_epoch(error, &training->run, &training->last);
}

static enum status run_epochs(struct error *error, struct training *training) {
    int epochs = training->run.options->recipe.epochs;
    training->start = clock_seconds();
    for (int epoch = 1; epoch <= epochs && !limit_reached(training); epoch++) {
        training->last = (struct epoch_metrics){.epoch = epoch};
        progress_begin(&training->progress, epoch, epochs, training->run.steps_per_epoch);
        if (train_epoch(error, training) != STATUS_OK ||
            evaluate_epoch(error, training) != STATUS_OK ||
            record_epoch(error, training) != STATUS_OK)
            return error->status;
    }
    if (run_folder_close(error, &training->folder) != STATUS_OK ||
        save(error, training, WEIGHTS_FINAL) != STATUS_OK)
        return error->status;
    return console_closing(error, &training->run, &training->last, &training->best,
                           clock_seconds() - training->start);
}

enum status train_on(struct error *error, const struct options *options,
                     const struct dataset *dataset) {
    struct training training = {.folder = RUN_FOLDER_CLOSED};
    enum status status = set_up(error, &training, options, dataset);
    if (status == STATUS_OK)
        status = run_epochs(error, &training);
    progress_clear(&training.progress);
    if (status != STATUS_OK) {
        struct error ignored; /* the first one is reported */
        (void)run_folder_close(&ignored, &training.folder);
    }
    tear_down(&training);
    return status;
}

enum status train(struct error *error, const struct options *options) {
    struct dataset dataset = {0};
    struct network network;
    bool unfinished;
    /* what costs nothing is checked before 180 MB are read */
    if (network_build(error, &network, &options->recipe) != STATUS_OK ||
        run_folder_check(error, &unfinished, options->out, options->force) != STATUS_OK ||
        dataset_open(error, &dataset, options->data, options->seed) != STATUS_OK)
        return error->status;
    enum status status = train_on(error, options, &dataset);
    dataset_close(&dataset);
    return status;
}
