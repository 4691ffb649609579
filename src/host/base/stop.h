/* stop.h: stopping on SIGINT and SIGTERM at a step boundary. */
#ifndef STOP_H
#define STOP_H

#include "error.h"

/* From here on the first SIGINT or SIGTERM is remembered and the second ends the program at once. A
 * signal that the program was started to ignore (nohup, a background job of a script) stays
 * ignored. Errors: STATUS_FAILED. */
enum status stop_on_signals(struct error *error);

/* STATUS_OK, or STATUS_INTERRUPTED or STATUS_TERMINATED once a signal came. */
enum status stop_requested(void);

/* Lets writes to a closed pipe and beyond the limit on file sizes fail with an error instead of
 * killing the program, so that they can be reported. Errors: STATUS_FAILED. */
enum status stop_ignore_write_signals(struct error *error);

#endif
