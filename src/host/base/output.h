/* output.h: standard output, checked: a full disk or a closed pipe behind it is an error like any
 * other; and messages on standard error. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "error.h"

#include <jansson.h>

/* Prints to standard output. Errors: STATUS_FAILED. */
enum status output_print(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints how far a job has come whose results are in files, and flushes it. If that fails, a warning
 * says so once and nothing more is printed, but the work continues. */
void output_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a JSON object, indented, and releases it. NULL: there was no memory for it. Errors:
 * STATUS_FAILED. */
enum status output_json(struct error *error, json_t *object);

/* Prints one line to standard error, after the program's name; control bytes become '?', so that it
 * stays one line whatever a path in it holds. A failure to write cannot be reported. */
void output_message(const char *text);

/* The same from a printf format, after "note: " or "warning: ". */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void output_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Flushes standard output. Errors: STATUS_FAILED. */
enum status output_flush(struct error *error);

/* Opens /dev/null for each standard stream that is closed, so that no later file gets its number
 * and is written to by mistake. Using such a stream still fails. Errors: STATUS_FAILED. */
enum status output_prepare(struct error *error);

#endif
