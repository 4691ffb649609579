/* network.c: turns a recipe into the layer table.
 *
 * All networks have the topology C1 C2 c3 P1, C3 C4 C5 c6 P2, C7 C8 C9 GAP C10. C is a block of 3x3
 * convolution, norm and ReLU (C10: a 1x1 convolution alone), c a 1x1 convolution alone, P a pool
 * with or without a skip, GAP the average over each map. */
#include "network/network.h"

#include "image_format.h"

#include <stdio.h>

/* The table under construction. */
struct builder {
    struct network *network;
    const struct recipe *recipe;
    struct shape shape; /* output of the last layer */
    int blocks;         /* convolutions so far: N in "convblockN" */
};

int shape_elements(struct shape shape) {
    return shape.channels * shape.height * shape.width;
}

static bool same_shape(struct shape a, struct shape b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

static struct layer *add_layer(struct builder *builder, enum layer_kind kind, struct shape out) {
    struct network *network = builder->network;
    struct layer *layer = &network->layers[network->layer_count];
    *layer = (struct layer){
        .kind = kind,
        .in = builder->shape,
        .out = out,
        .input = network->layer_count - 1,
        .skip = LAYER_NONE,
        .groups = 1,
    };
    network->layer_count++;
    builder->shape = out;
    return layer;
}

static void add_conv(struct builder *builder, int out_channels, int kernel, int padding) {
    struct shape in = builder->shape;
    int shrink = kernel - 1 - 2 * padding;
    struct shape out = {out_channels, in.height - shrink, in.width - shrink};
    struct layer *layer = add_layer(builder, LAYER_CONV, out);
    builder->blocks++;
    snprintf(layer->name, sizeof layer->name, "convblock%d.0", builder->blocks);
    layer->kernel = kernel;
    layer->padding = padding;
    layer->filter_norm = kernel == 3 ? builder->recipe->filter_norm : 0;
    layer->weight_count = out_channels * in.channels * kernel * kernel;
    layer->multiply_adds = (int64_t)layer->weight_count * out.height * out.width;
}

static void add_norm(struct builder *builder) {
    const struct recipe *recipe = builder->recipe;
    struct layer *layer = add_layer(builder, LAYER_NORM, builder->shape);
    snprintf(layer->name, sizeof layer->name, "convblock%d.2", builder->blocks);
    layer->activation = recipe->activation;
    layer->norm = recipe->norm;
    layer->groups = recipe->groups;
    layer->per_element = recipe->per_element;
    layer->epsilon = 1e-5f;
    layer->stat_momentum = 0.1f;
    layer->dropout = recipe->dropout;
    layer->weight_count = recipe->per_element ? shape_elements(layer->out) : layer->out.channels;
    layer->bias_count = layer->weight_count;
}

/* A block C: convolution, then norm with ReLU and dropout. */
static void add_block(struct builder *builder, int channels, int padding) {
    add_conv(builder, channels, 3, padding);
    add_norm(builder);
}

/* `skip`: the layer to add, if its shape is that of the last one; or LAYER_NONE. */
static void add_pool(struct builder *builder, const char *name, int skip) {
    struct shape in = builder->shape;
    if (skip != LAYER_NONE && !same_shape(builder->network->layers[skip].out, in))
        skip = LAYER_NONE;
    struct shape out = {in.channels, in.height / 2, in.width / 2};
    struct layer *layer = add_layer(builder, LAYER_POOL, out);
    snprintf(layer->name, sizeof layer->name, "%s", name);
    layer->kernel = 2;
    layer->skip = skip;
}

static void add_classifier(struct builder *builder) {
    struct shape in = builder->shape;
    struct layer *average = add_layer(builder, LAYER_AVERAGE, (struct shape){in.channels, 1, 1});
    snprintf(average->name, sizeof average->name, "gap");
    struct layer *layer = add_layer(builder, LAYER_LINEAR, (struct shape){CLASS_COUNT, 1, 1});
    builder->blocks++;
    snprintf(layer->name, sizeof layer->name, "convblock%d.0", builder->blocks);
    layer->weight_count = CLASS_COUNT * in.channels;
    layer->multiply_adds = layer->weight_count;
}

static enum status check_groups(struct error *error, const struct network *network) {
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind == LAYER_NORM &&
            (layer->groups < 1 || layer->out.channels % layer->groups != 0))
            return error_set(error, STATUS_USAGE,
                             "%d groups do not divide the %d channels of layer %s; choose a number "
                             "that divides the channels of every norm",
                             layer->groups, layer->out.channels, layer->name);
    }
    return STATUS_OK;
}

enum status network_build(struct error *error, struct network *out, const struct recipe *recipe) {
    const int *channels = recipe->channels;
    *out = (struct network){.recipe = recipe->kind, .norm = recipe->norm};
    struct builder builder = {
        .network = out, .recipe = recipe, .shape = {IMAGE_CHANNELS, IMAGE_SIDE, IMAGE_SIDE}};

    add_block(&builder, channels[0], recipe->early_padding);
    int first_block = out->layer_count - 1;
    add_block(&builder, channels[1], recipe->early_padding);
    add_conv(&builder, channels[2], 1, 0);
    add_pool(&builder, "pool1", recipe->first_skip ? first_block : LAYER_NONE);

    int first_pool = out->layer_count - 1;
    for (int i = 3; i < 6; i++)
        add_block(&builder, channels[i], 1);
    add_conv(&builder, channels[6], 1, 0);
    add_pool(&builder, "pool2", first_pool);

    for (int i = 7; i < 10; i++)
        add_block(&builder, channels[i], 1);
    add_classifier(&builder);
    return check_groups(error, out);
}

int layer_parameters(const struct layer *layer) {
    return layer->weight_count + layer->bias_count;
}

bool layer_is_3x3(const struct layer *layer) {
    return layer->kind == LAYER_CONV && layer->kernel == 3;
}

int network_parameters(const struct network *network) {
    int sum = 0;
    for (int i = 0; i < network->layer_count; i++)
        sum += layer_parameters(&network->layers[i]);
    return sum;
}

int64_t network_multiply_adds(const struct network *network) {
    int64_t sum = 0;
    for (int i = 0; i < network->layer_count; i++)
        sum += network->layers[i].multiply_adds;
    return sum;
}

int64_t network_activation_bytes(const struct network *network) {
    int64_t sum = 0;
    for (int i = 0; i < network->layer_count; i++)
        sum += (int64_t)shape_elements(network->layers[i].out) * (int64_t)sizeof(float);
    return sum;
}

static const char *norm_type(enum norm_kind norm) {
#define NORM_TYPE(value, name, word, title) #name,
    static const char *const types[] = {NORM_LIST(NORM_TYPE)};
    return types[norm];
}

const char *layer_type(const struct layer *layer) {
    switch (layer->kind) {
    case LAYER_CONV:
    case LAYER_LINEAR:
        return "conv";
    case LAYER_NORM:
        return norm_type(layer->norm);
    case LAYER_POOL:
        return "max_pool";
    case LAYER_AVERAGE:
        return "average_pool";
    }
    return "";
}
