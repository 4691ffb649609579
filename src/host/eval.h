/* eval.h: the command `eval`. */
#ifndef EVAL_H
#define EVAL_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the test set that the options name, and evaluates on it (eval_on). */
enum status eval(struct error *error, const struct options *options);

/* Prints, as text or as one JSON object, the loss and accuracy on dataset->test of the weights that
 * the options name. Errors: STATUS_USAGE (groups; options that contradict the weights file),
 * STATUS_NO_DEVICE, STATUS_BAD_DATA (the weights), STATUS_FAILED. */
enum status eval_on(struct error *error, const struct options *options,
                    const struct dataset *dataset);

#endif
