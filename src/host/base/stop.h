/* stop.h: stopping at a step boundary when a signal asks for it. */
#ifndef STOP_H
#define STOP_H

#include "error.h"

/* From here on SIGINT, SIGTERM, SIGHUP (the terminal was closed) and SIGUSR1 (how batch systems
 * announce the end of a job) are remembered. The second SIGINT or SIGTERM ends the program at once;
 * the other two do not, for a closed terminal often sends its signal twice. A signal that the
 * program was started to ignore (nohup, a background job of a script) stays ignored. Errors:
 * STATUS_FAILED. */
enum status stop_on_signals(struct error *error);

/* STATUS_OK, or once a signal came the exit status for it: 128 and its number. */
enum status stop_requested(void);

/* The name of the signal that the status stands for; NULL: it stands for none. */
const char *stop_signal_name(enum status status);

/* Lets writes to a closed pipe and beyond the limit on file sizes fail with an error instead of
 * killing the program, so that they can be reported. Errors: STATUS_FAILED. */
enum status stop_ignore_write_signals(struct error *error);

#endif
