/* model_replay.c: runs a step, operation by operation or as a replay.
 *
 * The operations of a step depend on the addresses and size of its batch and on whether it trains;
 * they read what changes from step to step from device memory. So the first step of each kind is
 * walked (libraries initialize themselves in it), the second is recorded, and from then on the
 * recording is replayed: one call instead of 60 to 90. */
#include "model/model_private.h"

/* The entry of this kind of step; NULL: it has not been run before. */
static struct replay *find(struct model *model, const struct device_batch *batch, bool training) {
    for (int i = 0; i < model->replay_count; i++) {
        struct replay *replay = &model->replays[i];
        if (replay->images == batch->images && replay->state == batch->state &&
            replay->count == batch->count && replay->training == training)
            return replay;
    }
    return NULL;
}

/* Remembers that this kind of step was walked. If there is no room, it is walked every time. */
static void remember(struct model *model, const struct device_batch *batch, bool training) {
    if (model->replay_count < MAX_REPLAYS)
        model->replays[model->replay_count++] = (struct replay){.images = batch->images,
                                                                .state = batch->state,
                                                                .count = batch->count,
                                                                .training = training};
}

static enum status record(struct error *error, struct model *model, struct replay *replay,
                          const struct device_batch *batch) {
    const struct backend *backend = model->backend;
    if (backend->record_begin(error, model->device) != STATUS_OK)
        return error->status;
    if (model_walk(error, model, batch, replay->training) != STATUS_OK) {
        backend->record_cancel(model->device);
        return error->status;
    }
    return backend->record_end(error, model->device, &replay->recording);
}

enum status model_step(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training) {
    bool replays = model->options.replay && model->backend->replay != NULL;
    struct replay *replay = replays ? find(model, batch, training) : NULL;
    enum status status = STATUS_OK;
    if (!training && !model->standardized)
        status = model_standardize(error, model);
    if (status != STATUS_OK)
        return status;
    model->standardized = !training;
    if (replay == NULL) {
        status = model_walk(error, model, batch, training);
        if (replays)
            remember(model, batch, training);
    } else {
        status = replay->recording == NULL ? record(error, model, replay, batch) : STATUS_OK;
        if (status == STATUS_OK)
            status = model->backend->replay(error, model->device, replay->recording);
    }
    if (status == STATUS_OK && training)
        model->batches_tracked++;
    return status;
}

void model_replay_clear(struct model *model) {
    for (int i = 0; i < model->replay_count; i++)
        if (model->replays[i].recording != NULL)
            model->backend->recording_destroy(model->device, model->replays[i].recording);
    model->replay_count = 0;
}
