/* bench_layers.c: what each layer of a network costs in a step, pass by pass, through the backend
 * interface: forward and backward, and for convolutions the gradients of the data and of the
 * filters apart.
 *
 * For the convolutions it prints GFLOP/s (2 * multiply-adds). The rest is bound by memory: for it
 * GB/s, the minimum traffic divided by the time, next to a plain copy's. On the CPU it measures what
 * the machine could do at most (machine.h), and prints each pass's share of the nearer limit, as
 * GFLOP/s or GB/s. A share above 100 % is no mistake: Winograd's algorithm multiplies less, and all
 * layers use the same buffers, so a cache may hold what a layer reads; bench_kernels avoids that.
 *
 * Usage: bench_layers [bn|gn|ln] [tuned|reference] [THREADS] [--OPTION VALUE ...]. Without --device
 * it runs on the CPU. */
#include "arguments.h"
#include "base/files.h"
#include "device_copy.h"
#include "layer_calls.h"
#include "machine.h"
#include "model/device_choice.h"
#include "network/network.h"
#include "timing.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang__
#define COMPILER __VERSION__ /* "Clang 16.0.6" */
#else
#define COMPILER "GCC " __VERSION__
#endif

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
    struct machine machine;       /* of the CPU */
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

struct run {
    const struct bench *bench;
    const struct layer *layer;
    enum pass pass;
};

static enum status launch_pass(struct error *error, const void *context, int index) {
    const struct run *run = context;
    const struct bench *bench = run->bench;
    const struct layer *layer = run->layer;
    const struct operations *op = bench->operations;
    const struct layer_buffers *b = &bench->buffers;
    (void)index;
    switch (run->pass) {
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

/* ---- results --------------------------------------------------------------------------------- */

/* The shortest time that the machine's limits allow; 0: they are unknown. */
struct limit {
    double arithmetic, memory; /* seconds */
};

static struct limit limit_of(const struct machine *machine, struct layer_cost cost) {
    const double bandwidth = machine->read > machine->copy ? machine->read : machine->copy;
    if (machine->flops == 0)
        return (struct limit){0, 0};
    return (struct limit){cost.flops / machine->flops, cost.bytes / bandwidth};
}

static double nearer(struct limit limit) {
    return limit.arithmetic > limit.memory ? limit.arithmetic : limit.memory;
}

static void report(const struct run *run, const struct work *work, double seconds,
                   struct layer_cost cost, struct limit limit) {
    const bool known = nearer(limit) > 0;
    const bool arithmetic = known ? limit.arithmetic > limit.memory : cost.flops > 0;
    json_t *line = json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:i}", "layer", run->layer->name, "type",
        layer_type(run->layer), "pass", pass_names[run->pass], "microseconds", 1e6 * seconds,
        "flops", cost.flops, "bytes", cost.bytes, "gflop_per_second", 1e-9 * cost.flops / seconds,
        "gb_per_second", 1e-9 * cost.bytes / seconds, "launches", work->launches);
    printf(" %9.3f ms %7.1f %-7s", 1e3 * seconds,
           1e-9 * (arithmetic ? cost.flops : cost.bytes) / seconds,
           arithmetic ? "GFLOP/s" : "GB/s");
    if (known) {
        printf(" %3.0f %%", 100 * nearer(limit) / seconds);
        json_object_set_new(line, "limit", json_string(arithmetic ? "arithmetic" : "memory"));
        json_object_set_new(line, "share", json_real(nearer(limit) / seconds));
    }
    json_array_append_new(json_object_get(run->bench->results, "layers"), line);
}

/* Sums over the passes of a step. */
struct sums {
    double seconds, flops, limit; /* limit: seconds of the nearer limits */
};

/* One line; adds to the sums of a step. */
static enum status bench_layer(struct error *error, const struct bench *bench,
                               const struct layer *layer, struct sums *sums) {
    printf("%-14s %-11s %2d -> %2d %2dx%-2d", layer->name, layer_type(layer), layer->in.channels,
           layer->out.channels, layer->out.height, layer->out.width);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        const struct run run = {bench, layer, (enum pass)pass};
        struct work work = {.backend = bench->backend,
                            .device = bench->device,
                            .event = bench->event,
                            .launch = launch_pass,
                            .context = &run,
                            .least = 1,
                            .most = 200};
        const struct layer_cost cost = pass_cost(layer, run.pass, bench->request->batch);
        const struct limit limit = limit_of(&bench->machine, cost);
        double seconds = 0;
        if (!has_pass(layer, run.pass))
            continue;
        if (time_work(error, &seconds, &work, bench->request->samples) != STATUS_OK)
            return error->status;
        report(&run, &work, seconds, cost, limit);
        sums->seconds += seconds;
        sums->flops += cost.flops;
        sums->limit += nearer(limit);
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
    struct sums sums = {0, 0, 0};
    printf("forward and backward; of convolutions forward, gradients of the data and of the "
           "filters:\n");
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind != LAYER_AVERAGE && layer->kind != LAYER_LINEAR &&
            bench_layer(error, bench, layer, &sums) != STATUS_OK)
            return error->status;
    }
    printf("sum of a step: %.3f ms, %.1f GFLOP/s", 1e3 * sums.seconds,
           1e-9 * sums.flops / sums.seconds);
    if (sums.limit > 0)
        printf("; at the limits %.3f ms, multiply-adds at their peak %.3f ms", 1e3 * sums.limit,
               1e3 * sums.flops / bench->machine.flops);
    putchar('\n');
    json_object_set_new(bench->results, "sum_microseconds", json_real(1e6 * sums.seconds));
    json_object_set_new(bench->results, "sum_flops", json_real(sums.flops));
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
        status = wait_for_device(error, bench->backend, bench->device, bench->event);
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
    return wait_for_device(error, bench->backend, bench->device, bench->event);
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

/* What the layers are compared with: the machine's limits; of a GPU only a copy of a map. */
static enum status measure_limits(struct error *error, struct bench *bench) {
    const int samples = bench->request->samples;
    const struct device_copy copy = {bench->backend,   bench->device,           bench->event,
                                     bench->buffers.y, bench->buffers.gradient, bench->map_bytes};
    struct machine *m = &bench->machine;
    double rate = 0;
    if (bench->backend != &cpu_backend) {
        if (copy_rate(error, &rate, &copy, samples) != STATUS_OK)
            return error->status;
        printf("a copy: %.1f GB/s\n", 1e-9 * rate);
    } else {
        if (machine_measure(error, m, bench->device, bench->event, samples) != STATUS_OK)
            return error->status;
        rate = m->copy;
        printf("multiply-adds at most: %.1f GFLOP/s; memory: read %.1f GB/s, copy %.1f GB/s\n",
               1e-9 * m->flops, 1e-9 * m->read, 1e-9 * m->copy);
        json_object_set_new(bench->results, "peak_gflop_per_second", json_real(1e-9 * m->flops));
        json_object_set_new(bench->results, "read_gb_per_second", json_real(1e-9 * m->read));
    }
    json_object_set_new(bench->results, "copy_gb_per_second", json_real(1e-9 * rate));
    return STATUS_OK;
}

static enum status bench_all(struct error *error, struct bench *bench,
                             const struct network *network, const struct device_choice *choice) {
    const struct request *request = bench->request;
    printf("%s, %s, batch %d; %s\n", norm_title(request->norm), recipe_option(request->recipe),
           request->batch, choice->text);
    if (set_up(error, bench, network) != STATUS_OK || measure_limits(error, bench) != STATUS_OK)
        return error->status;
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
    const int threads =
        choice.backend->threads == NULL ? 0 : choice.backend->threads(choice.device);
    bench.results =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:i, s:b, s:[]}", "device",
                  choice.backend->describe(choice.device), "backend", choice.backend->name,
                  "arithmetic", choice.backend->arithmetic(choice.device), "threads", threads,
                  "compiler", COMPILER, "norm", norm_option(request->norm), "recipe",
                  recipe_option(request->recipe), "batch", request->batch, "samples",
                  request->samples, "replayed", choice.backend->record_begin != NULL, "layers");
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
    OPTION("threads", "N", "of the CPU (what the system allows)", VALUE_INT, device.threads, NULL,
           1, 1024),
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
