/* eval.h: the command `eval`. */
#ifndef EVAL_H
#define EVAL_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the test set that the options name and evaluates on it (below). */
enum status eval(struct error *error, const struct options *options);

/* Prints loss and accuracy of the weights that the options name on dataset->test, as text or as one
 * JSON object. Errors: STATUS_USAGE (groups), STATUS_NO_DEVICE, STATUS_BAD_DATA (the weights),
 * STATUS_FAILED. */
enum status eval_on(struct error *error, const struct options *options,
                    const struct dataset *dataset);

#endif
