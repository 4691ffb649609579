/* plan.c: computes the offset of every tensor in its arena. */
#include "network/plan.h"

#include "image_format.h"

enum { ALIGNMENT = 64 }; /* bytes */

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Reserves `bytes` at *end, and advances *end, aligned. Returns the offset of the space. */
static size_t take(size_t *end, size_t bytes) {
    size_t offset = *end;
    *end += aligned(bytes);
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

/* 3x3 filters come first, and then the other convolutions, so that Muon and weight decay apply to
 * the front part of the arena. */
static void place_parameters(struct plan *plan, const struct network *network) {
    for (int i = 0; i < network->layer_count; i++)
        if (layer_is_3x3(&network->layers[i]))
            plan->layers[i].weight =
                take_floats(&plan->parameter_count, (size_t)network->layers[i].weight_count);
    plan->filters_count = plan->parameter_count;
    for (int i = 0; i < network->layer_count; i++)
        if (is_convolution(&network->layers[i]) && !layer_is_3x3(&network->layers[i]))
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

static size_t output_bytes(const struct layer *layer, int batch) {
    return (size_t)batch * (size_t)shape_elements(layer->out) * sizeof(float);
}

/* The means of a norm; as many bytes as its rstd. */
static size_t mean_bytes(const struct layer *layer, int batch) {
    size_t means = layer->norm == NORM_BATCH ? (size_t)layer->out.channels
                                             : (size_t)batch * (size_t)layer->groups;
    return means * sizeof(float);
}

/* What outlives a pass: the filters, which an evaluation standardizes once, and the last layer's
 * output, which the host reads. */
static void place_common(struct plan *plan, const struct network *network) {
    int last = network->layer_count - 1;
    int batch = plan->batch > plan->evaluation_batch ? plan->batch : plan->evaluation_batch;
    for (int i = 0; i < network->layer_count; i++)
        if (network->layers[i].kind == LAYER_CONV && network->layers[i].filter_norm > 0)
            plan->layers[i].filter = take(&plan->activation_bytes,
                                          (size_t)network->layers[i].weight_count * sizeof(float));
    plan->layers[last].output =
        take(&plan->activation_bytes, output_bytes(&network->layers[last], batch));
    plan->layers[last].evaluation_output = plan->layers[last].output;
}

/* What the forward pass of training writes: outputs, and all else that the backward pass needs. */
static void place_outputs(struct plan *plan, const struct network *network) {
    size_t *end = &plan->activation_bytes;
    plan->input = take(end, (size_t)plan->batch * IMAGE_BYTES * sizeof(float));
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        struct layer_plan *place = &plan->layers[i];
        size_t bytes = output_bytes(layer, plan->batch);
        if (place->output == PLAN_NONE)
            place->output = take(end, bytes);
        if (layer->kind == LAYER_NORM) {
            place->mean = take(end, mean_bytes(layer, plan->batch));
            place->rstd = take(end, mean_bytes(layer, plan->batch));
        }
        if (layer->kind == LAYER_POOL)
            place->code = take(end, bytes / sizeof(float));
    }
}

/* Gradients, from the last layer to the first, in the order of the backward pass. */
static void place_gradients(struct plan *plan, const struct network *network) {
    for (int i = network->layer_count - 1; i >= 0; i--) {
        const struct layer *layer = &network->layers[i];
        struct layer_plan *place = &plan->layers[i];
        if (place->gradient == PLAN_NONE)
            place->gradient = take(&plan->activation_bytes, output_bytes(layer, plan->batch));
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

/* ---- evaluation ------------------------------------------------------------------------------ */

/* The tensors of an evaluation, which share memory. */
struct tenants {
    int count;
    struct tenant {
        size_t *place; /* its offset; PLAN_NONE: not yet placed */
        size_t bytes;
        int born, last_use; /* the layers that write it and that read it last */
    } items[3 * MAX_LAYERS + 1];
};

static void add_tenant(struct tenants *tenants, size_t *place, size_t bytes, int born,
                       int last_use) {
    *place = PLAN_NONE;
    tenants->items[tenants->count++] = (struct tenant){place, aligned(bytes), born, last_use};
}

/* The last layer that reads the output of layer `index`; LAYER_NONE: that reads the images. */
static int last_use(const struct network *network, int index) {
    int last = index;
    for (int i = 0; i < network->layer_count; i++)
        if (network->layers[i].input == index ||
            (network->layers[i].skip == index && index != LAYER_NONE))
            last = i;
    return last;
}

static void add_tenants(struct tenants *tenants, struct plan *plan, const struct network *network) {
    int batch = plan->evaluation_batch;
    add_tenant(tenants, &plan->evaluation_input, (size_t)batch * IMAGE_BYTES * sizeof(float),
               LAYER_NONE, last_use(network, LAYER_NONE));
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        struct layer_plan *place = &plan->layers[i];
        if (i < network->layer_count - 1)
            add_tenant(tenants, &place->evaluation_output, output_bytes(layer, batch), i,
                       last_use(network, i));
        if (layer->kind != LAYER_NORM)
            continue;
        add_tenant(tenants, &place->evaluation_mean, mean_bytes(layer, batch), i, i);
        add_tenant(tenants, &place->evaluation_rstd, mean_bytes(layer, batch), i, i);
    }
}

/* The largest tensor without a place; NULL: none. */
static const struct tenant *next_tenant(const struct tenants *tenants) {
    const struct tenant *next = NULL;
    for (int i = 0; i < tenants->count; i++)
        if (*tenants->items[i].place == PLAN_NONE &&
            (next == NULL || tenants->items[i].bytes > next->bytes))
            next = &tenants->items[i];
    return next;
}

/* The lowest place from `start` on where no tensor lies that holds something at the same time. */
static size_t lowest_place(const struct tenants *tenants, const struct tenant *tenant,
                           size_t start) {
    size_t place = start;
    for (int i = 0; i < tenants->count;) {
        const struct tenant *other = &tenants->items[i];
        bool clash = *other->place != PLAN_NONE && other->born <= tenant->last_use &&
                     tenant->born <= other->last_use && *other->place < place + tenant->bytes &&
                     place < *other->place + other->bytes;
        place = clash ? *other->place + other->bytes : place;
        i = clash ? 0 : i + 1;
    }
    return place;
}

/* The places in evaluation, from `start` on; the largest tensors first, since small ones fit
 * between them. Returns where they end. */
static size_t place_evaluation(struct plan *plan, const struct network *network, size_t start) {
    struct tenants tenants = {.count = 0};
    const struct tenant *tenant;
    size_t end = start;
    add_tenants(&tenants, plan, network);
    while ((tenant = next_tenant(&tenants)) != NULL) {
        size_t place = lowest_place(&tenants, tenant, start);
        *tenant->place = place;
        end = place + tenant->bytes > end ? place + tenant->bytes : end;
    }
    return end;
}

void plan_make(struct plan *out, const struct network *network, int batch, int evaluation_batch) {
    *out = (struct plan){.batch = batch, .evaluation_batch = evaluation_batch};
    for (int i = 0; i < MAX_LAYERS; i++)
        out->layers[i] = (struct layer_plan){PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE,
                                             PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE, PLAN_NONE,
                                             false,     PLAN_NONE, PLAN_NONE, PLAN_NONE};
    place_parameters(out, network);
    place_common(out, network);
    size_t evaluation_end = place_evaluation(out, network, out->activation_bytes);
    place_outputs(out, network);
    place_gradients(out, network);
    if (out->activation_bytes < evaluation_end)
        out->activation_bytes = evaluation_end;
}
