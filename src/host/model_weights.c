/* model_weights.c: a model's weights by name, out of it and into it. One walk over the layers says
 * which tensors there are; their values lie in the staging memory on their way to and from the
 * device. */
#include "memory.h"
#include "model_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 8, SHAPE_CAPACITY = 128 };

/* The tensors of a network. */
struct state {
    struct tensor_list list;    /* no data */
    float *values[MAX_TENSORS]; /* place in the staging memory; NULL: num_batches_tracked */
};

const char *tensor_type_name(enum tensor_type type) {
    switch (type) {
    case TENSOR_F32:
        return "F32";
    case TENSOR_I64:
        return "I64";
    }
    return "";
}

size_t tensor_type_bytes(enum tensor_type type) {
    switch (type) {
    case TENSOR_F32:
        return sizeof(float);
    case TENSOR_I64:
        return sizeof(int64_t);
    }
    return 0;
}

/* ---- which tensors there are ----------------------------------------------------------------- */

/* Adds a tensor named "layer.suffix". */
static void add(struct state *state, const struct layer *layer, const char *suffix, float *values,
                int dimensions, const int64_t shape[]) {
    int place = state->list.count++;
    struct tensor *tensor = &state->list.tensors[place];
    tensor->type = values == NULL ? TENSOR_I64 : TENSOR_F32;
    tensor->dimensions = dimensions;
    tensor->bytes = tensor_type_bytes(tensor->type);
    for (int i = 0; i < dimensions; i++) {
        tensor->shape[i] = shape[i];
        tensor->bytes *= (size_t)shape[i];
    }
    snprintf(tensor->name, sizeof tensor->name, "%s.%s", layer->name, suffix);
    state->values[place] = values;
}

static void add_norm(struct state *state, const struct layer *layer, const struct layer_plan *place,
                     float *weights, float *running) {
    /* [C], or [C, H, W] where each element has its own */
    const int64_t shape[] = {layer->out.channels, layer->out.height, layer->out.width};
    int dimensions = layer->per_element ? 3 : 1;
    add(state, layer, "weight", weights + place->weight, dimensions, shape);
    add(state, layer, "bias", weights + place->bias, dimensions, shape);
    if (layer->norm != NORM_BATCH)
        return;
    add(state, layer, "running_mean", running + place->running_mean, 1, shape);
    add(state, layer, "running_var", running + place->running_var, 1, shape);
    add(state, layer, "num_batches_tracked", NULL, 0, NULL);
}

/* All of them, in the order of the layers. */
static void list_state(struct state *out, const struct model *model) {
    float *weights = model->staging, *running = weights + model->plan.parameter_count;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < model->network.layer_count; i++) {
        const struct layer *layer = &model->network.layers[i];
        const struct layer_plan *place = &model->plan.layers[i];
        int kernel = layer->kind == LAYER_LINEAR ? 1 : layer->kernel; /* 1x1 on a 1x1 map */
        const int64_t shape[] = {layer->out.channels, layer->in.channels, kernel, kernel};
        if (layer->kind == LAYER_CONV || layer->kind == LAYER_LINEAR)
            add(out, layer, "weight", weights + place->weight, 4, shape);
        if (layer->kind == LAYER_NORM)
            add_norm(out, layer, place, weights, running);
    }
}

/* ---- out of the model ------------------------------------------------------------------------ */

/* Downloads weights and statistics to the staging memory; standardized filters in place of the raw
 * ones. */
static enum status download_state(struct error *error, struct model *model) {
    const struct backend *backend = model->backend;
    struct device *device = model->device;
    float *weights = model->staging, *running = weights + model->plan.parameter_count;
    if (backend->download(error, device, STREAM_COMPUTE, weights, model->weights,
                          model->plan.parameter_count * sizeof(float)) ||
        backend->download(error, device, STREAM_COMPUTE, running, model->statistics,
                          model->plan.statistics_count * sizeof(float)))
        return error->status;
    for (int i = 0; i < model->network.layer_count; i++) {
        const struct layer *layer = &model->network.layers[i];
        if (layer->filter_norm <= 0)
            continue;
        struct filter_args filter = model_filter_args(model, i);
        if (model->operations->filter_forward(error, device, &filter) ||
            backend->download(error, device, STREAM_COMPUTE, weights + model->plan.layers[i].weight,
                              filter.y, (size_t)layer->weight_count * sizeof(float)))
            return error->status;
    }
    return model_wait(error, model);
}

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

enum status model_export(struct error *error, struct model *model, struct tensor_list *out,
                         int64_t batches_tracked) {
    struct state state;
    size_t bytes = 0;
    memset(out, 0, sizeof *out);
    list_state(&state, model);
    for (int i = 0; i < state.list.count; i++)
        bytes += aligned(state.list.tensors[i].bytes);
    if (download_state(error, model) != STATUS_OK ||
        memory_alloc(error, &state.list.storage, bytes, 1, "a copy of the weights") != STATUS_OK)
        return error->status;
    unsigned char *to = state.list.storage;
    for (int i = 0; i < state.list.count; i++) {
        struct tensor *tensor = &state.list.tensors[i];
        const void *from = state.values[i];
        memcpy(to, from == NULL ? &batches_tracked : from, tensor->bytes);
        tensor->data = to;
        to += aligned(tensor->bytes);
    }
    *out = state.list;
    return STATUS_OK;
}

void tensor_list_free(struct tensor_list *list) {
    memory_free(list->storage);
    memset(list, 0, sizeof *list);
}

/* ---- into the model -------------------------------------------------------------------------- */

static const struct tensor *find(const struct tensor_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->tensors[i].name, name) == 0)
            return &list->tensors[i];
    return NULL;
}

/* "F32 [16, 3, 3, 3]" */
static const char *describe(char out[SHAPE_CAPACITY], const struct tensor *tensor) {
    int length = snprintf(out, SHAPE_CAPACITY, "%s [", tensor_type_name(tensor->type));
    for (int i = 0; i < tensor->dimensions; i++)
        length += snprintf(out + length, (size_t)(SHAPE_CAPACITY - length), "%s%" PRId64,
                           i == 0 ? "" : ", ", tensor->shape[i]);
    snprintf(out + length, (size_t)(SHAPE_CAPACITY - length), "]");
    return out;
}

static bool same_form(const struct tensor *a, const struct tensor *b) {
    return a->type == b->type && a->dimensions == b->dimensions &&
           memcmp(a->shape, b->shape, (size_t)a->dimensions * sizeof a->shape[0]) == 0;
}

static enum status refuse(struct error *error, const struct model *model, const char *path,
                          const char *name, const char *fault) {
    const struct network *network = &model->network;
    return error_set(error, STATUS_BAD_DATA,
                     "weights file '%s': tensor '%s' %s in the network of --norm %s --recipe %s; "
                     "give the options that it was trained with",
                     path, name, fault, norm_option(network->norm), recipe_option(network->recipe));
}

/* Whether the list has what the network has, and nothing else. */
static enum status check_tensors(struct error *error, const struct model *model,
                                 const struct state *state, const struct tensor_list *list,
                                 const char *path) {
    char fault[2 * SHAPE_CAPACITY + 32], found[SHAPE_CAPACITY], wanted[SHAPE_CAPACITY];
    for (int i = 0; i < list->count; i++)
        if (find(&state->list, list->tensors[i].name) == NULL)
            return refuse(error, model, path, list->tensors[i].name, "is not known");
    for (int i = 0; i < state->list.count; i++) {
        const struct tensor *due = &state->list.tensors[i];
        const struct tensor *tensor = find(list, due->name);
        if (tensor == NULL && state->values[i] == NULL)
            continue; /* older PyTorch does not count batches, and nothing here asks for it */
        if (tensor == NULL)
            return refuse(error, model, path, due->name, "is missing, but is needed");
        if (same_form(tensor, due))
            continue;
        snprintf(fault, sizeof fault, "is %s, but %s", describe(found, tensor),
                 describe(wanted, due));
        return refuse(error, model, path, due->name, fault);
    }
    return STATUS_OK;
}

enum status model_import(struct error *error, struct model *model, const struct tensor_list *list,
                         const char *path) {
    struct state state;
    list_state(&state, model);
    if (check_tensors(error, model, &state, list, path) != STATUS_OK)
        return error->status;
    size_t floats = model->plan.parameter_count + model->plan.statistics_count;
    memset(model->staging, 0, floats * sizeof(float)); /* the padding between tensors */
    /* Standardized filters go in like others: standardizing them again changes nothing, and their
     * mean and norm, which were lost, never reach the output. */
    for (int i = 0; i < state.list.count; i++)
        if (state.values[i] != NULL)
            memcpy(state.values[i], find(list, state.list.tensors[i].name)->data,
                   state.list.tensors[i].bytes);
    return model_upload_state(error, model);
}
