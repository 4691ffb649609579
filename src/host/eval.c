/* eval.c: the command `eval`: loss and accuracy of saved weights on the test set. */
#include "eval.h"

#include "base/output.h"
#include "base/text.h"
#include "inference.h"
#include "model/evaluate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

struct evaluation {
    const struct dataset *dataset;
    struct inference inference;
    struct score score;
};

static enum status print_text(struct error *error, const struct evaluation *e) {
    char images[TEXT_CAPACITY], correct[TEXT_CAPACITY], data[64];
    snprintf(data, sizeof data, "%s, %s test images", e->dataset->name,
             text_count(images, (int64_t)e->score.images));
    if (inference_print(error, &e->inference, data) != STATUS_OK)
        return error->status;
    return output_print(error, "test accuracy %.2f %% (%s right), loss %.4f\n", e->score.accuracy,
                        text_count(correct, (int64_t)e->score.correct), e->score.loss);
}

/* JSON has no NaN and no infinity, so such a loss becomes null. */
static json_t *score_json(const struct evaluation *e) {
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o}", "norm",
                     norm_option(e->inference.network.norm), "recipe",
                     recipe_option(e->inference.network.recipe), "dataset", e->dataset->name,
                     "device", e->inference.device.text, "total", (json_int_t)e->score.images,
                     "correct", (json_int_t)e->score.correct, "test_accuracy", e->score.accuracy,
                     "test_loss", isfinite(e->score.loss) ? json_real(e->score.loss) : json_null());
}

enum status eval_on(struct error *error, const struct options *options,
                    const struct dataset *dataset) {
    struct evaluation e = {.dataset = dataset};
    enum status status = inference_open(error, &e.inference, options, &dataset->test, dataset);
    if (status == STATUS_OK)
        status = evaluate(error, &e.score, NULL, e.inference.model, e.inference.feed);
    if (status == STATUS_OK)
        status = options->json ? output_json(error, score_json(&e)) : print_text(error, &e);
    if (status == STATUS_OK)
        status = output_flush(error);
    inference_close(&e.inference);
    return status;
}

enum status eval(struct error *error, const struct options *options) {
    struct dataset dataset;
    struct network network;
    if (network_build(error, &network, &options->recipe) != STATUS_OK || /* costs nothing */
        dataset_open_test(error, &dataset, options->data) != STATUS_OK)
        return error->status;
    enum status status = eval_on(error, options, &dataset);
    dataset_close(&dataset);
    return status;
}
