/* options.h: the command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "device_choice.h"
#include "error.h"
#include "files.h"
#include "recipe.h"

#include <stdbool.h>
#include <stdint.h>

enum command { COMMAND_TRAIN, COMMAND_SUMMARY, COMMAND_INFO };
enum { COMMAND_COUNT = 3 };

/* A command line, resolved: defaults filled in, nothing left to look up. */
struct options {
    enum command command;
    bool command_named; /* false: `train` because nothing else was said */
    bool help, version; /* print that and do nothing else */

    struct recipe recipe;     /* the row of --recipe and --norm with what other options override */
    char data[PATH_CAPACITY]; /* folder of the data set, or "synthetic" */
    struct device_request device;
    uint64_t seed;
    bool no_shuffle;
    int64_t max_steps;       /* 0: no limit */
    char out[PATH_CAPACITY]; /* folder of the run */
    bool force;              /* a finished run in it may be overwritten */
    bool json;
    bool quiet, no_progress;
};

/* Reads the command line; argv[0] is skipped. An option given twice: the last one counts.
 * Errors: STATUS_USAGE naming the option, the value and what is allowed. */
enum status options_parse(struct error *error, struct options *out, int argc, char *const argv[]);

/* Prints the help to standard output: of the command that was named, or of all.
 * Errors: STATUS_FAILED. */
enum status options_print_help(struct error *error, const struct options *options);

#endif
