/* bench_step.c: how long a training step takes, through the backend interface and the model: for
 * each norm, recipe, batch and precision, with the step called operation by operation or replayed
 * from a recording (a CUDA graph).
 *
 * A step begins with a batch in device memory and ends with the updated weights; loading and
 * copying are not included. A sample is the time of several steps in a row, including the wait for
 * the device at the end, divided by their number. The median and the fastest sample are printed.
 * `bench_step --help` lists the options. */
#include "arguments.h"
#include "base/clock.h"
#include "base/files.h"
#include "data/dataset.h"
#include "model/device_choice.h"
#include "model/model.h"
#include "timing.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The value for each of them in a request. */
enum {
    ALL_NORMS = NORM_COUNT,
    ALL_RECIPES = RECIPE_REFERENCE + 1,
    ALL_PRECISIONS = PRECISION_TF32 + 1,
    CALLED_AND_REPLAYED = 2
};

struct request {
    struct device_request device;
    int norm, recipe, precision, replay; /* replay: 0 called, 1 replayed */
    int fast;
    int batch;          /* 0: several */
    int samples, steps; /* of a case; of a sample */
    char json[PATH_CAPACITY];
};

struct test_case {
    enum norm_kind norm;
    enum recipe_kind recipe;
    enum precision precision;
    bool replay;
    int batch;
};

/* An opened device with one batch in its memory. */
struct bench {
    const struct request *request;
    const struct backend *backend;
    struct device *device;
    struct event *event;
    unsigned char *host, *memory; /* step state, labels, images; pinned, on the device */
    json_t *cases;                /* results so far */
};

static const char *const precision_words[] = {"fp32", "tf32"};

/* ---- the batch ------------------------------------------------------------------------------- */

enum { LABELS_OFFSET = 64 };

static size_t images_offset(int batch) {
    return LABELS_OFFSET + ((size_t)batch + 63) / 64 * 64;
}

static struct device_batch device_batch(const struct bench *bench, int batch) {
    return (struct device_batch){
        .count = batch,
        .state = (const struct step_state *)(const void *)bench->memory,
        .labels = bench->memory + LABELS_OFFSET,
        .images = bench->memory + images_offset(batch),
    };
}

/* The first images of the synthetic set, and a rate at which they do not diverge. */
static enum status upload_batch(struct error *error, struct bench *bench, int batch) {
    const struct step_state state = {.step = 0, .learning_rate = 0.01f};
    struct image_set set;
    if (synthetic_fill(error, &set, 1, 0, batch) != STATUS_OK)
        return error->status;
    struct dataset owner = {.train = set};
    memcpy(bench->host, &state, sizeof state);
    memcpy(bench->host + LABELS_OFFSET, set.labels, (size_t)batch);
    memcpy(bench->host + images_offset(batch), set.pixels, (size_t)batch * IMAGE_BYTES);
    dataset_close(&owner);
    if (bench->backend->upload(error, bench->device, STREAM_COMPUTE, bench->memory, bench->host,
                               images_offset(batch) + (size_t)batch * IMAGE_BYTES))
        return error->status;
    return wait_for_device(error, bench->backend, bench->device, bench->event);
}

/* ---- one case -------------------------------------------------------------------------------- */

static enum status run_sample(struct error *error, double *seconds, const struct bench *bench,
                              struct model *model, int batch, int steps) {
    const struct device_batch on_device = device_batch(bench, batch);
    double start = clock_seconds();
    for (int i = 0; i < steps; i++)
        if (model_step(error, model, &on_device, true) != STATUS_OK)
            return error->status;
    if (wait_for_device(error, bench->backend, bench->device, bench->event) != STATUS_OK)
        return error->status;
    *seconds = (clock_seconds() - start) / steps;
    return STATUS_OK;
}

static enum status run_samples(struct error *error, double *seconds, const struct bench *bench,
                               struct model *model, int batch) {
    const struct request *request = bench->request;
    double unused;
    /* Three steps to warm up: called, recorded, replayed. */
    if (run_sample(error, &unused, bench, model, batch, 3) != STATUS_OK)
        return error->status;
    for (int i = 0; i < request->samples; i++)
        if (run_sample(error, &seconds[i], bench, model, batch, request->steps) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

static void report(const struct bench *bench, const struct test_case *c, double *seconds) {
    const double middle = median(seconds, bench->request->samples); /* sorts them */
    printf("%-3s %-10s batch %5d  %s  %-8s %10.3f ms  fastest %10.3f ms  %10.0f images/s\n",
           norm_option(c->norm), recipe_option(c->recipe), c->batch, precision_words[c->precision],
           c->replay ? "replayed" : "called", 1e3 * middle, 1e3 * seconds[0], c->batch / middle);
    fflush(stdout);
    json_array_append_new(bench->cases,
                          json_pack("{s:s, s:s, s:i, s:s, s:b, s:f, s:f, s:f}", "norm",
                                    norm_option(c->norm), "recipe", recipe_option(c->recipe),
                                    "batch", c->batch, "precision", precision_words[c->precision],
                                    "replay", c->replay, "median_ms", 1e3 * middle, "fastest_ms",
                                    1e3 * seconds[0], "images_per_second", c->batch / middle));
}

static enum status run_case(struct error *error, struct bench *bench, const struct test_case *c) {
    double seconds[MAX_SAMPLES] = {0};
    const struct recipe *recipe = recipe_find(c->recipe, c->norm);
    const struct model_options options = {
        .batch = c->batch,
        .seed = 1,
        .augment = recipe->augment == AUGMENT_FLIP_CROP,
        .momentum = recipe->momentum,
        .weight_decay = recipe->weight_decay,
        .nesterov = recipe->nesterov,
        .replay = c->replay,
    };
    struct network network;
    struct model *model = NULL;
    if (network_build(error, &network, recipe) != STATUS_OK)
        return error->status;
    enum status status =
        model_create(error, &model, bench->backend, bench->device, &network, &options);
    if (status == STATUS_OK)
        status = model_initialize(error, model, 1);
    if (status == STATUS_OK)
        status = run_samples(error, seconds, bench, model, c->batch);
    if (status == STATUS_OK)
        report(bench, c, seconds);
    model_destroy(model);
    return status;
}

/* ---- all cases ------------------------------------------------------------------------------- */

static bool wanted(int asked, int value, int all) {
    return asked == all || asked == value;
}

/* All norms and recipes, called and replayed, with one batch and precision. */
static enum status run_cases(struct error *error, struct bench *bench, enum precision precision,
                             int batch) {
    const struct request *request = bench->request;
    int ways = bench->backend->replay != NULL ? 2 : 1;
    for (int recipe = 0; recipe < ALL_RECIPES; recipe++)
        for (int norm = 0; norm < NORM_COUNT; norm++)
            for (int replay = 0; replay < ways; replay++) {
                const struct test_case c = {(enum norm_kind)norm, (enum recipe_kind)recipe,
                                            precision, replay == 1, batch};
                if (wanted(request->recipe, recipe, ALL_RECIPES) &&
                    wanted(request->norm, norm, ALL_NORMS) &&
                    wanted(request->replay, replay, CALLED_AND_REPLAYED) &&
                    run_case(error, bench, &c) != STATUS_OK)
                    return error->status;
            }
    return STATUS_OK;
}

static enum status run_batch(struct error *error, struct bench *bench, enum precision precision,
                             int batch) {
    const struct backend *backend = bench->backend;
    size_t bytes = images_offset(batch) + (size_t)batch * IMAGE_BYTES;
    enum status status = STATUS_OK;
    if (backend->alloc_pinned(error, bench->device, &bench->host, bytes, "a batch") ||
        backend->alloc(error, bench->device, &bench->memory, bytes, "a batch") ||
        upload_batch(error, bench, batch) || run_cases(error, bench, precision, batch))
        status = error->status;
    backend->release(bench->device, bench->memory);
    backend->release_pinned(bench->device, bench->host);
    bench->memory = bench->host = NULL;
    return status;
}

static enum status run_batches(struct error *error, struct bench *bench, enum precision precision) {
    const int batches[] = {128, 512, 2048};
    if (bench->request->batch > 0)
        return run_batch(error, bench, precision, bench->request->batch);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
        if (run_batch(error, bench, precision, batches[i]) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

/* The device's choices, for the reader of the results: the algorithm of each convolution. */
static void add_choices(const struct bench *bench, json_t *result, enum precision precision) {
    json_t *lines = json_array();
    const char *line;
    for (int i = 0; (line = bench->backend->choice(bench->device, i)) != NULL; i++)
        json_array_append_new(lines, json_string(line));
    json_object_set_new(json_object_get(result, "choices"), precision_words[precision], lines);
    json_object_set_new(result, "device", json_string(bench->backend->describe(bench->device)));
}

/* Reopens the device for each precision, a property of an open device. The CPU has only one. */
static enum status run_precision(struct error *error, json_t *result, const struct request *request,
                                 enum precision precision) {
    struct device_request device = request->device;
    device.precision = precision;
    device.fast_algorithms = request->fast == 1;
    struct device_choice choice;
    if (device_choose(error, &choice, backends, &device) != STATUS_OK)
        return error->status;
    struct bench bench = {.request = request,
                          .backend = choice.backend,
                          .device = choice.device,
                          .cases = json_object_get(result, "cases")};
    enum status status = STATUS_OK;
    if (precision == PRECISION_FP32 || choice.backend != &cpu_backend) {
        printf("%s, %s\n", choice.text, precision_words[precision]);
        status = choice.backend->event_create(error, bench.device, &bench.event);
        if (status == STATUS_OK)
            status = run_batches(error, &bench, precision);
        if (status == STATUS_OK)
            add_choices(&bench, result, precision);
    }
    if (bench.event != NULL)
        choice.backend->event_destroy(bench.device, bench.event);
    device_close(&choice);
    return status;
}

static enum status run_all(struct error *error, const struct request *request) {
    json_t *result =
        json_pack("{s:i, s:i, s:b, s:s, s:[], s:{}}", "samples", request->samples, "steps",
                  request->steps, "fast_algorithms", request->fast, "batch_norm",
                  batch_norm_option(request->device.batch_norm), "cases", "choices");
    enum status status = STATUS_OK;
    for (int p = 0; p < ALL_PRECISIONS && status == STATUS_OK; p++)
        if (wanted(request->precision, p, ALL_PRECISIONS))
            status = run_precision(error, result, request, (enum precision)p);
    if (status == STATUS_OK && request->json[0] != '\0' &&
        json_dump_file(result, request->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0)
        status = error_set(error, STATUS_FAILED, "%s: cannot be written", request->json);
    json_decref(result);
    return status;
}

/* ---- options --------------------------------------------------------------------------------- */

#define NORM_WORD(value, name, word, title) word,
static const char *const norm_choices[] = {NORM_LIST(NORM_WORD) "all", NULL};
static const char *const recipe_choices[] = {"tuned", "reference", "all", NULL}; /* recipe_kind */
static const char *const precision_choices[] = {"fp32", "tf32", "all", NULL};    /* precision */
static const char *const batch_norm_words[] = {"cudnn", "own", NULL}; /* enum batch_norm */
static const char *const replay_words[] = {"off", "on", "all", NULL};
static const char *const switch_words[] = {"off", "on", NULL};

#define OPTION(name, argument, help, kind, member, words, high)                                    \
    { name, argument, help, 0, kind, offsetof(struct request, member), words, 1, high }

static const struct option options[] = {
    OPTION("device", "auto|cuda|cuda:N|cpu", "where (auto)", VALUE_DEVICE, device, NULL, 0),
    OPTION("threads", "N", "of the CPU (what the system allows)", VALUE_INT, device.threads, NULL,
           1024),
    OPTION("norm", NULL, "only this (all)", VALUE_WORD, norm, norm_choices, 0),
    OPTION("recipe", NULL, "only this (all)", VALUE_WORD, recipe, recipe_choices, 0),
    OPTION("precision", NULL, "only this (all that the device has)", VALUE_WORD, precision,
           precision_choices, 0),
    OPTION("batch-norm", NULL, "GPU: what trains batch norm (cudnn)", VALUE_WORD, device.batch_norm,
           batch_norm_words, 0),
    OPTION("replay", NULL, "steps replayed, or called (all)", VALUE_WORD, replay, replay_words, 0),
    OPTION("fast", NULL, "the fastest algorithms, as timed on the device (off)", VALUE_WORD, fast,
           switch_words, 0),
    OPTION("batch", "N", "images (128, 512 and 2048)", VALUE_INT, batch, NULL, 50000),
    OPTION("samples", "N", "of each case; the median counts (15)", VALUE_INT, samples, NULL,
           MAX_SAMPLES),
    OPTION("steps", "N", "of a sample (20)", VALUE_INT, steps, NULL, 1000000),
    OPTION("json", "FILE", "the results as one JSON object", VALUE_PATH, json, NULL, 0),
};
enum { OPTION_COUNT = sizeof options / sizeof options[0] };

int main(int argc, char *argv[]) {
    struct error error = {STATUS_OK, ""};
    static struct request request = {
        .norm = ALL_NORMS,
        .recipe = ALL_RECIPES,
        .precision = ALL_PRECISIONS,
        .replay = CALLED_AND_REPLAYED,
        .samples = 15,
        .steps = 20,
    };
    if (arguments_help("bench_step", options, OPTION_COUNT, argc, argv))
        return 0;
    enum status status = arguments_parse(&error, &request, options, OPTION_COUNT, argc, argv);
    if (status == STATUS_OK)
        status = run_all(&error, &request);
    if (status != STATUS_OK)
        fprintf(stderr, "bench_step: %s\n", error.text);
    return (int)status;
}
