/* kernel_list.c: the operations that are bound by memory, with the shapes of the networks. */
#include "kernel_list.h"

#include "data/dataset.h"
#include "network/plan.h"

#include <stdio.h>
#include <string.h>

/* ---- the list -------------------------------------------------------------------------------- */

/* Appends the kernel unless the list has one of the same name and shape. */
static enum status append(struct error *error, struct kernel_list *list,
                          const struct kernel *kernel) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->kernels[i].operation, kernel->operation) == 0 &&
            strcmp(list->kernels[i].shape, kernel->shape) == 0)
            return STATUS_OK;
    if (list->count == MAX_KERNELS)
        return error_set(error, STATUS_FAILED, "more than %d kernels", MAX_KERNELS);
    list->kernels[list->count++] = *kernel;
    return STATUS_OK;
}

static void name_layer(struct kernel *kernel) {
    const struct layer *layer = &kernel->layer;
    const struct shape in = layer->in;
    bool norm = layer->kind == LAYER_NORM;
    const char *skip = layer->kind == LAYER_POOL && layer->skip != LAYER_NONE ? ", skip" : "";
    static const char *const orders[] = {
        [RELU_BEFORE] = ", ReLU first", [RELU_AFTER] = ", ReLU last", [SILU_AFTER] = ", SiLU last"};
    const char *order = norm ? orders[layer->activation] : "";
    char groups[24] = "", dropout[24] = "";
    if (norm && layer->norm == NORM_GROUP)
        snprintf(groups, sizeof groups, ", %d groups", layer->groups);
    if (norm && layer->dropout > 0)
        snprintf(dropout, sizeof dropout, ", dropout");
    snprintf(kernel->operation, sizeof kernel->operation, "%s%s_%s",
             kernel->batch_norm == BATCH_NORM_OWN ? "own_" : "", layer_type(layer),
             kernel->backward ? "backward" : "forward");
    snprintf(kernel->shape, sizeof kernel->shape, "%dx%dx%d%s%s%s%s%s", in.channels, in.height,
             in.width, groups, layer->per_element ? ", per element" : "", skip, order, dropout);
}

/* A layer's operations: its own, or for a convolution those on its filters. */
static enum status append_layer(struct error *error, struct kernel_list *list,
                                const struct layer *layer, enum batch_norm batch_norm) {
    bool filters = layer->kind == LAYER_CONV && layer->filter_norm > 0;
    if (layer->kind == LAYER_LINEAR || (layer->kind == LAYER_CONV && !filters))
        return STATUS_OK;
    for (int backward = 0; backward < 2; backward++) {
        struct kernel kernel = {.kind = filters ? KERNEL_FILTER : KERNEL_LAYER,
                                .backward = backward == 1,
                                .batch_norm = batch_norm,
                                .layer = *layer};
        name_layer(&kernel);
        if (filters) {
            snprintf(kernel.operation, sizeof kernel.operation, "filter_%s",
                     backward ? "backward" : "forward");
            snprintf(kernel.shape, sizeof kernel.shape, "%dx%d", layer->out.channels,
                     layer->weight_count / layer->out.channels);
        }
        if (append(error, list, &kernel) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

/* The two ends of a network's step. */
static enum status append_ends(struct error *error, struct kernel_list *list,
                               const struct network *network, const struct recipe *recipe) {
    struct plan plan;
    plan_make(&plan, network, 1, 1);
    struct kernel input = {.kind = KERNEL_INPUT, .augment = recipe->augment == AUGMENT_FLIP_CROP};
    struct kernel loss = {.kind = KERNEL_LOSS}, sgd = {.kind = KERNEL_SGD};
    sgd.count = plan.parameter_count;
    sgd.decayed = recipe->weight_decay > 0 ? plan.decayed_count : 0;
    snprintf(input.operation, sizeof input.operation, "input");
    snprintf(input.shape, sizeof input.shape, "%dx%dx%d, %s", IMAGE_CHANNELS, IMAGE_SIDE,
             IMAGE_SIDE, augment_option(recipe->augment));
    snprintf(loss.operation, sizeof loss.operation, "loss");
    snprintf(loss.shape, sizeof loss.shape, "%d classes", CLASS_COUNT);
    snprintf(sgd.operation, sizeof sgd.operation, "sgd");
    snprintf(sgd.shape, sizeof sgd.shape, "%zu parameters", sgd.count);
    if (append(error, list, &input) || append(error, list, &loss) || append(error, list, &sgd))
        return error->status;
    return STATUS_OK;
}

enum status kernel_list_make(struct error *error, struct kernel_list *out) {
    static const enum recipe_kind recipes[] = {RECIPE_TUNED, RECIPE_REFERENCE};
    out->count = 0;
    for (int r = 0; r < 2; r++)
        for (int norm = 0; norm < NORM_COUNT; norm++) {
            const struct recipe *recipe = recipe_find(recipes[r], (enum norm_kind)norm);
            struct network network;
            if (network_build(error, &network, recipe) != STATUS_OK ||
                append_ends(error, out, &network, recipe) != STATUS_OK)
                return error->status;
            for (int i = 0; i < network.layer_count; i++) {
                const struct layer *layer = &network.layers[i];
                bool batch_norm = layer->kind == LAYER_NORM && layer->norm == NORM_BATCH;
                if (append_layer(error, out, layer, BATCH_NORM_CUDNN) != STATUS_OK ||
                    (batch_norm && append_layer(error, out, layer, BATCH_NORM_OWN) != STATUS_OK))
                    return error->status;
            }
        }
    return STATUS_OK;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

double kernel_bytes(const struct kernel *kernel, int batch) {
    const double floats = (double)sizeof(float);
    switch (kernel->kind) {
    case KERNEL_INPUT:
        return batch * (double)IMAGE_BYTES * (1 + floats);
    case KERNEL_FILTER: /* forward: weight to y; backward: weight and d to d */
        return floats * (kernel->backward ? 3 : 2) * kernel->layer.weight_count;
    case KERNEL_LAYER:
        return (kernel->backward ? layer_backward_cost : layer_forward_cost)(&kernel->layer, batch)
            .bytes;
    case KERNEL_LOSS:
        return batch * (2 * floats * CLASS_COUNT + 1);
    case KERNEL_SGD:
        return 5 * floats * (double)kernel->count;
    }
    return 0;
}

/* Memory to carve pieces out of; without a base the pieces are only counted. */
struct carver {
    uint8_t *base;
    size_t end;
};

static void *take(struct carver *carver, size_t bytes) {
    enum { ALIGNMENT = 256 }; /* what cudaMalloc gives */
    size_t start = carver->end;
    carver->end += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return carver->base == NULL || bytes == 0 ? NULL : carver->base + start;
}

static float *take_floats(struct carver *carver, size_t count) {
    return take(carver, count * sizeof(float));
}

static void carve_layer(struct layer_buffers *b, struct carver *c, const struct layer *layer,
                        int batch, size_t workspace) {
    size_t in = (size_t)batch * (size_t)shape_elements(layer->in);
    size_t out = (size_t)batch * (size_t)shape_elements(layer->out);
    b->x = take_floats(c, in);
    b->y = take_floats(c, out);
    b->gradient = take_floats(c, in > out ? in : out);
    b->weight = take_floats(c, (size_t)layer->weight_count);
    b->bias = take_floats(c, (size_t)layer->bias_count);
    b->weight_gradient = take_floats(c, (size_t)layer->weight_count);
    b->bias_gradient = take_floats(c, (size_t)layer->bias_count);
    b->statistics = take_floats(c, layer_statistics(layer, batch));
    b->code = take(c, layer->kind == LAYER_POOL ? out : 0);
    b->workspace = take(c, workspace);
}

size_t kernel_carve(struct kernel_buffers *out, const struct kernel *kernel, int batch,
                    size_t workspace, uint8_t *memory, const struct step_state *state) {
    struct carver c = {.base = memory};
    size_t images = (size_t)batch, weights = (size_t)kernel->layer.weight_count;
    *out = (struct kernel_buffers){.layer = {.batch = batch, .state = state}};
    switch (kernel->kind) {
    case KERNEL_INPUT:
        out->images = take(&c, images * IMAGE_BYTES);
        out->layer.y = take_floats(&c, images * IMAGE_BYTES);
        break;
    case KERNEL_FILTER:
        out->layer.weight = take_floats(&c, weights);
        out->layer.y = take_floats(&c, weights);
        break;
    case KERNEL_LAYER:
        carve_layer(&out->layer, &c, &kernel->layer, batch, workspace);
        break;
    case KERNEL_LOSS:
        out->layer.x = take_floats(&c, images * CLASS_COUNT);
        out->layer.gradient = take_floats(&c, images * CLASS_COUNT);
        out->labels = take(&c, images);
        out->counters = take(&c, sizeof *out->counters);
        break;
    case KERNEL_SGD:
        out->layer.weight = take_floats(&c, kernel->count);
        out->layer.weight_gradient = take_floats(&c, kernel->count);
        out->velocity = take_floats(&c, kernel->count);
        break;
    }
    return c.end;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct filter_args filter_args(const struct kernel *kernel, const struct layer_buffers *b) {
    const struct layer *layer = &kernel->layer;
    return (struct filter_args){.filters = layer->out.channels,
                                .elements = layer->weight_count / layer->out.channels,
                                .gain = layer->filter_norm,
                                .weight = b->weight,
                                .y = b->y,
                                .d = b->y};
}

static struct sgd_args sgd_args(const struct kernel *kernel, const struct kernel_buffers *buffers) {
    return (struct sgd_args){.count = kernel->count,
                             .decayed = kernel->decayed,
                             .weight = buffers->layer.weight,
                             .velocity = buffers->velocity,
                             .gradient = buffers->layer.weight_gradient,
                             .momentum = 0.9f,
                             .decay = 5e-4f,
                             .nesterov = true,
                             .state = buffers->layer.state};
}

enum status kernel_prepare(struct error *error, const struct backend *backend,
                           struct device *device, const struct kernel *kernel,
                           const struct kernel_buffers *buffers) {
    if (kernel->kind == KERNEL_LOSS &&
        (backend->clear(error, device, STREAM_COMPUTE, buffers->labels,
                        (size_t)buffers->layer.batch) != STATUS_OK ||
         backend->clear(error, device, STREAM_COMPUTE, buffers->counters,
                        sizeof *buffers->counters) != STATUS_OK))
        return error->status;
    if (kernel->kind == KERNEL_LAYER && kernel->backward)
        return layer_forward(error, device, backend->operations(device), &buffers->layer,
                             &kernel->layer);
    return STATUS_OK;
}

enum status kernel_run(struct error *error, struct device *device, const struct operations *op,
                       const struct kernel *kernel, const struct kernel_buffers *buffers) {
    const struct layer_buffers *b = &buffers->layer;
    const struct input_args input = {.batch = b->batch,
                                     .images = buffers->images,
                                     .y = b->y,
                                     .augment = kernel->augment,
                                     .crop = 4,
                                     .seed = 1,
                                     .state = b->state};
    const struct loss_args loss = {.batch = b->batch,
                                   .classes = CLASS_COUNT,
                                   .logits = b->x,
                                   .labels = buffers->labels,
                                   .dlogits = b->gradient,
                                   .counters = buffers->counters};
    switch (kernel->kind) {
    case KERNEL_INPUT:
        return op->input(error, device, &input);
    case KERNEL_FILTER: {
        const struct filter_args filter = filter_args(kernel, b);
        const struct filter_list list = {1, &filter};
        return (kernel->backward ? op->filter_backward : op->filter_forward)(error, device, &list);
    }
    case KERNEL_LAYER:
        return (kernel->backward ? layer_backward : layer_forward)(error, device, op, b,
                                                                   &kernel->layer);
    case KERNEL_LOSS:
        return op->loss(error, device, &loss);
    case KERNEL_SGD: {
        const struct sgd_args sgd = sgd_args(kernel, buffers);
        return op->sgd(error, device, &sgd);
    }
    }
    return STATUS_OK;
}
