/* fuzz_run.c: any bytes as the files that `compare` reads of a run.
 *
 * One input is both files: config.json up to the first form feed, metrics.jsonl behind it; without
 * a form feed the latter is empty. JSON has no form feed, and all other bytes can stand in both. */
#include "fuzz.h"

#include "base/text.h"
#include "compare/comparison_figures.h"
#include "compare/comparison_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG, METRICS, FILES };
static const char *const names[FILES + 1] = {"config.json", "metrics.jsonl", NULL};

/* The folder of the input, and that of a valid run that never changes. */
static struct {
    const char *input, *right;
    int files[FILES];
} place;

static const char right_config[] =
    "{\"norm\": \"gn\", \"recipe\": \"tuned\", \"dataset\": \"CIFAR-10\", \"device\": \"CPU\","
    " \"parameters\": 45520, \"batch_size\": 128, \"epochs\": 1, \"learning_rate\": 0.2,"
    " \"seed\": 1, \"momentum\": 0.9}";
static const char right_metrics[] =
    "{\"epoch\": 1, \"step\": 391, \"lr\": 0.1, \"train_loss\": 1, \"train_accuracy\": 60,"
    " \"test_loss\": 0.5, \"test_accuracy\": 80, \"seconds\": 4, \"images_per_second\": 9,"
    " \"eval_seconds\": 1}\n";

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    int files[FILES];
    (void)argc, (void)argv;
    place.input = fuzz_folder(place.files, names);
    place.right = fuzz_folder(files, names);
    fuzz_fill(files[CONFIG], right_config, strlen(right_config));
    fuzz_fill(files[METRICS], right_metrics, strlen(right_metrics));
    return 0;
}

/* ---- an accepted run -------------------------------------------------------------------- */

static int is_percent(double value) {
    return value >= 0 && value <= 100;
}

static void check_config(const struct compared_run *run) {
    const json_t *seed = json_object_get(run->config, "seed");
    require((int)run->norm >= 0 && (int)run->norm < NORM_COUNT);
    require((int)run->recipe >= 0 && (int)run->recipe < RECIPE_COUNT);
    require(strcmp(run->dataset, "CIFAR-10") == 0 || strcmp(run->dataset, "synthetic") == 0);
    require(run->device != NULL);
    require(run->parameters >= 1 && run->batch_size >= 1);
    require(run->learning_rate > 0 && isfinite(run->learning_rate));
    require(json_is_string(seed) || run->seed == (uint64_t)json_integer_value(seed));
    require(run->epoch_count == json_integer_value(json_object_get(run->config, "epochs")));
}

static void check_epochs(const struct compared_run *run) {
    double best = -1, seconds = 0;
    require(run->best >= 0 && run->best < run->epoch_count);
    for (int i = 0; i < run->epoch_count; i++) {
        const struct epoch_metrics *epoch = &run->epochs[i];
        require(epoch->epoch == i + 1 && epoch->step >= 0);
        require(is_percent(epoch->train.accuracy) && is_percent(epoch->test.accuracy));
        require(fabs(epoch->train.loss) <= 1e39 && fabs(epoch->test.loss) <= 1e39);
        require(epoch->seconds >= 0);
        seconds += epoch->seconds;
        if (epoch->test.accuracy > best) {
            best = epoch->test.accuracy;
            require(i <= run->best);
        }
    }
    require(run->epochs[run->best].test.accuracy == best);
    require(fabs(run->seconds * run->epoch_count - seconds) <= 1e-9 * seconds);
}

/* Every line is an epoch, to its last byte. */
static void check_lines(const struct compared_run *run, const char *metrics, size_t size) {
    int lines = size > 0 && metrics[size - 1] != '\n';
    require(memchr(metrics, '\0', size) == NULL); /* not in JSON */
    for (size_t i = 0; i < size; i++)
        lines += metrics[i] == '\n';
    require(run->epoch_count == lines);
}

/* ---- its report ------------------------------------------------------------------------ */

/* An accepted run can be reported as JSON and as text. */
static void check_report(const struct run_set *set) {
    struct error error;
    struct comparison comparison = {.folder = "report", .main = *set, .sweep = {*set}};
    char *text;
    size_t bytes;
    comparison.sweep_count = 1;
    json_t *object = comparison_json(&comparison);
    require(json_is_object(object));
    text = text_of_json(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    require(text != NULL);
    free(text);
    json_decref(object);
    require(comparison_text_make(&error, &text, &bytes, &comparison, true) == STATUS_OK);
    require(strlen(text) == bytes);
    char *folders = strstr(text, "## Runs"); /* their names may hold any words */
    require(folders != NULL);
    *folders = '\0';
    require(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
    free(text);
}

/* Runs that do not belong together are refused in any order, and the message names both. */
static void check_refusal(enum status status, const struct error *error,
                          const struct run_set *set) {
    struct error other;
    const struct compared_run swapped[2] = {set->runs[1], set->runs[0]};
    require(status == STATUS_BAD_DATA);
    fuzz_check_error(status, error, place.input);
    fuzz_check_error(status, error, place.right);
    require(compared_runs_check(&other, swapped, 2) == status);
}

/* The run compared with the valid one, and with itself. */
static void check_pairs(const struct compared_run *run) {
    struct error error;
    struct run_set set;
    const struct compared_run twice[2] = {*run, *run};
    require(compared_runs_check(&error, twice, 2) == STATUS_BAD_DATA);
    require(run_set_make(&error, &set, 2) == STATUS_OK);
    snprintf(set.runs[0].folder, PATH_CAPACITY, "%s", place.input);
    snprintf(set.runs[1].folder, PATH_CAPACITY, "%s", place.right);
    enum status status = run_set_read(&error, &set);
    if (status == STATUS_OK)
        check_report(&set);
    else
        check_refusal(status, &error, &set);
    run_set_free(&set);
    require(set.runs == NULL && set.count == 0);
}

/* ---- the target ------------------------------------------------------------------------------ */

/* The error names one of the files. */
static void check_error(enum status status, const struct error *error) {
    char config[PATH_CAPACITY], metrics[PATH_CAPACITY];
    snprintf(config, sizeof config, "%s/%s", place.input, names[CONFIG]);
    snprintf(metrics, sizeof metrics, "%s/%s", place.input, names[METRICS]);
    require(status == STATUS_BAD_DATA);
    fuzz_check_error(status, error, strstr(error->text, config) != NULL ? config : metrics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error error = {STATUS_OK, ""};
    struct compared_run run = {.config = NULL};
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\f', size);
    size_t config = end == NULL ? size : (size_t)(end - data);
    size_t metrics = end == NULL ? size : config + 1;
    fuzz_fill(place.files[CONFIG], data, config);
    fuzz_fill(place.files[METRICS], data + metrics, size - metrics);
    snprintf(run.folder, sizeof run.folder, "%s", place.input);
    int descriptor = fuzz_lowest_descriptor();
    enum status status = compared_run_read(&error, &run);
    if (status == STATUS_OK) {
        check_config(&run);
        check_epochs(&run);
        check_lines(&run, (const char *)data + metrics, size - metrics);
        check_pairs(&run);
    } else {
        check_error(status, &error);
    }
    compared_run_free(&run);
    require(run.config == NULL && run.epochs == NULL);
    require(fuzz_lowest_descriptor() == descriptor);
    return 0;
}
