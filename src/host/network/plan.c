/* plan.c: computes the offset of every tensor in its arena. */
#include "network/plan.h"

#include "image_format.h"

enum { ALIGNMENT = 64 }; /* bytes */

/* Reserves `bytes` at *end, and advances *end, aligned. Returns the offset of the space. */
static size_t take(size_t *end, size_t bytes) {
    size_t offset = *end;
    *end += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return offset;
}

static size_t take_floats(size_t *end, size_t count) {
    size_t bytes = *end * sizeof(float);
    size_t offset = take(&bytes, count * sizeof(float));
    *end = bytes / sizeof(float);
    return offset / sizeof(float);
}

static bool is_convolution(const struct layer *layer) {
    return layer->kind == LAYER_CONV || layer->kind == LAYER_LINEAR;
}

/* Convolutions come first, so that weight decay applies to the front part of the arena. */
static void place_parameters(struct plan *plan, const struct network *network) {
    for (int i = 0; i < network->layer_count; i++)
        if (is_convolution(&network->layers[i]))
            plan->layers[i].weight =
                take_floats(&plan->parameter_count, (size_t)network->layers[i].weight_count);
    plan->decayed_count = plan->parameter_count;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind != LAYER_NORM)
            continue;
        plan->layers[i].weight = take_floats(&plan->parameter_count, (size_t)layer->weight_count);
        plan->layers[i].bias = take_floats(&plan->parameter_count, (size_t)layer->bias_count);
        if (layer->norm != NORM_BATCH)
            continue;
        size_t channels = (size_t)layer->out.channels;
        plan->layers[i].running_mean = take_floats(&plan->statistics_count, channels);
        plan->layers[i].running_var = take_floats(&plan->statistics_count, channels);
    }
}

/* What the forward pass writes: outputs, and all else that the backward pass needs. */
static void place_outputs(struct plan *plan, const struct network *network) {
    size_t batch = (size_t)plan->batch;
    plan->input = take(&plan->activation_bytes, batch * IMAGE_BYTES * sizeof(float));
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        struct layer_plan *place = &plan->layers[i];
        size_t outputs = batch * (size_t)shape_elements(layer->out);
        place->output = take(&plan->activation_bytes, outputs * sizeof(float));
        if (layer->kind == LAYER_NORM) {
            size_t means = layer->norm == NORM_BATCH ? (size_t)layer->out.channels
                                                     : batch * (size_t)layer->groups;
            place->mean = take(&plan->activation_bytes, means * sizeof(float));
            place->rstd = take(&plan->activation_bytes, means * sizeof(float));
        }
        if (layer->kind == LAYER_POOL)
            place->code = take(&plan->activation_bytes, outputs);
        if (layer->kind == LAYER_CONV && layer->filter_norm > 0)
            place->filter =
                take(&plan->activation_bytes, (size_t)layer->weight_count * sizeof(float));
    }
}

/* Gradients, from the last layer to the first, in the order of the backward pass. */
static void place_gradients(struct plan *plan, const struct network *network) {
    for (int i = network->layer_count - 1; i >= 0; i--) {
        const struct layer *layer = &network->layers[i];
        struct layer_plan *place = &plan->layers[i];
        if (place->gradient == PLAN_NONE)
            place->gradient =
                take(&plan->activation_bytes,
                     (size_t)plan->batch * (size_t)shape_elements(layer->out) * sizeof(float));
        if (layer->kind == LAYER_NORM && !layer->per_element)
            plan->layers[layer->input].gradient = place->gradient;
        if (layer->kind != LAYER_POOL || layer->skip == LAYER_NONE)
            continue;
        plan->layers[layer->input].gradient =
            take(&plan->activation_bytes,
                 (size_t)plan->batch * (size_t)shape_elements(layer->in) * sizeof(float));
        plan->layers[layer->skip].gradient = plan->layers[layer->input].gradient;
        plan->layers[layer->skip + 1].accumulate = true;
    }
}

void plan_make(struct plan *out, const struct network *network, int batch) {
    *out = (struct plan){.batch = batch};
    for (int i = 0; i < MAX_LAYERS; i++)
        out->layers[i] =
            (struct layer_plan){PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE,
                                PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE, false};
    place_parameters(out, network);
    place_outputs(out, network);
    place_gradients(out, network);
}
