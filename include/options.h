/* options.h: the command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "error.h"
#include "settings.h"

/* Reads the command line; argv[0] is skipped. An option given twice: the last one counts.
 * Errors: STATUS_USAGE naming the option, the value and what is allowed; STATUS_FAILED: no memory.
 */
enum status options_parse(struct error *error, struct options *out, int argc, char *const argv[]);

/* Releases what options_parse allocated; after a failure of it there is nothing to release. */
void options_free(struct options *options);

/* Prints the help to standard output: of the command that was named, or of all.
 * Errors: STATUS_FAILED. */
enum status options_print_help(struct error *error, const struct options *options);

#endif
