/* run_folder.c: the files of a run. */
#include "run_folder.h"

#include "text.h"
#include "version.h"
#include "weights.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char config_name[] = "config.json";
static const char metrics_name[] = "metrics.jsonl";

static const char *weights_name(enum run_weights which) {
    switch (which) {
    case WEIGHTS_FINAL:
        return "model.safetensors";
    case WEIGHTS_BEST:
        return "best.safetensors";
    }
    return NULL;
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* A path as JSON, which is UTF-8: where the path is not, its bytes beyond ASCII become '?'. */
static json_t *path_json(const char *path) {
    json_t *string = json_string(path);
    if (string != NULL)
        return string;
    char ascii[PATH_CAPACITY];
    size_t length = strnlen(path, sizeof ascii - 1);
    for (size_t i = 0; i < length; i++)
        ascii[i] = (unsigned char)path[i] < 0x80 ? path[i] : '?';
    return json_stringn(ascii, length);
}

static json_t *schedule_json(const struct recipe *recipe) {
    switch (recipe->schedule) {
    case SCHEDULE_STEPS:
        return json_pack("{s:s, s:[i, i]}", "kind", "steps", "milestones", recipe->milestones[0],
                         recipe->milestones[1]);
    case SCHEDULE_LINEAR:
        return json_pack("{s:s, s:f}", "kind", "linear", "warmup", text_decimal(recipe->warmup));
    }
    return NULL;
}

/* How the recipe trains. */
static json_t *training_json(const struct recipe *recipe) {
    return json_pack("{s:i, s:i, s:f, s:f, s:f, s:b, s:o, s:s}", "epochs", recipe->epochs,
                     "batch_size", recipe->batch_size, "learning_rate",
                     text_decimal(recipe->learning_rate), "momentum",
                     text_decimal(recipe->momentum), "weight_decay",
                     text_decimal(recipe->weight_decay), "nesterov", recipe->nesterov, "schedule",
                     schedule_json(recipe), "augment", augment_option(recipe->augment));
}

/* What network the recipe makes. */
static json_t *network_json(const struct recipe *recipe, const struct network *network) {
    json_t *channels = json_array();
    for (int i = 0; i < BLOCK_COUNT; i++)
        json_array_append_new(channels, json_integer(recipe->channels[i]));
    return json_pack("{s:i, s:o, s:i, s:f, s:f, s:b, s:b, s:b, s:i}", "parameters",
                     network_parameters(network), "channels", channels, "groups", recipe->groups,
                     "dropout", text_decimal(recipe->dropout), "filter_norm",
                     text_decimal(recipe->filter_norm), "relu_first", recipe->relu_first,
                     "per_element", recipe->per_element, "first_skip", recipe->first_skip,
                     "early_padding", recipe->early_padding);
}

/* Where and on what the run happens. A seed above 2^63 does not fit a JSON integer and becomes a
 * string. */
static json_t *setting_json(const struct run_description *run) {
    const struct options *options = run->options;
    char seed[TEXT_CAPACITY];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)options->seed);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:i, s:i, s:s, s:s, s:i, s:o, s:b, s:o, "
        "s:i}",
        "program", PROGRAM_NAME, "version", PROGRAM_VERSION, "norm",
        norm_option(run->network->norm), "recipe", recipe_option(run->network->recipe), "dataset",
        run->dataset->name, "data", path_json(options->data), "out", path_json(options->out),
        "weights", options->weights[0] == '\0' ? json_null() : path_json(options->weights),
        "train_images", run->dataset->train.count, "test_images", run->dataset->test.count,
        "backend", run->device->backend->name, "device", run->device->text, "threads",
        options->device.threads, "seed",
        options->seed <= INT64_MAX ? json_integer((json_int_t)options->seed) : json_string(seed),
        "shuffle", !options->no_shuffle, "max_steps",
        options->max_steps == 0 ? json_null() : json_integer(options->max_steps), "steps_per_epoch",
        run->steps_per_epoch);
}

/* What --device cuda makes of the arithmetic: everything that a run's last bits depend on. */
static json_t *arithmetic_json(const struct run_description *run) {
    const struct device_choice *device = run->device;
    const char *line;
    json_t *algorithms = json_array();
    for (int i = 0; (line = device->backend->choice(device->device, i)) != NULL; i++)
        json_array_append_new(algorithms, json_string(line));
    return json_pack(
        "{s:s, s:b, s:b, s:o}", "precision", precision_option(run->options->device.precision),
        "fast_algorithms", run->options->device.fast_algorithms, "graph",
        device->backend->replay != NULL && !run->options->no_graph, "algorithms", algorithms);
}

/* All settings as one flat object; NULL if there is no memory. */
static json_t *config_json(const struct run_description *run) {
    json_t *config = setting_json(run);
    json_t *training = training_json(&run->options->recipe);
    json_t *network = network_json(&run->options->recipe, run->network);
    json_t *arithmetic = arithmetic_json(run);
    if (config == NULL || training == NULL || network == NULL || arithmetic == NULL ||
        json_object_update(config, training) != 0 || json_object_update(config, network) != 0 ||
        json_object_update(config, arithmetic) != 0) {
        json_decref(config);
        config = NULL;
    }
    json_decref(training);
    json_decref(network);
    json_decref(arithmetic);
    return config;
}

static enum status write_config(struct error *error, const struct run_folder *folder,
                                const struct run_description *run) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder->path, config_name) != STATUS_OK)
        return error->status;
    json_t *config = config_json(run);
    char *text =
        config == NULL ? NULL : json_dumps(config, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(config);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for %s", path);
    const struct file_piece pieces[] = {{text, strlen(text)}, {"\n", 1}};
    enum status status = file_write(error, path, pieces, 2);
    free(text);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* Whether the folder holds a file of that name. */
static enum status holds(struct error *error, bool *out, const char *folder, const char *name) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder, name) != STATUS_OK)
        return error->status;
    *out = file_exists(path);
    return STATUS_OK;
}

enum status run_folder_check(struct error *error, bool *unfinished, const char *path, bool force) {
    bool finished = false, best = false, config = false, metrics = false;
    *unfinished = false;
    if (holds(error, &finished, path, weights_name(WEIGHTS_FINAL)) != STATUS_OK ||
        holds(error, &best, path, weights_name(WEIGHTS_BEST)) != STATUS_OK ||
        holds(error, &config, path, config_name) != STATUS_OK ||
        holds(error, &metrics, path, metrics_name) != STATUS_OK)
        return error->status;
    if ((finished || best) && !force)
        return error_set(error, STATUS_USAGE,
                         "'%s' holds %s; choose another folder with --out, or overwrite it with "
                         "--force",
                         path, finished ? "a finished run" : "the weights of an unfinished run");
    *unfinished = !finished && (best || config || metrics);
    return STATUS_OK;
}

static enum status remove_weights(struct error *error, const struct run_folder *folder) {
    const enum run_weights all[] = {WEIGHTS_FINAL, WEIGHTS_BEST};
    for (int i = 0; i < 2; i++) {
        char path[PATH_CAPACITY];
        if (path_join(error, path, folder->path, weights_name(all[i])) != STATUS_OK)
            return error->status;
        if (unlink(path) != 0 && errno != ENOENT)
            return error_set_errno(error, STATUS_FAILED, errno, "cannot remove '%s'", path);
    }
    return STATUS_OK;
}

static enum status open_metrics(struct error *error, struct run_folder *folder) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder->path, metrics_name) != STATUS_OK)
        return error->status;
    folder->metrics = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (folder->metrics < 0)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot write '%s'", path);
    return STATUS_OK;
}

enum status run_folder_open(struct error *error, struct run_folder *out,
                            const struct run_description *run) {
    *out = (struct run_folder)RUN_FOLDER_CLOSED;
    if (path_join(error, out->path, "", run->options->out) != STATUS_OK ||
        folder_make(error, out->path) != STATUS_OK || write_config(error, out, run) != STATUS_OK ||
        open_metrics(error, out) != STATUS_OK)
        return error->status;
    return remove_weights(error, out); /* last: a folder that cannot be written loses nothing */
}

/* ---- metrics.jsonl --------------------------------------------------------------------------- */

static json_t *metrics_json(const struct epoch_metrics *metrics) {
    return json_pack("{s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "epoch", metrics->epoch,
                     "step", (json_int_t)metrics->step, "lr", text_decimal(metrics->learning_rate),
                     "train_loss", metrics->train.loss, "train_accuracy", metrics->train.accuracy,
                     "test_loss", metrics->test.loss, "test_accuracy", metrics->test.accuracy,
                     "seconds", metrics->seconds, "images_per_second", metrics->images_per_second,
                     "eval_seconds", metrics->eval_seconds);
}

/* Writes a line in one call, so that a reader sees it whole, and takes back the start of one that
 * did not fit. */
static enum status append(struct error *error, struct run_folder *folder, const char *line,
                          size_t length) {
    ssize_t written;
    do
        written = write(folder->metrics, line, length);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)length) {
        folder->metrics_bytes += written;
        return STATUS_OK;
    }
    int reason = written < 0 ? errno : ENOSPC; /* what ends a write to a file early */
    if (written > 0 && ftruncate(folder->metrics, folder->metrics_bytes) != 0)
        reason = errno;
    return error_set_errno(error, STATUS_FAILED, reason, "cannot write '%s/%s', %zu bytes needed",
                           folder->path, metrics_name, length);
}

enum status run_folder_add(struct error *error, struct run_folder *folder,
                           const struct epoch_metrics *metrics) {
    json_t *object = metrics_json(metrics);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for a line of %s", metrics_name);
    size_t length = strlen(text);
    text[length] = '\n'; /* in the place of the terminator */
    enum status status = append(error, folder, text, length + 1);
    free(text);
    return status;
}

/* ---- weights --------------------------------------------------------------------------------- */

enum status run_folder_save(struct error *error, struct run_folder *folder, enum run_weights which,
                            const struct tensor_list *tensors, const struct run_description *run) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder->path, weights_name(which)) != STATUS_OK)
        return error->status;
    const struct weights_origin origin = {
        .norm = run->network->norm,
        .recipe = run->network->recipe,
        .dataset = run->dataset->name,
    };
    return weights_write(error, path, tensors, &origin, NULL);
}

enum status run_folder_close(struct error *error, struct run_folder *folder) {
    int metrics = folder->metrics;
    folder->metrics = -1;
    if (metrics >= 0 && close(metrics) != 0 && errno != EINTR)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot write '%s/%s'", folder->path,
                               metrics_name);
    return STATUS_OK;
}
