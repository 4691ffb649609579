/* eval.c: the command `eval`: loss and accuracy of saved weights on the test set. */
#include "eval.h"

#include "evaluate.h"
#include "output.h"
#include "text.h"
#include "weights.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

struct evaluation {
    const struct options *options;
    const struct dataset *dataset;
    struct network network;
    struct device_choice device;
    struct model *model;
    struct feed *feed;
    struct score score;
};

/* Network, device, weights, images. */
static enum status set_up(struct error *error, struct evaluation *out) {
    const struct options *options = out->options;
    const struct image_set *set = &out->dataset->test;
    int asked = options->recipe.batch_size, batch = asked < set->count ? asked : set->count;
    const struct model_options model_options = {.batch = batch, .replay = !options->no_graph};
    const struct loader_options loader_options = {.batch_size = batch};
    if (network_build(error, &out->network, &options->recipe) != STATUS_OK ||
        device_choose(error, &out->device, backends, &options->device) != STATUS_OK ||
        model_create(error, &out->model, out->device.backend, out->device.device, &out->network,
                     &model_options) != STATUS_OK ||
        weights_load(error, out->model, NULL, options->weights) != STATUS_OK)
        return error->status;
    return feed_create(error, &out->feed, out->device.backend, out->device.device, set,
                       &loader_options);
}

static enum status print_text(struct error *error, const struct evaluation *e) {
    char parameters[TEXT_CAPACITY], images[TEXT_CAPACITY], correct[TEXT_CAPACITY];
    return output_print(
        error,
        "network: %s, recipe %s, %s parameters\n"
        "weights: %s\n"
        "data:    %s, %s test images\n"
        "device:  %s\n"
        "test accuracy %.2f %% (%s right), loss %.4f\n",
        norm_title(e->network.norm), recipe_option(e->network.recipe),
        text_count(parameters, network_parameters(&e->network)), e->options->weights,
        e->dataset->name, text_count(images, (int64_t)e->score.images), e->device.text,
        e->score.accuracy, text_count(correct, (int64_t)e->score.correct), e->score.loss);
}

/* JSON has no NaN and no infinity: such a loss is null. */
static json_t *score_json(const struct evaluation *e) {
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o}", "norm",
                     norm_option(e->network.norm), "recipe", recipe_option(e->network.recipe),
                     "dataset", e->dataset->name, "device", e->device.text, "total",
                     (json_int_t)e->score.images, "correct", (json_int_t)e->score.correct,
                     "test_accuracy", e->score.accuracy, "test_loss",
                     isfinite(e->score.loss) ? json_real(e->score.loss) : json_null());
}

enum status eval_on(struct error *error, const struct options *options,
                    const struct dataset *dataset) {
    struct evaluation e = {.options = options, .dataset = dataset};
    enum status status = set_up(error, &e);
    if (status == STATUS_OK)
        status = evaluate(error, &e.score, e.model, e.feed);
    if (status == STATUS_OK)
        status = options->json ? output_json(error, score_json(&e)) : print_text(error, &e);
    if (status == STATUS_OK)
        status = output_flush(error);
    feed_destroy(e.feed);
    model_destroy(e.model);
    device_close(&e.device);
    return status;
}

enum status eval(struct error *error, const struct options *options) {
    struct dataset dataset;
    struct network network;
    if (network_build(error, &network, &options->recipe) != STATUS_OK || /* costs nothing */
        dataset_open_test(error, &dataset, options->data, options->seed) != STATUS_OK)
        return error->status;
    enum status status = eval_on(error, options, &dataset);
    dataset_close(&dataset);
    return status;
}
