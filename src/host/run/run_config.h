/* run_config.h: config.json: every setting of a run as resolved. */
#ifndef RUN_CONFIG_H
#define RUN_CONFIG_H

#include "error.h"
#include "run/run.h"

/* Writes `folder`/`name`, whole or not at all. Errors: STATUS_FAILED. */
enum status run_config_write(struct error *error, const char *folder, const char *name,
                             const struct run_description *run);

#endif
