/* comparison.h: the command `compare`: the norms held against each other over several seeds. */
#ifndef COMPARISON_H
#define COMPARISON_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the data set that the options name and compares on it (below); with --runs it reads the
 * finished runs in the folders that are named instead, and trains nothing. */
enum status compare(struct error *error, const struct options *options);

/* Trains bn, gn and ln with each of the seeds, and with --batch-sizes once more for each of these,
 * every run into a folder of its own below --out; runs that are there already, of the same
 * settings, are read or gone on with. Then writes compare.json, compare.md, compare.png and, after
 * a sweep, sweep.png beside them. All folders are looked at before the first run is trained.
 * Errors: those of train_on, STATUS_USAGE where a folder holds a run of other settings. */
enum status compare_on(struct error *error, const struct options *options,
                       const struct dataset *dataset);

#endif
