/* weights_metadata.c: the settings in a weights file. To check them, it makes the metadata that the
 * intended use would write, and compares. */
#include "model/weights_metadata.h"

#include "base/output.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_CAPACITY = 160, MAX_GROUPS = 512, MAX_CHANNELS = 512 };

static const char norm_key[] = "norm", recipe_key[] = "recipe", groups_key[] = "groups",
                  channels_key[] = "channels", activation_key[] = "activation",
                  dataset_key[] = "dataset", seed_key[] = "dataset_seed", classes_key[] = "classes";

/* ---- making ---------------------------------------------------------------------------------- */

static void list_numbers(char out[LIST_CAPACITY], const float numbers[IMAGE_CHANNELS]) {
    snprintf(out, LIST_CAPACITY, "%.9g,%.9g,%.9g", text_decimal(numbers[0]),
             text_decimal(numbers[1]), text_decimal(numbers[2]));
}

static json_t *network_json(const struct recipe *recipe) {
    static const float mean[IMAGE_CHANNELS] = IMAGE_MEAN, deviation[IMAGE_CHANNELS] = IMAGE_STD;
    char groups[TEXT_CAPACITY], channels[RECIPE_CHANNELS_CAPACITY], means[LIST_CAPACITY],
        stds[LIST_CAPACITY];
    snprintf(groups, sizeof groups, "%d", recipe->groups);
    recipe_list_channels(channels, recipe);
    list_numbers(means, mean);
    list_numbers(stds, deviation);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "format", "pt", norm_key,
                     norm_option(recipe->norm), recipe_key, recipe_option(recipe->kind), groups_key,
                     groups, channels_key, channels, activation_key,
                     activation_option(recipe->activation), "mean", means, "std", stds);
}

/* The class names as the text of a JSON array; NULL: no memory. Release with free. */
static char *classes_text(const struct dataset *dataset) {
    json_t *names = json_array();
    for (int i = 0; i < CLASS_COUNT; i++)
        names = text_json_append(names, json_string(dataset->class_names[i]));
    char *text = text_of_json(names, JSON_COMPACT);
    json_decref(names);
    return text;
}

static json_t *dataset_json(const struct dataset *dataset) {
    char *classes = classes_text(dataset);
    json_t *object =
        classes == NULL ? NULL
                        : json_pack("{s:s, s:s}", dataset_key, dataset->name, classes_key, classes);
    free(classes);
    if (object == NULL || !dataset->synthetic)
        return object;
    char seed[TEXT_CAPACITY];
    snprintf(seed, sizeof seed, "%" PRIu64, dataset->seed);
    if (json_object_set_new(object, seed_key, json_string(seed)) == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *weights_metadata_make(const struct weights_origin *origin) {
    json_t *object = network_json(origin->recipe);
    if (object == NULL || origin->dataset == NULL)
        return object;
    json_t *dataset = dataset_json(origin->dataset);
    if (dataset == NULL || json_object_update(object, dataset) != 0) {
        json_decref(object);
        object = NULL;
    }
    json_decref(dataset);
    return object;
}

/* ---- checking -------------------------------------------------------------------------------- */

static const char *get(const json_t *metadata, const char *key) {
    return json_string_value(json_object_get(metadata, key));
}

/* Other programs may use one of these keys for something else; a file with both is ours. */
static bool is_ours(const json_t *metadata) {
    return get(metadata, norm_key) != NULL && get(metadata, recipe_key) != NULL;
}

/* Of the synthetic set, another seed makes other images. */
static void warn_of_data(const json_t *metadata, const struct dataset *dataset, const char *path) {
    const char *trained = get(metadata, dataset_key), *seed = get(metadata, seed_key);
    char now[TEXT_CAPACITY];
    if (trained == NULL || dataset == NULL)
        return;
    snprintf(now, sizeof now, "%" PRIu64, dataset->seed);
    if (strcmp(trained, dataset->name) != 0)
        output_warning("weights file '%s' was trained on %.64s and is used with %s", path, trained,
                       dataset->name);
    else if (dataset->synthetic && seed != NULL && strcmp(seed, now) != 0)
        output_warning("weights file '%s' was trained on %s:%.20s and is used with %s:%s", path,
                       dataset->name, seed, dataset->name, now);
}

enum status weights_metadata_check(struct error *error, const json_t *metadata,
                                   const struct weights_origin *use, const char *path) {
    static const char *const keys[] = {norm_key,       recipe_key, groups_key, channels_key,
                                       activation_key, "mean",     "std"};
    if (!is_ours(metadata))
        return STATUS_OK;
    json_t *expected = network_json(use->recipe);
    if (expected == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the metadata of '%s'", path);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && status == STATUS_OK; i++) {
        const char *found = get(metadata, keys[i]), *wanted = get(expected, keys[i]);
        if (found != NULL && strcmp(found, wanted) != 0)
            status = error_set(error, STATUS_USAGE,
                               "weights file '%s' was trained with %s %.80s, not %s; use that "
                               "setting, or other weights",
                               path, keys[i], found, wanted);
    }
    json_decref(expected);
    if (status == STATUS_OK)
        warn_of_data(metadata, use->dataset, path);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The index of `word` among `words`, which NULL ends; -1: it is not there, or NULL. */
static int find_word(const char *const words[], const char *word) {
    for (int i = 0; words[i] != NULL && word != NULL; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

/* The first is zero if `text` is not what recipe_list_channels writes. */
static void read_channels(int out[BLOCK_COUNT], const char *text) {
    int count = 0;
    memset(out, 0, BLOCK_COUNT * sizeof *out);
    for (; text != NULL && count < BLOCK_COUNT; count++) {
        char *end;
        long channels = strtol(text, &end, 10);
        if (text[0] < '1' || text[0] > '9' || channels > MAX_CHANNELS ||
            *end != (count < BLOCK_COUNT - 1 ? ',' : '\0'))
            break;
        out[count] = (int)channels;
        text = end + 1;
    }
    if (count < BLOCK_COUNT)
        out[0] = 0;
}

struct weights_settings weights_metadata_settings(const json_t *metadata) {
    if (!is_ours(metadata))
        return (struct weights_settings){.known = false};
    int norm = find_word(norm_words, get(metadata, norm_key));
    int recipe = find_word(recipe_words, get(metadata, recipe_key));
    int activation = find_word(activation_words, get(metadata, activation_key));
    if (norm < 0 || recipe < 0)
        return (struct weights_settings){.known = false};
    const char *groups = get(metadata, groups_key), *dataset = get(metadata, dataset_key);
    const char *seed = get(metadata, seed_key);
    long count = groups == NULL ? 0 : strtol(groups, NULL, 10);
    struct weights_settings settings = {
        .known = true,
        .norm = (enum norm_kind)norm,
        .recipe = (enum recipe_kind)recipe,
        .activation = recipe == RECIPE_TUNED ? RELU_AFTER : RELU_BEFORE,
    };
    if (activation >= 0)
        settings.activation = (enum activation)activation;
    read_channels(settings.channels, get(metadata, channels_key));
    settings.groups = count >= 1 && count <= MAX_GROUPS ? (int)count : 0;
    if (dataset != NULL && seed != NULL) {
        char where[2 * TEXT_CAPACITY];
        snprintf(where, sizeof where, "%.20s:%.20s", dataset, seed);
        settings.synthetic = dataset_is_synthetic(&settings.seed, where);
    }
    return settings;
}
