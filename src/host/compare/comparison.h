/* comparison.h: the command `compare`: the norms compared over several seeds. */
#ifndef COMPARISON_H
#define COMPARISON_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the data set that the options name and compares on it (below); with --runs, reads finished
 * runs from the named folders instead, and trains nothing. */
enum status compare(struct error *error, const struct options *options);

/* Trains every norm with every seed, with --batch-sizes also for each of these, every run into its
 * own folder below --out. A run of the same settings that exists is resumed or, if complete, only
 * read. Then writes compare.json, compare.md, compare.png and, after a sweep, sweep.png beside the
 * runs. All folders are checked before the first run is trained. Errors: those of train_on;
 * STATUS_USAGE if a folder holds a run of other settings. */
enum status compare_on(struct error *error, const struct options *options,
                       const struct dataset *dataset);

#endif
