/* run_config.c: writes config.json: every setting of a run, with defaults filled in. */
#include "run/run_config.h"

#include "base/file_read.h"
#include "base/files.h"
#include "base/output.h"
#include "base/text.h"
#include "base/version.h"
#include "memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

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

static json_t *muon_json(const struct recipe *recipe) {
    return recipe->optimizer != OPTIMIZER_MUON
               ? json_null()
               : json_pack("{s:f, s:f}", "learning_rate", text_decimal(recipe->muon_rate),
                           "momentum", text_decimal(recipe->muon_momentum));
}

/* The recipe's settings for training. */
static json_t *training_json(const struct recipe *recipe) {
    return json_pack(
        "{s:i, s:i, s:f, s:f, s:f, s:b, s:o, s:o, s:s, s:o}", "epochs", recipe->epochs,
        "batch_size", recipe->batch_size, "learning_rate", text_decimal(recipe->learning_rate),
        "momentum", text_decimal(recipe->momentum), "weight_decay",
        text_decimal(recipe->weight_decay), "nesterov", recipe->nesterov, "muon", muon_json(recipe),
        "schedule", schedule_json(recipe), "augment", augment_option(recipe->augment), "crop",
        recipe->augment == AUGMENT_FLIP_CROP ? json_integer(recipe->crop) : json_null());
}

static json_t *channels_json(const struct recipe *recipe) {
    json_t *channels = json_array();
    for (int i = 0; i < BLOCK_COUNT; i++)
        channels = text_json_append(channels, json_integer(recipe->channels[i]));
    return channels;
}

/* The network that the recipe makes. */
static json_t *network_json(const struct recipe *recipe, const struct network *network) {
    return json_pack("{s:i, s:o, s:i, s:f, s:f, s:s, s:b, s:b, s:i}", "parameters",
                     network_parameters(network), "channels", channels_json(recipe), "groups",
                     recipe->groups, "dropout", text_decimal(recipe->dropout), "filter_norm",
                     text_decimal(recipe->filter_norm), "activation",
                     activation_option(recipe->activation), "per_element", recipe->per_element,
                     "first_skip", recipe->first_skip, "early_padding", recipe->early_padding);
}

/* Program, data, folders, seed. */
static json_t *setting_json(const struct run_description *run) {
    const struct options *options = run->options;
    int validation = run->dataset->validation;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:i, s:o, s:i, s:s, s:i, s:o, s:b, s:o, s:i}",
        "program", PROGRAM_NAME, "version", PROGRAM_VERSION, "norm",
        norm_option(run->network->norm), "recipe", recipe_option(run->network->recipe), "dataset",
        run->dataset->name, "data", text_json(options->data), "out", text_json(options->out),
        "weights", options->weights[0] == '\0' ? json_null() : text_json(options->weights),
        "train_images", run->dataset->train.count, "validation",
        validation == 0 ? json_null() : json_integer(validation), "test_images",
        validation == 0 ? run->dataset->test.count : 0, "backend", run->device->backend->name,
        "threads", run->device->threads, "seed", text_json_uint64(options->seed), "shuffle",
        !options->no_shuffle, "max_steps",
        options->max_steps == 0 ? json_null() : json_integer(options->max_steps), "steps_per_epoch",
        run->steps_per_epoch);
}

static json_t *algorithms_json(const struct device_choice *device) {
    const char *line;
    json_t *algorithms = json_array();
    for (int i = 0; (line = device->backend->choice(device->device, i)) != NULL; i++)
        algorithms = text_json_append(algorithms, json_string(line));
    return algorithms;
}

/* On what the last bits of a run depend: the settings of a GPU's arithmetic and the batches in which
 * it evaluates. */
static json_t *arithmetic_json(const struct run_description *run) {
    const struct device_choice *device = run->device;
    return json_pack("{s:i, s:s, s:s, s:b, s:b, s:o}", "evaluation_batch", run->evaluation_batch,
                     "precision", precision_option(run->options->device.precision), "batch_norm",
                     batch_norm_option(run->options->device.batch_norm), "fast_algorithms",
                     run->options->device.fast_algorithms, "graph",
                     device->backend->replay != NULL && !run->options->no_graph, "algorithms",
                     algorithms_json(device));
}

/* ---- devices --------------------------------------------------------------------------------- */

/* Reads the config.json of the run to resume; NULL: there is none, or it is not JSON. */
static enum status read_earlier(struct error *error, json_t **out, const char *path) {
    enum { MAX_BYTES = 1 << 20 };
    json_error_t fault;
    bool no_memory;
    char *text;
    size_t bytes;
    *out = NULL;
    if (!file_exists(path))
        return STATUS_OK;
    if (file_read_whole(error, &text, &bytes, path, "settings file", MAX_BYTES) != STATUS_OK)
        return error->status;
    *out = text_parse_json(&no_memory, &fault, text, bytes);
    memory_free(text);
    return no_memory ? error_set(error, STATUS_FAILED, "out of memory for '%s'", path) : STATUS_OK;
}

static const char *string_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* Adds the devices of the run: those in `earlier`, and the current one; false: no memory. */
static bool put_devices(json_t *config, const json_t *earlier, const struct run_description *run,
                        const struct run_state *state) {
    const char *device = string_of(earlier, "device"), *first = string_of(earlier, "arithmetic");
    const char *now = run->device->backend->arithmetic(run->device->device), *last = first;
    json_t *resumed_on = json_copy(json_object_get(earlier, "resumed_on"));
    if (!json_is_array(resumed_on)) {
        json_decref(resumed_on);
        resumed_on = json_array();
    }
    if (json_array_size(resumed_on) > 0)
        last = string_of(json_array_get(resumed_on, json_array_size(resumed_on) - 1), "arithmetic");
    if (last != NULL && strcmp(last, now) != 0 && !run_ended(state, run->options)) {
        output_warning("the run in '%s' is resumed on %s after %s: the last bits of its results "
                       "will differ from those of an uninterrupted run",
                       run->options->out, now, last);
        resumed_on = text_json_append(resumed_on, json_pack("{s:I, s:s, s:s}", "after_step",
                                                            (json_int_t)state->step, "device",
                                                            run->device->text, "arithmetic", now));
    }
    return json_object_set_new(config, "resumed_on", resumed_on) == 0 &&
           json_object_set_new(config, "arithmetic", json_string(first != NULL ? first : now)) ==
               0 &&
           json_object_set_new(config, "device",
                               json_string(device != NULL ? device : run->device->text)) == 0;
}

/* Warns that a resumed run evaluates in other batches, which happens when another amount of memory
 * is free. */
static void check_evaluation(const json_t *earlier, const struct run_description *run,
                             const struct run_state *state) {
    const json_t *before = json_object_get(earlier, "evaluation_batch");
    if (json_is_integer(before) && json_integer_value(before) != run->evaluation_batch &&
        !run_ended(state, run->options))
        output_warning("the run in '%s' now evaluates in batches of %d instead of %d, since the "
                       "device has another amount of free memory: the last bits of the %s loss "
                       "may differ from those of an uninterrupted run",
                       run->options->out, run->evaluation_batch, (int)json_integer_value(before),
                       evaluated_word(run->dataset->validation > 0));
}

/* ---- the file -------------------------------------------------------------------------------- */

/* All settings as one flat object; NULL: no memory. */
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

enum status run_config_write(struct error *error, const char *path,
                             const struct run_description *run, const struct run_state *state) {
    json_t *earlier = NULL;
    if (run->options->resume && read_earlier(error, &earlier, path) != STATUS_OK)
        return error->status;
    check_evaluation(earlier, run, state);
    json_t *config = config_json(run);
    char *text = config != NULL && put_devices(config, earlier, run, state)
                     ? text_of_json(config, JSON_INDENT(2) | JSON_REAL_PRECISION(9))
                     : NULL;
    json_decref(config);
    json_decref(earlier);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for '%s'", path);
    const struct file_piece pieces[] = {{text, strlen(text)}, {"\n", 1}};
    enum status status = file_write(error, path, pieces, 2);
    free(text);
    return status;
}
