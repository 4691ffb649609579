/* predict.h: the command `predict`. */
#ifndef PREDICT_H
#define PREDICT_H

#include "data/dataset.h"
#include "error.h"
#include "run/options.h"

/* Reads the images that the options name (data/image.h), and prints, as text or as one JSON object,
 * the classes that the network predicts with the given weights. Errors: STATUS_BAD_DATA (the first
 * image that cannot be read, before anything is printed; the weights), STATUS_USAGE (groups;
 * options that contradict the weights file), STATUS_NO_DEVICE, STATUS_FAILED. */
enum status predict(struct error *error, const struct options *options);

#endif
