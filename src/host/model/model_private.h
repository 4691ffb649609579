/* model_private.h: shared by model.c (the walk), model_replay.c (recordings), model_state.c
 * (arenas, initial weights, counters) and model_weights.c (weights by name). */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include "model/model.h"

/* Two feeds of two slots, each with two batch sizes, make 8; twice that leaves room. */
enum { MAX_REPLAYS = 16 };

/* A kind of step that was run before: what its operations depend on, and their recording. */
struct replay {
    const uint8_t *images;          /* addresses of the batch; its labels lie between the two */
    const struct step_state *state; /* the same */
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
    void *workspace;                       /* of all operations, and what follows */
    void *filter_workspace;                /* of deferred filter gradients; NULL: none */
    void *norm_workspace[MAX_LAYERS];      /* of norms with deferred gradients; NULL: none */
    struct counters *counters;

    struct counters *counters_host; /* pinned */
    float *logits_host;             /* pinned, [plan.evaluation_batch][CLASS_COUNT] */
    float *staging; /* pinned: weights, statistics, velocity, laid out as on the device */
    struct event *done;

    bool standardized;       /* the filters of the present weights are */
    int64_t batches_tracked; /* training steps since the initial weights */

    int replay_count;
    struct replay replays[MAX_REPLAYS];
};

/* Standardizes the filters of all layers that want it. */
enum status model_standardize(struct error *error, struct model *model);

/* Calls the operations of a whole step one by one. With `training`: filters, forward, backward and
 * SGD. Otherwise forward alone, with the filters of the last model_standardize. */
enum status model_walk(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training);

/* Waits for all work enqueued on the compute stream (model_state.c). */
enum status model_wait(struct error *error, struct model *model);

/* The parts of the staging memory. */
struct staging {
    float *weights, *statistics, *velocity;
};
struct staging model_staging(const struct model *model);

/* Copies the staging memory to the device, and waits; model_clear_staging sets all of it to 0,
 * including the padding between tensors (model_state.c). */
enum status model_upload_state(struct error *error, struct model *model);
void model_clear_staging(struct model *model);

/* The output of the last layer, [batch][CLASS_COUNT], in device memory (model.c). */
const float *model_output(const struct model *model);

/* Destroys all recordings (model_replay.c). */
void model_replay_clear(struct model *model);

/* Muon's arguments; count 0 without it. `matrices` holds the filters (model.c). */
struct muon_args model_muon_args(struct muon_matrix matrices[MAX_LAYERS], const struct model *model,
                                 const struct step_state *state);

/* The arguments of layer i's operations, with all pointers (model.c). */
struct conv_args model_conv_args(const struct model *model, int i, int batch, bool training);
struct norm_args model_norm_args(const struct model *model, int i, const struct device_batch *batch,
                                 bool training);

#endif
