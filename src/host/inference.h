/* inference.h: a model with weights from a file, on a device, and a feed of images for it; shared
 * by `eval` and `predict`. `evaluate` (model/evaluate.h) is one pass over a feed, `eval` the
 * command. */
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
    json_t *metadata; /* of the weights file: an object of strings */
    struct feed *feed;
};

/* Builds the network of the options with the weights that they name, and a feed over `set`, in
 * order, in batches of --batch-size or, if the device gains by it, larger ones. `set` must outlive
 * it. `dataset` is the source of the images; NULL: unknown. Call inference_close even after an
 * error. Errors: STATUS_USAGE (groups; options that contradict the weights file), STATUS_NO_DEVICE,
 * STATUS_BAD_DATA (the weights), STATUS_FAILED. */
enum status inference_open(struct error *error, struct inference *out,
                           const struct options *options, const struct image_set *set,
                           const struct dataset *dataset);
void inference_close(struct inference *inference);

/* Prints network, weights, data and device, a line each; `data` describes the images. Errors:
 * STATUS_FAILED. */
enum status inference_print(struct error *error, const struct inference *inference,
                            const char *data);

#endif
