/* run_config.h: config.json: every setting of a run as resolved. */
#ifndef RUN_CONFIG_H
#define RUN_CONFIG_H

#include "error.h"
#include "run/run.h"

/* Writes config.json to `path`, whole or not at all, of a run that begins or resumes at `state`. Of
 * a resumed run, `device` stays the one that it began on; another one on which results may differ
 * in their last bits is warned of and added to `resumed_on`. Errors: STATUS_FAILED;
 * STATUS_BAD_DATA: the file there cannot be read. */
enum status run_config_write(struct error *error, const char *path,
                             const struct run_description *run, const struct run_state *state);

#endif
