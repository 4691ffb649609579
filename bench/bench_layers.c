/* bench_layers.c: what each layer of a network costs in a step, pass by pass, through the backend
 * interface: forward and backward, and for convolutions the gradients of the data and of the
 * filters apart.
 *
 * For the convolutions it prints GFLOP/s (2 * multiply-adds). The rest is bound by memory: for it
 * GB/s, the minimum traffic divided by the time, next to a plain copy's. Passes are timed as
 * training runs them: on a GPU many in a row, replayed from a recording. All layers use the same
 * buffers, so a cache may hold what a small layer reads; bench_kernels avoids that.
 *
 * Usage: bench_layers [bn|gn|ln] [tuned|reference] [THREADS] [--OPTION VALUE ...]. Without --device
 * it runs on the CPU. */
#include "arguments.h"
#include "base/clock.h"
#include "base/files.h"
#include "device_copy.h"
#include "layer_calls.h"
#include "model/device_choice.h"
#include "network/network.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SAMPLES = 999, MAX_LAUNCHES = 200 };

/* The minimum time of a sample of recorded passes, in seconds: much more than the wait at its
 * end. */
static const double sample_seconds = 3e-3;

enum pass { FORWARD, BACKWARD, DATA_GRADIENT, FILTER_GRADIENT, PASS_COUNT };
static const char *const pass_names[PASS_COUNT] = {"forward", "backward", "data gradient",
                                                   "filter gradient"};

struct request {
    enum norm_kind norm;
    enum recipe_kind recipe;
    struct device_request device;
    int batch, samples;
    char json[PATH_CAPACITY];
};

struct bench {
    const struct request *request;
    const struct backend *backend;
    struct device *device;
    const struct operations *operations;
    struct event *event;
    struct layer_buffers buffers; /* each as large as the largest layer needs */
    struct step_state *state;     /* in device memory */
    size_t map_bytes;             /* of x, y and gradient each */
    json_t *results;
};

/* ---- passes ---------------------------------------------------------------------------------- */

static bool has_pass(const struct layer *layer, enum pass pass) {
    switch (pass) {
    case FORWARD:
        return true;
    case BACKWARD:
        return layer->kind != LAYER_CONV;
    case DATA_GRADIENT:
        return layer->kind == LAYER_CONV && layer->input != LAYER_NONE;
    case FILTER_GRADIENT:
        return layer->kind == LAYER_CONV;
    case PASS_COUNT:
        break;
    }
    return false;
}

static enum status run_pass(struct error *error, const struct bench *bench,
                            const struct layer *layer, enum pass pass) {
    const struct operations *op = bench->operations;
    const struct layer_buffers *b = &bench->buffers;
    switch (pass) {
    case FORWARD:
        return layer_forward(error, bench->device, op, b, layer);
    case BACKWARD:
        return layer_backward(error, bench->device, op, b, layer);
    case DATA_GRADIENT:
        return layer_data_gradient(error, bench->device, op, b, layer);
    case FILTER_GRADIENT:
        return layer_filter_gradient(error, bench->device, op, b, layer);
    case PASS_COUNT:
        break;
    }
    return STATUS_OK;
}

static struct layer_cost pass_cost(const struct layer *layer, enum pass pass, int batch) {
    return pass == BACKWARD ? layer_backward_cost(layer, batch) : layer_forward_cost(layer, batch);
}

/* ---- timing ---------------------------------------------------------------------------------- */

static enum status wait_for_device(struct error *error, const struct bench *bench) {
    if (bench->backend->event_record(error, bench->device, bench->event, STREAM_COMPUTE))
        return error->status;
    return bench->backend->event_synchronize(error, bench->device, bench->event);
}

/* A pass of a layer, repeated; recorded where the backend has recordings. */
struct run {
    const struct layer *layer;
    enum pass pass;
    int launches; /* of a sample */
    struct recording *recording;
};

static enum status launch_all(struct error *error, const struct bench *bench,
                              const struct run *run) {
    for (int i = 0; i < run->launches; i++)
        if (run_pass(error, bench, run->layer, run->pass) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

/* Seconds of a sample, which ends with a wait. */
static enum status time_sample(struct error *error, double *seconds, const struct bench *bench,
                               const struct run *run) {
    double start = clock_seconds();
    if ((run->recording == NULL
             ? launch_all(error, bench, run)
             : bench->backend->replay(error, bench->device, run->recording)) != STATUS_OK ||
        wait_for_device(error, bench) != STATUS_OK)
        return error->status;
    *seconds = clock_seconds() - start;
    return STATUS_OK;
}

/* Runs the pass once to warm up. Where it can be recorded, runs it once more to see how many make a
 * sample, and records them. */
static enum status prepare_run(struct error *error, struct run *run, const struct bench *bench) {
    const struct backend *backend = bench->backend;
    double seconds = 0;
    if (time_sample(error, &seconds, bench, run) != STATUS_OK)
        return error->status;
    if (backend->record_begin == NULL)
        return STATUS_OK;
    if (time_sample(error, &seconds, bench, run) != STATUS_OK)
        return error->status;
    double wanted = sample_seconds / seconds + 1;
    run->launches = wanted < MAX_LAUNCHES ? (int)wanted : MAX_LAUNCHES;
    if (backend->record_begin(error, bench->device) != STATUS_OK)
        return error->status;
    if (launch_all(error, bench, run) != STATUS_OK) {
        backend->record_cancel(bench->device);
        return error->status;
    }
    return backend->record_end(error, bench->device, &run->recording);
}

/* Median seconds of one launch of the pass. */
static enum status time_pass(struct error *error, double *seconds, struct run *run,
                             const struct bench *bench) {
    double times[MAX_SAMPLES];
    enum status status = prepare_run(error, run, bench);
    for (int i = 0; i < bench->request->samples && status == STATUS_OK; i++)
        status = time_sample(error, &times[i], bench, run);
    if (run->recording != NULL)
        bench->backend->recording_destroy(bench->device, run->recording);
    if (status == STATUS_OK)
        *seconds = median(times, bench->request->samples) / run->launches;
    return status;
}

/* GB/s, reads plus writes, of a copy of a map within the device's memory. */
static enum status copy_rate(struct error *error, double *rate, struct bench *bench) {
    *rate = 0;
    for (int i = 0; i < bench->request->samples; i++) {
        double start = clock_seconds();
        if (device_copy(error, bench->backend, bench->device, bench->buffers.y,
                        bench->buffers.gradient, bench->map_bytes) != STATUS_OK ||
            wait_for_device(error, bench) != STATUS_OK)
            return error->status;
        double now = 2e-9 * (double)bench->map_bytes / (clock_seconds() - start);
        *rate = now > *rate ? now : *rate;
    }
    return STATUS_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

static void report(const struct bench *bench, const struct run *run, double seconds,
                   struct layer_cost cost) {
    printf(" %9.3f ms", 1e3 * seconds);
    if (cost.flops > 0)
        printf(" %8.1f GFLOP/s", 1e-9 * cost.flops / seconds);
    else
        printf(" %8.1f GB/s   ", 1e-9 * cost.bytes / seconds);
    json_array_append_new(json_object_get(bench->results, "layers"),
                          json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:i}", "layer",
                                    run->layer->name, "type", layer_type(run->layer), "pass",
                                    pass_names[run->pass], "microseconds", 1e6 * seconds, "flops",
                                    cost.flops, "bytes", cost.bytes, "gflop_per_second",
                                    1e-9 * cost.flops / seconds, "gb_per_second",
                                    1e-9 * cost.bytes / seconds, "launches", run->launches));
}

/* One line; adds to the sums of a step. */
static enum status bench_layer(struct error *error, const struct bench *bench,
                               const struct layer *layer, double *total, double *flops) {
    printf("%-14s %-11s %2d -> %2d %2dx%-2d", layer->name, layer_type(layer), layer->in.channels,
           layer->out.channels, layer->out.height, layer->out.width);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        struct run run = {.layer = layer, .pass = (enum pass)pass, .launches = 1};
        struct layer_cost cost = pass_cost(layer, run.pass, bench->request->batch);
        double seconds = 0;
        if (!has_pass(layer, run.pass))
            continue;
        if (time_pass(error, &seconds, &run, bench) != STATUS_OK)
            return error->status;
        report(bench, &run, seconds, cost);
        *total += seconds;
        *flops += cost.flops;
    }
    putchar('\n');
    fflush(stdout);
    return STATUS_OK;
}

/* The algorithms that the device chose for the convolutions. */
static void list_choices(const struct bench *bench) {
    const char *line = NULL;
    json_t *list = json_array();
    for (int i = 0; (line = bench->backend->choice(bench->device, i)) != NULL; i++) {
        printf("%s\n", line);
        json_array_append_new(list, json_string(line));
    }
    json_object_set_new(bench->results, "convolutions", list);
}

/* Average and linear layers are too small to matter. */
static enum status bench_network(struct error *error, const struct bench *bench,
                                 const struct network *network) {
    double total = 0, flops = 0;
    printf("forward and backward; of convolutions forward, gradients of the data and of the "
           "filters:\n");
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind != LAYER_AVERAGE && layer->kind != LAYER_LINEAR &&
            bench_layer(error, bench, layer, &total, &flops) != STATUS_OK)
            return error->status;
    }
    printf("sum of a step: %.3f ms, %.1f GFLOP/s\n", 1e3 * total, 1e-9 * flops / total);
    json_object_set_new(bench->results, "sum_microseconds", json_real(1e6 * total));
    list_choices(bench);
    return STATUS_OK;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

/* What the largest layer needs. */
struct needs {
    size_t map, weights, statistics; /* floats */
    size_t workspace;                /* bytes */
};

static void raise_to(size_t *most, size_t value) {
    *most = value > *most ? value : *most;
}

static struct needs needs_of(const struct bench *bench, const struct network *network) {
    struct needs needs = {1, 1, 1, 1};
    const int batch = bench->request->batch;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        raise_to(&needs.map, (size_t)batch * (size_t)shape_elements(layer->in));
        raise_to(&needs.map, (size_t)batch * (size_t)shape_elements(layer->out));
        raise_to(&needs.weights, (size_t)layer->weight_count);
        raise_to(&needs.statistics, layer_statistics(layer, batch));
        raise_to(&needs.workspace, layer_workspace(bench->device, bench->operations, layer, batch));
    }
    return needs;
}

/* Device memory with random numbers. */
static enum status random_floats(struct error *error, struct bench *bench, float **out,
                                 size_t count) {
    const struct backend *b = bench->backend;
    float *block = NULL;
    size_t bytes = count * sizeof **out;
    if (b->alloc(error, bench->device, out, bytes, "a layer's numbers") != STATUS_OK ||
        b->alloc_pinned(error, bench->device, &block, bytes, "random numbers") != STATUS_OK)
        return error->status;
    fill_random(block, count);
    enum status status = b->upload(error, bench->device, STREAM_COMPUTE, *out, block, bytes);
    if (status == STATUS_OK)
        status = wait_for_device(error, bench);
    b->release_pinned(bench->device, block);
    return status;
}

/* Step 0. A pool's codes are written before they are read. */
static enum status set_up(struct error *error, struct bench *bench, const struct network *network) {
    const struct backend *backend = bench->backend;
    const struct needs needs = needs_of(bench, network);
    struct layer_buffers *b = &bench->buffers;
    b->batch = bench->request->batch;
    bench->map_bytes = needs.map * sizeof(float);
    if (backend->event_create(error, bench->device, &bench->event) ||
        random_floats(error, bench, &b->x, needs.map) ||
        random_floats(error, bench, &b->y, needs.map) ||
        random_floats(error, bench, &b->gradient, needs.map) ||
        random_floats(error, bench, &b->weight, needs.weights) ||
        random_floats(error, bench, &b->weight_gradient, needs.weights) ||
        random_floats(error, bench, &b->bias_gradient, needs.weights) ||
        random_floats(error, bench, &b->statistics, needs.statistics) ||
        backend->alloc(error, bench->device, &b->code, needs.map, "codes") ||
        backend->alloc(error, bench->device, &b->workspace, needs.workspace, "workspace") ||
        backend->alloc(error, bench->device, &bench->state, sizeof *bench->state, "a step") ||
        backend->clear(error, bench->device, STREAM_COMPUTE, bench->state, sizeof *bench->state))
        return error->status;
    b->bias = b->weight;
    b->state = bench->state;
    return wait_for_device(error, bench);
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
                      b->workspace,
                      bench->state};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        bench->backend->release(bench->device, blocks[i]);
    if (bench->event != NULL)
        bench->backend->event_destroy(bench->device, bench->event);
    json_decref(bench->results);
}

static enum status bench_all(struct error *error, struct bench *bench,
                             const struct network *network, const struct device_choice *choice) {
    double rate = 0;
    const struct request *request = bench->request;
    if (set_up(error, bench, network) != STATUS_OK || copy_rate(error, &rate, bench) != STATUS_OK)
        return error->status;
    printf("%s, %s, batch %d; %s; a copy: %.1f GB/s\n", norm_title(request->norm),
           recipe_option(request->recipe), request->batch, choice->text, rate);
    json_object_set_new(bench->results, "copy_gb_per_second", json_real(rate));
    return bench_network(error, bench, network);
}

static enum status run_request(struct error *error, const struct request *request) {
    struct device_choice choice;
    struct network network;
    if (network_build(error, &network, recipe_find(request->recipe, request->norm)) != STATUS_OK ||
        device_choose(error, &choice, backends, &request->device) != STATUS_OK)
        return error->status;
    struct bench bench = {.request = request,
                          .backend = choice.backend,
                          .device = choice.device,
                          .operations = choice.backend->operations(choice.device)};
    bench.results =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:[]}", "device",
                  choice.backend->describe(choice.device), "backend", choice.backend->name, "norm",
                  norm_option(request->norm), "recipe", recipe_option(request->recipe), "batch",
                  request->batch, "samples", request->samples, "replayed",
                  choice.backend->record_begin != NULL, "layers");
    enum status status = bench_all(error, &bench, &network, &choice);
    if (status == STATUS_OK && request->json[0] != '\0' &&
        json_dump_file(bench.results, request->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0)
        status = error_set(error, STATUS_FAILED, "%s: cannot be written", request->json);
    tear_down(&bench);
    device_close(&choice);
    return status;
}

/* ---- options --------------------------------------------------------------------------------- */

#define OPTION(name, argument, help, kind, member, words, low, high)                               \
    { name, argument, help, 0, kind, offsetof(struct request, member), words, low, high }

/* The first three may also be given in this order, without their names. */
static const struct option options[] = {
    OPTION("norm", NULL, "the network's (bn)", VALUE_WORD, norm, norm_words, 0, 0),
    OPTION("recipe", NULL, "the network's (reference)", VALUE_WORD, recipe, recipe_words, 0, 0),
    OPTION("threads", "N", "of the CPU (one per core)", VALUE_INT, device.threads, NULL, 1, 1024),
    OPTION("device", "auto|cuda|cuda:N|cpu", "where (cpu)", VALUE_DEVICE, device, NULL, 0, 0),
    OPTION("batch", "N", "images (128)", VALUE_INT, batch, NULL, 1, 50000),
    OPTION("samples", "N", "of each pass; the median counts (9)", VALUE_INT, samples, NULL, 1,
           MAX_SAMPLES),
    OPTION("json", "FILE", "the results as one JSON object", VALUE_PATH, json, NULL, 0, 0),
};
enum { OPTION_COUNT = sizeof options / sizeof options[0], POSITIONS = 3 };

/* Puts the names of the options before leading values that have none; returns the new count. */
static int name_positions(char *out[], int argc, char *argv[]) {
    static char names[POSITIONS][16];
    int count = 0, position = 0;
    out[count++] = argv[0];
    for (int i = 1; i < argc; i++) {
        if (position == i - 1 && position < POSITIONS && strncmp(argv[i], "--", 2) != 0) {
            snprintf(names[position], sizeof names[position], "--%s", options[position].name);
            out[count++] = names[position++];
        }
        out[count++] = argv[i];
    }
    return count;
}

int main(int argc, char *argv[]) {
    enum { MAX_ARGUMENTS = 64 };
    struct error error = {STATUS_OK, ""};
    static struct request request = {.norm = NORM_BATCH,
                                     .recipe = RECIPE_REFERENCE,
                                     .device = {.kind = DEVICE_CPU},
                                     .batch = 128,
                                     .samples = 9};
    char *named[MAX_ARGUMENTS + POSITIONS];
    if (arguments_help("bench_layers", options, OPTION_COUNT, argc, argv))
        return 0;
    enum status status =
        argc > MAX_ARGUMENTS
            ? error_set(&error, STATUS_USAGE, "more than %d words; see --help", MAX_ARGUMENTS)
            : arguments_parse(&error, &request, options, OPTION_COUNT,
                              name_positions(named, argc, argv), named);
    if (status == STATUS_OK)
        status = run_request(&error, &request);
    if (status != STATUS_OK)
        fprintf(stderr, "bench_layers: %s\n", error.text);
    return (int)status;
}
