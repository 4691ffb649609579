/* command_line.h: parses the command line into struct options, and prints the help. */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include "error.h"
#include "run/options.h"

/* Parses the command line; skips argv[0]. If an option is given twice, the last one counts. If
 * norm, recipe, groups or data set are not given, they come from the file of --weights, if that has
 * them. Release with command_line_free. Errors: STATUS_USAGE naming the option, the value and what
 * is allowed; STATUS_FAILED: no memory. */
enum status command_line_parse(struct error *error, struct options *out, int argc,
                               char *const argv[]);

/* Releases what command_line_parse allocated; after a failure, nothing. */
void command_line_free(struct options *options);

/* Prints the help of the given command, or of all commands, to standard output. Errors:
 * STATUS_FAILED. */
enum status command_line_help(struct error *error, const struct options *options);

#endif
