/* model_state.c: a model's memory on the device, its initial weights and its counters. */
#include "data/dataset.h"
#include "memory.h"
#include "model/model_private.h"
#include "philox.h"

#include <math.h>
#include <string.h>

/* The largest workspace that any operation needs. */
static size_t workspace_bytes(const struct model *model) {
    struct device_batch batch = {.count = model->plan.batch};
    size_t most = 1;
    for (int i = 0; i < model->network.layer_count; i++) {
        size_t bytes = 0;
        if (model->network.layers[i].kind == LAYER_CONV) {
            struct conv_args conv = model_conv_args(model, i, batch.count);
            bytes = model->operations->conv_workspace(model->device, &conv);
        } else if (model->network.layers[i].kind == LAYER_NORM) {
            struct norm_args norm = model_norm_args(model, i, &batch, true);
            bytes = model->operations->norm[model->network.layers[i].norm].workspace(model->device,
                                                                                     &norm);
        }
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Bytes of device memory needed for batches of up to `batch`, given the workspace for
 * model->plan.batch: no operation's workspace grows faster than the batch. Includes the four slots
 * of two feeds. */
static size_t bytes_needed(const struct model *model, size_t workspace, int batch) {
    struct plan plan;
    plan_make(&plan, &model->network, batch);
    size_t share = workspace / (size_t)model->plan.batch + 1;
    return 3 * plan.parameter_count * sizeof(float) + plan.statistics_count * sizeof(float) +
           plan.activation_bytes + share * (size_t)batch + (size_t)4 * (size_t)batch * IMAGE_BYTES;
}

/* Checks that the model fits before anything is allocated. If the backend does not know how much
 * memory is free, only allocating will tell. */
static enum status check_memory(struct error *error, struct model *model, size_t workspace) {
    const double mebibyte = 1024.0 * 1024;
    size_t left = model->backend->memory_left(model->device);
    size_t needed = bytes_needed(model, workspace, model->plan.batch);
    size_t usable = left - left / 16; /* allocations are rounded up, and libraries load kernels */
    if (left == 0 || needed <= usable)
        return STATUS_OK;
    int fits = 0;
    for (int step = 1 << 16; step > 0; step /= 2)
        if (fits + step < model->plan.batch &&
            bytes_needed(model, workspace, fits + step) <= usable)
            fits += step;
    if (fits == 0)
        return error_set(error, STATUS_FAILED,
                         "out of device memory: a batch of %d images needs %.1f MiB, %.1f MiB are "
                         "free, of which a sixteenth is kept back, and no smaller batch fits; end "
                         "other programs on the device",
                         model->plan.batch, (double)needed / mebibyte, (double)left / mebibyte);
    return error_set(error, STATUS_FAILED,
                     "out of device memory: a batch of %d images needs %.1f MiB, %.1f MiB are "
                     "free, of which a sixteenth is kept back; a batch of %d would fit",
                     model->plan.batch, (double)needed / mebibyte, (double)left / mebibyte, fits);
}

static enum status allocate(struct error *error, struct model *model) {
    const struct backend *backend = model->backend;
    size_t workspace = workspace_bytes(model);
    if (check_memory(error, model, workspace) != STATUS_OK)
        return error->status;
    struct device *device = model->device;
    size_t parameters = model->plan.parameter_count * sizeof(float);
    size_t statistics = model->plan.statistics_count * sizeof(float);
    size_t logits = (size_t)model->plan.batch * CLASS_COUNT * sizeof(float);
    if (backend->alloc(error, device, &model->weights, parameters, "the weights") ||
        backend->alloc(error, device, &model->gradients, parameters, "the gradients") ||
        backend->alloc(error, device, &model->velocity, parameters, "the momentum") ||
        backend->alloc(error, device, &model->statistics, statistics, "running statistics") ||
        backend->alloc(error, device, &model->counters, sizeof *model->counters, "counters") ||
        backend->alloc(error, device, &model->activations, model->plan.activation_bytes,
                       "the activations of a batch") ||
        backend->alloc(error, device, &model->workspace, workspace, "the workspace of a batch") ||
        backend->alloc_pinned(error, device, &model->counters_host, sizeof *model->counters_host,
                              "counters on the host") ||
        backend->alloc_pinned(error, device, &model->logits_host, logits, "logits on the host") ||
        backend->alloc_pinned(error, device, &model->staging, 2 * parameters + statistics,
                              "the weights on the host") ||
        backend->event_create(error, device, &model->done) ||
        backend->clear(error, device, STREAM_COMPUTE, model->counters, sizeof *model->counters))
        return error->status;
    return STATUS_OK;
}

enum status model_create(struct error *error, struct model **out, const struct backend *backend,
                         struct device *device, const struct network *network,
                         const struct model_options *options) {
    struct model *model;
    *out = NULL;
    if (memory_alloc(error, &model, 1, sizeof *model, "the model") != STATUS_OK)
        return error->status;
    model->backend = backend;
    model->device = device;
    model->operations = backend->operations(device);
    model->network = *network;
    model->options = *options;
    plan_make(&model->plan, network, options->batch);
    if (allocate(error, model) != STATUS_OK) {
        model_destroy(model);
        return error->status;
    }
    *out = model;
    return STATUS_OK;
}

void model_destroy(struct model *model) {
    if (model == NULL)
        return;
    model_replay_clear(model);
    void *on_device[] = {model->weights,     model->gradients, model->velocity, model->statistics,
                         model->activations, model->workspace, model->counters};
    for (size_t i = 0; i < sizeof on_device / sizeof on_device[0]; i++)
        if (on_device[i] != NULL)
            model->backend->release(model->device, on_device[i]);
    if (model->counters_host != NULL)
        model->backend->release_pinned(model->device, model->counters_host);
    if (model->logits_host != NULL)
        model->backend->release_pinned(model->device, model->logits_host);
    if (model->staging != NULL)
        model->backend->release_pinned(model->device, model->staging);
    if (model->done != NULL)
        model->backend->event_destroy(model->device, model->done);
    memory_free(model);
}

enum status model_wait(struct error *error, struct model *model) {
    if (model->backend->event_record(error, model->device, model->done, STREAM_COMPUTE) !=
        STATUS_OK)
        return error->status;
    return model->backend->event_synchronize(error, model->device, model->done);
}

/* Uniform in +-1/sqrt(fan_in). */
static void fill_uniform(float *weight, int count, int fan_in, uint64_t seed, int layer) {
    float bound = 1 / sqrtf((float)fan_in);
    for (int i = 0; i < count; i++) {
        uint32_t stream = PHILOX_INITIAL_WEIGHTS + (uint32_t)layer;
        struct philox_block draw = philox(seed, stream, 0, (uint32_t)i / 4);
        weight[i] = (2 * philox_uniform(draw.word[i % 4]) - 1) * bound;
    }
}

static void fill(float *values, int count, float value) {
    for (int i = 0; i < count; i++)
        values[i] = value;
}

static void initial_layer(float *weights, float *statistics, const struct layer *layer,
                          const struct layer_plan *place, int index, uint64_t seed) {
    if (layer->kind == LAYER_CONV || layer->kind == LAYER_LINEAR)
        fill_uniform(weights + place->weight, layer->weight_count,
                     layer->weight_count / layer->out.channels, seed, index);
    if (layer->kind != LAYER_NORM)
        return;
    fill(weights + place->weight, layer->weight_count, 1);
    fill(weights + place->bias, layer->bias_count, 0);
    if (layer->norm != NORM_BATCH)
        return;
    fill(statistics + place->running_mean, layer->out.channels, 0);
    fill(statistics + place->running_var, layer->out.channels, 1);
}

struct staging model_staging(const struct model *model) {
    float *weights = model->staging, *statistics = weights + model->plan.parameter_count;
    return (struct staging){weights, statistics, statistics + model->plan.statistics_count};
}

void model_clear_staging(struct model *model) {
    size_t floats = 2 * model->plan.parameter_count + model->plan.statistics_count;
    memset(model->staging, 0, floats * sizeof(float));
}

enum status model_upload_state(struct error *error, struct model *model) {
    const struct backend *backend = model->backend;
    const struct staging from = model_staging(model);
    size_t parameters = model->plan.parameter_count * sizeof(float);
    if (backend->upload(error, model->device, STREAM_COMPUTE, model->weights, from.weights,
                        parameters) ||
        backend->upload(error, model->device, STREAM_COMPUTE, model->statistics, from.statistics,
                        model->plan.statistics_count * sizeof(float)) ||
        backend->upload(error, model->device, STREAM_COMPUTE, model->velocity, from.velocity,
                        parameters))
        return error->status;
    return model_wait(error, model);
}

enum status model_initialize(struct error *error, struct model *model, uint64_t seed) {
    const struct staging to = model_staging(model);
    model_clear_staging(model);
    model->batches_tracked = 0;
    for (int i = 0; i < model->network.layer_count; i++)
        initial_layer(to.weights, to.statistics, &model->network.layers[i], &model->plan.layers[i],
                      i, seed);
    return model_upload_state(error, model);
}

enum status model_logits(struct error *error, struct model *model, float *out, int count) {
    size_t bytes = (size_t)count * CLASS_COUNT * sizeof *out;
    if (model->backend->download(error, model->device, STREAM_COMPUTE, model->logits_host,
                                 model_output(model), bytes) ||
        model_wait(error, model))
        return error->status;
    memcpy(out, model->logits_host, bytes);
    return STATUS_OK;
}

enum status model_read_counters(struct error *error, struct model *model, struct counters *out) {
    if (model->backend->download(error, model->device, STREAM_COMPUTE, model->counters_host,
                                 model->counters, sizeof *model->counters) ||
        model_wait(error, model))
        return error->status;
    *out = *model->counters_host;
    return STATUS_OK;
}

enum status model_take_counters(struct error *error, struct model *model, struct counters *out) {
    if (model_read_counters(error, model, out) != STATUS_OK)
        return error->status;
    return model->backend->clear(error, model->device, STREAM_COMPUTE, model->counters,
                                 sizeof *model->counters);
}

enum status model_set_counters(struct error *error, struct model *model,
                               const struct counters *start) {
    *model->counters_host = *start;
    if (model->backend->upload(error, model->device, STREAM_COMPUTE, model->counters,
                               model->counters_host, sizeof *start))
        return error->status;
    return model_wait(error, model);
}
