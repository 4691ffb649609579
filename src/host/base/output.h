/* output.h: standard output, checked: a full disk or a closed pipe behind it is an error like any
 * other; and messages on standard error. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "error.h"

#include <jansson.h>

/* Prints to standard output. Errors: STATUS_FAILED. */
enum status output_print(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints a note on work whose results are in files, and hands it to the system. Where that fails, a
 * warning says so once; the work goes on, and later notes are left out. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a JSON object, indented, and releases it. NULL stands for one that there was no memory
 * for. Errors: STATUS_FAILED. */
enum status output_json(struct error *error, json_t *object);

/* Prints one line to standard error, after the program's name; control bytes become '?', so that it
 * stays one line whatever a path or a value in it holds. A failure to write has nowhere to be told.
 */
void output_message(const char *text);

/* The same from a printf format, after "warning: ". */
void output_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Hands what was printed to the system. Errors: STATUS_FAILED. */
enum status output_flush(struct error *error);

/* Opens whatever of the three standard streams is closed, so that no later file takes its place and
 * is written to by mistake. A stream that was closed still fails when it is written to. Errors:
 * STATUS_FAILED. */
enum status output_prepare(struct error *error);

#endif
