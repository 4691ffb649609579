/* model.c: the walk over the layers. forward() and backward() are the way of a batch through the
 * network; the functions before them say which tensors of the plan each operation gets. */
#include "model/layer_args.h"
#include "model/model_private.h"

/* ---- what an operation gets ------------------------------------------------------------------ */

static float *activation(const struct model *model, size_t offset) {
    return (float *)(void *)(model->activations + offset);
}

/* Input of layer i: another layer's output, or the images. */
static float *layer_input(const struct model *model, int i) {
    int input = model->network.layers[i].input;
    return activation(model,
                      input == LAYER_NONE ? model->plan.input : model->plan.layers[input].output);
}

static float *layer_output(const struct model *model, int i) {
    return activation(model, model->plan.layers[i].output);
}

static float *layer_gradient(const struct model *model, int i) {
    return i == LAYER_NONE ? NULL : activation(model, model->plan.layers[i].gradient);
}

const float *model_output(const struct model *model) {
    return layer_output(model, model->network.layer_count - 1);
}

struct conv_args model_conv_args(const struct model *model, int i, int batch) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    struct conv_args args = layer_conv_args(layer, batch);
    args.x = layer_input(model, i);
    args.weight =
        layer->filter_norm > 0 ? activation(model, place->filter) : model->weights + place->weight;
    args.y = layer_output(model, i);
    args.dy = layer_gradient(model, i);
    args.dx = layer_gradient(model, layer->input);
    args.dweight = model->gradients + place->weight;
    args.accumulate = place->accumulate;
    args.workspace = model->workspace;
    return args;
}

struct filter_args model_filter_args(const struct model *model, int i) {
    const struct layer_plan *place = &model->plan.layers[i];
    struct filter_args args = layer_filter_args(&model->network.layers[i]);
    args.weight = model->weights + place->weight;
    args.y = activation(model, place->filter);
    args.d = model->gradients + place->weight;
    return args;
}

struct norm_args model_norm_args(const struct model *model, int i, const struct device_batch *batch,
                                 bool training) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    struct norm_args args = layer_norm_args(layer, i, batch->count, training);
    args.seed = model->options.seed;
    args.state = batch->state;
    args.x = layer_input(model, i);
    args.weight = model->weights + place->weight;
    args.bias = model->weights + place->bias;
    args.y = layer_output(model, i);
    args.mean = activation(model, place->mean);
    args.rstd = activation(model, place->rstd);
    if (layer->norm == NORM_BATCH) {
        args.running_mean = model->statistics + place->running_mean;
        args.running_var = model->statistics + place->running_var;
    }
    args.dy = layer_gradient(model, i);
    args.dx = layer_gradient(model, layer->input);
    args.dweight = model->gradients + place->weight;
    args.dbias = model->gradients + place->bias;
    args.workspace = model->workspace;
    return args;
}

static struct pool_args pool_of(const struct model *model, int i, int batch, bool training) {
    const struct layer *layer = &model->network.layers[i];
    struct pool_args args = layer_pool_args(layer, batch);
    args.x = layer_input(model, i);
    args.skip = layer->skip == LAYER_NONE ? NULL : layer_output(model, layer->skip);
    args.y = layer_output(model, i);
    args.code = training ? model->activations + model->plan.layers[i].code : NULL;
    args.dy = layer_gradient(model, i);
    args.ds = layer_gradient(model, layer->input);
    return args;
}

static struct average_args average_of(const struct model *model, int i, int batch) {
    const struct layer *layer = &model->network.layers[i];
    struct average_args args = layer_average_args(layer, batch);
    args.x = layer_input(model, i);
    args.y = layer_output(model, i);
    args.dy = layer_gradient(model, i);
    args.dx = layer_gradient(model, layer->input);
    return args;
}

static struct linear_args linear_of(const struct model *model, int i, int batch) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    struct linear_args args = layer_linear_args(layer, batch);
    args.x = layer_input(model, i);
    args.weight = model->weights + place->weight;
    args.y = layer_output(model, i);
    args.dy = layer_gradient(model, i);
    args.dx = layer_gradient(model, layer->input);
    args.dweight = model->gradients + place->weight;
    return args;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static enum status conv_forward(struct error *error, struct model *model, int i, int batch) {
    struct conv_args conv = model_conv_args(model, i, batch);
    if (model->network.layers[i].filter_norm > 0) {
        struct filter_args filter = model_filter_args(model, i);
        if (model->operations->filter_forward(error, model->device, &filter) != STATUS_OK)
            return error->status;
    }
    return model->operations->conv_forward(error, model->device, &conv);
}

static enum status layer_forward(struct error *error, struct model *model, int i,
                                 const struct device_batch *batch, bool training) {
    const struct operations *op = model->operations;
    const struct layer *layer = &model->network.layers[i];
    switch (layer->kind) {
    case LAYER_CONV:
        return conv_forward(error, model, i, batch->count);
    case LAYER_NORM: {
        struct norm_args norm = model_norm_args(model, i, batch, training);
        return op->norm[layer->norm].forward(error, model->device, &norm);
    }
    case LAYER_POOL: {
        struct pool_args pool = pool_of(model, i, batch->count, training);
        return op->pool_forward(error, model->device, &pool);
    }
    case LAYER_AVERAGE: {
        struct average_args average = average_of(model, i, batch->count);
        return op->average_forward(error, model->device, &average);
    }
    case LAYER_LINEAR: {
        struct linear_args linear = linear_of(model, i, batch->count);
        return op->linear_forward(error, model->device, &linear);
    }
    }
    return STATUS_OK;
}

static enum status conv_backward(struct error *error, struct model *model, int i, int batch) {
    struct conv_args conv = model_conv_args(model, i, batch);
    if (model->operations->conv_backward(error, model->device, &conv) != STATUS_OK)
        return error->status;
    if (model->network.layers[i].filter_norm <= 0)
        return STATUS_OK;
    struct filter_args filter = model_filter_args(model, i);
    return model->operations->filter_backward(error, model->device, &filter);
}

static enum status layer_backward(struct error *error, struct model *model, int i,
                                  const struct device_batch *batch) {
    const struct operations *op = model->operations;
    const struct layer *layer = &model->network.layers[i];
    switch (layer->kind) {
    case LAYER_CONV:
        return conv_backward(error, model, i, batch->count);
    case LAYER_NORM: {
        struct norm_args norm = model_norm_args(model, i, batch, true);
        return op->norm[layer->norm].backward(error, model->device, &norm);
    }
    case LAYER_POOL: {
        struct pool_args pool = pool_of(model, i, batch->count, true);
        return op->pool_backward(error, model->device, &pool);
    }
    case LAYER_AVERAGE: {
        struct average_args average = average_of(model, i, batch->count);
        return op->average_backward(error, model->device, &average);
    }
    case LAYER_LINEAR: {
        struct linear_args linear = linear_of(model, i, batch->count);
        return op->linear_backward(error, model->device, &linear);
    }
    }
    return STATUS_OK;
}

/* Images to loss: input, every layer, loss into the counters (and, training, the gradient of the
 * logits). */
static enum status forward(struct error *error, struct model *model,
                           const struct device_batch *batch, bool training) {
    int last = model->network.layer_count - 1;
    struct input_args input = {
        .batch = batch->count,
        .images = batch->images,
        .y = activation(model, model->plan.input),
        .augment = training && model->options.augment,
        .seed = model->options.seed,
        .state = batch->state,
    };
    if (model->operations->input(error, model->device, &input) != STATUS_OK)
        return error->status;
    for (int i = 0; i <= last; i++)
        if (layer_forward(error, model, i, batch, training) != STATUS_OK)
            return error->status;
    struct loss_args loss = {
        .batch = batch->count,
        .classes = model->network.layers[last].out.channels,
        .logits = layer_output(model, last),
        .labels = batch->labels,
        .dlogits = training ? layer_gradient(model, last) : NULL,
        .counters = model->counters,
    };
    return model->operations->loss(error, model->device, &loss);
}

static enum status backward(struct error *error, struct model *model,
                            const struct device_batch *batch) {
    for (int i = model->network.layer_count - 1; i >= 0; i--)
        if (layer_backward(error, model, i, batch) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

static enum status update_weights(struct error *error, struct model *model,
                                  const struct device_batch *batch) {
    struct sgd_args sgd = {
        .count = model->plan.parameter_count,
        .decayed = model->plan.decayed_count,
        .weight = model->weights,
        .velocity = model->velocity,
        .gradient = model->gradients,
        .momentum = model->options.momentum,
        .decay = model->options.weight_decay,
        .nesterov = model->options.nesterov,
        .state = batch->state,
    };
    return model->operations->sgd(error, model->device, &sgd);
}

enum status model_walk(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training) {
    if (forward(error, model, batch, training) != STATUS_OK)
        return error->status;
    if (!training)
        return STATUS_OK;
    if (backward(error, model, batch) != STATUS_OK)
        return error->status;
    return update_weights(error, model, batch);
}
