/* bench_layers.c: what each layer of a network costs, forward and backward, through
 * the backend interface.
 *
 * For every layer of a network at batch 128 it prints the median time of some repetitions, and for
 * the convolutions GFLOP/s (2 * multiply-adds; twice that for backward, except in the first layer).
 * The rest is bound by memory: for it GB/s, the minimum traffic divided by the time, next to a
 * plain copy's. Usage: bench_layers [bn|gn|ln] [tuned|reference] [threads] */
#include "backend.h"
#include "base/clock.h"
#include "layer_calls.h"
#include "memory.h"
#include "network/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 128, REPETITIONS = 9 };

/* Buffers as large as the largest map, the first layer's. */
struct bench {
    struct device *device;
    const struct operations *operations;
    struct layer_buffers buffers;
    struct step_state state;
};

/* Runs the layer once, forward (0) or backward (1). */
static enum status run_layer(struct error *error, const struct bench *bench,
                             const struct layer *layer, int backward) {
    return (backward ? layer_backward : layer_forward)(error, bench->device, bench->operations,
                                                       &bench->buffers, layer);
}

static struct layer_cost layer_cost(const struct layer *layer, int backward) {
    return (backward ? layer_backward_cost : layer_forward_cost)(layer, BATCH);
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
    *seconds = median(times, REPETITIONS);
    return STATUS_OK;
}

static void print_rate(double seconds, double flops, double bytes) {
    printf(" %8.2f ms", 1e3 * seconds);
    if (flops > 0)
        printf(" %6.1f GFLOP/s", flops / seconds / 1e9);
    else
        printf(" %6.1f GB/s   ", bytes / seconds / 1e9);
}

/* Average and linear layers are too small to matter. */
static enum status bench_network(struct error *error, const struct bench *bench,
                                 const struct network *network) {
    double total = 0, flops = 0;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind == LAYER_AVERAGE || layer->kind == LAYER_LINEAR)
            continue;
        printf("%-14s %-11s %2d -> %2d %2dx%-2d", layer->name, layer_type(layer),
               layer->in.channels, layer->out.channels, layer->out.height, layer->out.width);
        for (int backward = 0; backward < 2; backward++) {
            struct layer_cost cost = layer_cost(layer, backward);
            double seconds = 0;
            if (time_layer(error, &seconds, bench, layer, backward) != STATUS_OK)
                return error->status;
            print_rate(seconds, cost.flops, cost.bytes);
            total += seconds;
            flops += cost.flops;
        }
        putchar('\n');
    }
    printf("sum of a step: %.1f ms, %.1f GFLOP/s\n", 1e3 * total, flops / total / 1e9);
    return STATUS_OK;
}

/* GB/s of memcpy, reads plus writes, of a block too large for any cache. */
static double copy_rate(struct bench *bench, size_t bytes) {
    double best = 0;
    for (int i = 0; i < REPETITIONS; i++) {
        double start = clock_seconds();
        memcpy(bench->buffers.y, bench->buffers.gradient, bytes);
        double rate = 2.0 * (double)bytes / (clock_seconds() - start) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

static size_t workspace_bytes(const struct bench *bench, const struct network *network) {
    size_t most = 1;
    for (int i = 0; i < network->layer_count; i++) {
        size_t bytes =
            layer_workspace(bench->device, bench->operations, &network->layers[i], BATCH);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static enum status set_up(struct error *error, struct bench *bench, const struct network *network) {
    size_t largest = (size_t)BATCH * 32 * 32 * 32, weights = 32 * 32 * 32;
    struct layer_buffers *b = &bench->buffers;
    b->batch = BATCH;
    b->state = &bench->state;
    if (memory_alloc(error, &b->x, largest, sizeof(float), "a map") ||
        memory_alloc(error, &b->y, largest, sizeof(float), "a map") ||
        memory_alloc(error, &b->gradient, largest, sizeof(float), "a map") ||
        memory_alloc(error, &b->code, largest, 1, "codes") ||
        memory_alloc(error, &b->weight, weights, sizeof(float), "weights") ||
        memory_alloc(error, &b->weight_gradient, weights, sizeof(float), "gradients") ||
        memory_alloc(error, &b->bias_gradient, weights, sizeof(float), "gradients") ||
        memory_alloc(error, &b->statistics, (size_t)BATCH * 256, sizeof(float), "statistics") ||
        memory_alloc(error, &b->workspace, workspace_bytes(bench, network), 1, "workspace"))
        return error->status;
    b->bias = b->weight;
    fill_random(b->x, largest);
    fill_random(b->y, largest);
    fill_random(b->gradient, largest);
    fill_random(b->weight, weights);
    return STATUS_OK;
}

static void tear_down(struct bench *bench) {
    const struct layer_buffers *b = &bench->buffers;
    void *blocks[] = {b->x,
                      b->y,
                      b->gradient,
                      b->code,
                      b->weight,
                      b->weight_gradient,
                      b->bias_gradient,
                      b->statistics,
                      b->workspace};
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
