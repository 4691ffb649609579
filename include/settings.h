/* settings.h: what the program was asked to do. options.h fills it from the command line. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "device_choice.h"
#include "files.h"
#include "recipe.h"

#include <stdbool.h>
#include <stdint.h>

enum command { COMMAND_TRAIN, COMMAND_EVAL, COMMAND_PREDICT, COMMAND_SUMMARY, COMMAND_INFO };
enum { COMMAND_COUNT = 5 };

/* A command line, resolved: defaults filled in, nothing left to look up. */
struct options {
    enum command command;
    bool command_named; /* false: `train` because nothing else was said */
    bool help, version; /* print that and do nothing else */

    struct recipe recipe;     /* the row of --recipe and --norm with what other options override */
    char data[PATH_CAPACITY]; /* folder of the data set, or "synthetic" */
    struct device_request device;
    bool no_graph; /* run every step call by call instead of replaying a recording of it */
    uint64_t seed;
    bool no_shuffle;
    int64_t max_steps;           /* 0: no limit */
    char out[PATH_CAPACITY];     /* folder of the run */
    char weights[PATH_CAPACITY]; /* file to start from or to use; "": none */
    const char **images;         /* [image_count], files to predict; owned, the texts are argv's */
    int image_count;
    bool force;               /* a finished run in it may be overwritten */
    bool resume;              /* go on with the run in it */
    float checkpoint_seconds; /* between checkpoints within an epoch; 0: none there */
    int misclassified;        /* images that the report shows of those */
    bool no_report;
    bool tensorboard; /* write an event file into it */
    bool json;
    char png[PATH_CAPACITY]; /* summary: file to draw the network into; "": none */
    bool quiet, no_progress;
};

#endif
