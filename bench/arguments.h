/* arguments.h: the command line of a benchmark: pairs of an option and its value, read as strictly
 * as the program's own (option_values.h). */
#ifndef BENCH_ARGUMENTS_H
#define BENCH_ARGUMENTS_H

#include "error.h"
#include "option_values.h"

/* Puts the values given into the members of *out that the table names. Errors: STATUS_USAGE. */
enum status arguments_parse(struct error *error, void *out, const struct option *table, int count,
                            int argc, char *const argv[]);

/* Prints the table as the help of `program`; returns whether --help was the only argument. */
bool arguments_help(const char *program, const struct option *table, int count, int argc,
                    char *const argv[]);

#endif
