/* options.h: the options of the program, as given on the command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base/files.h"
#include "model/device_choice.h"
#include "network/recipe.h"

#include <stdbool.h>
#include <stdint.h>

enum command {
    COMMAND_TRAIN,
    COMMAND_EVAL,
    COMMAND_PREDICT,
    COMMAND_COMPARE,
    COMMAND_SUMMARY,
    COMMAND_INFO
};
enum { COMMAND_COUNT = 6 };

enum { MAX_INTS = 16 };

struct int_list {
    int count;
    int values[MAX_INTS];
};

/* A resolved command line: all defaults are filled in. */
struct options {
    enum command command;
    bool command_named; /* false: no command was given, which means `train` */
    bool help, version; /* print it and do nothing else */

    struct recipe recipe; /* the row of --recipe and --norm, changed by other options */
    struct recipe recipes[NORM_COUNT]; /* compare: the same for each norm */
    char data[PATH_CAPACITY];          /* folder of the data set, or "synthetic:SEED" */
    struct device_request device;
    bool no_graph; /* call every operation of every step instead of replaying recorded steps */
    uint64_t seed;
    bool no_shuffle;
    int validation;              /* training images held out and evaluated; 0: the test set is */
    int64_t max_steps;           /* 0: no limit */
    char out[PATH_CAPACITY];     /* folder of the run; "": compare --runs chooses it */
    char weights[PATH_CAPACITY]; /* file to start from or to use; "": none */
    const char **words;          /* [word_count], owned, but the texts are argv's; predict: image
                                    files; compare --runs: folders of runs */
    int word_count;
    bool runs; /* compare: read the runs in `words` and train none */
    int seeds; /* compare: runs for each norm, with this many seeds from `seed` on */
    struct int_list batch_sizes; /* compare: the sweep; empty: none */
    bool force;                  /* overwrite a run in `out` */
    bool resume;                 /* resume the run in `out` */
    float checkpoint_seconds;    /* between checkpoints within an epoch; 0: none within it */
    int misclassified;           /* number of misclassified images in the report */
    bool no_report;
    bool tensorboard; /* write an event file into `out` */
    bool json;
    char png[PATH_CAPACITY]; /* summary: file to draw the network into; "": none */
    bool quiet, no_progress;
};

#endif
