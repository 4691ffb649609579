/* command_line.h: from the command line to struct options, and the help. */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include "error.h"
#include "run/options.h"

/* Reads the command line; argv[0] is skipped. An option given twice: the last one counts. Norm,
 * recipe, groups and the synthetic data set that are not given are those that the file of --weights
 * names.
 * Errors: STATUS_USAGE naming the option, the value and what is allowed; STATUS_FAILED: no memory.
 */
enum status command_line_parse(struct error *error, struct options *out, int argc,
                               char *const argv[]);

/* Releases what command_line_parse allocated; after a failure of it there is nothing to release. */
void command_line_free(struct options *options);

/* Prints the help to standard output: of the command that was named, or of all.
 * Errors: STATUS_FAILED. */
enum status command_line_help(struct error *error, const struct options *options);

#endif
