/* model.c: the walk over the layers. model_walk takes a batch through the network; the functions
 * before it give each operation its tensors from the plan. */
#include "model/model_private.h"

/* ---- arguments of the operations ------------------------------------------------------------- */

static float *activation(const struct model *model, size_t offset) {
    return (float *)(void *)(model->activations + offset);
}

static float *layer_output(const struct model *model, int i, bool training) {
    const struct layer_plan *place = &model->plan.layers[i];
    return activation(model, training ? place->output : place->evaluation_output);
}

static float *normalized_images(const struct model *model, bool training) {
    return activation(model, training ? model->plan.input : model->plan.evaluation_input);
}

/* Input of layer i: another layer's output, or the images. */
static float *layer_input(const struct model *model, int i, bool training) {
    int input = model->network.layers[i].input;
    return input == LAYER_NONE ? normalized_images(model, training)
                               : layer_output(model, input, training);
}

static float *layer_gradient(const struct model *model, int i) {
    return i == LAYER_NONE ? NULL : activation(model, model->plan.layers[i].gradient);
}

const float *model_output(const struct model *model) {
    return layer_output(model, model->network.layer_count - 1, true);
}

struct conv_args conv_shape_args(const struct layer *layer, int batch) {
    return (struct conv_args){
        .batch = batch,
        .in_channels = layer->in.channels,
        .height = layer->in.height,
        .width = layer->in.width,
        .out_channels = layer->out.channels,
        .kernel = layer->kernel,
        .padding = layer->padding,
    };
}

static struct input_args input_args(const struct model *model, const struct device_batch *batch,
                                    bool training) {
    return (struct input_args){
        .batch = batch->count,
        .images = batch->images,
        .y = normalized_images(model, training),
        .augment = training && model->options.augment,
        .crop = model->options.crop,
        .seed = model->options.seed,
        .state = batch->state,
    };
}

struct conv_args model_conv_args(const struct model *model, int i, int batch, bool training) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    struct conv_args args = conv_shape_args(layer, batch);
    args.x = layer_input(model, i, training);
    args.weight =
        layer->filter_norm > 0 ? activation(model, place->filter) : model->weights + place->weight;
    args.y = layer_output(model, i, training);
    args.dy = layer_gradient(model, i);
    args.dx = layer_gradient(model, layer->input);
    args.dweight = model->gradients + place->weight;
    args.accumulate = place->accumulate;
    args.workspace = model->workspace;
    args.filter_workspace = model->filter_workspace;
    return args;
}

static struct filter_args filter_args(const struct model *model, int i) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    return (struct filter_args){
        .filters = layer->out.channels,
        .elements = layer->in.channels * layer->kernel * layer->kernel,
        .gain = layer->filter_norm,
        .weight = model->weights + place->weight,
        .y = activation(model, place->filter),
        .d = model->gradients + place->weight,
    };
}

/* All layers whose filters are standardized; `layers` holds them. */
static struct filter_list filter_list(struct filter_args layers[MAX_LAYERS],
                                      const struct model *model) {
    struct filter_list list = {0, layers};
    for (int i = 0; i < model->network.layer_count; i++)
        if (model->network.layers[i].filter_norm > 0)
            layers[list.count++] = filter_args(model, i);
    return list;
}

struct norm_args model_norm_args(const struct model *model, int i, const struct device_batch *batch,
                                 bool training) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    bool running = layer->norm == NORM_BATCH;
    return (struct norm_args){
        .batch = batch->count,
        .channels = layer->out.channels,
        .pixels = layer->out.height * layer->out.width,
        .groups = layer->groups,
        .per_element = layer->per_element,
        .training = training,
        .deferred = model->operations->finish_gradients != NULL && layer->norm != NORM_BATCH,
        .activation = layer->activation,
        .epsilon = layer->epsilon,
        .stat_momentum = layer->stat_momentum,
        .dropout = layer->dropout,
        .seed = model->options.seed,
        .layer = i,
        .state = batch->state,
        .x = layer_input(model, i, training),
        .weight = model->weights + place->weight,
        .bias = model->weights + place->bias,
        .y = layer_output(model, i, training),
        .mean = activation(model, training ? place->mean : place->evaluation_mean),
        .rstd = activation(model, training ? place->rstd : place->evaluation_rstd),
        .running_mean = running ? model->statistics + place->running_mean : NULL,
        .running_var = running ? model->statistics + place->running_var : NULL,
        .dy = layer_gradient(model, i),
        .dx = layer_gradient(model, layer->input),
        .dweight = model->gradients + place->weight,
        .dbias = model->gradients + place->bias,
        .workspace = model->norm_workspace[i] != NULL ? model->norm_workspace[i] : model->workspace,
    };
}

static struct pool_args pool_args(const struct model *model, int i, int batch, bool training) {
    const struct layer *layer = &model->network.layers[i];
    return (struct pool_args){
        .batch = batch,
        .channels = layer->in.channels,
        .height = layer->in.height,
        .width = layer->in.width,
        .x = layer_input(model, i, training),
        .skip = layer->skip == LAYER_NONE ? NULL : layer_output(model, layer->skip, training),
        .y = layer_output(model, i, training),
        .code = training ? model->activations + model->plan.layers[i].code : NULL,
        .dy = layer_gradient(model, i),
        .ds = layer_gradient(model, layer->input),
    };
}

static struct average_args average_args(const struct model *model, int i, int batch,
                                        bool training) {
    const struct layer *layer = &model->network.layers[i];
    return (struct average_args){
        .batch = batch,
        .channels = layer->in.channels,
        .pixels = layer->in.height * layer->in.width,
        .x = layer_input(model, i, training),
        .y = layer_output(model, i, training),
        .dy = layer_gradient(model, i),
        .dx = layer_gradient(model, layer->input),
    };
}

static struct linear_args linear_args(const struct model *model, int i, int batch, bool training) {
    const struct layer *layer = &model->network.layers[i];
    const struct layer_plan *place = &model->plan.layers[i];
    return (struct linear_args){
        .batch = batch,
        .inputs = layer->in.channels,
        .outputs = layer->out.channels,
        .x = layer_input(model, i, training),
        .weight = model->weights + place->weight,
        .y = layer_output(model, i, training),
        .dy = layer_gradient(model, i),
        .dx = layer_gradient(model, layer->input),
        .dweight = model->gradients + place->weight,
    };
}

static struct loss_args loss_args(const struct model *model, const struct device_batch *batch,
                                  bool training) {
    int last = model->network.layer_count - 1;
    return (struct loss_args){
        .batch = batch->count,
        .classes = model->network.layers[last].out.channels,
        .logits = layer_output(model, last, training),
        .labels = batch->labels,
        .dlogits = training ? layer_gradient(model, last) : NULL,
        .counters = model->counters,
    };
}

/* All parameters that Muon does not update. */
static struct sgd_args sgd_args(const struct model *model, const struct device_batch *batch) {
    const size_t first = model->options.muon ? model->plan.filters_count : 0;
    return (struct sgd_args){
        .count = model->plan.parameter_count - first,
        .decayed = model->plan.decayed_count - first,
        .weight = model->weights + first,
        .velocity = model->velocity + first,
        .gradient = model->gradients + first,
        .momentum = model->options.momentum,
        .decay = model->options.weight_decay,
        .nesterov = model->options.nesterov,
        .state = batch->state,
    };
}

struct muon_args model_muon_args(struct muon_matrix matrices[MAX_LAYERS], const struct model *model,
                                 const struct step_state *state) {
    struct muon_args args = {
        .matrices = matrices,
        .momentum = model->options.muon_momentum,
        .rate_scale = model->options.muon_scale,
        .state = state,
        .workspace = model->workspace,
    };
    for (int i = 0; i < model->network.layer_count && model->options.muon; i++) {
        const struct layer *layer = &model->network.layers[i];
        size_t place = model->plan.layers[i].weight;
        if (layer_is_3x3(layer))
            matrices[args.count++] = (struct muon_matrix){
                .rows = layer->out.channels,
                .columns = layer->weight_count / layer->out.channels,
                .weight = model->weights + place,
                .velocity = model->velocity + place,
                .gradient = model->gradients + place,
            };
    }
    return args;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static enum status layer_forward(struct error *error, struct model *model, int i,
                                 const struct device_batch *batch, bool training) {
    const struct operations *op = model->operations;
    const struct layer *layer = &model->network.layers[i];
    switch (layer->kind) {
    case LAYER_CONV: {
        struct conv_args conv = model_conv_args(model, i, batch->count, training);
        return op->conv_forward(error, model->device, &conv);
    }
    case LAYER_NORM: {
        struct norm_args norm = model_norm_args(model, i, batch, training);
        return op->norm[layer->norm].forward(error, model->device, &norm);
    }
    case LAYER_POOL: {
        struct pool_args pool = pool_args(model, i, batch->count, training);
        return op->pool_forward(error, model->device, &pool);
    }
    case LAYER_AVERAGE: {
        struct average_args average = average_args(model, i, batch->count, training);
        return op->average_forward(error, model->device, &average);
    }
    case LAYER_LINEAR: {
        struct linear_args linear = linear_args(model, i, batch->count, training);
        return op->linear_forward(error, model->device, &linear);
    }
    }
    return STATUS_OK;
}

static enum status layer_backward(struct error *error, struct model *model, int i,
                                  const struct device_batch *batch) {
    const struct operations *op = model->operations;
    const struct layer *layer = &model->network.layers[i];
    switch (layer->kind) {
    case LAYER_CONV: {
        struct conv_args conv = model_conv_args(model, i, batch->count, true);
        return op->conv_backward(error, model->device, &conv);
    }
    case LAYER_NORM: {
        struct norm_args norm = model_norm_args(model, i, batch, true);
        return op->norm[layer->norm].backward(error, model->device, &norm);
    }
    case LAYER_POOL: {
        struct pool_args pool = pool_args(model, i, batch->count, true);
        return op->pool_backward(error, model->device, &pool);
    }
    case LAYER_AVERAGE: {
        struct average_args average = average_args(model, i, batch->count, true);
        return op->average_backward(error, model->device, &average);
    }
    case LAYER_LINEAR: {
        struct linear_args linear = linear_args(model, i, batch->count, true);
        return op->linear_backward(error, model->device, &linear);
    }
    }
    return STATUS_OK;
}

enum status model_standardize(struct error *error, struct model *model) {
    struct filter_args layers[MAX_LAYERS];
    const struct filter_list filters = filter_list(layers, model);
    return filters.count == 0 ? STATUS_OK
                              : model->operations->filter_forward(error, model->device, &filters);
}

/* The gradients that the layers' backward passes left for later, then those of raw filters. */
static enum status finish_backward(struct error *error, struct model *model,
                                   const struct device_batch *batch) {
    const struct operations *op = model->operations;
    struct norm_args norms[MAX_LAYERS];
    struct finish_args finish = {0, norms};
    struct filter_args layers[MAX_LAYERS];
    const struct filter_list filters = filter_list(layers, model);
    for (int i = 0; i < model->network.layer_count; i++)
        if (model->norm_workspace[i] != NULL)
            norms[finish.count++] = model_norm_args(model, i, batch, true);
    if (op->finish_gradients != NULL &&
        op->finish_gradients(error, model->device, &finish) != STATUS_OK)
        return error->status;
    return filters.count == 0 ? STATUS_OK : op->filter_backward(error, model->device, &filters);
}

static enum status update_weights(struct error *error, struct model *model,
                                  const struct device_batch *batch) {
    const struct operations *op = model->operations;
    struct muon_matrix matrices[MAX_LAYERS];
    const struct muon_args muon = model_muon_args(matrices, model, batch->state);
    const struct sgd_args sgd = sgd_args(model, batch);
    if (muon.count > 0 && op->muon(error, model->device, &muon) != STATUS_OK)
        return error->status;
    return op->sgd(error, model->device, &sgd);
}

enum status model_walk(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training) {
    const struct operations *op = model->operations;
    struct input_args input = input_args(model, batch, training);
    struct loss_args loss = loss_args(model, batch, training);
    int layers = model->network.layer_count;
    if ((training && model_standardize(error, model) != STATUS_OK) ||
        op->input(error, model->device, &input) != STATUS_OK)
        return error->status;
    for (int i = 0; i < layers; i++)
        if (layer_forward(error, model, i, batch, training) != STATUS_OK)
            return error->status;
    if (op->loss(error, model->device, &loss) != STATUS_OK)
        return error->status;
    if (!training)
        return STATUS_OK;
    for (int i = layers - 1; i >= 0; i--)
        if (layer_backward(error, model, i, batch) != STATUS_OK)
            return error->status;
    if (finish_backward(error, model, batch) != STATUS_OK)
        return error->status;
    return update_weights(error, model, batch);
}
