/* bench_layers.c: what each layer of a network costs, forward and backward, through the seam.
 *
 * For every layer of a network at batch 128 it prints the median time of some repetitions, and for
 * the convolutions GFLOP/s (2 * multiply-adds; backward does that twice, once for the first layer).
 * The rest is bound by memory: for it the bytes that have to be moved at least, over the time, in
 * GB/s, next to a plain copy's. Usage: bench_layers [bn|gn|ln] [tuned|reference] [threads] */
#include "backend.h"
#include "clock.h"
#include "memory.h"
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 128, REPETITIONS = 9 };

/* Buffers as large as the largest map, the first layer's. */
struct bench {
    struct device *device;
    const struct operations *operations;
    float *x, *y, *gradient, *weight, *weight_gradient, *bias_gradient, *statistics;
    uint8_t *code;
    void *workspace;
    struct step_state state;
};

/* What a layer's operation reads and writes at least, forward and backward, in bytes; and its
 * arithmetic. */
struct cost {
    double flops[2], bytes[2];
};

static int compare_times(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct conv_args conv_args(const struct bench *bench, const struct layer *layer) {
    return (struct conv_args){
        .batch = BATCH,
        .in_channels = layer->in.channels,
        .height = layer->in.height,
        .width = layer->in.width,
        .out_channels = layer->out.channels,
        .kernel = layer->kernel,
        .padding = layer->padding,
        .x = bench->x,
        .weight = bench->weight,
        .y = bench->y,
        .dy = bench->y,
        .dx = layer->input == LAYER_NONE ? NULL : bench->gradient,
        .dweight = bench->weight_gradient,
        .workspace = bench->workspace,
    };
}

static struct norm_args norm_args(const struct bench *bench, const struct layer *layer) {
    float *statistics = bench->statistics;
    return (struct norm_args){
        .batch = BATCH,
        .channels = layer->out.channels,
        .pixels = layer->out.height * layer->out.width,
        .groups = layer->groups,
        .per_element = layer->per_element,
        .training = true,
        .relu_place = layer->relu_first ? RELU_BEFORE : RELU_AFTER,
        .epsilon = layer->epsilon,
        .stat_momentum = layer->stat_momentum,
        .dropout = layer->dropout,
        .state = &bench->state,
        .x = bench->x,
        .weight = bench->weight,
        .bias = bench->weight,
        .y = bench->y,
        .mean = statistics,
        .rstd = statistics + BATCH * 64,
        .running_mean = statistics + 2 * BATCH * 64,
        .running_var = statistics + 2 * BATCH * 64 + 64,
        .dy = bench->gradient,
        .dx = bench->gradient,
        .dweight = bench->weight_gradient,
        .dbias = bench->bias_gradient,
        .workspace = bench->workspace,
    };
}

static struct pool_args pool_args(const struct bench *bench, const struct layer *layer) {
    return (struct pool_args){
        .batch = BATCH,
        .channels = layer->in.channels,
        .height = layer->in.height,
        .width = layer->in.width,
        .x = bench->x,
        .skip = layer->skip == LAYER_NONE ? NULL : bench->gradient,
        .y = bench->y,
        .code = bench->code,
        .dy = bench->y,
        .ds = bench->gradient,
    };
}

/* Runs the layer once, forward (0) or backward (1). Average and linear layers are too small to
 * matter. */
static enum status run_layer(struct error *error, const struct bench *bench,
                             const struct layer *layer, int backward) {
    const struct operations *op = bench->operations;
    struct conv_args conv = conv_args(bench, layer);
    struct norm_args norm = norm_args(bench, layer);
    struct pool_args pool = pool_args(bench, layer);
    switch (layer->kind) {
    case LAYER_CONV:
        return (backward ? op->conv_backward : op->conv_forward)(error, bench->device, &conv);
    case LAYER_NORM:
        return (backward ? op->norm[layer->norm].backward
                         : op->norm[layer->norm].forward)(error, bench->device, &norm);
    case LAYER_POOL:
        return (backward ? op->pool_backward : op->pool_forward)(error, bench->device, &pool);
    case LAYER_AVERAGE:
    case LAYER_LINEAR:
        return STATUS_OK;
    }
    return STATUS_OK;
}

static struct cost layer_cost(const struct layer *layer) {
    double in = 4.0 * BATCH * shape_elements(layer->in);
    double out = 4.0 * BATCH * shape_elements(layer->out);
    double flops = 2.0 * BATCH * (double)layer->multiply_adds;
    bool skips = layer->skip != LAYER_NONE;
    switch (layer->kind) {
    case LAYER_CONV:
        return (struct cost){{flops, layer->input == LAYER_NONE ? flops : 2 * flops}, {0, 0}};
    case LAYER_NORM:
        return (struct cost){{0, 0}, {in + out, in + 2 * out}};
    case LAYER_POOL:
        return (struct cost){{0, 0}, {in * (skips ? 2 : 1) + out * 1.25, in + out * 1.25}};
    case LAYER_AVERAGE:
    case LAYER_LINEAR:
        break;
    }
    return (struct cost){{0, 0}, {0, 0}};
}

/* Median seconds of the layer. */
static enum status time_layer(struct error *error, double *seconds, const struct bench *bench,
                              const struct layer *layer, int backward) {
    double times[REPETITIONS];
    for (int i = 0; i < REPETITIONS; i++) {
        double start = clock_seconds();
        if (run_layer(error, bench, layer, backward) != STATUS_OK)
            return error->status;
        times[i] = clock_seconds() - start;
    }
    qsort(times, REPETITIONS, sizeof times[0], compare_times);
    *seconds = times[REPETITIONS / 2];
    return STATUS_OK;
}

static void print_rate(double seconds, double flops, double bytes) {
    printf(" %8.2f ms", 1e3 * seconds);
    if (flops > 0)
        printf(" %6.1f GFLOP/s", flops / seconds / 1e9);
    else
        printf(" %6.1f GB/s   ", bytes / seconds / 1e9);
}

static enum status bench_network(struct error *error, const struct bench *bench,
                                 const struct network *network) {
    double total = 0, flops = 0;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        struct cost cost = layer_cost(layer);
        if (cost.flops[0] + cost.bytes[0] <= 0)
            continue;
        printf("%-14s %-11s %2d -> %2d %2dx%-2d", layer->name, layer_type(layer),
               layer->in.channels, layer->out.channels, layer->out.height, layer->out.width);
        for (int backward = 0; backward < 2; backward++) {
            double seconds = 0;
            if (time_layer(error, &seconds, bench, layer, backward) != STATUS_OK)
                return error->status;
            print_rate(seconds, cost.flops[backward], cost.bytes[backward]);
            total += seconds;
            flops += cost.flops[backward];
        }
        putchar('\n');
    }
    printf("sum of a step: %.1f ms, %.1f GFLOP/s\n", 1e3 * total, flops / total / 1e9);
    return STATUS_OK;
}

/* GB/s of memcpy, read and write counted, of a block that no cache holds. */
static double copy_rate(struct bench *bench, size_t bytes) {
    double best = 0;
    for (int i = 0; i < REPETITIONS; i++) {
        double start = clock_seconds();
        memcpy(bench->y, bench->gradient, bytes);
        double rate = 2.0 * (double)bytes / (clock_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

static size_t workspace_bytes(const struct bench *bench, const struct network *network) {
    size_t most = 1;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        struct conv_args conv = conv_args(bench, layer);
        struct norm_args norm = norm_args(bench, layer);
        size_t bytes = layer->kind == LAYER_CONV
                           ? bench->operations->conv_workspace(bench->device, &conv)
                       : layer->kind == LAYER_NORM
                           ? bench->operations->norm[layer->norm].workspace(bench->device, &norm)
                           : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Random maps, so that ReLU and pool meet what they meet in training. */
static void fill(float *values, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1;
    }
}

static enum status set_up(struct error *error, struct bench *bench, const struct network *network) {
    size_t largest = (size_t)BATCH * 32 * 32 * 32, weights = 32 * 32 * 32;
    if (memory_alloc(error, &bench->x, largest, sizeof(float), "a map") ||
        memory_alloc(error, &bench->y, largest, sizeof(float), "a map") ||
        memory_alloc(error, &bench->gradient, largest, sizeof(float), "a map") ||
        memory_alloc(error, &bench->code, largest, 1, "codes") ||
        memory_alloc(error, &bench->weight, weights, sizeof(float), "weights") ||
        memory_alloc(error, &bench->weight_gradient, weights, sizeof(float), "gradients") ||
        memory_alloc(error, &bench->bias_gradient, weights, sizeof(float), "gradients") ||
        memory_alloc(error, &bench->statistics, (size_t)BATCH * 256, sizeof(float), "statistics") ||
        memory_alloc(error, &bench->workspace, workspace_bytes(bench, network), 1, "workspace"))
        return error->status;
    fill(bench->x, largest);
    fill(bench->y, largest);
    fill(bench->gradient, largest);
    fill(bench->weight, weights);
    return STATUS_OK;
}

static void tear_down(struct bench *bench) {
    void *blocks[] = {bench->x,
                      bench->y,
                      bench->gradient,
                      bench->code,
                      bench->weight,
                      bench->weight_gradient,
                      bench->bias_gradient,
                      bench->statistics,
                      bench->workspace};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        memory_free(blocks[i]);
    cpu_backend.close(bench->device);
}

/* The word's place in the list of options, or the first one. */
static enum norm_kind norm_of(const char *word) {
    for (int norm = 0; norm < NORM_COUNT; norm++)
        if (strcmp(word, norm_option((enum norm_kind)norm)) == 0)
            return (enum norm_kind)norm;
    return NORM_BATCH;
}

int main(int argc, char *argv[]) {
    struct error error = {STATUS_OK, ""};
    struct bench bench = {0};
    struct network network;
    enum norm_kind norm = norm_of(argc > 1 ? argv[1] : "bn");
    bool tuned = argc > 2 && strcmp(argv[2], "tuned") == 0;
    struct device_options options = {.threads = argc > 3 ? atoi(argv[3]) : 0};
    const struct recipe *recipe = recipe_find(tuned ? RECIPE_TUNED : RECIPE_REFERENCE, norm);
    if (cpu_backend.open(&error, &bench.device, &options) == STATUS_OK) {
        bench.operations = cpu_backend.operations(bench.device);
        if (network_build(&error, &network, recipe) == STATUS_OK &&
            set_up(&error, &bench, &network) == STATUS_OK) {
            printf("%s, %s, batch %d; %s; memcpy by one thread: %.1f GB/s\n", norm_title(norm),
                   recipe_option(recipe->kind), BATCH, cpu_backend.describe(bench.device),
                   copy_rate(&bench, (size_t)BATCH * 32 * 32 * 32 * sizeof(float)));
            (void)bench_network(&error, &bench, &network);
        }
        tear_down(&bench);
    }
    if (error.status != STATUS_OK)
        fprintf(stderr, "bench_layers: %s\n", error.text);
    return (int)error.status;
}
