/* run_settings.c: the settings that a run's results depend on. Those that change only speed or
 * appearance (--threads, --no-graph, --tensorboard, --quiet) are not among them. */
#include "run/run_settings.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_CAPACITY = 48 };

/* ---- the list -------------------------------------------------------------------------------- */

static void add_text(struct run_settings *list, const char *option, const char *value) {
    struct run_setting *setting = &list->settings[list->count++];
    *setting = (struct run_setting){.option = option};
    snprintf(setting->value, sizeof setting->value, "%s", value);
}

static void add_number(struct run_settings *list, const char *option, float value) {
    char text[TEXT_CAPACITY];
    snprintf(text, sizeof text, "%.9g", text_decimal(value));
    add_text(list, option, text);
}

static void add_integer(struct run_settings *list, const char *option, int64_t value) {
    char text[TEXT_CAPACITY];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_text(list, option, text);
}

static void add_channels(struct run_settings *list, const struct recipe *recipe) {
    char text[RECIPE_CHANNELS_CAPACITY];
    recipe_list_channels(text, recipe);
    add_text(list, "channels", text);
}

/* A setting of Muon; without Muon it is not set. */
static void add_muon(struct run_settings *list, const char *option, const struct recipe *recipe,
                     float value) {
    if (recipe->optimizer == OPTIMIZER_MUON)
        add_number(list, option, value);
    else
        add_text(list, option, "");
}

static void add_flag(struct run_settings *list, const char *option, bool value) {
    add_text(list, option, value ? "yes" : "no");
    list->settings[list->count - 1].flag = true;
}

static void add_recipe(struct run_settings *out, const struct recipe *recipe) {
    add_text(out, "norm", norm_option(recipe->norm));
    add_text(out, "recipe", recipe_option(recipe->kind));
    add_integer(out, "groups", recipe->groups);
    add_channels(out, recipe);
    add_text(out, "activation", activation_option(recipe->activation));
    add_number(out, "dropout", recipe->dropout);
    add_integer(out, "epochs", recipe->epochs);
    add_integer(out, "batch-size", recipe->batch_size);
    add_number(out, "lr", recipe->learning_rate);
    add_number(out, "momentum", recipe->momentum);
    add_number(out, "weight-decay", recipe->weight_decay);
    add_text(out, "optimizer", optimizer_option(recipe->optimizer));
    add_muon(out, "muon-lr", recipe, recipe->muon_rate);
    add_muon(out, "muon-momentum", recipe, recipe->muon_momentum);
    add_text(out, "augment", augment_option(recipe->augment));
    if (recipe->augment == AUGMENT_FLIP_CROP)
        add_integer(out, "crop", recipe->crop);
    else
        add_text(out, "crop", "");
}

/* The data set; for CIFAR-10 its name, because its folder may have moved. */
static const char *data_setting(const struct run_description *run) {
    bool synthetic = strcmp(run->dataset->name, "synthetic") == 0;
    return synthetic ? run->options->data : run->dataset->name;
}

void run_settings_list(struct run_settings *out, const struct run_description *run) {
    const struct options *options = run->options;
    char seed[TEXT_CAPACITY];
    snprintf(seed, sizeof seed, "%" PRIu64, options->seed);
    out->count = 0;
    add_recipe(out, &options->recipe);
    add_text(out, "data", data_setting(run));
    add_integer(out, "validation", run->dataset->validation);
    add_text(out, "seed", seed);
    add_flag(out, "no-shuffle", options->no_shuffle);
    add_integer(out, "max-steps", options->max_steps);
    add_text(out, "weights", options->weights);
    add_text(out, "device", run->device->backend->name);
    add_text(out, "precision", precision_option(options->device.precision));
    add_text(out, "batch-norm", batch_norm_option(options->device.batch_norm));
    add_flag(out, "fast-algorithms", options->device.fast_algorithms);
}

static void key_of(char out[KEY_CAPACITY], const struct run_setting *setting) {
    snprintf(out, KEY_CAPACITY, "setting.%s", setting->option);
}

/* ---- saving ---------------------------------------------------------------------------------- */

bool run_settings_put(json_t *object, const struct run_description *run) {
    struct run_settings list;
    run_settings_list(&list, run);
    for (int i = 0; i < list.count; i++) {
        char key[KEY_CAPACITY];
        key_of(key, &list.settings[i]);
        if (json_object_set_new(object, key, text_json(list.settings[i].value)) != 0)
            return false;
    }
    return true;
}

/* ---- comparing ------------------------------------------------------------------------------- */

bool run_setting_unset(const struct run_setting *setting, const char *value) {
    return value[0] == '\0' || strcmp(value, "no") == 0 ||
           ((strcmp(setting->option, "max-steps") == 0 ||
             strcmp(setting->option, "validation") == 0) &&
            strcmp(value, "0") == 0);
}

void run_setting_append(char *out, size_t capacity, const struct run_setting *setting,
                        const char *value) {
    size_t length = strlen(out);
    bool unset = run_setting_unset(setting, value), bare = unset || setting->flag;
    snprintf(out + length, capacity - length, "%s%s--%s%s%s", length == 0 ? "" : ", ",
             unset ? "no " : "", setting->option, bare ? "" : " ", bare ? "" : value);
}

enum status run_settings_check(struct error *error, const json_t *object,
                               const struct run_description *run, const char *path) {
    struct run_settings list;
    char then[sizeof error->text / 3] = "", now[sizeof then] = "";
    run_settings_list(&list, run);
    for (int i = 0; i < list.count; i++) {
        char key[KEY_CAPACITY];
        key_of(key, &list.settings[i]);
        const char *before = json_string_value(json_object_get(object, key));
        json_t *value = text_json(list.settings[i].value);
        if (value == NULL)
            return error_set(error, STATUS_FAILED, "out of memory for the settings of the run");
        bool same = before != NULL && strcmp(before, json_string_value(value)) == 0;
        json_decref(value);
        if (before == NULL)
            return error_set(error, STATUS_BAD_DATA,
                             "checkpoint '%s' lacks '%s': another build of this program wrote it; "
                             "resume it with that one, or choose another folder with --out",
                             path, key);
        if (same)
            continue;
        run_setting_append(then, sizeof then, &list.settings[i], before);
        run_setting_append(now, sizeof now, &list.settings[i], list.settings[i].value);
    }
    if (then[0] == '\0')
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "'%s' was started with other settings: %s; this run has %s; give the same "
                     "options to resume it, or choose another folder with --out",
                     path, then, now);
}
