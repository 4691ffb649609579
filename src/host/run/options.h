/* options.h: what the program was asked to do; command_line.c fills it in. */
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

/* A command line, resolved: defaults filled in, nothing left to look up. */
struct options {
    enum command command;
    bool command_named; /* false: none was given, which means `train` */
    bool help, version; /* print that and do nothing else */

    struct recipe recipe; /* the row of --recipe and --norm with what other options override */
    struct recipe recipes[NORM_COUNT]; /* compare: the same for each norm */
    char data[PATH_CAPACITY];          /* folder of the data set, or "synthetic:SEED" */
    struct device_request device;
    bool no_graph; /* run every step call by call instead of replaying a recording of it */
    uint64_t seed;
    bool no_shuffle;
    int64_t max_steps;           /* 0: no limit */
    char out[PATH_CAPACITY];     /* folder of the run; "": compare --runs is to choose it */
    char weights[PATH_CAPACITY]; /* file to start from or to use; "": none */
    const char **words;          /* [word_count], owned, the texts are argv's; predict: files of
                                    images; compare --runs: folders of runs */
    int word_count;
    bool runs; /* compare: read those runs and train none */
    int seeds; /* compare: runs for each norm, of this many seeds from `seed` on */
    struct int_list batch_sizes; /* compare: the sweep; empty: none */
    bool force;                  /* a run in it may be overwritten */
    bool resume;                 /* resume the run in it */
    float checkpoint_seconds;    /* between checkpoints within an epoch; 0: none there */
    int misclassified;           /* images that the report shows of those */
    bool no_report;
    bool tensorboard; /* write an event file into it */
    bool json;
    char png[PATH_CAPACITY]; /* summary: file to draw the network into; "": none */
    bool quiet, no_progress;
};

#endif
