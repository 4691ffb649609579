/* predict.h: the command `predict`. */
#ifndef PREDICT_H
#define PREDICT_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Reads the images that the options name (image.h) and prints the classes of each as the network
 * with the weights that they name sees them, as text or as one JSON object. Errors: STATUS_BAD_DATA
 * (the first image that cannot be read, before anything is printed; the weights), STATUS_USAGE
 * (groups), STATUS_NO_DEVICE, STATUS_FAILED. */
enum status predict(struct error *error, const struct options *options);

#endif
