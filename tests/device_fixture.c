/* device_fixture.c: devices and guarded device buffers for tests. */
#include "device_fixture.h"
#include "model/device_choice.h"

#include "compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FRONT = 256, /* keeps the alignment that alloc gives */
    BACK = 256,  /* after an output; after a larger one, as many bytes as it has, up to MAX_BACK */
    MAX_BACK = 1 << 14,
    ALIGNMENT = 64,  /* inputs end with their cache line: a sanitizer sees reads beyond it */
    SENTINEL = 0xFF, /* four of them are a NaN */
    POISON = 0xFE,   /* the lowest byte of an unwritten float, see poison_fill */
    MAX_TESTS = 64,
    NAME_CAPACITY = 96,
    PATIENCE = 900, /* seconds for the tests of one device, after which the program is ended */
};

/* ---- opening --------------------------------------------------------------------------------- */

bool gpu_required(void) {
    const char *value = getenv("REQUIRE_GPU");
    return value != NULL && strcmp(value, "1") == 0;
}

/* Opens the device and fetches what every test needs of it. */
static enum status open_device(struct fixture *f, const struct backend *backend,
                               const struct device_options *options) {
    *f = (struct fixture){.backend = backend, .options = *options};
    enum status status = backend->open(&f->error, &f->device, options);
    if (status != STATUS_OK) {
        f->device = NULL;
        return status;
    }
    f->ops = backend->operations(f->device);
    return backend->event_create(&f->error, f->device, &f->event);
}

/* The group of tests about to run: a backend, its options, and the prefix of its tests' names. */
static const struct backend *group_backend;
static struct device_options group_options;
static char group_name[32];
static struct fixture group_fixture;

/* Opens the device for all tests of the group; without one, fixture_of skips or fails them. */
static int group_setup(void **state) {
    *state = &group_fixture;
    enum status status = open_device(&group_fixture, group_backend, &group_options);
    if (status == STATUS_NO_DEVICE && !gpu_required())
        print_message("skip: %s: %s\n", group_name, group_fixture.error.text);
    return 0;
}

static int group_teardown(void **state) {
    fixture_close(*state);
    return 0;
}

static int run_group(const struct CMUnitTest *tests, size_t count) {
    static char names[MAX_TESTS][NAME_CAPACITY];
    struct CMUnitTest named[MAX_TESTS];
    if (count > MAX_TESTS)
        abort();
    for (size_t i = 0; i < count; i++) {
        named[i] = tests[i];
        snprintf(names[i], NAME_CAPACITY, "%s: %s", group_name, tests[i].name);
        named[i].name = names[i];
    }
    alarm(PATIENCE);
    int failed = _cmocka_run_group_tests(group_name, named, count, group_setup, group_teardown);
    alarm(0);
    return failed;
}

/* The description of a CPU device distinguishes its instruction sets. */
static void describe_cpu(char *out, size_t capacity) {
    static const struct device_options options = {0};
    struct fixture f;
    out[0] = '\0';
    if (open_device(&f, &cpu_backend, &options) == STATUS_OK)
        snprintf(out, capacity, "%s", cpu_backend.describe(f.device));
    fixture_close(&f);
}

/* Once for each instruction set of the machine, the best one first. */
static int run_on_cpu(const struct CMUnitTest *tests, size_t count) {
    static const char *const sets[] = {"avx2", "baseline"};
    char before[128], now[128];
    group_backend = &cpu_backend;
    snprintf(group_name, sizeof group_name, "cpu");
    int failed = run_group(tests, count);
    if (getenv("TRAIN_GPU_CPU") != NULL)
        return failed;
    describe_cpu(before, sizeof before);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        setenv("TRAIN_GPU_CPU", sets[i], 1);
        describe_cpu(now, sizeof now);
        if (strcmp(now, before) != 0) {
            snprintf(group_name, sizeof group_name, "cpu %s", sets[i]);
            failed += run_group(tests, count);
        }
        memcpy(before, now, sizeof before);
    }
    unsetenv("TRAIN_GPU_CPU");
    return failed;
}

static void no_gpu_backend(void **state) {
    (void)state;
    fail_msg("REQUIRE_GPU=1, but this program was built without a GPU backend");
}

/* TEST_BACKEND=cuda, for example, leaves out the others. */
static bool is_wanted(const struct backend *backend) {
    const char *only = getenv("TEST_BACKEND");
    return only == NULL || strcmp(only, backend->name) == 0;
}

int run_on_backends(const struct CMUnitTest *tests, size_t count) {
    const struct CMUnitTest refusal = cmocka_unit_test(no_gpu_backend);
    bool gpu_seen = false;
    int failed = 0;
    for (const struct backend *const *backend = backends; *backend != NULL; backend++) {
        gpu_seen = gpu_seen || *backend != &cpu_backend;
        if (!is_wanted(*backend))
            continue;
        if (*backend == &cpu_backend) {
            failed += run_on_cpu(tests, count);
            continue;
        }
        group_backend = *backend;
        snprintf(group_name, sizeof group_name, "%s", (*backend)->name);
        failed += run_group(tests, count);
    }
    if (gpu_required() && !gpu_seen)
        failed += _cmocka_run_group_tests("gpu", &refusal, 1, NULL, NULL);
    return failed;
}

int run_on_gpus(const struct CMUnitTest *tests, size_t count, const struct device_options *options,
                const char *name) {
    int failed = 0;
    for (const struct backend *const *backend = backends; *backend != NULL; backend++) {
        if (*backend == &cpu_backend || !is_wanted(*backend))
            continue;
        group_backend = *backend;
        group_options = *options;
        snprintf(group_name, sizeof group_name, "%s, %s", (*backend)->name, name);
        failed += run_group(tests, count);
    }
    group_options = (struct device_options){0};
    return failed;
}

struct fixture *fixture_of(void **state) {
    struct fixture *f = *state;
    if (f->device != NULL)
        return f;
    if (f->error.status != STATUS_NO_DEVICE || gpu_required())
        fail_msg("%s: %s", group_name, f->error.text);
    skip();
    return NULL;
}

bool device_is_exact(const struct fixture *f) {
    static const char stand_in[] = "stand-in for a GPU";
    const char *cudnn = getenv("CUDASIM_CUDNN");
    if (f->backend == &cpu_backend)
        return true;
    return strncmp(f->backend->describe(f->device), stand_in, sizeof stand_in - 1) == 0 &&
           (cudnn == NULL || strcmp(cudnn, "rough") != 0);
}

void fixture_open(struct fixture *f, const struct backend *backend,
                  const struct device_options *options) {
    must(f, "open", open_device(f, backend, options));
}

static void release_buffers(struct fixture *f) {
    for (int i = 0; i < f->buffer_count; i++) {
        f->backend->release(f->device, f->buffers[i].memory);
        free(f->buffers[i].host);
    }
    f->buffer_count = 0;
}

void fixture_close(struct fixture *f) {
    if (f->device == NULL)
        return;
    release_buffers(f);
    numbers_free();
    if (f->event != NULL)
        f->backend->event_destroy(f->device, f->event);
    f->backend->close(f->device);
    f->device = NULL;
}

void must(struct fixture *f, const char *call, enum status status) {
    if (status != STATUS_OK)
        fail_msg("%s, %s: status %d: %s", case_text(), call, (int)status, f->error.text);
}

void assert_refused(struct fixture *f, enum status status) {
    if (status != STATUS_FAILED || f->error.status != STATUS_FAILED || f->error.text[0] == '\0')
        fail_msg("%s: not refused: status %d, message \"%s\"", case_text(), (int)status,
                 f->error.text);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void wait_for(struct fixture *f, enum stream stream) {
    const struct backend *b = f->backend;
    must(f, "event_record", b->event_record(&f->error, f->device, f->event, stream));
    must(f, "event_synchronize", b->event_synchronize(&f->error, f->device, f->event));
}

static void *pinned(struct fixture *f, size_t bytes) {
    void *memory = NULL;
    must(f, "alloc_pinned",
         f->backend->alloc_pinned(&f->error, f->device, &memory, bytes, "a test's copy"));
    return memory;
}

void upload_now(struct fixture *f, void *device_to, const void *from, size_t bytes) {
    void *staging = pinned(f, bytes);
    memcpy(staging, from, bytes);
    must(f, "upload",
         f->backend->upload(&f->error, f->device, STREAM_COMPUTE, device_to, staging, bytes));
    wait_for(f, STREAM_COMPUTE);
    f->backend->release_pinned(f->device, staging);
}

void download_now(struct fixture *f, void *to, const void *device_from, size_t bytes) {
    void *staging = pinned(f, bytes);
    must(f, "download",
         f->backend->download(&f->error, f->device, STREAM_COMPUTE, staging, device_from, bytes));
    wait_for(f, STREAM_COMPUTE);
    memcpy(to, staging, bytes);
    f->backend->release_pinned(f->device, staging);
}

/* ---- buffers --------------------------------------------------------------------------------- */

/* Bytes after the payload. Inputs are never written to, so a sanitizer may watch what follows. */
static size_t back_bytes(enum buffer_role role, size_t bytes) {
    size_t rest = (ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT;
    size_t guard = bytes < BACK ? BACK : bytes > MAX_BACK ? MAX_BACK : bytes + rest;
    return role == BUFFER_INPUT ? rest : rest + guard;
}

static void poison_fill(uint8_t *payload, size_t bytes) {
    memset(payload, SENTINEL, bytes);
    for (size_t i = 0; i < bytes; i += 4) /* the float 0xFFFFFFFE is a NaN, too */
        payload[i] = POISON;
}

/* A new buffer; `values` NULL: poisoned. */
static void *buffer_new(struct fixture *f, enum buffer_role role, const void *values,
                        size_t bytes) {
    assert_true(f->buffer_count < MAX_BUFFERS);
    struct device_buffer *buffer = &f->buffers[f->buffer_count];
    *buffer = (struct device_buffer){.role = role, .bytes = bytes};
    size_t total = FRONT + bytes + back_bytes(role, bytes);
    uint8_t *image = zeroed_bytes(total);
    memset(image, SENTINEL, total);
    if (values != NULL)
        memcpy(image + FRONT, values, bytes);
    else
        poison_fill(image + FRONT, bytes);
    must(f, "alloc",
         f->backend->alloc(&f->error, f->device, &buffer->memory, total, "a test's buffer"));
    f->buffer_count++;
    upload_now(f, buffer->memory, image, total);
    if (role == BUFFER_INPUT) {
        buffer->host = malloc(bytes + 1);
        assert_non_null(buffer->host);
        memcpy(buffer->host, values, bytes);
    }
    return buffer->memory + FRONT;
}

static struct device_buffer *buffer_of(struct fixture *f, const void *payload) {
    for (int i = 0; i < f->buffer_count; i++)
        if (f->buffers[i].memory + FRONT == (const uint8_t *)payload)
            return &f->buffers[i];
    fail_msg("%s: not a buffer of this case", case_text());
    return NULL;
}

static void *upload_doubles(struct fixture *f, enum buffer_role role, const double *values,
                            size_t count) {
    float *rounded = zeroed_bytes(count * sizeof *rounded);
    for (size_t i = 0; i < count; i++)
        rounded[i] = (float)values[i];
    return buffer_new(f, role, rounded, count * sizeof *rounded);
}

const float *device_floats(struct fixture *f, const double *values, size_t count) {
    return upload_doubles(f, BUFFER_INPUT, values, count);
}

const void *device_bytes(struct fixture *f, const void *values, size_t bytes) {
    return buffer_new(f, BUFFER_INPUT, values, bytes);
}

float *device_output(struct fixture *f, size_t count) {
    return buffer_new(f, BUFFER_OUTPUT, NULL, count * sizeof(float));
}

uint8_t *device_output_bytes(struct fixture *f, size_t bytes) {
    return buffer_new(f, BUFFER_OUTPUT, NULL, bytes);
}

float *device_in_out(struct fixture *f, const double *values, size_t count) {
    return upload_doubles(f, BUFFER_OUTPUT, values, count);
}

void *device_in_out_bytes(struct fixture *f, const void *values, size_t bytes) {
    return buffer_new(f, BUFFER_OUTPUT, values, bytes);
}

void *device_workspace(struct fixture *f, size_t bytes) {
    return buffer_new(f, BUFFER_WORKSPACE, NULL, bytes);
}

const struct step_state *device_state(struct fixture *f, uint64_t step, float rate) {
    struct step_state state = {.step = step, .learning_rate = rate};
    return device_bytes(f, &state, sizeof state);
}

void device_freeze(struct fixture *f, const void *payload) {
    struct device_buffer *buffer = buffer_of(f, payload);
    free(buffer->host);
    buffer->host = malloc(buffer->bytes + 1);
    assert_non_null(buffer->host);
    memcpy(buffer->host, device_read(f, payload), buffer->bytes);
}

void device_poison(struct fixture *f, const void *payload) {
    struct device_buffer *buffer = buffer_of(f, payload);
    uint8_t *poison = zeroed_bytes(buffer->bytes);
    poison_fill(poison, buffer->bytes);
    upload_now(f, buffer->memory + FRONT, poison, buffer->bytes);
}

const void *device_read(struct fixture *f, const void *payload) {
    struct device_buffer *buffer = buffer_of(f, payload);
    void *copy = zeroed_bytes(buffer->bytes);
    download_now(f, copy, payload, buffer->bytes);
    return copy;
}

size_t device_size(struct fixture *f, const void *payload) {
    return buffer_of(f, payload)->bytes;
}

void check_device(struct fixture *f, const char *what, const float *payload, const double *expected,
                  double rtol, double atol) {
    check_floats(what, device_read(f, payload), expected, device_size(f, payload) / sizeof(float),
                 rtol, atol);
}

/* ---- cases ----------------------------------------------------------------------------------- */

void case_begin(struct fixture *f, const char *format, ...) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    release_buffers(f);
    numbers_free();
    case_name("%s", text);
}

/* How many bytes from the front are sentinels. */
static size_t intact(const uint8_t *sentinels, size_t count) {
    if (count == 0 ||
        (sentinels[0] == SENTINEL && memcmp(sentinels, sentinels + 1, count - 1) == 0))
        return count;
    size_t i = 0;
    while (sentinels[i] == SENTINEL)
        i++;
    return i;
}

static void check_buffer(struct fixture *f, int index) {
    const struct device_buffer *buffer = &f->buffers[index];
    size_t bytes = buffer->bytes, back = back_bytes(buffer->role, bytes);
    uint8_t *image = zeroed_bytes(FRONT + bytes + back);
    download_now(f, image, buffer->memory, FRONT + bytes + back);
    size_t before = intact(image, FRONT), after = intact(image + FRONT + bytes, back);
    if (before < FRONT)
        fail_msg("%s: buffer %d of %zu bytes: written %zu bytes before its start", case_text(),
                 index, bytes, FRONT - before);
    if (after < back)
        fail_msg("%s: buffer %d of %zu bytes: written %zu bytes past its end", case_text(), index,
                 bytes, after);
    if (buffer->host != NULL)
        check_bytes("an input was changed", image + FRONT, buffer->host, bytes);
}

void case_end(struct fixture *f) {
    for (int i = 0; i < f->buffer_count; i++)
        check_buffer(f, i);
    release_buffers(f);
    numbers_free();
}
