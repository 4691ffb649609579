/* info.h: the command `info`. */
#ifndef INFO_H
#define INFO_H

#include "error.h"

#include <stdbool.h>

/* Prints version, backends built in, devices found, library versions. Errors: STATUS_FAILED. */
enum status info(struct error *error, bool json);

#endif
