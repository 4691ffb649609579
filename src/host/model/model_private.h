/* model_private.h: what model.c (the walk), model_state.c (arenas, initial weights, counters) and
 * model_weights.c (weights by name) share. */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include "model/model.h"

enum {
    MAX_REPLAYS = 16
}; /* two slots of two feeds, each with two sizes of batch, and as many again */

/* A step that was run before: what its operations depend on, and their recording. */
struct replay {
    const uint8_t *images;          /* where the batch lies: its images ... */
    const struct step_state *state; /* ... and its state (and its labels, between them) */
    int count;
    bool training;
    struct recording *recording; /* NULL: run once, not yet recorded */
};

struct model {
    const struct backend *backend;
    struct device *device;
    const struct operations *operations;
    struct network network;
    struct plan plan;
    struct model_options options;

    /* device memory */
    float *weights, *gradients, *velocity; /* [plan.parameter_count] each */
    float *statistics;                     /* [plan.statistics_count] */
    unsigned char *activations;            /* plan.activation_bytes */
    void *workspace;
    struct counters *counters;

    struct counters *counters_host; /* pinned */
    float *logits_host;             /* pinned, [plan.batch][CLASS_COUNT] */
    float *staging; /* pinned: weights and velocity as on the device, with statistics between */
    struct event *done;

    int64_t batches_tracked; /* training steps since the initial weights */

    int replay_count;
    struct replay replays[MAX_REPLAYS];
};

/* One whole step as operations, called one by one: forward and, training, backward and SGD. */
enum status model_walk(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training);

/* Waits until all that was enqueued on the compute stream is done (model_state.c). */
enum status model_wait(struct error *error, struct model *model);

/* The parts of the staging memory. */
struct staging {
    float *weights, *statistics, *velocity;
};
struct staging model_staging(const struct model *model);

/* Copies the staging memory to the device, and waits; model_clear_staging makes all of it 0, the
 * padding between tensors included (model_state.c). */
enum status model_upload_state(struct error *error, struct model *model);
void model_clear_staging(struct model *model);

/* The output of the last layer, [batch][CLASS_COUNT], in device memory (model.c). */
const float *model_output(const struct model *model);

/* Drops all recordings (model_replay.c). */
void model_replay_clear(struct model *model);

/* The arguments of layer i's operations, with every pointer from the plan (model.c). */
struct conv_args model_conv_args(const struct model *model, int i, int batch);
struct filter_args model_filter_args(const struct model *model, int i);
struct norm_args model_norm_args(const struct model *model, int i, const struct device_batch *batch,
                                 bool training);

#endif
