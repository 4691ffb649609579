/* train.h: the command `train`. */
#ifndef TRAIN_H
#define TRAIN_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the data set that the options name and trains on it (below). */
enum status train(struct error *error, const struct options *options);

/* Trains the network that the options describe on `dataset` and writes the files of the run.
 * Nothing is written before options, data, device and folder have been checked. Errors: all of
 * error.h; STATUS_DIVERGED and a stop by a signal keep the weights of the best epoch. */
enum status train_on(struct error *error, const struct options *options,
                     const struct dataset *dataset);

#endif
