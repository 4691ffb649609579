/* run_settings.h: the settings that a run's results depend on, as names and values of options.
 * Checkpoints save and compare them; the report shows them. */
#ifndef RUN_SETTINGS_H
#define RUN_SETTINGS_H

#include "base/files.h"
#include "error.h"
#include "run/run.h"

#include <jansson.h>

enum { MAX_RUN_SETTINGS = 32 };

struct run_setting {
    const char *option; /* without the dashes */
    bool flag;          /* an option without a value: "yes" or "no" */
    char value[PATH_CAPACITY];
};

struct run_settings {
    int count;
    struct run_setting settings[MAX_RUN_SETTINGS];
};

/* Lists the settings of the run, in the order in which the report shows them. */
void run_settings_list(struct run_settings *out, const struct run_description *run);

/* Appends an option to `out` in the form of a command line: "--lr 0.1", "--no-shuffle", or, if
 * `value` means that it was not given, "no --weights". If `out` is not empty, a comma comes first.
 * Text that does not fit is cut off. */
void run_setting_append(char *out, size_t capacity, const struct run_setting *setting,
                        const char *value);

/* Whether `value` means that the option was not given. */
bool run_setting_unset(const struct run_setting *setting, const char *value);

/* Adds "setting.OPTION": "VALUE" to `object` for each setting; false: no memory. */
bool run_settings_put(json_t *object, const struct run_description *run);

/* Compares the settings of `run` with those that run_settings_put added to `object`. `path` names
 * the file. Errors: STATUS_USAGE naming each option that differs, with both values;
 * STATUS_BAD_DATA: one is missing; STATUS_FAILED: no memory. */
enum status run_settings_check(struct error *error, const json_t *object,
                               const struct run_description *run, const char *path);

#endif
