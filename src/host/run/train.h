/* train.h: the command `train`. */
#ifndef TRAIN_H
#define TRAIN_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Opens the data set that the options name, and trains on it (train_on). */
enum status train(struct error *error, const struct options *options);

/* Trains the network that the options describe on `dataset` and writes the files of the run.
 * Nothing is written before options, data, device and folder are checked. Errors: all of error.h;
 * after STATUS_DIVERGED or a stop by a signal, the weights of the best epoch remain. */
enum status train_on(struct error *error, const struct options *options,
                     const struct dataset *dataset);

#endif
