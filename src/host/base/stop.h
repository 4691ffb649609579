/* stop.h: remembers signals that ask the program to stop, so that it stops at a point of its own
 * choice. */
#ifndef STOP_H
#define STOP_H

#include "error.h"

/* Starts to remember SIGINT, SIGTERM, SIGHUP (the terminal was closed) and SIGUSR1 (batch systems
 * announce the end of a job with it). A second SIGINT or SIGTERM ends the program at once; the
 * other two do not, because a closed terminal often sends SIGHUP twice. A signal that was ignored
 * at the start of the program (nohup, a background job of a script) stays ignored. Errors:
 * STATUS_FAILED. */
enum status stop_on_signals(struct error *error);

/* STATUS_OK, or, after a signal, its exit status: 128 plus its number. */
enum status stop_requested(void);

/* The name of the signal whose exit status this is; NULL: it is another status. */
const char *stop_signal_name(enum status status);

/* Makes a write to a closed pipe, or beyond the limit on file sizes, fail with an error that can be
 * reported, instead of killing the program. Errors: STATUS_FAILED. */
enum status stop_ignore_write_signals(struct error *error);

#endif
