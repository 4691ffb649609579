/* compared_run.c: reads finished runs from config.json and metrics.jsonl, which are untrusted. */
#include "compare/compared_run.h"

#include "base/file_read.h"
#include "base/text.h"
#include "memory.h"
#include "run/metrics.h"
#include "run/run_folder.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 64 * 1024, MAX_NUMBER = 1000000000, VALUE_CAPACITY = 120 };

static const char finished[] = "compare needs the folders of finished runs";

/* ---- config.json ----------------------------------------------------------------------------- */

static enum status bad_config(struct error *error, const struct compared_run *run,
                              const char *fault) {
    return error_set(error, STATUS_BAD_DATA, "'%s/config.json': %s; %s", run->folder, fault,
                     finished);
}

static enum status parse_config(struct error *error, struct compared_run *run, const char *text,
                                size_t bytes) {
    json_error_t fault;
    bool no_memory = false;
    char why[sizeof fault.text + 40];
    run->config = text_parse_json(&no_memory, &fault, text, bytes);
    if (no_memory)
        return error_set(error, STATUS_FAILED, "out of memory for the settings of '%s'",
                         run->folder);
    if (run->config == NULL) {
        snprintf(why, sizeof why, "not JSON, byte %d: %s", fault.position, fault.text);
        return bad_config(error, run, why);
    }
    return json_is_object(run->config) ? STATUS_OK : bad_config(error, run, "not a JSON object");
}

static enum status load_config(struct error *error, struct compared_run *run) {
    char path[PATH_CAPACITY], *text;
    size_t bytes;
    if (run_folder_config_path(error, path, run->folder) != STATUS_OK)
        return error->status;
    enum status status =
        file_read_whole(error, &text, &bytes, path, "settings file", MAX_CONFIG_BYTES);
    if (status == STATUS_BAD_DATA)
        return error_append(error, "; %s", finished);
    if (status == STATUS_OK)
        status = parse_config(error, run, text, bytes);
    memory_free(text);
    return status;
}

static enum status bad_member(struct error *error, const struct compared_run *run,
                              const char *key) {
    char fault[64];
    snprintf(fault, sizeof fault, "'%s' is missing or not valid", key);
    return bad_config(error, run, fault);
}

static enum status get_text(struct error *error, const char **out, const struct compared_run *run,
                            const char *key) {
    *out = json_string_value(json_object_get(run->config, key));
    return *out != NULL ? STATUS_OK : bad_member(error, run, key);
}

static enum status get_positive(struct error *error, int *out, const struct compared_run *run,
                                const char *key) {
    /* 0 if it is missing or no integer */
    json_int_t value = json_integer_value(json_object_get(run->config, key));
    if (value < 1 || value > MAX_NUMBER)
        return bad_member(error, run, key);
    *out = (int)value;
    return STATUS_OK;
}

/* Finds the text of `key` in `words`, which end with NULL, and returns its index in *out. */
static enum status get_word(struct error *error, int *out, const struct compared_run *run,
                            const char *key, const char *const *words) {
    const char *text;
    if (get_text(error, &text, run, key) != STATUS_OK)
        return error->status;
    for (*out = 0; words[*out] != NULL; ++*out)
        if (strcmp(text, words[*out]) == 0)
            return STATUS_OK;
    return bad_member(error, run, key);
}

/* An integer, or, above 2^63 - 1, a string of digits (text_json_uint64). */
static enum status get_seed(struct error *error, struct compared_run *run) {
    const json_t *seed = json_object_get(run->config, "seed");
    const char *digits = json_string_value(seed);
    char *end;
    if (json_is_integer(seed) && json_integer_value(seed) >= 0) {
        run->seed = (uint64_t)json_integer_value(seed);
        return STATUS_OK;
    }
    if (digits == NULL || digits[0] < '0' || digits[0] > '9')
        return bad_member(error, run, "seed");
    errno = 0;
    run->seed = strtoull(digits, &end, 10);
    return *end == '\0' && errno == 0 ? STATUS_OK : bad_member(error, run, "seed");
}

static enum status get_rate(struct error *error, struct compared_run *run) {
    const json_t *rate = json_object_get(run->config, "learning_rate");
    run->learning_rate = json_number_value(rate);
    return run->learning_rate > 0 ? STATUS_OK : bad_member(error, run, "learning_rate");
}

static enum status get_dataset(struct error *error, struct compared_run *run) {
    const char *name;
    if (get_text(error, &name, run, "dataset") != STATUS_OK)
        return error->status;
    run->dataset = dataset_named(name).name;
    return strcmp(run->dataset, name) == 0 ? STATUS_OK : bad_member(error, run, "dataset");
}

/* null, or missing in older runs: none. */
static enum status get_validation(struct error *error, struct compared_run *run) {
    const json_t *value = json_object_get(run->config, "validation");
    if (value == NULL || json_is_null(value))
        return STATUS_OK;
    return get_positive(error, &run->validation, run, "validation");
}

static enum status take_config(struct error *error, struct compared_run *run, int *epochs) {
    int norm = 0, recipe = 0;
    if (load_config(error, run) != STATUS_OK ||
        get_word(error, &norm, run, "norm", norm_words) != STATUS_OK ||
        get_word(error, &recipe, run, "recipe", recipe_words) != STATUS_OK ||
        get_dataset(error, run) != STATUS_OK ||
        get_text(error, &run->device, run, "device") != STATUS_OK ||
        get_positive(error, &run->parameters, run, "parameters") != STATUS_OK ||
        get_positive(error, &run->batch_size, run, "batch_size") != STATUS_OK ||
        get_positive(error, epochs, run, "epochs") != STATUS_OK ||
        get_validation(error, run) != STATUS_OK || get_rate(error, run) != STATUS_OK ||
        get_seed(error, run) != STATUS_OK)
        return error->status;
    run->norm = (enum norm_kind)norm;
    run->recipe = (enum recipe_kind)recipe;
    return STATUS_OK;
}

/* ---- metrics.jsonl --------------------------------------------------------------------------- */

static bool is_percent(double value) {
    return value >= 0 && value <= 100;
}

/* The mean cross-entropy of float logits is below this bound, whose square is finite. */
static bool is_loss(double value) {
    return fabs(value) <= 1e39;
}

/* Whether a run that evaluates validation images or not can have written this as its epoch
 * `number`. */
static bool is_possible(const struct epoch_metrics *epoch, int number, bool validation) {
    return epoch->epoch == number && epoch->validation == validation &&
           is_percent(epoch->train.accuracy) && is_percent(epoch->test.accuracy) &&
           is_loss(epoch->train.loss) && is_loss(epoch->test.loss) && epoch->seconds >= 0 &&
           epoch->seconds <= 1e9;
}

static enum status take_metrics(struct error *error, struct compared_run *run, int epochs) {
    char path[PATH_CAPACITY];
    if (run_folder_metrics_path(error, path, run->folder) != STATUS_OK ||
        metrics_read(error, &run->epochs, &run->epoch_count, path) != STATUS_OK)
        return error->status;
    for (int i = 0; i < run->epoch_count; i++)
        if (!is_possible(&run->epochs[i], i + 1, run->validation > 0))
            return error_set(
                error, STATUS_BAD_DATA,
                "'%s', line %d: not a valid line for epoch %d: a number is out of range, the lines "
                "are not in order, or config.json names another set than the line",
                path, i + 1, i + 1);
    if (run->epoch_count != epochs)
        return error_set(
            error, STATUS_BAD_DATA,
            "'%s' has %d of %d epochs: the run was interrupted, or ended by --max-steps; "
            "%s",
            path, run->epoch_count, epochs, finished);
    for (int i = 0; i < epochs; i++)
        run->seconds += run->epochs[i].seconds / epochs;
    for (int i = 1; i < epochs; i++)
        if (run->epochs[i].test.accuracy > run->epochs[run->best].test.accuracy)
            run->best = i;
    return STATUS_OK;
}

enum status compared_run_read(struct error *error, struct compared_run *run) {
    int epochs = 0;
    if (take_config(error, run, &epochs) != STATUS_OK)
        return error->status;
    return take_metrics(error, run, epochs);
}

void compared_run_free(struct compared_run *run) {
    json_decref(run->config);
    memory_free(run->epochs);
    run->config = NULL;
    run->epochs = NULL;
    run->epoch_count = 0;
}

/* ---- whether they can be compared ------------------------------------------------------------ */

/* A value for a message, cut if it is long. */
static const char *value_text(char out[VALUE_CAPACITY], const json_t *value) {
    const char *text = json_string_value(value);
    size_t length = text == NULL ? 0 : strlen(text), room = VALUE_CAPACITY - 6;
    if (length > room) { /* the end of a long path says the most */
        snprintf(out, VALUE_CAPACITY, "\"...%s\"", text + length - room);
        return out;
    }
    memset(out, 0, VALUE_CAPACITY); /* json_dumpb writes no terminator, and only as much as fits */
    if (value == NULL ||
        json_dumpb(value, out, VALUE_CAPACITY - 1, JSON_ENCODE_ANY | JSON_COMPACT) == 0)
        snprintf(out, VALUE_CAPACITY, "nothing");
    return out;
}

/* Checks that two runs agree in these settings. */
static enum status check_same(struct error *error, const struct compared_run *a,
                              const struct compared_run *b, const char *const *keys) {
    for (; *keys != NULL; keys++) {
        const json_t *first = json_object_get(a->config, *keys);
        const json_t *second = json_object_get(b->config, *keys);
        char of_a[VALUE_CAPACITY], of_b[VALUE_CAPACITY];
        if (first == second || json_equal(first, second))
            continue;
        return error_set(error, STATUS_BAD_DATA,
                         "'%s' and '%s' cannot be compared: '%s' is %s in the first and %s in the "
                         "second",
                         a->folder, b->folder, *keys, value_text(of_a, first),
                         value_text(of_b, second));
    }
    return STATUS_OK;
}

/* Names the images that a run was evaluated on. */
static const char *evaluated_text(char out[VALUE_CAPACITY], const struct compared_run *run) {
    if (run->validation == 0)
        return "the test images";
    snprintf(out, VALUE_CAPACITY, "%d images held out for validation", run->validation);
    return out;
}

static enum status check_evaluated(struct error *error, const struct compared_run *a,
                                   const struct compared_run *b) {
    char of_a[VALUE_CAPACITY], of_b[VALUE_CAPACITY];
    if (a->validation == b->validation)
        return STATUS_OK;
    return error_set(error, STATUS_BAD_DATA,
                     "'%s' and '%s' cannot be compared: the first was evaluated on %s, the second "
                     "on %s",
                     a->folder, b->folder, evaluated_text(of_a, a), evaluated_text(of_b, b));
}

/* Checks that two runs saw the same images. CIFAR-10 may be in another folder; synthetic sets must
 * have the same seed. */
static enum status check_data(struct error *error, const struct compared_run *a,
                              const struct compared_run *b) {
    static const char *const data[] = {"data", NULL};
    bool synthetic = strcmp(a->dataset, "synthetic") == 0;
    return synthetic ? check_same(error, a, b, data) : STATUS_OK;
}

/* The seeds of a norm are in rising order, so equal ones are neighbours. */
enum status compared_runs_check(struct error *error, const struct compared_run *runs, int count) {
    static const char *const of_all[] = {"recipe",       "dataset",     "epochs",  "batch_size",
                                         "train_images", "test_images", "augment", "crop",
                                         "shuffle",      "max_steps",   NULL};
    static const char *const of_a_norm[] = {
        "parameters",   "learning_rate", "schedule",   "momentum", "nesterov", "muon",    "dropout",
        "weight_decay", "filter_norm",   "activation", "groups",   "channels", "weights", NULL};
    for (int i = 1; i < count; i++) {
        const struct compared_run *before = &runs[i - 1], *run = &runs[i];
        if (check_evaluated(error, before, run) != STATUS_OK ||
            check_same(error, before, run, of_all) != STATUS_OK ||
            check_data(error, before, run) != STATUS_OK ||
            (before->norm == run->norm && check_same(error, before, run, of_a_norm) != STATUS_OK))
            return error->status;
        if (before->norm == run->norm && before->seed == run->seed)
            return error_set(
                error, STATUS_BAD_DATA,
                "'%s' and '%s' are both %s with seed %llu: a comparison needs runs with "
                "different seeds",
                before->folder, run->folder, norm_title(run->norm), (unsigned long long)run->seed);
    }
    return STATUS_OK;
}
