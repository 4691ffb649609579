/* model_weights.c: exports and imports a model's weights, or its whole state, as named tensors. One
 * walk over the layers lists the tensors; their values pass through the staging memory on the way
 * to and from the device. */
#include "memory.h"
#include "model/model_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 8, SHAPE_CAPACITY = 128 };

/* What a list holds: the weights for inference, or all that is needed to resume training. */
enum extent { EXTENT_WEIGHTS, EXTENT_STATE };

static const char velocity_prefix[] = "velocity.";

/* The tensors of a network. */
struct state {
    struct tensor_list list;    /* without data */
    float *values[MAX_TENSORS]; /* in the staging memory; NULL: num_batches_tracked */
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

/* ---- lists ----------------------------------------------------------------------------------- */

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

enum status tensor_list_allocate(struct error *error, struct tensor_list *list, const char *what) {
    size_t bytes = 0;
    for (int i = 0; i < list->count; i++)
        bytes += aligned(list->tensors[i].bytes);
    if (memory_alloc(error, &list->storage, bytes, 1, what) != STATUS_OK)
        return error->status;
    const unsigned char *place = list->storage;
    for (int i = 0; i < list->count; i++) {
        list->tensors[i].data = place;
        place += aligned(list->tensors[i].bytes);
    }
    return STATUS_OK;
}

void *tensor_list_storage(const struct tensor_list *list, int i) {
    const unsigned char *place = list->tensors[i].data, *start = list->storage;
    return (unsigned char *)list->storage + (place - start);
}

void tensor_list_free(struct tensor_list *list) {
    memory_free(list->storage);
    memset(list, 0, sizeof *list);
}

static bool is_finite(const struct tensor *tensor) {
    const float *values = tensor->data;
    if (tensor->type != TENSOR_F32)
        return true;
    for (size_t i = 0; i < tensor->bytes / sizeof *values; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

const struct tensor *tensor_list_not_finite(const struct tensor_list *list) {
    for (int i = 0; i < list->count; i++)
        if (!is_finite(&list->tensors[i]))
            return &list->tensors[i];
    return NULL;
}

/* ---- the tensors of a network ---------------------------------------------------------------- */

/* Adds a tensor named "[prefix]layer.suffix". */
static void add(struct state *state, const char *prefix, const struct layer *layer,
                const char *suffix, float *values, int dimensions, const int64_t shape[]) {
    int place = state->list.count++;
    struct tensor *tensor = &state->list.tensors[place];
    tensor->type = values == NULL ? TENSOR_I64 : TENSOR_F32;
    tensor->dimensions = dimensions;
    tensor->bytes = tensor_type_bytes(tensor->type);
    for (int i = 0; i < dimensions; i++) {
        tensor->shape[i] = shape[i];
        tensor->bytes *= (size_t)shape[i];
    }
    snprintf(tensor->name, sizeof tensor->name, "%s%s.%s", prefix, layer->name, suffix);
    state->values[place] = values;
}

/* Adds the tensors that SGD updates, from an arena with the layout of the weights. */
static void add_parameters(struct state *state, const char *prefix, const struct layer *layer,
                           const struct layer_plan *place, float *arena) {
    int kernel = layer->kind == LAYER_LINEAR ? 1 : layer->kernel; /* 1x1 on a 1x1 map */
    const int64_t filters[] = {layer->out.channels, layer->in.channels, kernel, kernel};
    /* of a norm: [C], or [C, H, W] if per element */
    const int64_t map[] = {layer->out.channels, layer->out.height, layer->out.width};
    int dimensions = layer->per_element ? 3 : 1;
    if (layer->kind == LAYER_CONV || layer->kind == LAYER_LINEAR)
        add(state, prefix, layer, "weight", arena + place->weight, 4, filters);
    if (layer->kind != LAYER_NORM)
        return;
    add(state, prefix, layer, "weight", arena + place->weight, dimensions, map);
    add(state, prefix, layer, "bias", arena + place->bias, dimensions, map);
}

static void add_statistics(struct state *state, const struct layer *layer,
                           const struct layer_plan *place, float *statistics) {
    const int64_t shape[] = {layer->out.channels};
    if (layer->kind != LAYER_NORM || layer->norm != NORM_BATCH)
        return;
    add(state, "", layer, "running_mean", statistics + place->running_mean, 1, shape);
    add(state, "", layer, "running_var", statistics + place->running_var, 1, shape);
    add(state, "", layer, "num_batches_tracked", NULL, 0, NULL);
}

/* All tensors, in the order of the layers. */
static void list_state(struct state *out, const struct model *model, enum extent extent) {
    const struct staging staging = model_staging(model);
    const struct layer *layers = model->network.layers;
    const struct layer_plan *places = model->plan.layers;
    int count = model->network.layer_count;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < count; i++) {
        add_parameters(out, "", &layers[i], &places[i], staging.weights);
        add_statistics(out, &layers[i], &places[i], staging.statistics);
    }
    for (int i = 0; i < count && extent == EXTENT_STATE; i++)
        add_parameters(out, velocity_prefix, &layers[i], &places[i], staging.velocity);
}

/* ---- out of the model ------------------------------------------------------------------------ */

/* Enqueues copies of the standardized filters, which replace the raw ones in the staging memory. */
static enum status download_filters(struct error *error, struct model *model) {
    const unsigned char *activations = model->activations;
    if (model_standardize(error, model) != STATUS_OK)
        return error->status;
    for (int i = 0; i < model->network.layer_count; i++) {
        const struct layer *layer = &model->network.layers[i];
        if (layer->filter_norm <= 0)
            continue;
        const struct layer_plan *place = &model->plan.layers[i];
        if (model->backend->download(
                error, model->device, STREAM_COMPUTE, model_staging(model).weights + place->weight,
                activations + place->filter, (size_t)layer->weight_count * sizeof(float)))
            return error->status;
    }
    return STATUS_OK;
}

/* Fills the staging memory for a list of this extent. */
static enum status download_state(struct error *error, struct model *model, enum extent extent) {
    const struct backend *backend = model->backend;
    struct device *device = model->device;
    const struct staging to = model_staging(model);
    size_t parameters = model->plan.parameter_count * sizeof(float);
    if (backend->download(error, device, STREAM_COMPUTE, to.weights, model->weights, parameters) ||
        backend->download(error, device, STREAM_COMPUTE, to.statistics, model->statistics,
                          model->plan.statistics_count * sizeof(float)))
        return error->status;
    enum status status = STATUS_OK;
    switch (extent) {
    case EXTENT_WEIGHTS:
        status = download_filters(error, model);
        break;
    case EXTENT_STATE:
        status = backend->download(error, device, STREAM_COMPUTE, to.velocity, model->velocity,
                                   parameters);
        break;
    }
    return status == STATUS_OK ? model_wait(error, model) : status;
}

/* Copies the tensors of this extent to *out. */
static enum status copy_out(struct error *error, struct model *model, struct tensor_list *out,
                            enum extent extent) {
    struct state state;
    memset(out, 0, sizeof *out);
    list_state(&state, model, extent);
    if (download_state(error, model, extent) != STATUS_OK ||
        tensor_list_allocate(error, &state.list, "a copy of the weights") != STATUS_OK)
        return error->status;
    for (int i = 0; i < state.list.count; i++) {
        const void *from =
            state.values[i] == NULL ? (void *)&model->batches_tracked : (void *)state.values[i];
        memcpy(tensor_list_storage(&state.list, i), from, state.list.tensors[i].bytes);
    }
    *out = state.list;
    return STATUS_OK;
}

enum status model_export(struct error *error, struct model *model, struct tensor_list *out) {
    return copy_out(error, model, out, EXTENT_WEIGHTS);
}

enum status model_save_state(struct error *error, struct model *model, struct tensor_list *out) {
    return copy_out(error, model, out, EXTENT_STATE);
}

/* ---- into the model -------------------------------------------------------------------------- */

static const struct tensor *find(const struct tensor_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->tensors[i].name, name) == 0)
            return &list->tensors[i];
    return NULL;
}

/* The length of the prefix before a name of the network in `name`; -1: `name` does not end with
 * one. */
static int prefix_length(const struct tensor_list *network, const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < network->count; i++) {
        size_t own = strlen(network->tensors[i].name);
        if (own <= length && strcmp(name + length - own, network->tensors[i].name) == 0 &&
            (own == length || name[length - own - 1] == '.'))
            return (int)(length - own);
    }
    return -1;
}

void model_strip_prefix(char prefix[TENSOR_NAME_CAPACITY], struct tensor_list *list,
                        const struct model *model) {
    struct state state;
    list_state(&state, model, EXTENT_WEIGHTS);
    int length = list->count == 0 ? 0 : prefix_length(&state.list, list->tensors[0].name);
    prefix[0] = '\0';
    if (length <= 0)
        return;
    snprintf(prefix, TENSOR_NAME_CAPACITY, "%.*s", length, list->tensors[0].name);
    for (int i = 0; i < list->count; i++) {
        if (strncmp(list->tensors[i].name, prefix, (size_t)length) != 0) {
            prefix[0] = '\0';
            return;
        }
    }
    for (int i = 0; i < list->count; i++) {
        char *name = list->tensors[i].name;
        memmove(name, name + length, strlen(name + length) + 1);
    }
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
    return error_set(
        error, STATUS_BAD_DATA,
        "weights file '%s': tensor '%s' %s in the network of norm %s, recipe %s; choose "
        "the settings that it was trained with",
        path, name, fault, norm_option(network->norm), recipe_option(network->recipe));
}

/* A tensor that the network does not have. */
static enum status refuse_name(struct error *error, const struct model *model, const char *path,
                               const char *name) {
    if (strncmp(name, velocity_prefix, strlen(velocity_prefix)) == 0)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' is a checkpoint, with tensor '%s'; give the "
                         "model.safetensors or best.safetensors beside it",
                         path, name);
    return refuse(error, model, path, name, "is not known");
}

/* Checks that the list has all tensors of the network and no others. */
static enum status check_tensors(struct error *error, const struct model *model,
                                 const struct state *state, const struct tensor_list *list,
                                 const char *path) {
    char fault[2 * SHAPE_CAPACITY + 32], found[SHAPE_CAPACITY], wanted[SHAPE_CAPACITY];
    for (int i = 0; i < list->count; i++)
        if (list->tensors[i].bytes > 0 && find(&state->list, list->tensors[i].name) == NULL)
            return refuse_name(error, model, path, list->tensors[i].name);
    for (int i = 0; i < state->list.count; i++) {
        const struct tensor *expected = &state->list.tensors[i];
        const struct tensor *tensor = find(list, expected->name);
        if (tensor == NULL && state->values[i] == NULL)
            continue; /* old versions of PyTorch do not count batches */
        if (tensor == NULL)
            return refuse(error, model, path, expected->name, "is missing, but is needed");
        if (same_form(tensor, expected))
            continue;
        snprintf(fault, sizeof fault, "is %s, but %s", describe(found, tensor),
                 describe(wanted, expected));
        return refuse(error, model, path, expected->name, fault);
    }
    return STATUS_OK;
}

/* The number of training steps that the untrusted list gives; 0: none. */
static int64_t tracked(const struct tensor_list *list) {
    for (int i = 0; i < list->count; i++) {
        int64_t count;
        if (list->tensors[i].type != TENSOR_I64 || list->tensors[i].bytes < sizeof count)
            continue;
        memcpy(&count, list->tensors[i].data, sizeof count);
        return count < 0 || count > INT64_MAX / 2 ? 0 : count;
    }
    return 0;
}

/* Sets the model's state from a list of this extent; what the list does not hold becomes 0.
 * Standardized filters are copied like others: standardizing them again changes nothing, and their
 * lost original mean and norm have no effect on the output. */
static enum status copy_in(struct error *error, struct model *model, const struct tensor_list *list,
                           const char *path, enum extent extent) {
    struct state state;
    list_state(&state, model, extent);
    if (check_tensors(error, model, &state, list, path) != STATUS_OK)
        return error->status;
    model_clear_staging(model);
    for (int i = 0; i < state.list.count; i++)
        if (state.values[i] != NULL)
            memcpy(state.values[i], find(list, state.list.tensors[i].name)->data,
                   state.list.tensors[i].bytes);
    model->batches_tracked = tracked(list);
    return model_upload_state(error, model);
}

enum status model_import(struct error *error, struct model *model, const struct tensor_list *list,
                         const char *path) {
    return copy_in(error, model, list, path, EXTENT_WEIGHTS);
}

enum status model_restore_state(struct error *error, struct model *model,
                                const struct tensor_list *list, const char *path) {
    return copy_in(error, model, list, path, EXTENT_STATE);
}
