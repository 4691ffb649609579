/* info.h: the command `info`. */
#ifndef INFO_H
#define INFO_H

#include "error.h"
#include "run/options.h"

/* Prints version, backends built in, devices found with the algorithms that each chooses for the
 * convolutions of the network that the options describe, library versions. Errors: STATUS_FAILED;
 * STATUS_USAGE for a recipe that makes no network. */
enum status info(struct error *error, const struct options *options);

#endif
