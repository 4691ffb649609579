/* layer_args.c: shapes and constants of each layer's operation. */
#include "model/layer_args.h"

struct conv_args layer_conv_args(const struct layer *layer, int batch) {
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

struct filter_args layer_filter_args(const struct layer *layer) {
    return (struct filter_args){
        .filters = layer->out.channels,
        .elements = layer->in.channels * layer->kernel * layer->kernel,
        .gain = layer->filter_norm,
    };
}

struct norm_args layer_norm_args(const struct layer *layer, int index, int batch, bool training) {
    return (struct norm_args){
        .batch = batch,
        .channels = layer->out.channels,
        .pixels = layer->out.height * layer->out.width,
        .groups = layer->groups,
        .per_element = layer->per_element,
        .training = training,
        .relu_place = layer->relu_first ? RELU_BEFORE : RELU_AFTER,
        .epsilon = layer->epsilon,
        .stat_momentum = layer->stat_momentum,
        .dropout = layer->dropout,
        .layer = index,
    };
}

struct pool_args layer_pool_args(const struct layer *layer, int batch) {
    return (struct pool_args){
        .batch = batch,
        .channels = layer->in.channels,
        .height = layer->in.height,
        .width = layer->in.width,
    };
}

struct average_args layer_average_args(const struct layer *layer, int batch) {
    return (struct average_args){
        .batch = batch,
        .channels = layer->in.channels,
        .pixels = layer->in.height * layer->in.width,
    };
}

struct linear_args layer_linear_args(const struct layer *layer, int batch) {
    return (struct linear_args){
        .batch = batch,
        .inputs = layer->in.channels,
        .outputs = layer->out.channels,
    };
}
