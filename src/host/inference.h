/* inference.h: weights from a file on a device, and a feed of images to them: what `eval` and
 * `predict` share. `evaluate` (model/evaluate.h) is one pass over a feed, `eval` the command. */
#ifndef INFERENCE_H
#define INFERENCE_H

#include "data/dataset.h"
#include "error.h"
#include "model/feed.h"
#include "model/model.h"
#include "network/network.h"
#include "run/options.h"

#include <jansson.h>

struct inference {
    const struct options *options;
    struct network network;
    struct device_choice device;
    struct model *model;
    json_t *metadata; /* what the weights file says of itself: an object of strings */
    struct feed *feed;
};

/* Builds the network that the options describe, with the weights that they name, and a feed over
 * `set` in its order, in batches of --batch-size. `set` must outlive it. `dataset` is the one that
 * the images are from, NULL: none that is known. inference_close is due even after an error:
 * STATUS_USAGE (groups; options that contradict the weights file), STATUS_NO_DEVICE, STATUS_BAD_DATA
 * (the weights), STATUS_FAILED. */
enum status inference_open(struct error *error, struct inference *out,
                           const struct options *options, const struct image_set *set,
                           const struct dataset *dataset);
void inference_close(struct inference *inference);

/* Prints network, weights, data and device, a line each; `data` says what the images are. */
enum status inference_print(struct error *error, const struct inference *inference,
                            const char *data);

#endif
