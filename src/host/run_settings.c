/* run_settings.c: the settings that a run's results depend on. What changes nothing but speed or
 * looks (--threads, --no-graph, --quiet) is not among them. */
#include "run_settings.h"

#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SETTINGS = 24, KEY_CAPACITY = 48 };

struct setting {
    const char *option; /* without the dashes */
    bool flag;          /* an option without a value: "yes" or "no" */
    char value[PATH_CAPACITY];
};

struct setting_list {
    int count;
    struct setting settings[MAX_SETTINGS];
};

/* ---- which there are ------------------------------------------------------------------------- */

static void add_text(struct setting_list *list, const char *option, const char *value) {
    struct setting *setting = &list->settings[list->count++];
    *setting = (struct setting){.option = option};
    snprintf(setting->value, sizeof setting->value, "%s", value);
}

static void add_number(struct setting_list *list, const char *option, float value) {
    char text[TEXT_CAPACITY];
    snprintf(text, sizeof text, "%.9g", text_decimal(value));
    add_text(list, option, text);
}

static void add_integer(struct setting_list *list, const char *option, int64_t value) {
    char text[TEXT_CAPACITY];
    snprintf(text, sizeof text, "%" PRId64, value);
    add_text(list, option, text);
}

static void add_flag(struct setting_list *list, const char *option, bool value) {
    add_text(list, option, value ? "yes" : "no");
    list->settings[list->count - 1].flag = true;
}

static void add_recipe(struct setting_list *out, const struct recipe *recipe) {
    add_text(out, "norm", norm_option(recipe->norm));
    add_text(out, "recipe", recipe_option(recipe->kind));
    add_integer(out, "groups", recipe->groups);
    add_number(out, "dropout", recipe->dropout);
    add_integer(out, "epochs", recipe->epochs);
    add_integer(out, "batch-size", recipe->batch_size);
    add_number(out, "lr", recipe->learning_rate);
    add_number(out, "momentum", recipe->momentum);
    add_number(out, "weight-decay", recipe->weight_decay);
    add_text(out, "augment", augment_option(recipe->augment));
}

static void list_settings(struct setting_list *out, const struct run_description *run) {
    const struct options *options = run->options;
    char seed[TEXT_CAPACITY];
    snprintf(seed, sizeof seed, "%" PRIu64, options->seed);
    out->count = 0;
    add_recipe(out, &options->recipe);
    add_text(out, "data", run->dataset->name);
    add_text(out, "seed", seed);
    add_flag(out, "no-shuffle", options->no_shuffle);
    add_integer(out, "max-steps", options->max_steps);
    add_text(out, "weights", options->weights);
    add_text(out, "device", run->device->backend->name);
    add_text(out, "precision", precision_option(options->device.precision));
    add_flag(out, "fast-algorithms", options->device.fast_algorithms);
}

static void key_of(char out[KEY_CAPACITY], const struct setting *setting) {
    snprintf(out, KEY_CAPACITY, "setting.%s", setting->option);
}

/* ---- remembering ----------------------------------------------------------------------------- */

bool run_settings_put(json_t *object, const struct run_description *run) {
    struct setting_list list;
    list_settings(&list, run);
    for (int i = 0; i < list.count; i++) {
        char key[KEY_CAPACITY];
        key_of(key, &list.settings[i]);
        if (json_object_set_new(object, key, text_json(list.settings[i].value)) != 0)
            return false;
    }
    return true;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Adds ", --lr 0.1", or ", no --weights" for an option that was not given. */
static void add_to(char *out, size_t capacity, const struct setting *setting, const char *value) {
    size_t length = strlen(out);
    bool unset = value[0] == '\0' || strcmp(value, "no") == 0 ||
                 (strcmp(setting->option, "max-steps") == 0 && strcmp(value, "0") == 0);
    snprintf(out + length, capacity - length, "%s%s--%s%s%s", length == 0 ? "" : ", ",
             unset ? "no " : "", setting->option, unset || setting->flag ? "" : " ",
             unset || setting->flag ? "" : value);
}

enum status run_settings_check(struct error *error, const json_t *object,
                               const struct run_description *run, const char *path) {
    struct setting_list list;
    char then[sizeof error->text / 3] = "", now[sizeof then] = "";
    list_settings(&list, run);
    for (int i = 0; i < list.count; i++) {
        char key[KEY_CAPACITY];
        key_of(key, &list.settings[i]);
        const char *before = json_string_value(json_object_get(object, key));
        json_t *due = text_json(list.settings[i].value);
        if (due == NULL)
            return error_set(error, STATUS_FAILED, "out of memory for the settings of the run");
        bool same = before != NULL && strcmp(before, json_string_value(due)) == 0;
        json_decref(due);
        if (before == NULL)
            return error_set(error, STATUS_BAD_DATA,
                             "checkpoint '%s' lacks '%s': it is none of this program", path, key);
        if (same)
            continue;
        add_to(then, sizeof then, &list.settings[i], before);
        add_to(now, sizeof now, &list.settings[i], list.settings[i].value);
    }
    if (then[0] == '\0')
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "'%s' was started with other settings: %s; this run has %s; give the same "
                     "options to go on with it, or choose another folder with --out",
                     path, then, now);
}
