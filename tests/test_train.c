/* test_train.c: short runs on a handful of synthetic images: what they write, where they stop, what
 * they refuse. */
#include "run_fixture.h"
#include "support.h"

#include "base/version.h"
#include "network/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_line(const json_t *line, int epoch, const struct recipe *recipe) {
    int step = epoch * STEPS;
    assert_int_equal(number(line, "epoch"), epoch);
    assert_int_equal(number(line, "step"), step);
    double rate = (double)schedule_rate(recipe, step - 1, STEPS);
    assert_true(fabs(number(line, "lr") - rate) <= 1e-6 * rate);
    assert_true(number(line, "train_loss") > 0 && number(line, "test_loss") > 0);
    /* whole images, in percent */
    double right = number(line, "train_accuracy") * TRAIN_IMAGES / 100;
    assert_true(fabs(right - round(right)) < 1e-6 && right >= 0 && right <= TRAIN_IMAGES);
    right = number(line, "test_accuracy") * TEST_IMAGES / 100;
    assert_true(fabs(right - round(right)) < 1e-6 && right >= 0 && right <= TEST_IMAGES);
    double seconds = number(line, "seconds");
    assert_true(seconds > 0 && number(line, "eval_seconds") > 0);
    assert_true(fabs(number(line, "images_per_second") * seconds / TRAIN_IMAGES - 1) < 1e-3);
    assert_int_equal(json_object_size(line), 10);
}

static void files_of_a_run(void **state) {
    const struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    run_ok(&options);
    assert_int_equal(folder_entries(options.out), 5);
    assert_true(is_there(options.out, "checkpoint.safetensors"));
    assert_true(is_there(options.out, "model.safetensors"));
    assert_true(is_there(options.out, "best.safetensors"));
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, EPOCHS);
    for (int epoch = 1; epoch <= EPOCHS; epoch++)
        check_line(metrics.lines[epoch - 1], epoch, &options.recipe);
    free_metrics(&metrics);
}

static void config(void **state) {
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_BATCH);
    options.max_steps = 1;
    options.device.threads = 2;
    options.device.batch_norm = BATCH_NORM_OWN;
    options.seed = UINT64_MAX;
    strcpy(options.data, "odd \xff \" name"); /* not UTF-8 */
    run_ok(&options);
    json_t *json = json_load_file(in_folder(options.out, "config.json"), 0, NULL);
    assert_true(json_is_object(json));
    static const struct {
        const char *key, *value;
    } words[] = {{"version", PROGRAM_VERSION},    {"norm", "bn"},
                 {"recipe", "reference"},         {"augment", "none"},
                 {"precision", "fp32"},           {"batch_norm", "own"},
                 {"dataset", "synthetic"},        {"data", "odd ? \" name"},
                 {"seed", "18446744073709551615"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_string_equal(json_string_value(json_object_get(json, words[i].key)), words[i].value);
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"epochs", EPOCHS},
                   {"batch_size", BATCH},
                   {"evaluation_batch", on_cuda() ? TEST_IMAGES : BATCH},
                   {"learning_rate", 0.1},
                   {"momentum", 0.9},
                   {"weight_decay", 0},
                   {"dropout", 0.05},
                   {"parameters", 39420},
                   {"max_steps", 1},
                   {"threads", on_cuda() ? 0 : 2}, /* of the backend */
                   {"train_images", TRAIN_IMAGES},
                   {"test_images", TEST_IMAGES}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(number(json, numbers[i].key) == numbers[i].value);
    assert_true(json_is_true(json_object_get(json, "shuffle")));
    assert_true(json_is_null(json_object_get(json, "weights")));
    assert_true(json_is_null(json_object_get(json, "validation")));
    assert_string_equal(json_string_value(json_object_get(json, "backend")),
                        on_cuda() ? "cuda" : "cpu");
    if (!on_cuda())
        assert_non_null(strstr(json_string_value(json_object_get(json, "device")), "2 threads"));
    /* one for each convolution where the backend has a choice; it evaluates in larger batches */
    assert_int_equal(json_array_size(json_object_get(json, "algorithms")), on_cuda() ? 20 : 0);
    json_decref(json);
}

/* The limit falls into the second epoch, which is evaluated and recorded as far as it got. */
static void max_steps(void **state) {
    struct options options = small_run(*state, RECIPE_TUNED, NORM_LAYER);
    options.max_steps = STEPS + 1;
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, 2);
    check_line(metrics.lines[0], 1, &options.recipe);
    const json_t *line = metrics.lines[1];
    assert_int_equal(number(line, "epoch"), 2);
    assert_int_equal(number(line, "step"), STEPS + 1);
    double right = number(line, "train_accuracy") * BATCH / 100; /* one batch was counted */
    assert_true(fabs(right - round(right)) < 1e-6);
    assert_true(number(line, "test_loss") > 0);
    assert_true(is_there(options.out, "model.safetensors"));
    free_metrics(&metrics);
}

/* With a limit at the end of an epoch, the next one is not begun. */
static void max_steps_of_whole_epochs(void **state) {
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    options.max_steps = 2 * STEPS;
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, 2);
    free_metrics(&metrics);
}

static void learns(void **state) {
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_BATCH);
    options.recipe.epochs = 10;
    options.recipe.dropout = 0;
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, 10);
    assert_true(number(metrics.lines[9], "train_loss") <
                0.7 * number(metrics.lines[0], "train_loss"));
    free_metrics(&metrics);
}

/* best.safetensors equals the final weights of a run that ends with the best epoch: same seed, same
 * steps. */
static void best_weights(void **state) {
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_BATCH);
    options.recipe.epochs = 5;
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    int best = 0;
    for (int i = 1; i < metrics.count; i++)
        if (number(metrics.lines[i], "test_accuracy") >
            number(metrics.lines[best], "test_accuracy"))
            best = i;
    free_metrics(&metrics);
    struct options shorter = options;
    snprintf(shorter.out, sizeof shorter.out, "%s/shorter", (const char *)*state);
    shorter.max_steps = (int64_t)(best + 1) * STEPS;
    run_ok(&shorter);
    assert_true(same_files(in_folder(options.out, "best.safetensors"),
                           in_folder(shorter.out, "model.safetensors")));
}

static bool same_weights_as(const struct options *first, struct options second, const char *name) {
    strcpy(second.out, in_folder(first->out, name)); /* inside the first one's folder */
    run_ok(&second);
    return same_files(in_folder(first->out, "model.safetensors"),
                      in_folder(second.out, "model.safetensors"));
}

static void reproducible(void **state) {
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_GROUP);
    options.recipe.epochs = 2;
    options.recipe.dropout = 0.1f;
    run_ok(&options);
    struct options other = options;
    assert_true(same_weights_as(&options, other, "again"));
    other.device.threads = 2;
    assert_true(same_weights_as(&options, other, "two-threads"));
    other.device.threads = 5;
    assert_true(same_weights_as(&options, other, "five-threads"));
    other.no_graph = true;
    assert_true(same_weights_as(&options, other, "not-replayed"));
    other.no_shuffle = true;
    assert_false(same_weights_as(&options, other, "not-shuffled"));
    other = options;
    other.seed++;
    assert_false(same_weights_as(&options, other, "other-seed"));
    other = options;
    other.recipe.augment = AUGMENT_FLIP_CROP;
    assert_false(same_weights_as(&options, other, "augmented"));
}

/* As large a batch as the training set, larger than the test set. */
static void one_batch(void **state) {
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_GROUP);
    options.recipe.batch_size = TRAIN_IMAGES;
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, EPOCHS);
    assert_int_equal(number(metrics.lines[EPOCHS - 1], "step"), EPOCHS);
    free_metrics(&metrics);
}

static void batch_too_large(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    options.recipe.batch_size = TRAIN_IMAGES + 1;
    FAILED(run(&error, &options), STATUS_USAGE, &error, "--batch-size 21", "synthetic",
           "20 images");
    assert_int_equal(folder_entries(*state), 0);
}

static void groups_that_do_not_divide(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    options.recipe.groups = 5;
    FAILED(run(&error, &options), STATUS_USAGE, &error, "5 groups do not", "convblock1.2");
    assert_int_equal(folder_entries(*state), 0);
}

static void no_device(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    options.device.kind = DEVICE_CUDA;
    options.device.index = 255;
    assert_int_equal(run(&error, &options), STATUS_NO_DEVICE);
    assert_true(strlen(error.text) > 20); /* what is missing depends on the build and the machine */
    assert_int_equal(folder_entries(*state), 0);
}

static void finished_run(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_LAYER);
    options.max_steps = 1;
    run_ok(&options);
    size_t size;
    unsigned char *before = slurp(&size, in_folder(options.out, "metrics.jsonl"));
    options.max_steps = 2;
    FAILED(run(&error, &options), STATUS_USAGE, &error, options.out, "--out", "--force");
    assert_file_holds(in_folder(options.out, "metrics.jsonl"), before, size);
    free(before);
    options.force = true;
    run_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, 1);
    assert_int_equal(number(metrics.lines[0], "step"), 2);
    free_metrics(&metrics);
}

/* An unfinished run leaves no old weights that could be mistaken for its own. */
static void unfinished_run(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_LAYER);
    options.max_steps = 1;
    run_ok(&options);
    assert_int_equal(unlink(in_folder(options.out, "model.safetensors")), 0);
    FAILED(run(&error, &options), STATUS_USAGE, &error, options.out, "unfinished", "--resume",
           "--force");
    assert_int_equal(unlink(in_folder(options.out, "checkpoint.safetensors")), 0);
    FAILED(run(&error, &options), STATUS_USAGE, &error, options.out, "unfinished", "--force");
    assert_true(is_there(options.out, "best.safetensors"));
    assert_int_equal(unlink(in_folder(options.out, "best.safetensors")), 0);
    run_ok(&options);
    assert_true(is_there(options.out, "model.safetensors"));
    options.force = true;
    options.recipe.learning_rate = 1e30f;
    options.max_steps = 0;
    assert_int_equal(run(&error, &options), STATUS_DIVERGED);
    assert_false(is_there(options.out, "model.safetensors"));
}

static void diverged(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_BATCH);
    options.recipe.learning_rate = 3e38f;
    FAILED(run(&error, &options), STATUS_DIVERGED, &error, "diverged", "epoch 1", "step 3", "3e+38",
           "--lr");
    assert_false(is_there(options.out, "model.safetensors"));
    assert_false(is_there(options.out, "best.safetensors"));
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, 0);
    free_metrics(&metrics);
}

static void folder_below_a_file(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    file_put(in_folder(*state, "file"), "x", 1);
    snprintf(options.out, sizeof options.out, "%s/file/run", (const char *)*state);
    FAILED(run(&error, &options), STATUS_FAILED, &error, "file");
    assert_int_equal(folder_entries(*state), 1);
    assert_file_holds(in_folder(*state, "file"), "x", 1);
}

/* metrics.jsonl is read back and truncated, so it must be a regular file. */
static void metrics_into_a_pipe(void **state) {
    struct error error;
    struct stat found;
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    assert_int_equal(mkdir(options.out, 0777), 0);
    const char *path = in_folder(options.out, "metrics.jsonl");
    assert_int_equal(mkfifo(path, 0600), 0);
    FAILED(run(&error, &options), STATUS_FAILED, &error, "metrics.jsonl", "device or pipe");
    path = in_folder(options.out, "metrics.jsonl");
    assert_true(lstat(path, &found) == 0 && S_ISFIFO(found.st_mode));
}

/* Two steps in memory of zeros, then in memory of NaN. */
static void train_poisoned(const char *parent, enum recipe_kind kind, enum norm_kind norm) {
    char folder[PATH_CAPACITY];
    snprintf(folder, sizeof folder, "%s/%s-%s", parent, recipe_option(kind), norm_option(norm));
    assert_int_equal(mkdir(folder, 0777), 0);
    struct options options = small_run(folder, kind, norm);
    options.max_steps = 2;
    options.recipe.dropout = 0.1f;
    run_ok(&options);
    setenv("TRAIN_GPU_POISON", "1", 1);
    bool same = same_weights_as(&options, options, "poisoned");
    unsetenv("TRAIN_GPU_POISON");
    assert_true(same);
    struct metrics_file first = read_metrics(options.out),
                        second = read_metrics(in_folder(options.out, "poisoned"));
    assert_true(number(first.lines[0], "test_loss") == number(second.lines[0], "test_loss"));
    assert_true(number(first.lines[0], "train_loss") == number(second.lines[0], "train_loss"));
    free_metrics(&first);
    free_metrics(&second);
}

/* Nothing relies on what new device memory holds. On the slow stand-in, one recipe for each norm. */
static void poisoned_memory(void **state) {
    for (int norm = 0; norm < NORM_COUNT; norm++)
        for (int kind = 0; kind < RECIPE_COUNT; kind++)
            if (!on_cuda() || kind == norm % RECIPE_COUNT)
                train_poisoned(*state, (enum recipe_kind)kind, (enum norm_kind)norm);
}

/* A step at a rate too small to change anything returns the weights it started from. */
static void start_from_weights(void **state) {
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_GROUP), second = options;
    run_ok(&options);
    second.max_steps = 1;
    second.seed = 4;
    second.recipe.learning_rate = 1e-30f;
    strcpy(second.weights, in_folder(options.out, "model.safetensors"));
    assert_true(same_weights_as(&options, second, "second"));
    strcpy(second.out, in_folder(options.out, "second"));
    struct metrics_file metrics = read_metrics(options.out), again = read_metrics(second.out);
    assert_true(number(metrics.lines[EPOCHS - 1], "test_loss") ==
                number(again.lines[0], "test_loss"));
    free_metrics(&metrics);
    free_metrics(&again);
    json_t *json = json_load_file(in_folder(second.out, "config.json"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "weights")), second.weights);
    json_decref(json);
}

static void weights_of_another_network(void **state) {
    struct error error;
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_GROUP);
    options.max_steps = 1;
    run_ok(&options);
    struct options second = small_run(options.out, RECIPE_TUNED, NORM_GROUP);
    strcpy(second.weights, in_folder(options.out, "model.safetensors"));
    FAILED(run(&error, &second), STATUS_USAGE, &error, second.weights,
           "recipe reference, not tuned");
    strcpy(second.weights, in_folder(options.out, "none"));
    FAILED(run(&error, &second), STATUS_BAD_DATA, &error, second.weights);
    assert_false(is_there(options.out, "run")); /* nothing was written */
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(files_of_a_run),
        IN_FOLDER(config),
        IN_FOLDER(max_steps),
        IN_FOLDER(max_steps_of_whole_epochs),
        IN_FOLDER(learns),
        IN_FOLDER(best_weights),
        IN_FOLDER(reproducible),
        IN_FOLDER(one_batch),
        IN_FOLDER(batch_too_large),
        IN_FOLDER(groups_that_do_not_divide),
        IN_FOLDER(no_device),
        IN_FOLDER(finished_run),
        IN_FOLDER(unfinished_run),
        IN_FOLDER(diverged),
        IN_FOLDER(folder_below_a_file),
        IN_FOLDER(metrics_into_a_pipe),
        IN_FOLDER(poisoned_memory),
        IN_FOLDER(start_from_weights),
        IN_FOLDER(weights_of_another_network),
    };
    return cmocka_run_group_tests_name("train", tests, NULL, NULL);
}
