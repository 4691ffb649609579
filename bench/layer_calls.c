/* layer_calls.c: the layers of a network as operations of the backend interface. */
#include "layer_calls.h"

#include "model/model.h"

static struct conv_args conv_args(const struct layer_buffers *b, const struct layer *layer) {
    struct conv_args a = conv_shape_args(layer, b->batch);
    a.x = b->x;
    a.weight = b->weight;
    a.y = b->y;
    a.dy = b->y;
    a.dx = layer->input == LAYER_NONE ? NULL : b->gradient;
    a.dweight = b->weight_gradient;
    a.workspace = b->workspace;
    return a;
}

/* Means or deviations of a norm: one for each channel, or for each group of each image. */
static size_t norm_sets(const struct layer *layer, int batch) {
    return layer->norm == NORM_BATCH ? (size_t)layer->out.channels
                                     : (size_t)batch * (size_t)layer->groups;
}

size_t layer_statistics(const struct layer *layer, int batch) {
    return layer->kind == LAYER_NORM ? 2 * norm_sets(layer, batch) + 2 * (size_t)layer->out.channels
                                     : 0;
}

static float *part(float *floats, size_t offset) {
    return floats == NULL ? NULL : floats + offset;
}

static struct norm_args norm_args(const struct layer_buffers *b, const struct layer *layer) {
    size_t sets = norm_sets(layer, b->batch);
    bool per_channel = layer->norm == NORM_BATCH; /* and only then are there running statistics */
    return (struct norm_args){
        .batch = b->batch,
        .channels = layer->out.channels,
        .pixels = layer->out.height * layer->out.width,
        .groups = layer->groups,
        .per_element = layer->per_element,
        .training = true,
        .activation = layer->activation,
        .epsilon = layer->epsilon,
        .stat_momentum = layer->stat_momentum,
        .dropout = layer->dropout,
        .state = b->state,
        .x = b->x,
        .weight = b->weight,
        .bias = b->bias,
        .y = b->y,
        .mean = b->statistics,
        .rstd = part(b->statistics, sets),
        .running_mean = per_channel ? part(b->statistics, 2 * sets) : NULL,
        .running_var = per_channel ? part(b->statistics, 3 * sets) : NULL,
        .dy = b->gradient,
        .dx = b->gradient,
        .dweight = b->weight_gradient,
        .dbias = b->bias_gradient,
        .workspace = b->workspace,
    };
}

static struct pool_args pool_args(const struct layer_buffers *b, const struct layer *layer) {
    return (struct pool_args){
        .batch = b->batch,
        .channels = layer->in.channels,
        .height = layer->in.height,
        .width = layer->in.width,
        .x = b->x,
        .skip = layer->skip == LAYER_NONE ? NULL : b->gradient,
        .y = b->y,
        .code = b->code,
        .dy = b->y,
        .ds = b->gradient,
    };
}

static struct average_args average_args(const struct layer_buffers *b, const struct layer *layer) {
    return (struct average_args){
        .batch = b->batch,
        .channels = layer->in.channels,
        .pixels = layer->in.height * layer->in.width,
        .x = b->x,
        .y = b->y,
        .dy = b->y,
        .dx = b->gradient,
    };
}

static struct linear_args linear_args(const struct layer_buffers *b, const struct layer *layer) {
    return (struct linear_args){
        .batch = b->batch,
        .inputs = layer->in.channels,
        .outputs = layer->out.channels,
        .x = b->x,
        .weight = b->weight,
        .y = b->y,
        .dy = b->y,
        .dx = b->gradient,
        .dweight = b->weight_gradient,
    };
}

enum status layer_forward(struct error *error, struct device *device, const struct operations *op,
                          const struct layer_buffers *b, const struct layer *layer) {
    const struct conv_args conv = conv_args(b, layer);
    const struct norm_args norm = norm_args(b, layer);
    const struct pool_args pool = pool_args(b, layer);
    const struct average_args average = average_args(b, layer);
    const struct linear_args linear = linear_args(b, layer);
    switch (layer->kind) {
    case LAYER_CONV:
        return op->conv_forward(error, device, &conv);
    case LAYER_NORM:
        return op->norm[layer->norm].forward(error, device, &norm);
    case LAYER_POOL:
        return op->pool_forward(error, device, &pool);
    case LAYER_AVERAGE:
        return op->average_forward(error, device, &average);
    case LAYER_LINEAR:
        return op->linear_forward(error, device, &linear);
    }
    return STATUS_OK;
}

enum status layer_backward(struct error *error, struct device *device, const struct operations *op,
                           const struct layer_buffers *b, const struct layer *layer) {
    const struct conv_args conv = conv_args(b, layer);
    const struct norm_args norm = norm_args(b, layer);
    const struct pool_args pool = pool_args(b, layer);
    const struct average_args average = average_args(b, layer);
    const struct linear_args linear = linear_args(b, layer);
    switch (layer->kind) {
    case LAYER_CONV:
        return op->conv_backward(error, device, &conv);
    case LAYER_NORM:
        return op->norm[layer->norm].backward(error, device, &norm);
    case LAYER_POOL:
        return op->pool_backward(error, device, &pool);
    case LAYER_AVERAGE:
        return op->average_backward(error, device, &average);
    case LAYER_LINEAR:
        return op->linear_backward(error, device, &linear);
    }
    return STATUS_OK;
}

enum status layer_data_gradient(struct error *error, struct device *device,
                                const struct operations *op, const struct layer_buffers *b,
                                const struct layer *layer) {
    struct conv_args conv = conv_args(b, layer);
    conv.dweight = NULL;
    return op->conv_backward(error, device, &conv);
}

enum status layer_filter_gradient(struct error *error, struct device *device,
                                  const struct operations *op, const struct layer_buffers *b,
                                  const struct layer *layer) {
    struct conv_args conv = conv_args(b, layer);
    conv.dx = NULL;
    return op->conv_backward(error, device, &conv);
}

size_t layer_workspace(struct device *device, const struct operations *op,
                       const struct layer *layer, int batch) {
    const struct layer_buffers none = {.batch = batch};
    const struct conv_args conv = conv_args(&none, layer);
    const struct norm_args norm = norm_args(&none, layer);
    switch (layer->kind) {
    case LAYER_CONV:
        return op->conv_workspace(device, &conv);
    case LAYER_NORM:
        return op->norm[layer->norm].workspace(device, &norm);
    case LAYER_POOL:
    case LAYER_AVERAGE:
    case LAYER_LINEAR:
        break;
    }
    return 0;
}

/* ---- costs ----------------------------------------------------------------------------------- */

/* Bytes of a layer's tensors, and the arithmetic of its forward pass: 2 * multiply-adds. */
struct sizes {
    double in, out, weight, bias, code, flops;
};

static struct sizes sizes_of(const struct layer *layer, int batch) {
    double floats = (double)sizeof(float), outputs = (double)batch * shape_elements(layer->out);
    return (struct sizes){
        .in = floats * batch * shape_elements(layer->in),
        .out = floats * outputs,
        .weight = floats * layer->weight_count,
        .bias = floats * layer->bias_count,
        .code = outputs,
        .flops = 2.0 * batch * (double)layer->multiply_adds,
    };
}

struct layer_cost layer_forward_cost(const struct layer *layer, int batch) {
    const struct sizes s = sizes_of(layer, batch);
    switch (layer->kind) {
    case LAYER_CONV:
    case LAYER_NORM:
    case LAYER_AVERAGE:
    case LAYER_LINEAR:
        return (struct layer_cost){s.flops, s.in + s.out + s.weight + s.bias};
    case LAYER_POOL:
        return (struct layer_cost){0, s.in * (layer->skip == LAYER_NONE ? 1 : 2) + s.out + s.code};
    }
    return (struct layer_cost){0, 0};
}

/* A norm reads x, dy and weight; a convolution does its forward arithmetic twice, except in the
 * first layer, which has no gradient of its input. */
struct layer_cost layer_backward_cost(const struct layer *layer, int batch) {
    const struct sizes s = sizes_of(layer, batch);
    switch (layer->kind) {
    case LAYER_CONV:
        if (layer->input == LAYER_NONE)
            return (struct layer_cost){s.flops, s.in + s.out + s.weight};
        return (struct layer_cost){2 * s.flops, 2 * s.in + s.out + 2 * s.weight};
    case LAYER_LINEAR:
        return (struct layer_cost){2 * s.flops, 2 * s.in + s.out + 2 * s.weight};
    case LAYER_NORM:
        return (struct layer_cost){0, s.in + 2 * s.out + 2 * s.weight + s.bias};
    case LAYER_POOL:
        return (struct layer_cost){0, s.in + s.out + s.code};
    case LAYER_AVERAGE:
        return (struct layer_cost){0, s.in + s.out};
    }
    return (struct layer_cost){0, 0};
}

/* ---- numbers --------------------------------------------------------------------------------- */

void fill_random(float *values, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1;
    }
}
