/* run_config.h: config.json: every setting of a run, with defaults filled in. */
#ifndef RUN_CONFIG_H
#define RUN_CONFIG_H

#include "error.h"
#include "run/run.h"

/* Writes config.json to `path`, whole or not at all, for a run that starts or resumes at `state`.
 * In a resumed run, `device` stays the one that it started on. If the last bits of results may
 * differ on the current device, it is added to `resumed_on`, with a warning. Errors: STATUS_FAILED;
 * STATUS_BAD_DATA: the earlier file cannot be read. */
enum status run_config_write(struct error *error, const char *path,
                             const struct run_description *run, const struct run_state *state);

#endif
