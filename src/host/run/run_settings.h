/* run_settings.h: the settings that a run's results depend on, as option names and values, for a
 * checkpoint to remember and to compare, and for the report to show. */
#ifndef RUN_SETTINGS_H
#define RUN_SETTINGS_H

#include "base/files.h"
#include "error.h"
#include "run/run.h"

#include <jansson.h>

enum { MAX_RUN_SETTINGS = 24 };

struct run_setting {
    const char *option; /* without the dashes */
    bool flag;          /* an option without a value: "yes" or "no" */
    char value[PATH_CAPACITY];
};

struct run_settings {
    int count;
    struct run_setting settings[MAX_RUN_SETTINGS];
};

void run_settings_list(struct run_settings *out, const struct run_description *run);

/* Appends an option to `out` as it is given: "--lr 0.1", "--no-shuffle", or "no --weights" if
 * `value` says that it was not given; after a comma if `out` is not empty. What does not fit is cut
 * off. */
void run_setting_append(char *out, size_t capacity, const struct run_setting *setting,
                        const char *value);

/* Whether `value` says that the option was not given. */
bool run_setting_unset(const struct run_setting *setting, const char *value);

/* Adds "setting.OPTION": "VALUE" for each of them to `object`; false: no memory. */
bool run_settings_put(json_t *object, const struct run_description *run);

/* Compares them with what run_settings_put left in `object`. Errors: STATUS_USAGE naming each
 * option that differs, with both values; STATUS_BAD_DATA when one is missing. `path` names the
 * file. */
enum status run_settings_check(struct error *error, const json_t *object,
                               const struct run_description *run, const char *path);

#endif
