/* bench_kernels.c: the bandwidth of each operation that is bound by memory, through the
 * backend interface, with the shapes that it has in the networks, next to a plain copy's in the
 * same run.
 *
 * Bandwidth is an operation's minimum traffic (each input read once, each output written once)
 * divided by its median time. An operation is timed as training runs it: many in a row without a
 * wait, replayed from a recording where the backend has recordings. Each works on the next of
 * several sets of buffers, so that no cache holds what it reads; if all sets of a run together are
 * smaller than --cache, the table says "cached". Small operations show the cost of a launch rather
 * than a bandwidth. Convolutions and the classifier, bound by arithmetic, are in bench_layers and
 * bench_step. */
#include "arguments.h"
#include "base/files.h"
#include "device_copy.h"
#include "kernel_list.h"
#include "model/device_choice.h"
#include "timing.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MIB = 1 << 20 };

struct request {
    struct device_request device;
    int batch, samples, launches, cache;
    char only[PATH_CAPACITY], json[PATH_CAPACITY];
};

struct bench {
    const struct request *request;
    const struct backend *backend;
    struct device *device;
    const struct operations *operations;
    enum batch_norm batch_norm; /* of the device */
    struct event *event;
    struct step_state *state; /* in device memory */
    uint8_t *arena;           /* device memory that all kernels' sets are carved out of */
    size_t arena_bytes;
    double copy_rate; /* bytes a second, read and written; 0: not measured yet */
    json_t *results;
};

/* ---- timing ---------------------------------------------------------------------------------- */

/* A kernel with its sets of buffers, which follow one another in the arena. */
struct run {
    const struct bench *bench;
    const struct kernel *kernel;
    size_t set_bytes, workspace;
    int sets;
};

static void carve(struct kernel_buffers *buffers, const struct run *run, int index) {
    kernel_carve(buffers, run->kernel, run->bench->request->batch, run->workspace,
                 run->bench->arena + (size_t)(index % run->sets) * run->set_bytes,
                 run->bench->state);
}

/* Every set gets its turn. */
static enum status launch_kernel(struct error *error, const void *context, int index) {
    const struct run *run = context;
    struct kernel_buffers buffers;
    carve(&buffers, run, index);
    return kernel_run(error, run->bench->device, run->bench->operations, run->kernel, &buffers);
}

/* Prepares as many sets as it takes to exceed the cache. */
static enum status prepare_sets(struct error *error, struct run *run) {
    const struct bench *bench = run->bench;
    const struct request *request = bench->request;
    struct kernel_buffers buffers;
    run->workspace = run->kernel->kind != KERNEL_LAYER
                         ? 0
                         : layer_workspace(bench->device, bench->operations, &run->kernel->layer,
                                           request->batch);
    run->set_bytes =
        kernel_carve(&buffers, run->kernel, request->batch, run->workspace, NULL, NULL);
    size_t sets = (size_t)request->cache * MIB / run->set_bytes + 1;
    run->sets = sets < (size_t)request->launches ? (int)sets : request->launches;
    if ((size_t)run->sets * run->set_bytes > bench->arena_bytes)
        run->sets = (int)(bench->arena_bytes / run->set_bytes);
    for (int i = 0; i < run->sets; i++) {
        carve(&buffers, run, i);
        if (kernel_prepare(error, bench->backend, bench->device, run->kernel, &buffers))
            return error->status;
    }
    return wait_for_device(error, bench->backend, bench->device, bench->event);
}

/* ---- results --------------------------------------------------------------------------------- */

static void report(const struct run *run, int launches, double seconds) {
    const struct bench *bench = run->bench;
    const struct kernel *kernel = run->kernel;
    double bytes = kernel_bytes(kernel, bench->request->batch), rate = bytes / seconds;
    bool cached = (size_t)run->sets * run->set_bytes < (size_t)bench->request->cache * MIB;
    printf("%-23s %-42s %10.2f us %9.3f MB %8.1f GB/s %5.1f %%%s\n", kernel->operation,
           kernel->shape, 1e6 * seconds, 1e-6 * bytes, 1e-9 * rate, 100 * rate / bench->copy_rate,
           cached ? "  cached" : "");
    fflush(stdout);
    json_array_append_new(json_object_get(bench->results, "kernels"),
                          json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:b, s:i, s:i}", "operation",
                                    kernel->operation, "shape", kernel->shape, "microseconds",
                                    1e6 * seconds, "bytes", bytes, "gb_per_second", 1e-9 * rate,
                                    "fraction_of_copy", rate / bench->copy_rate, "cached", cached,
                                    "buffer_sets", run->sets, "launches", launches));
}

static enum status bench_kernel(struct error *error, const struct bench *bench,
                                const struct kernel *kernel) {
    struct run run = {.bench = bench, .kernel = kernel};
    if (prepare_sets(error, &run) != STATUS_OK)
        return error->status;
    struct work work = {.backend = bench->backend,
                        .device = bench->device,
                        .event = bench->event,
                        .launch = launch_kernel,
                        .context = &run,
                        .least = run.sets,
                        .most = bench->request->launches};
    double seconds = 0;
    if (time_work(error, &seconds, &work, bench->request->samples) != STATUS_OK)
        return error->status;
    report(&run, work.launches, seconds);
    return STATUS_OK;
}

/* Half of the arena to the other half. */
static enum status bench_copy(struct error *error, struct bench *bench) {
    const size_t half = bench->arena_bytes / 2;
    const struct device_copy copy = {bench->backend,      bench->device, bench->event,
                                     bench->arena + half, bench->arena,  half};
    if (copy_rate(error, &bench->copy_rate, &copy, bench->request->samples) != STATUS_OK)
        return error->status;
    double seconds = 2 * (double)half / bench->copy_rate;
    printf("copy of %.1f MB: %.2f us, %.1f GB/s read and written\n", 1e-6 * (double)half,
           1e6 * seconds, 1e-9 * bench->copy_rate);
    json_object_set_new(bench->results, "copy",
                        json_pack("{s:f, s:f, s:f}", "microseconds", 1e6 * seconds, "bytes",
                                  2 * (double)half, "gb_per_second", 1e-9 * bench->copy_rate));
    return STATUS_OK;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

/* The arena: as large as the cache and one more set of the largest kernel. */
static enum status size_arena(struct error *error, struct bench *bench,
                              const struct kernel_list *list) {
    struct kernel_buffers buffers;
    size_t largest = 0;
    for (int i = 0; i < list->count; i++) {
        const struct kernel *kernel = &list->kernels[i];
        size_t workspace = kernel->kind != KERNEL_LAYER
                               ? 0
                               : layer_workspace(bench->device, bench->operations, &kernel->layer,
                                                 bench->request->batch);
        size_t bytes = kernel_carve(&buffers, kernel, bench->request->batch, workspace, NULL, NULL);
        largest = bytes > largest ? bytes : largest;
    }
    bench->arena_bytes = (largest + (size_t)bench->request->cache * MIB + MIB) / MIB * MIB;
    return bench->backend->alloc(error, bench->device, &bench->arena, bench->arena_bytes,
                                 "the buffers of the kernels");
}

/* Random floats in all of the arena, and a step. */
static enum status fill_arena(struct error *error, struct bench *bench) {
    const struct backend *b = bench->backend;
    float *block = NULL;
    if (b->alloc_pinned(error, bench->device, &block, MIB, "random numbers") != STATUS_OK)
        return error->status;
    fill_random(block, MIB / sizeof *block);
    enum status status = STATUS_OK;
    for (size_t at = 0; at < bench->arena_bytes && status == STATUS_OK; at += MIB)
        status = b->upload(error, bench->device, STREAM_COMPUTE, bench->arena + at, block, MIB);
    if (status == STATUS_OK)
        status = wait_for_device(error, bench->backend, bench->device, bench->event);
    if (status == STATUS_OK) {
        const struct step_state state = {.step = 1, .learning_rate = 0.01f};
        memcpy(block, &state, sizeof state);
        status = b->upload(error, bench->device, STREAM_COMPUTE, bench->state, block, sizeof state);
    }
    if (status == STATUS_OK)
        status = wait_for_device(error, bench->backend, bench->device, bench->event);
    b->release_pinned(bench->device, block);
    return status;
}

static enum status bench_all(struct error *error, struct bench *bench,
                             const struct kernel_list *list) {
    const struct backend *b = bench->backend;
    if (b->event_create(error, bench->device, &bench->event) != STATUS_OK ||
        b->alloc(error, bench->device, &bench->state, sizeof *bench->state, "a step's state") ||
        size_arena(error, bench, list) != STATUS_OK || fill_arena(error, bench) != STATUS_OK)
        return error->status;
    if (bench->copy_rate == 0 &&
        (bench_copy(error, bench) != STATUS_OK || fill_arena(error, bench) != STATUS_OK))
        return error->status;
    for (int i = 0; i < list->count; i++)
        if (list->kernels[i].batch_norm == bench->batch_norm &&
            strstr(list->kernels[i].operation, bench->request->only) != NULL &&
            bench_kernel(error, bench, &list->kernels[i]) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

static void tear_down(struct bench *bench) {
    bench->backend->release(bench->device, bench->arena);
    bench->backend->release(bench->device, bench->state);
    if (bench->event != NULL)
        bench->backend->event_destroy(bench->device, bench->event);
    bench->arena = NULL;
    bench->state = NULL;
    bench->event = NULL;
}

/* The settings of the run, and an empty list of kernels. */
static json_t *new_results(const struct bench *bench) {
    const struct request *request = bench->request;
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:b, s:[]}", "device",
                     bench->backend->describe(bench->device), "backend", bench->backend->name,
                     "batch", request->batch, "samples", request->samples, "cache_mib",
                     request->cache, "replayed", bench->backend->record_begin != NULL, "kernels");
}

/* Which batch norm it uses is a property of an open device; the CPU has only one. */
static enum status run_device(struct error *error, struct bench *bench,
                              const struct kernel_list *list, enum batch_norm batch_norm) {
    struct device_request device = bench->request->device;
    struct device_choice choice;
    device.batch_norm = bench->batch_norm = batch_norm;
    if (device_choose(error, &choice, backends, &device) != STATUS_OK)
        return error->status;
    bench->backend = choice.backend;
    bench->device = choice.device;
    bench->operations = choice.backend->operations(choice.device);
    if (bench->results == NULL) {
        bench->results = new_results(bench);
        printf("%s, batch %d, %s\n", choice.text, bench->request->batch,
               choice.backend->record_begin != NULL ? "replayed" : "called");
    }
    enum status status = bench_all(error, bench, list);
    tear_down(bench);
    device_close(&choice);
    return status;
}

static enum status run_request(struct error *error, const struct request *request) {
    static struct kernel_list list;
    struct bench bench = {.request = request};
    if (kernel_list_make(error, &list) != STATUS_OK)
        return error->status;
    enum status status = run_device(error, &bench, &list, BATCH_NORM_CUDNN);
    if (status == STATUS_OK && bench.backend != &cpu_backend)
        status = run_device(error, &bench, &list, BATCH_NORM_OWN);
    if (status == STATUS_OK && request->json[0] != '\0' &&
        json_dump_file(bench.results, request->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0)
        status = error_set(error, STATUS_FAILED, "%s: cannot be written", request->json);
    json_decref(bench.results);
    return status;
}

/* ---- options --------------------------------------------------------------------------------- */

#define OPTION(name, argument, help, kind, member, low, high)                                      \
    { name, argument, help, 0, kind, offsetof(struct request, member), NULL, low, high }

static const struct option options[] = {
    OPTION("device", "auto|cuda|cuda:N|cpu", "where (auto)", VALUE_DEVICE, device, 0, 0),
    OPTION("threads", "N", "of the CPU (what the system allows)", VALUE_INT, device.threads, 1,
           1024),
    OPTION("batch", "N", "images (128)", VALUE_INT, batch, 1, 50000),
    OPTION("samples", "N", "of each operation; the median counts (9)", VALUE_INT, samples, 1,
           MAX_SAMPLES),
    OPTION("launches", "N", "of a sample at most (500)", VALUE_INT, launches, 1, 10000),
    OPTION("cache", "MIB", "size that the buffer sets of a run exceed (256)", VALUE_INT, cache, 1,
           65536),
    OPTION("only", "TEXT", "operations whose name contains it (all)", VALUE_PATH, only, 0, 0),
    OPTION("json", "FILE", "the results as one JSON object", VALUE_PATH, json, 0, 0),
};
enum { OPTION_COUNT = sizeof options / sizeof options[0] };

int main(int argc, char *argv[]) {
    struct error error = {STATUS_OK, ""};
    static struct request request = {.batch = 128, .samples = 9, .launches = 500, .cache = 256};
    if (arguments_help("bench_kernels", options, OPTION_COUNT, argc, argv))
        return 0;
    enum status status = arguments_parse(&error, &request, options, OPTION_COUNT, argc, argv);
    if (status == STATUS_OK)
        status = run_request(&error, &request);
    if (status != STATUS_OK)
        fprintf(stderr, "bench_kernels: %s\n", error.text);
    return (int)status;
}
