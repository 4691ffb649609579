/* output.h: checked printing to standard output, where a full disk or a closed pipe is an error
 * like any other; and messages on standard error. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "error.h"

#include <jansson.h>

/* Prints to standard output. Errors: STATUS_FAILED. */
enum status output_print(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints and flushes the progress of a job whose results go to files. If that fails, one warning
 * says so and nothing more is printed, but the job continues. */
void output_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a JSON object, indented, and releases it; NULL means that there was no memory for it.
 * Errors: STATUS_FAILED. */
enum status output_json(struct error *error, json_t *object);

/* Prints one line to standard error, after the program's name. `text` holds no control bytes, like
 * that of an error. A failure to write cannot be reported. */
void output_message(const char *text);

/* The same from a printf format, after "note: " or "warning: "; control bytes become '?'. */
void output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void output_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Flushes standard output. Errors: STATUS_FAILED. */
enum status output_flush(struct error *error);

/* Opens /dev/null for each closed standard stream, so that no later file gets its descriptor and is
 * written to by mistake. Using such a stream still fails. Errors: STATUS_FAILED. */
enum status output_prepare(struct error *error);

#endif
