/* test_step.c: the CUDA calls of a training step, and a device with too little memory. On the
 * stand-in, which counts calls. */
#include "cudasim.h"
#include "memory.h"
#include "model/feed.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 10, BATCH = 4, EPOCHS = 5 }; /* three steps per epoch, the last one of 2 images */

/* Of a recorded step: each node costs a microsecond or more, and those of a chain in turn. */
enum { MOST_NODES = 60, LONGEST_CHAIN = 50 };

struct run {
    struct device *device;
    struct network network;
    struct model *model;
    struct image_set set;
    struct feed *feed;
};

static void run_open(struct run *run, enum recipe_kind kind, enum norm_kind norm,
                     enum batch_norm batch_norm, bool replay) {
    struct error error;
    const struct device_options device_options = {.batch_norm = batch_norm};
    const struct recipe *recipe = recipe_find(kind, norm);
    const struct model_options options = {
        .batch = BATCH, .seed = 3, .augment = true, .momentum = 0.9f, .replay = replay};
    const struct loader_options order = {.batch_size = BATCH, .shuffle = true, .seed = 3};
    *run = (struct run){0};
    assert_succeeded(cuda_backend.open(&error, &run->device, &device_options), &error);
    assert_succeeded(network_build(&error, &run->network, recipe), &error);
    assert_succeeded(
        model_create(&error, &run->model, &cuda_backend, run->device, &run->network, &options),
        &error);
    assert_succeeded(model_initialize(&error, run->model, 3), &error);
    assert_succeeded(synthetic_fill(&error, &run->set, 3, 0, IMAGES), &error);
    assert_succeeded(feed_create(&error, &run->feed, &cuda_backend, run->device, &run->set, &order),
                     &error);
}

static void run_close(struct run *run) {
    feed_destroy(run->feed);
    model_destroy(run->model);
    image_set_free(&run->set);
    cuda_backend.close(run->device);
}

/* The calls of one step or evaluation step; zeroed between the feed's calls and the step. */
static struct cudasim_counts step(struct run *run, const struct device_batch *batch,
                                  bool training) {
    struct error error;
    cudasim_reset_counts();
    assert_succeeded(model_step(&error, run->model, batch, training), &error);
    return cudasim_counts();
}

static void check_step(const struct cudasim_counts *counts, int epoch, bool replay) {
    assert_int_equal(counts->copies, 0);
    if (epoch >= 1) /* each kind of step was called once */
        assert_int_equal(counts->synchronizations, 0);
    if (epoch >=
        (replay ? EPOCHS - 2 : 1)) { /* and recorded, for both slots and both sizes of batch */
        assert_int_equal(counts->allocations, 0);
        assert_int_equal(counts->graph_launches, replay ? 1 : 0);
    }
}

/* Runs every step of every epoch; returns the counts of the last one. */
static struct cudasim_counts check_steps(struct run *run, bool training, bool replay) {
    struct error error;
    const struct step_state state = {.step = 1, .learning_rate = 0.01f};
    struct device_batch batch;
    struct cudasim_counts counts = {0};
    for (int epoch = 0; epoch < (replay ? EPOCHS : 2); epoch++) {
        assert_succeeded(feed_begin(&error, run->feed, epoch, 0), &error);
        assert_succeeded(feed_next(&error, run->feed, &batch, &state), &error);
        while (batch.count > 0) {
            counts = step(run, &batch, training);
            check_step(&counts, epoch, replay);
            assert_succeeded(feed_release(&error, run->feed), &error);
            assert_succeeded(feed_next(&error, run->feed, &batch, &state), &error);
        }
    }
    return counts;
}

/* Checks that bench/steps.txt, from which bench/predict.py predicts the time of a step, has a line. */
static void check_recorded(const char *line) {
    char found[128];
    FILE *file = fopen("bench/steps.txt", "r"); /* tests run in the root of the repository */
    if (file == NULL)
        fail_msg("bench/steps.txt cannot be opened");
    bool recorded = false;
    while (!recorded && fgets(found, sizeof found, file) != NULL) {
        found[strcspn(found, "\n")] = '\0';
        recorded = strcmp(found, line) == 0;
    }
    fclose(file);
    if (!recorded)
        fail_msg("bench/steps.txt has no line \"%s\": correct it, and bench/README.md", line);
}

static void counts_of_one(enum recipe_kind kind, enum norm_kind norm, enum batch_norm batch_norm) {
    struct cudasim_counts counts[2];
    for (int replay = 0; replay < 2; replay++) {
        struct run run;
        run_open(&run, kind, norm, batch_norm, replay);
        counts[replay] = check_steps(&run, true, replay);
        if (replay) /* evaluating the same batches must not replay the training step */
            assert_true(check_steps(&run, false, replay).launches < counts[1].launches);
        run_close(&run);
    }
    assert_int_equal(counts[0].launches, counts[1].launches);
    assert_int_equal(counts[1].graph_nodes, counts[1].launches); /* no copies */
    assert_in_range(counts[1].graph_chain, 1, counts[1].graph_nodes);
    if (norm != NORM_BATCH ||
        batch_norm != BATCH_NORM_CUDNN) { /* it has kernels of ours around it */
        assert_in_range(counts[1].graph_nodes, 1, MOST_NODES);
        assert_in_range(counts[1].graph_chain, 1, LONGEST_CHAIN);
    }
    char line[128];
    snprintf(line, sizeof line, "%s, %s%s: %ld launches per step, the longest chain %ld",
             norm_option(norm), recipe_option(kind),
             batch_norm == BATCH_NORM_OWN ? ", own batch norm" : "", counts[1].graph_nodes,
             counts[1].graph_chain);
    print_message("# %s\n", line);
    check_recorded(line);
}

static void counts_of_a_step(void **state) {
    (void)state;
    const enum recipe_kind recipes[] = {RECIPE_REFERENCE, RECIPE_TUNED};
    cudasim_set_reverse(0); /* test_agreement runs the same kernels in both orders */
    for (int r = 0; r < 2; r++) {
        for (int norm = 0; norm < NORM_COUNT; norm++)
            counts_of_one(recipes[r], (enum norm_kind)norm, BATCH_NORM_CUDNN);
        counts_of_one(recipes[r], NORM_BATCH, BATCH_NORM_OWN);
    }
}

/* ---- a failure while a step is recorded ------------------------------------------------------ */

static const struct operations *true_operations;
static int refusals; /* loss calls still to refuse */
static int allowed;  /* backward passes of group norm before one is refused; -1: none is */

static enum status refuse_loss(struct error *error, struct device *device,
                               const struct loss_args *a) {
    if (refusals > 0 && refusals-- > 0)
        return error_set(error, STATUS_FAILED, "the loss is refused");
    return true_operations->loss(error, device, a);
}

static enum status refuse_norm(struct error *error, struct device *device,
                               const struct norm_args *a) {
    if (allowed >= 0 && allowed-- == 0)
        return error_set(error, STATUS_FAILED, "the norm is refused");
    return true_operations->norm[NORM_GROUP].backward(error, device, a);
}

static const struct operations *refusing_operations(const struct device *device) {
    static struct operations operations;
    operations = *(true_operations = cuda_backend.operations(device));
    operations.loss = refuse_loss;
    operations.norm[NORM_GROUP].backward = refuse_norm;
    return &operations;
}

/* A run whose model may be refused operations, with its first batch. */
static void refusing_open(struct run *run, struct device_batch *batch) {
    static struct backend refusing;
    static const struct step_state step_state = {.step = 1, .learning_rate = 0.01f};
    static const struct model_options options = {
        .batch = BATCH, .seed = 3, .momentum = 0.9f, .replay = true};
    struct error error;
    refusing = cuda_backend;
    refusing.operations = refusing_operations;
    refusals = 0;
    allowed = -1;
    run_open(run, RECIPE_TUNED, NORM_GROUP, BATCH_NORM_CUDNN, true);
    model_destroy(run->model);
    assert_succeeded(
        model_create(&error, &run->model, &refusing, run->device, &run->network, &options), &error);
    assert_succeeded(model_initialize(&error, run->model, 3), &error);
    assert_succeeded(feed_begin(&error, run->feed, 0, 0), &error);
    assert_succeeded(feed_next(&error, run->feed, batch, &step_state), &error);
}

/* A recording that lacks an operation is dropped: the same step, repeated, has the loss of a step
 * that was never recorded. */
static void refusal_while_recording(void **state) {
    (void)state;
    struct error error;
    double losses[2];
    for (int refused = 0; refused < 2; refused++) {
        struct run run;
        struct device_batch batch;
        struct counters counters;
        refusing_open(&run, &batch);
        assert_succeeded(model_step(&error, run.model, &batch, false), &error); /* called */
        refusals = refused;
        if (refused)
            FAILED(model_step(&error, run.model, &batch, false), STATUS_FAILED, &error,
                   "the loss is refused");
        for (int i = 0; i < 2; i++) /* recorded and replayed */
            assert_succeeded(model_step(&error, run.model, &batch, false), &error);
        assert_succeeded(model_take_counters(&error, run.model, &counters), &error);
        assert_int_equal(counters.images, 3 * BATCH);
        losses[refused] = counters.loss;
        run_close(&run);
    }
    assert_true(losses[0] == losses[1]);
}

/* The loss after three training steps, of which step number `refused` is first refused in the
 * middle of its backward pass, when gradients of filters are computed beside it; -1: none is. */
static double loss_after_refusal(int refused) {
    struct error error;
    struct run run;
    struct device_batch batch;
    struct counters counters;
    refusing_open(&run, &batch);
    for (int i = 0; i < 3; i++) { /* called, recorded, replayed */
        if (i == refused) {
            allowed = 3;
            FAILED(model_step(&error, run.model, &batch, true), STATUS_FAILED, &error,
                   "the norm is refused");
        }
        assert_succeeded(model_step(&error, run.model, &batch, true), &error);
    }
    assert_succeeded(model_take_counters(&error, run.model, &counters), &error);
    assert_succeeded(model_step(&error, run.model, &batch, false), &error);
    assert_succeeded(model_take_counters(&error, run.model, &counters), &error);
    run_close(&run);
    return counters.loss;
}

/* A training step that breaks off leaves nothing behind, called or recorded; a model may also be
 * destroyed then. */
static void refusal_beside_filters(void **state) {
    (void)state;
    struct error error;
    struct run run;
    struct device_batch batch;
    double expected = loss_after_refusal(-1);
    for (int refused = 0; refused < 2; refused++)
        assert_true(loss_after_refusal(refused) == expected);
    for (int steps = 0; steps < 2; steps++) {
        refusing_open(&run, &batch);
        for (int i = 0; i < steps; i++)
            assert_succeeded(model_step(&error, run.model, &batch, true), &error);
        allowed = 3;
        FAILED(model_step(&error, run.model, &batch, true), STATUS_FAILED, &error,
               "the norm is refused");
        run_close(&run);
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static enum status model_of(struct error *error, struct run *run, int batch) {
    const struct model_options options = {.batch = batch, .seed = 3, .momentum = 0.9f};
    return model_create(error, &run->model, &cuda_backend, run->device, &run->network, &options);
}

/* The batch size that the message names does fit. */
static void memory_too_small(void **state) {
    (void)state;
    struct error error;
    struct run run = {0};
    const struct device_options options = {0};
    assert_succeeded(network_build(&error, &run.network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &error);
    cudasim_set_memory((size_t)100 << 20);
    assert_succeeded(cuda_backend.open(&error, &run.device, &options), &error);
    FAILED(model_of(&error, &run, 5000), STATUS_FAILED, &error, "out of device memory",
           "a batch of 5000 images needs", "MiB are free", "would fit");
    assert_null(run.model);
    const char *text = strstr(error.text, "; a batch of ");
    assert_non_null(text);
    int fits = atoi(text + strlen("; a batch of "));
    assert_in_range(fits, 10, 100);
    assert_succeeded(model_of(&error, &run, fits), &error);
    model_destroy(run.model);
    cuda_backend.close(run.device);
    cudasim_set_memory((size_t)2 << 30);
}

static void no_memory_at_all(void **state) {
    (void)state;
    struct error error;
    struct run run = {0};
    const struct device_options options = {0};
    assert_succeeded(network_build(&error, &run.network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &error);
    assert_succeeded(cuda_backend.open(&error, &run.device, &options), &error);
    cudasim_set_memory(((size_t)2 << 30) - cuda_backend.memory_left(run.device) + (1 << 20));
    FAILED(model_of(&error, &run, 64), STATUS_FAILED, &error, "out of device memory",
           "no smaller batch fits");
    cuda_backend.close(run.device);
    cudasim_set_memory((size_t)2 << 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_a_step),       cmocka_unit_test(refusal_while_recording),
        cmocka_unit_test(refusal_beside_filters), cmocka_unit_test(memory_too_small),
        cmocka_unit_test(no_memory_at_all),
    };
    return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
