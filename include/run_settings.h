/* run_settings.h: the settings that a run's results depend on, as option names and values, for a
 * checkpoint to remember and to compare. */
#ifndef RUN_SETTINGS_H
#define RUN_SETTINGS_H

#include "error.h"
#include "run.h"

#include <jansson.h>

/* Adds "setting.OPTION": "VALUE" for each of them to `object`; false: no memory. */
bool run_settings_put(json_t *object, const struct run_description *run);

/* Compares them with what run_settings_put left in `object`. Errors: STATUS_USAGE naming each
 * option that differs, with both values; STATUS_BAD_DATA when one is not there. `path` names the
 * file. */
enum status run_settings_check(struct error *error, const json_t *object,
                               const struct run_description *run, const char *path);

#endif
