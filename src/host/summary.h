/* summary.h: the command `summary`. */
#ifndef SUMMARY_H
#define SUMMARY_H

#include "error.h"
#include "run/options.h"

/* Prints the layer table of the network, as text or as one JSON object, and draws it first if
 * --png is given. Errors: STATUS_USAGE (groups), STATUS_FAILED. */
enum status summary(struct error *error, const struct options *options);

#endif
