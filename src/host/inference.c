/* inference.c: the set-up that `eval` and `predict` share. */
#include "inference.h"

#include "base/output.h"
#include "base/text.h"
#include "model/weights.h"
#include "run/device_setup.h"

enum status inference_open(struct error *error, struct inference *out,
                           const struct options *options, const struct image_set *set,
                           const struct dataset *dataset) {
    int asked = options->recipe.batch_size, batch = asked < set->count ? asked : set->count;
    const struct model_options model_options = {
        .batch = batch, .evaluation_images = set->count, .replay = !options->no_graph};
    const struct weights_origin use = {&options->recipe, dataset};
    *out = (struct inference){.options = options};
    if (network_build(error, &out->network, &options->recipe) != STATUS_OK ||
        device_set_up(error, &out->device, &options->device) != STATUS_OK ||
        model_set_up(error, &out->model, &out->device, &out->network, &model_options) !=
            STATUS_OK ||
        weights_load(error, out->model, &out->metadata, options->weights, &use) != STATUS_OK)
        return error->status;
    const struct loader_options loader_options = {.batch_size = model_evaluation_batch(out->model)};
    return feed_create(error, &out->feed, out->device.backend, out->device.device, set,
                       &loader_options);
}

void inference_close(struct inference *inference) {
    feed_destroy(inference->feed);
    model_destroy(inference->model);
    device_close(&inference->device);
    json_decref(inference->metadata);
}

enum status inference_print(struct error *error, const struct inference *inference,
                            const char *data) {
    const struct network *network = &inference->network;
    char parameters[TEXT_CAPACITY];
    return output_print(error,
                        "network: %s, recipe %s, %s parameters\n"
                        "weights: %s\n"
                        "data:    %s\n"
                        "device:  %s\n",
                        norm_title(network->norm), recipe_option(network->recipe),
                        text_count(parameters, network_parameters(network)),
                        inference->options->weights, data, inference->device.text);
}
