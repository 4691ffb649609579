/* evaluate.c: loss and accuracy over a set of images. */
#include "evaluate.h"

#include <string.h>

struct score score_of(const struct counters *counters) {
    struct score score = {0};
    if (counters->images == 0)
        return score;
    score.loss = counters->loss / (double)counters->images;
    score.accuracy = 100.0 * (double)counters->correct / (double)counters->images;
    score.correct = counters->correct;
    score.images = counters->images;
    return score;
}

enum status evaluate(struct error *error, struct score *out, struct model *model,
                     struct feed *feed) {
    memset(out, 0, sizeof *out);
    const struct step_state state = {0}; /* nothing random and no update: neither number is read */
    const struct counters zero = {0};
    struct device_batch batch;
    if (model_set_counters(error, model, &zero) != STATUS_OK ||
        feed_begin(error, feed, 0, 0) != STATUS_OK ||
        feed_next(error, feed, &batch, &state) != STATUS_OK)
        return error->status;
    while (batch.count > 0) {
        if (model_evaluate_step(error, model, &batch) != STATUS_OK ||
            feed_release(error, feed) != STATUS_OK ||
            feed_next(error, feed, &batch, &state) != STATUS_OK)
            return error->status;
    }
    struct counters counters;
    if (model_take_counters(error, model, &counters) != STATUS_OK)
        return error->status;
    *out = score_of(&counters);
    return STATUS_OK;
}
