/* info.h: the command `info`. */
#ifndef INFO_H
#define INFO_H

#include "error.h"
#include "run/options.h"

/* Prints the version, the built-in backends, library versions, and the devices found, with the
 * algorithms that each chooses for the convolutions of the network that the options describe.
 * Errors: STATUS_FAILED; STATUS_USAGE: the options describe no valid network. */
enum status info(struct error *error, const struct options *options);

#endif
