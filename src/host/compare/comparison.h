/* comparison.h: the command `compare`: the norms compared over several seeds. */
#ifndef COMPARISON_H
#define COMPARISON_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the data set that the options name, and compares on it (compare_on). With --runs, trains
 * nothing and reads finished runs from the given folders. Errors: as compare_on. */
enum status compare(struct error *error, const struct options *options);

/* Trains every norm with every seed, and again for each of --batch-sizes, each run in its own
 * folder in --out. An existing run with the same settings is resumed or, if complete, only read.
 * Then writes compare.json, compare.md, compare.png and, after a sweep, sweep.png to --out. Checks
 * all folders before it trains the first run. Errors: those of train_on; STATUS_USAGE if a folder
 * holds a run with other settings. */
enum status compare_on(struct error *error, const struct options *options,
                       const struct dataset *dataset);

#endif
