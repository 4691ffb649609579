/* evaluate.c: loss, accuracy and logits over a set of images. */
#include "model/evaluate.h"

#include <math.h>
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

void softmax(double out[CLASS_COUNT], const float logits[CLASS_COUNT]) {
    double sum = 0;
    float most = logits[0];
    for (int i = 1; i < CLASS_COUNT; i++)
        most = logits[i] > most ? logits[i] : most;
    for (int i = 0; i < CLASS_COUNT; i++) {
        out[i] = exp((double)logits[i] - (double)most);
        sum += out[i];
    }
    for (int i = 0; i < CLASS_COUNT; i++)
        out[i] /= sum;
}

/* Runs one batch through the model, and copies its logits to `logits` unless that is NULL. */
static enum status evaluate_batch(struct error *error, float *logits, struct model *model,
                                  struct feed *feed, const struct device_batch *batch) {
    if (model_step(error, model, batch, false) != STATUS_OK ||
        feed_release(error, feed) != STATUS_OK)
        return error->status;
    return logits == NULL ? STATUS_OK : model_logits(error, model, logits, batch->count);
}

enum status evaluate(struct error *error, struct score *out, float *logits, struct model *model,
                     struct feed *feed) {
    memset(out, 0, sizeof *out);
    const struct step_state state = {0}; /* not used in evaluation */
    struct counters counters = {0};
    struct device_batch batch;
    if (model_set_counters(error, model, &counters) != STATUS_OK ||
        feed_begin(error, feed, 0, 0) != STATUS_OK ||
        feed_next(error, feed, &batch, &state) != STATUS_OK)
        return error->status;
    while (batch.count > 0) {
        if (evaluate_batch(error, logits, model, feed, &batch) != STATUS_OK)
            return error->status;
        if (logits != NULL)
            logits += (size_t)batch.count * CLASS_COUNT;
        if (feed_next(error, feed, &batch, &state) != STATUS_OK)
            return error->status;
    }
    if (model_take_counters(error, model, &counters) != STATUS_OK)
        return error->status;
    *out = score_of(&counters);
    return STATUS_OK;
}
