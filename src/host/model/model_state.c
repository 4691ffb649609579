/* model_state.c: a model's memory on the device, its initial weights and its counters. */
#include "data/dataset.h"
#include "memory.h"
#include "model/model_private.h"
#include "philox.h"

#include <math.h>
#include <string.h>

/* Offsets of the workspaces in their common block. The first is shared by all operations. */
struct workspaces {
    size_t filters;           /* of deferred filter gradients */
    size_t norms[MAX_LAYERS]; /* of a norm with deferred gradients; 0: it uses the shared one */
    size_t bytes;
};

/* Reserves `bytes` at *end, and advances *end to the next multiple of 256. */
static size_t reserve(size_t *end, size_t bytes) {
    size_t offset = *end;
    *end += (bytes + 255) / 256 * 256;
    return offset;
}

/* For training, and for an evaluation whose operations need `evaluation` bytes. */
static struct workspaces find_workspaces(const struct model *model, size_t evaluation) {
    const struct operations *op = model->operations;
    const struct device_batch batch = {.count = model->plan.batch};
    struct workspaces places = {0};
    size_t convolutions = 1, shared = evaluation, norms[MAX_LAYERS] = {0};
    for (int i = 0; i < model->network.layer_count; i++) {
        const struct layer *layer = &model->network.layers[i];
        if (layer->kind == LAYER_CONV) {
            const struct conv_args conv = conv_shape_args(layer, batch.count);
            size_t bytes = op->conv_workspace(model->device, &conv);
            convolutions = bytes > convolutions ? bytes : convolutions;
        } else if (layer->kind == LAYER_NORM) {
            const struct norm_args norm = model_norm_args(model, i, &batch, true);
            size_t bytes = op->norm[layer->norm].workspace(model->device, &norm);
            if (norm.deferred)
                norms[i] = bytes + 1;
            else
                shared = bytes > shared ? bytes : shared;
        }
    }
    struct muon_matrix matrices[MAX_LAYERS];
    const struct muon_args muon = model_muon_args(matrices, model, NULL);
    size_t muon_bytes = op->muon_workspace(model->device, &muon);
    shared = muon_bytes > shared ? muon_bytes : shared;
    reserve(&places.bytes, shared > convolutions ? shared : convolutions);
    if (op->finish_gradients != NULL)
        places.filters = reserve(&places.bytes, convolutions);
    for (int i = 0; i < model->network.layer_count; i++)
        if (norms[i] > 0)
            places.norms[i] = reserve(&places.bytes, norms[i]);
    return places;
}

static enum status allocate_workspaces(struct error *error, struct model *model,
                                       const struct workspaces *places) {
    unsigned char *memory;
    if (model->backend->alloc(error, model->device, &memory, places->bytes,
                              "the workspace of a batch") != STATUS_OK)
        return error->status;
    model->workspace = memory;
    if (places->filters > 0)
        model->filter_workspace = memory + places->filters;
    for (int i = 0; i < model->network.layer_count; i++)
        if (places->norms[i] > 0)
            model->norm_workspace[i] = memory + places->norms[i];
    return STATUS_OK;
}

/* Bytes of device memory that the plan needs beside the workspace, with the slots of two feeds, two
 * slots each. */
static size_t plan_bytes(const struct plan *plan) {
    size_t images = (size_t)plan->batch + (size_t)plan->evaluation_batch;
    return 3 * plan->parameter_count * sizeof(float) + plan->statistics_count * sizeof(float) +
           plan->activation_bytes + 2 * images * IMAGE_BYTES;
}

/* The same with the workspace, for batches of up to `batch`: exact for model->plan.batch, whose
 * workspace is given. For a smaller batch an estimate, as if the workspace grew with the batch. */
static size_t bytes_needed(const struct model *model, size_t workspace, int batch) {
    struct plan plan;
    plan_make(&plan, &model->network, batch, batch);
    size_t share = workspace / (size_t)model->plan.batch + 1;
    return plan_bytes(&plan) + share * (size_t)batch;
}

/* Of `left` bytes: allocations are rounded up, and libraries load kernels. */
static size_t usable_bytes(size_t left) {
    return left - left / 16;
}

/* Checks that the model fits before anything is allocated. If the backend does not know how much
 * memory is free, only allocating will tell. */
static enum status check_memory(struct error *error, struct model *model, size_t workspace) {
    const double mebibyte = 1024.0 * 1024;
    size_t left = model->backend->memory_left(model->device);
    size_t needed = bytes_needed(model, workspace, model->plan.batch);
    size_t usable = usable_bytes(left);
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

/* The largest workspace of an evaluation: only convolutions use one. */
static size_t evaluation_workspace(const struct model *model, int batch) {
    size_t most = 0;
    for (int i = 0; i < model->network.layer_count; i++) {
        struct conv_args conv = conv_shape_args(&model->network.layers[i], batch);
        size_t bytes = model->network.layers[i].kind == LAYER_CONV
                           ? model->operations->conv_workspace(model->device, &conv)
                           : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Plans for larger batches in evaluation than in training, where the backend gains by them and
 * there is memory for them. */
static void widen_evaluation(struct model *model, struct workspaces *workspaces) {
    int images = model->options.evaluation_images, busy = model->backend->evaluation_batch;
    int batch = images < busy ? images : busy;
    size_t left = model->backend->memory_left(model->device);
    struct plan plan;
    if (batch <= model->plan.batch)
        return;
    const struct workspaces wider = find_workspaces(model, evaluation_workspace(model, batch));
    plan_make(&plan, &model->network, model->plan.batch, batch);
    if (plan_bytes(&plan) + wider.bytes > usable_bytes(left))
        return;
    model->plan = plan;
    *workspaces = wider;
}

static enum status allocate(struct error *error, struct model *model) {
    const struct backend *backend = model->backend;
    struct workspaces workspaces = find_workspaces(model, 0);
    if (check_memory(error, model, workspaces.bytes) != STATUS_OK)
        return error->status;
    widen_evaluation(model, &workspaces);
    struct device *device = model->device;
    size_t parameters = model->plan.parameter_count * sizeof(float);
    size_t statistics = model->plan.statistics_count * sizeof(float);
    size_t logits = (size_t)model->plan.evaluation_batch * CLASS_COUNT * sizeof(float);
    if (backend->alloc(error, device, &model->weights, parameters, "the weights") ||
        backend->alloc(error, device, &model->gradients, parameters, "the gradients") ||
        backend->alloc(error, device, &model->velocity, parameters, "the momentum") ||
        backend->alloc(error, device, &model->statistics, statistics, "running statistics") ||
        backend->alloc(error, device, &model->counters, sizeof *model->counters, "counters") ||
        backend->alloc(error, device, &model->activations, model->plan.activation_bytes,
                       "the activations of a batch") ||
        allocate_workspaces(error, model, &workspaces) ||
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
    plan_make(&model->plan, network, options->batch, options->batch);
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

int model_evaluation_batch(const struct model *model) {
    int images = model->options.evaluation_images, most = model->plan.evaluation_batch;
    return images < most ? images : most;
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
    model->standardized = false;
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
