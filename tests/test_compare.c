/* test_compare.c: the command `compare` on a handful of images: what it writes, how it resumes and
 * what it refuses; and reading run folders that the tests write themselves. */
#include "run_fixture.h"
#include "support.h"

#include "compare/comparison.h"
#include "pictures/pictures.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEEDS = 2, FIRST_SEED = 3, SHORT_EPOCHS = 2 };

static const char *const norms[] = {"bn", "gn", "ln"};

/* ---- comparisons ----------------------------------------------------------------------------- */

/* All norms with SEEDS seeds for SHORT_EPOCHS epochs, into `folder`/all. */
static struct options small_comparison(const char *folder) {
    struct options options = small_run(folder, RECIPE_REFERENCE, NORM_GROUP);
    options.command = COMMAND_COMPARE;
    options.seeds = SEEDS;
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        options.recipes[norm] = *recipe_find(RECIPE_REFERENCE, (enum norm_kind)norm);
        options.recipes[norm].epochs = SHORT_EPOCHS;
        options.recipes[norm].batch_size = BATCH;
    }
    snprintf(options.out, sizeof options.out, "%s/all", folder);
    return options;
}

static enum status do_compare(struct error *error, const struct options *options) {
    struct dataset dataset = small_set();
    dataset.validation = options->validation; /* the test images stand for those held out */
    enum status status = compare_on(error, options, &dataset);
    dataset_close(&dataset);
    return status;
}

static void compare_ok(const struct options *options) {
    struct error error;
    assert_succeeded(do_compare(&error, options), &error);
}

/* compare --runs of `count` folders below `folder`, the report into `folder`/report. */
static enum status compare_runs(struct error *error, const char *folder, const char *const *names,
                                int count) {
    static char paths[8][PATH_CAPACITY];
    const char *words[8];
    struct options options = {.command = COMMAND_COMPARE,
                              .runs = true,
                              .quiet = true,
                              .words = words,
                              .word_count = count};
    for (int i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
        words[i] = paths[i];
    }
    snprintf(options.out, sizeof options.out, "%s/report", folder);
    return compare(error, &options);
}

static json_t *read_report(const char *folder) {
    json_t *report =
        json_load_file(in_folder(folder, "compare.json"), JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_object(report));
    return report;
}

static bool draws(void) {
    struct error error;
    return pictures_ready(&error) == STATUS_OK;
}

/* The text of a file; release with free. */
static char *read_text(const char *path) {
    size_t size;
    char *text = (char *)slurp(&size, path);
    text[size] = '\0'; /* slurp leaves room for it */
    return text;
}

/* ---- the figures ----------------------------------------------------------------------------- */

static bool nearly(double a, double b) {
    return fabs(a - b) <= 1e-7 * fmax(1, fabs(b));
}

/* Checks a sample of compare.json against two values. */
static void check_sample(const json_t *group, const char *key, const double values[SEEDS]) {
    const json_t *sample = json_object_get(group, key);
    double mean = (values[0] + values[1]) / 2;
    assert_true(nearly(number(sample, "mean"), mean));
    assert_true(
        nearly(number(sample, "standard_deviation"), fabs(values[0] - values[1]) / sqrt(2)));
    assert_true(nearly(number(sample, "lowest"), fmin(values[0], values[1])));
    assert_true(nearly(number(sample, "highest"), fmax(values[0], values[1])));
}

/* Checks the group of one norm against the metrics.jsonl of its runs, whose folders end with
 * `suffix`. */
static void check_group(const json_t *group, const char *folder, const char *norm,
                        const char *suffix) {
    double test[SEEDS], train[SEEDS], loss[SEEDS], best[SEEDS], seconds[SEEDS];
    assert_string_equal(json_string_value(json_object_get(group, "norm")), norm);
    assert_int_equal(number(group, "seeds"), SEEDS);
    for (int i = 0; i < SEEDS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s-reference-%d%s", norm, FIRST_SEED + i, suffix);
        struct metrics_file metrics = read_metrics(in_folder(folder, name));
        assert_int_equal(metrics.count, SHORT_EPOCHS);
        const json_t *last = metrics.lines[SHORT_EPOCHS - 1];
        test[i] = number(last, "test_accuracy");
        train[i] = number(last, "train_accuracy");
        loss[i] = number(last, "test_loss");
        best[i] = fmax(test[i], number(metrics.lines[0], "test_accuracy"));
        seconds[i] = (number(metrics.lines[0], "seconds") + number(last, "seconds")) / 2;
        const json_t *run = json_array_get(json_object_get(group, "runs"), (size_t)i);
        assert_int_equal(number(run, "seed"), FIRST_SEED + i);
        assert_true(nearly(number(run, "test_accuracy"), test[i]));
        assert_true(nearly(number(run, "best_test_accuracy"), best[i]));
        assert_string_equal(json_string_value(json_object_get(run, "folder")),
                            in_folder(folder, name));
        free_metrics(&metrics);
    }
    check_sample(group, "test_accuracy", test);
    check_sample(group, "train_accuracy", train);
    check_sample(group, "test_loss", loss);
    check_sample(group, "best_test_accuracy", best);
    check_sample(group, "seconds_per_epoch", seconds);
}

static void trains_and_reports(void **state) {
    const struct options options = small_comparison(*state);
    static const int parameters[] = {39420, 40360, 55612};
    compare_ok(&options);
    assert_int_equal(folder_entries(options.out), NORM_COUNT * SEEDS + (draws() ? 3 : 2));
    assert_true(is_there(options.out, "compare.md"));
    json_t *report = read_report(options.out);
    assert_string_equal(json_string_value(json_object_get(report, "recipe")), "reference");
    assert_string_equal(json_string_value(json_object_get(report, "dataset")), "synthetic");
    assert_int_equal(number(report, "epochs"), SHORT_EPOCHS);
    assert_int_equal(number(report, "batch_size"), BATCH);
    assert_int_equal(json_array_size(json_object_get(report, "sweep")), 0);
    assert_int_equal(json_array_size(json_object_get(report, "norms")), NORM_COUNT);
    assert_int_equal(json_array_size(json_object_get(report, "differences")), 3);
    for (size_t i = 0; i < NORM_COUNT; i++) {
        const json_t *group = json_array_get(json_object_get(report, "norms"), i);
        check_group(group, options.out, norms[i], "");
        assert_int_equal(number(group, "parameters"), parameters[i]);
    }
    json_decref(report);
}

/* The sweep has its own runs, except at the recipe's batch size; the rate is proportional to the
 * batch size. */
static void sweeps_batch_sizes(void **state) {
    struct options options = small_comparison(*state);
    options.batch_sizes = (struct int_list){2, {4, BATCH}};
    compare_ok(&options);
    assert_int_equal(folder_entries(options.out), 2 * NORM_COUNT * SEEDS + (draws() ? 4 : 2));
    json_t *report = read_report(options.out);
    const json_t *sweep = json_object_get(report, "sweep");
    assert_int_equal(json_array_size(sweep), 2);
    for (size_t i = 0; i < NORM_COUNT; i++) {
        const json_t *four = json_array_get(sweep, 0), *eight = json_array_get(sweep, 1);
        const json_t *group = json_array_get(json_object_get(four, "norms"), i);
        double rate = (double)options.recipes[i].learning_rate;
        assert_int_equal(number(four, "batch_size"), 4);
        assert_int_equal(number(eight, "batch_size"), BATCH);
        check_group(group, options.out, norms[i], "-batch4");
        assert_true(nearly(number(group, "learning_rate"), rate / 2));
        check_group(json_array_get(json_object_get(eight, "norms"), i), options.out, norms[i], "");
    }
    json_decref(report);
    char *text = read_text(in_folder(options.out, "compare.md")), due[64];
    snprintf(due, sizeof due, "; %d more with other batch sizes.", NORM_COUNT * SEEDS);
    assert_non_null(strstr(text, due));
    free(text);
}

/* All that the report says of images held out is called so, and nothing is called a test. */
static void validation_is_named(void **state) {
    struct options options = small_comparison(*state);
    options.validation = TEST_IMAGES;
    options.seeds = 1;
    options.batch_sizes = (struct int_list){2, {4, BATCH}};
    compare_ok(&options);
    json_t *report = read_report(options.out);
    const json_t *group = json_array_get(json_object_get(report, "norms"), 0);
    const json_t *run = json_array_get(json_object_get(group, "runs"), 0);
    assert_int_equal(number(report, "validation"), TEST_IMAGES);
    assert_true(number(json_object_get(group, "validation_accuracy"), "mean") >= 0);
    assert_true(number(json_object_get(group, "best_validation_accuracy"), "mean") >= 0);
    assert_true(number(json_object_get(group, "validation_loss"), "mean") > 0);
    assert_true(number(run, "validation_accuracy") >= 0 && number(run, "validation_loss") > 0);
    json_decref(report);
    char *json = read_text(in_folder(options.out, "compare.json"));
    char *text = read_text(in_folder(options.out, "compare.md"));
    assert_null(strstr(json, "test_"));
    assert_non_null(strstr(text, "12 of the training images were held out"));
    assert_non_null(strstr(text, "| validation accuracy |"));
    assert_non_null(strstr(text, "Validation error in percent"));
    assert_null(strstr(text, "test accuracy"));
    assert_null(strstr(text, "Test"));
    free(json);
    free(text);
}

/* ---- resuming -------------------------------------------------------------------------------- */

enum { LONG_AGO = 1000 };

/* Gives a file a time in 1970, which it keeps until it is written again. */
static void mark(const char *path) {
    const struct timespec times[] = {{.tv_sec = LONG_AGO}, {.tv_sec = LONG_AGO}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_marked(const char *path) {
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    return found.st_mtime == LONG_AGO;
}

static void remove_run(const char *folder) {
    static const char *const names[] = {"checkpoint.safetensors", "model.safetensors",
                                        "best.safetensors", "metrics.jsonl", "config.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(unlink(in_folder(folder, names[i])), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* A complete run is left alone; a missing or interrupted one is trained, to the same bits. */
static void resumes(void **state) {
    struct options options = small_comparison(*state), other = options;
    snprintf(other.out, sizeof other.out, "%s/other", (const char *)*state);
    compare_ok(&options);
    char finished[PATH_CAPACITY], missing[PATH_CAPACITY], cut_off[PATH_CAPACITY];
    strcpy(finished, in_folder(options.out, "bn-reference-3"));
    strcpy(missing, in_folder(options.out, "gn-reference-4"));
    strcpy(cut_off, in_folder(options.out, "ln-reference-3"));
    mark(in_folder(finished, "model.safetensors"));
    mark(in_folder(cut_off, "checkpoint.safetensors"));
    remove_run(missing);
    assert_int_equal(unlink(in_folder(cut_off, "model.safetensors")), 0);
    compare_ok(&options);
    assert_true(is_marked(in_folder(finished, "model.safetensors")));
    assert_true(is_marked(in_folder(cut_off, "checkpoint.safetensors"))); /* no epoch was left */
    compare_ok(&other);
    static const char *const names[] = {"gn-reference-4", "ln-reference-3"};
    for (int i = 0; i < 2; i++) {
        char a[PATH_CAPACITY], b[PATH_CAPACITY];
        strcpy(a, in_folder(options.out, names[i]));
        strcpy(b, in_folder(other.out, names[i]));
        assert_true(
            same_files(in_folder(a, "model.safetensors"), in_folder(b, "model.safetensors")));
    }
}

/* The added seeds are trained, the others only read. */
static void more_seeds_later(void **state) {
    struct options options = small_comparison(*state);
    options.seeds = 1;
    compare_ok(&options);
    char model[PATH_CAPACITY];
    strcpy(model, in_folder(in_folder(options.out, "ln-reference-3"), "model.safetensors"));
    mark(model);
    char *text = read_text(in_folder(options.out, "compare.md"));
    assert_non_null(strstr(text, "one seed cannot tell"));
    assert_null(strstr(text, "Welch's t ="));
    free(text);
    options.seeds = SEEDS;
    compare_ok(&options);
    assert_true(is_marked(model));
    assert_true(is_there(options.out, "ln-reference-4"));
    options.force = true;
    compare_ok(&options);
    assert_false(is_marked(model));
}

/* They are refused before any training, even if only the last run differs. */
static void other_settings_are_refused(void **state) {
    struct error error;
    struct options options = small_comparison(*state), changed = options;
    options.seeds = 1;
    compare_ok(&options);
    remove_run(in_folder(options.out, "bn-reference-3"));
    changed.recipes[NORM_LAYER].momentum = 0.5f;
    FAILED(do_compare(&error, &changed), STATUS_USAGE, &error, "ln-reference-3", "--momentum 0.9",
           "--momentum 0.5");
    assert_false(is_there(options.out, "bn-reference-3"));
    changed = options;
    changed.recipes[NORM_BATCH].batch_size = TRAIN_IMAGES + 1;
    FAILED(do_compare(&error, &changed), STATUS_USAGE, &error, "21 images", "--batch-sizes");
    assert_false(is_there(options.out, "bn-reference-3"));
}

static void divergence_names_the_run(void **state) {
    struct error error;
    struct options options = small_comparison(*state);
    options.recipes[NORM_GROUP].learning_rate = 3e38f;
    FAILED(do_compare(&error, &options), STATUS_DIVERGED, &error, "gn-reference-3", "diverged");
    assert_false(is_there(options.out, "compare.json"));
}

/* --force removes all runs before it trains the first: the same command without it then resumes,
 * and finds no run of an older comparison. */
static void force_starts_over(void **state) {
    struct error error;
    struct options options = small_comparison(*state), changed = options;
    options.seeds = changed.seeds = 1;
    compare_ok(&options);
    for (int norm = 0; norm < NORM_COUNT; norm++)
        changed.recipes[norm].momentum = 0.5f;
    changed.recipes[NORM_GROUP].learning_rate = 3e38f;
    changed.force = true;
    FAILED(do_compare(&error, &changed), STATUS_DIVERGED, &error, "gn-reference-3");
    assert_false(is_there(in_folder(options.out, "ln-reference-3"), "model.safetensors"));
    mark(in_folder(in_folder(options.out, "bn-reference-3"), "model.safetensors"));
    changed.force = false;
    FAILED(do_compare(&error, &changed), STATUS_DIVERGED, &error, "gn-reference-3");
    assert_true(
        is_marked(in_folder(in_folder(options.out, "bn-reference-3"), "model.safetensors")));
}

/* Runs that are only read are checked before any training. */
static void lost_metrics_are_found_first(void **state) {
    struct error error;
    struct options options = small_comparison(*state);
    options.seeds = 1;
    compare_ok(&options);
    assert_int_equal(unlink(in_folder(in_folder(options.out, "ln-reference-3"), "metrics.jsonl")),
                     0);
    remove_run(in_folder(options.out, "bn-reference-3"));
    FAILED(do_compare(&error, &options), STATUS_BAD_DATA, &error, "ln-reference-3/metrics.jsonl");
    assert_false(is_there(options.out, "bn-reference-3"));
}

static void another_set_is_refused(void **state) {
    struct error error;
    struct options options = small_comparison(*state);
    options.seeds = 1;
    compare_ok(&options);
    snprintf(options.data, sizeof options.data, "synthetic:4");
    FAILED(do_compare(&error, &options), STATUS_USAGE, &error, "--data synthetic:3",
           "this run has --data synthetic:4;");
}

/* ---- reading runs ---------------------------------------------------------------------------- */

static const char config_format[] =
    "{\"norm\": \"%s\", \"recipe\": \"tuned\", \"dataset\": \"CIFAR-10\", \"device\": \"CPU\","
    " \"parameters\": 45520, \"batch_size\": 128, \"epochs\": 2, \"learning_rate\": 0.2,"
    " \"seed\": %d, \"train_images\": 50000, \"test_images\": 10000, \"momentum\": 0.9}";

static const char line_format[] =
    "{\"epoch\": %d, \"step\": %d, \"lr\": 0.1, \"train_loss\": 1, \"train_accuracy\": 60,"
    " \"test_loss\": 0.5, \"test_accuracy\": %g, \"seconds\": 4, \"images_per_second\": 9,"
    " \"eval_seconds\": 1}\n";

static void put_text(const char *folder, const char *name, const char *text) {
    file_put(in_folder(folder, name), text, strlen(text));
}

/* A run of two epochs, written by hand, in `folder`/`name`. */
static void put_run(const char *folder, const char *name, const char *norm, int seed,
                    double accuracy) {
    char run[PATH_CAPACITY], text[2048];
    strcpy(run, in_folder(folder, name));
    if (access(run, F_OK) != 0)
        assert_int_equal(mkdir(run, 0777), 0);
    snprintf(text, sizeof text, config_format, norm, seed);
    put_text(run, "config.json", text);
    int length = snprintf(text, sizeof text, line_format, 1, 391, accuracy / 2);
    snprintf(text + length, sizeof text - (size_t)length, line_format, 2, 782, accuracy);
    put_text(run, "metrics.jsonl", text);
}

/* Two norms, of two and three seeds; t, degrees of freedom and p by
 * scipy.stats.ttest_ind([80, 81, 82.5], [78, 79.5], equal_var=False). */
static void reads_runs(void **state) {
    static const char *const names[] = {"e", "d", "c", "b", "a"};
    struct error error;
    put_run(*state, "a", "gn", 1, 80);
    put_run(*state, "b", "gn", 2, 81);
    put_run(*state, "c", "gn", 7, 82.5);
    put_run(*state, "d", "ln", 1, 78);
    put_run(*state, "e", "ln", 2, 79.5);
    assert_succeeded(compare_runs(&error, *state, names, 5), &error);
    json_t *report = read_report(in_folder(*state, "report"));
    assert_int_equal(json_array_size(json_object_get(report, "norms")), 2);
    assert_int_equal(json_array_size(json_object_get(report, "differences")), 1);
    const json_t *difference = json_array_get(json_object_get(report, "differences"), 0);
    assert_string_equal(json_string_value(json_object_get(difference, "higher")), "gn");
    assert_string_equal(json_string_value(json_object_get(difference, "lower")), "ln");
    assert_true(nearly(number(difference, "points"), 81.1666666667 - 78.75));
    assert_true(nearly(number(difference, "t"), 2.314451964956109));
    assert_true(nearly(number(difference, "degrees_of_freedom"), 2.6086358344798386));
    assert_true(nearly(number(difference, "p"), 0.11671997376775052));
    assert_true(json_is_false(json_object_get(difference, "exceeds_noise")));
    json_decref(report);
    char *text = read_text(in_folder(in_folder(*state, "report"), "compare.md"));
    assert_non_null(strstr(text, "group norm is 2.42 points above layer norm; with 3 and 2 seeds, "
                                 "this difference does not exceed the noise (Welch's t = "));
    assert_non_null(strstr(text, "| group norm | 45,520 | 3 | 81.17 \xC2\xB1 1.26 |"));
    free(text);
}

static void one_norm_has_no_difference(void **state) {
    static const char *const names[] = {"a"};
    struct error error;
    put_run(*state, "a", "bn", 1, 80);
    assert_succeeded(compare_runs(&error, *state, names, 1), &error);
    json_t *report = read_report(in_folder(*state, "report"));
    const json_t *group = json_array_get(json_object_get(report, "norms"), 0);
    assert_true(json_is_null(
        json_object_get(json_object_get(group, "test_accuracy"), "standard_deviation")));
    assert_int_equal(json_array_size(json_object_get(report, "differences")), 0);
    json_decref(report);
}

/* Replaces `old` in the file, which has it. */
static void replace(const char *path, const char *old, const char *new) {
    char *text = read_text(path), changed[8192];
    const char *at = strstr(text, old);
    assert_non_null(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    file_put(path, changed, strlen(changed));
    free(text);
}

/* Rewrites a run as one that evaluated `count` images held out. */
static void hold_out(const char *folder, const char *name, int count) {
    char run[PATH_CAPACITY], validation[64];
    strcpy(run, in_folder(folder, name));
    snprintf(validation, sizeof validation, "\"validation\": %d, \"momentum\"", count);
    replace(in_folder(run, "config.json"), "\"momentum\"", validation);
    for (int line = 0; line < 2; line++) {
        replace(in_folder(run, "metrics.jsonl"), "test_loss", "validation_loss");
        replace(in_folder(run, "metrics.jsonl"), "test_accuracy", "validation_accuracy");
    }
}

static void mixed_runs_are_refused(void **state) {
    static const char *const names[] = {"a", "b"};
    static const struct {
        const char *old, *new, *key;
    } rows[] = {
        {"\"tuned\"", "\"reference\"", "recipe"},
        {"\"CIFAR-10\"", "\"synthetic\"", "dataset"},
        {"\"batch_size\": 128", "\"batch_size\": 64", "batch_size"},
        {"50000", "10000", "train_images"},
        {"45520", "45521", "parameters"},
        {"\"learning_rate\": 0.2", "\"learning_rate\": 0.1", "learning_rate"},
        {", \"momentum\": 0.9", "", "momentum"},
    };
    struct error error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_run(*state, "a", "gn", 1, 80);
        put_run(*state, "b", "gn", 2, 81);
        replace(in_folder(in_folder(*state, "b"), "config.json"), rows[i].old, rows[i].new);
        FAILED(compare_runs(&error, *state, names, 2), STATUS_BAD_DATA, &error, "/a'", "/b'",
               rows[i].key);
    }
    put_run(*state, "b", "gn", 1, 81);
    FAILED(compare_runs(&error, *state, names, 2), STATUS_BAD_DATA, &error, "/a'", "/b'", "seed 1");
    for (int i = 0; i < 2; i++) { /* synthetic sets of different seeds differ */
        char data[80];
        put_run(*state, names[i], "gn", i + 1, 80);
        snprintf(data, sizeof data, "\"synthetic\", \"data\": \"synthetic:%d\"", i + 1);
        replace(in_folder(in_folder(*state, names[i]), "config.json"), "\"CIFAR-10\"", data);
    }
    FAILED(compare_runs(&error, *state, names, 2), STATUS_BAD_DATA, &error, "'data'", "synthetic:1",
           "synthetic:2");
    put_run(*state, "a", "gn", 1, 80);
    put_run(*state, "b", "gn", 2, 81);
    hold_out(*state, "b", 5000);
    FAILED(compare_runs(&error, *state, names, 2), STATUS_BAD_DATA, &error, "/a'", "/b'",
           "the first was evaluated on the test images, the second on 5000 images held out");
    hold_out(*state, "a", 4000);
    FAILED(compare_runs(&error, *state, names, 2), STATUS_BAD_DATA, &error,
           "the first was evaluated on 4000 images", "the second on 5000 images");
    assert_false(is_there(*state, "report"));
}

static void hostile_settings_are_refused(void **state) {
    static const char *const names[] = {"a"};
    static const struct {
        const char *old, *new, *fault;
    } rows[] = {
        {"\"gn\"", "\"in\"", "'norm'"},
        {"\"gn\"", "3", "'norm'"},
        {"\"tuned\"", "null", "'recipe'"},
        {"\"CIFAR-10\"", "\"CIFAR\\n|\"", "'dataset'"},
        {"\"epochs\": 2", "\"epochs\": 0", "'epochs'"},
        {"\"epochs\": 2", "\"epochs\": 9223372036854775807", "'epochs'"},
        {"\"epochs\": 2", "\"epochs\": 3", "2 of 3 epochs"},
        {"\"seed\": 1", "\"seed\": -1", "'seed'"},
        {"\"seed\": 1", "\"seed\": \"99999999999999999999\"", "'seed'"},
        {"\"seed\": 1", "\"seed\": \"1x\"", "'seed'"},
        {"\"batch_size\": 128", "\"batch_size\": 1e3", "'batch_size'"},
        {"\"learning_rate\": 0.2", "\"learning_rate\": \"x\"", "'learning_rate'"},
        {"\"device\": \"CPU\",", "", "'device'"},
        {"\"seed\"", "\"validation\": 0, \"seed\"", "'validation'"},
        {"\"seed\"", "\"validation\": 5000, \"seed\"", "line 1"}, /* test figures */
        {"{", "[", "not JSON, byte"},
        {"}", "", "not JSON, byte"},
        {"\"norm\"", "\"seed\": 2, \"norm\"", "not JSON, byte"},
    };
    struct error error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_run(*state, "a", "gn", 1, 80);
        replace(in_folder(in_folder(*state, "a"), "config.json"), rows[i].old, rows[i].new);
        FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "/a/",
               rows[i].fault);
    }
    file_put(in_folder(in_folder(*state, "a"), "config.json"), NULL, 1 << 20);
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "config.json",
           "too large", "finished runs");
    assert_int_equal(unlink(in_folder(in_folder(*state, "a"), "config.json")), 0);
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "config.json",
           "no settings file", "finished runs");
    assert_int_equal(mkfifo(in_folder(in_folder(*state, "a"), "config.json"), 0666), 0);
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "config.json",
           "finished runs"); /* and does not wait for a writer */
    assert_false(is_there(*state, "report"));
}

static void a_pipe_as_metrics_is_refused(void **state) {
    static const char *const names[] = {"a"};
    struct error error;
    put_run(*state, "a", "gn", 1, 80);
    const char *path = in_folder(in_folder(*state, "a"), "metrics.jsonl");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0);
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "metrics.jsonl",
           "a device or pipe"); /* and does not wait for a writer */
}

static void hostile_metrics_are_refused(void **state) {
    static const char *const names[] = {"a"};
    static const struct {
        const char *old, *new, *fault;
    } rows[] = {
        {"\"epoch\": 2", "\"epoch\": 1", "line 2"},
        {"\"epoch\": 1", "\"epoch\": 3", "line 1"},
        {"\"test_accuracy\": 40", "\"test_accuracy\": 101", "line 1"},
        {"\"test_accuracy\": 40", "\"test_accuracy\": null", "line 1"},
        {"\"train_accuracy\": 60", "\"train_accuracy\": -1", "line 1"},
        {"\"test_loss\": 0.5", "\"test_loss\": null", "line 1"},
        {"\"seconds\": 4", "\"seconds\": -4", "line 1"},
        {"\"seconds\": 4", "\"second\": 4", "line 1"},
        {"\"test_loss\": 0.5", "\"test_loss\": 1e40", "line 1"},
        {"\"epoch\": 1", "\"epoch\": 1.5", "line 1"},
        {"\"test_loss\"", "\"validation_loss\"", "line 1"},
        {"\"test_accuracy\"", "\"validation_accuracy\"", "line 1"},
        {"{", "", "line 1"},
    };
    struct error error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_run(*state, "a", "gn", 1, 80);
        replace(in_folder(in_folder(*state, "a"), "metrics.jsonl"), rows[i].old, rows[i].new);
        FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "metrics.jsonl",
               rows[i].fault);
    }
    put_run(*state, "a", "gn", 1, 80); /* a zero byte does not end a line */
    char *text = read_text(in_folder(in_folder(*state, "a"), "metrics.jsonl"));
    file_poke(in_folder(in_folder(*state, "a"), "metrics.jsonl"), strlen(text) - 1, "\0\n", 2);
    free(text);
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "line 2");
    put_text(in_folder(*state, "a"), "metrics.jsonl", "");
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "0 of 2 epochs");
    assert_int_equal(unlink(in_folder(in_folder(*state, "a"), "metrics.jsonl")), 0);
    FAILED(compare_runs(&error, *state, names, 1), STATUS_BAD_DATA, &error, "metrics.jsonl");
    assert_false(is_there(*state, "report"));
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(trains_and_reports),
        IN_FOLDER(sweeps_batch_sizes),
        IN_FOLDER(validation_is_named),
        IN_FOLDER(resumes),
        IN_FOLDER(more_seeds_later),
        IN_FOLDER(other_settings_are_refused),
        IN_FOLDER(divergence_names_the_run),
        IN_FOLDER(force_starts_over),
        IN_FOLDER(lost_metrics_are_found_first),
        IN_FOLDER(another_set_is_refused),
        IN_FOLDER(reads_runs),
        IN_FOLDER(one_norm_has_no_difference),
        IN_FOLDER(mixed_runs_are_refused),
        IN_FOLDER(hostile_settings_are_refused),
        IN_FOLDER(a_pipe_as_metrics_is_refused),
        IN_FOLDER(hostile_metrics_are_refused),
    };
    int failed = cmocka_run_group_tests_name("compare", tests, NULL, NULL);
    pictures_release();
    return failed;
}
