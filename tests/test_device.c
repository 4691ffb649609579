/* test_device.c: each backend without its operations: opening, memory, copies, streams and
 * events. */
#include "compare.h"
#include "device_fixture.h"
#include "model/device_choice.h"

#include <stdlib.h>
#include <string.h>

static void backends_are_listed(void **state) {
    (void)fixture_of(state);
    int cpus = 0, count = 0;
    for (; backends[count] != NULL; count++) {
        cpus += backends[count] == &cpu_backend;
        for (int k = 0; k < count; k++)
            assert_string_not_equal(backends[k]->name, backends[count]->name);
    }
    assert_int_equal(cpus, 1);
    assert_ptr_equal(backends[count - 1], &cpu_backend); /* best first */
    assert_string_equal(cpu_backend.name, "cpu");
}

static void device_describes_itself(void **state) {
    struct fixture *f = fixture_of(state);
    const char *text = f->backend->describe(f->device);
    assert_non_null(text);
    assert_true(text[0] != '\0');
    assert_null(strchr(text, '\n'));
}

/* A device that does not exist: STATUS_NO_DEVICE, and a message. */
static void open_a_device_that_does_not_exist(void **state) {
    struct fixture *f = fixture_of(state);
    struct device_options options = {.index = 1000};
    struct device *device = NULL;
    struct error error = {0};
    assert_int_equal(f->backend->open(&error, &device, &options), STATUS_NO_DEVICE);
    assert_int_equal(error.status, STATUS_NO_DEVICE);
    assert_true(error.text[0] != '\0');
    assert_null(strchr(error.text, '\n'));
}

/* Two open devices do not affect each other. */
static void open_twice(void **state) {
    struct fixture *f = fixture_of(state), second;
    static const struct device_options options = {0};
    uint8_t *memory = NULL;
    fixture_open(&second, f->backend, &options);
    must(&second, "alloc",
         second.backend->alloc(&second.error, second.device, &memory, 64, "a test"));
    second.backend->release(second.device, memory);
    fixture_close(&second);
    case_begin(f, "the first device after the second is closed");
    (void)device_read(f, device_output(f, 10));
    case_end(f);
}

static void check_new_memory(struct fixture *f, uint8_t byte) {
    static const size_t sizes[] = {1, 63, 64, 1000, 1 << 20};
    const struct backend *b = f->backend;
    for (int round = 0; round < 2; round++) /* the second may get memory that the first dirtied */
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            case_begin(f, "new memory of %zu bytes, each %u", sizes[i], byte);
            size_t bytes = sizes[i];
            uint8_t *device = NULL, *pinned = NULL, *zeros = zeroed_bytes(bytes);
            uint8_t *copy = zeroed_bytes(bytes), *expected = zeroed_bytes(bytes);
            memset(expected, byte, bytes);
            must(f, "alloc", b->alloc(&f->error, f->device, &device, bytes, "a test"));
            must(f, "alloc_pinned",
                 b->alloc_pinned(&f->error, f->device, &pinned, bytes, "a test"));
            assert_int_equal((uintptr_t)device % 64, 0);
            download_now(f, copy, device, bytes);
            check_bytes("device memory", copy, expected, bytes);
            check_bytes("pinned memory", pinned, zeros, bytes);
            memset(pinned, 0xAB, bytes);
            upload_now(f, device, pinned, bytes);
            b->release_pinned(f->device, pinned);
            b->release(f->device, device);
            case_end(f);
        }
    b->release(f->device, NULL);
    b->release_pinned(f->device, NULL);
}

/* Zeros, or NaN with TRAIN_GPU_POISON=1 when the device is opened. */
static void new_memory(void **state) {
    static const char *const settings[] = {NULL, "0", "1"};
    struct fixture *f = fixture_of(state);
    static const struct device_options options = {0};
    const char *before = getenv("TRAIN_GPU_POISON");
    char *kept = before == NULL ? NULL : strdup(before);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        struct fixture own;
        if (settings[i] == NULL)
            unsetenv("TRAIN_GPU_POISON");
        else
            setenv("TRAIN_GPU_POISON", settings[i], 1);
        fixture_open(&own, f->backend, &options);
        check_new_memory(&own, i == 2 ? 0xFF : 0);
        fixture_close(&own);
    }
    unsetenv("TRAIN_GPU_POISON");
    if (kept != NULL)
        setenv("TRAIN_GPU_POISON", kept, 1);
    free(kept);
}

static void too_much_memory(void **state) {
#ifdef __SANITIZE_ADDRESS__ /* which ends the program for an allocation of this size */
    const size_t bytes = SIZE_MAX;
#else
    const size_t bytes = SIZE_MAX / 2;
#endif
    struct fixture *f = fixture_of(state);
    void *memory = NULL;
    enum status status = f->backend->alloc(&f->error, f->device, &memory, bytes, "the moon");
    assert_int_equal(status, STATUS_FAILED);
    assert_non_null(strstr(f->error.text, "the moon"));
    status = f->backend->alloc_pinned(&f->error, f->device, &memory, bytes, "the sun");
    assert_int_equal(status, STATUS_FAILED);
    assert_non_null(strstr(f->error.text, "the sun"));
}

static void clear_within_a_buffer(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "clear");
    uint8_t ones[256], expected[256];
    memset(ones, 1, sizeof ones);
    memcpy(expected, ones, sizeof ones);
    memset(expected + 13, 0, 100);
    uint8_t *memory = device_in_out_bytes(f, ones, sizeof ones);
    must(f, "clear", f->backend->clear(&f->error, f->device, STREAM_COMPUTE, memory + 13, 100));
    check_bytes("cleared", device_read(f, memory), expected, sizeof expected);
    case_end(f);
}

/* The path of a batch: upload on the copy stream, an event, an operation, an event, download on the
 * copy stream. */
static void events_order_the_streams(void **state) {
    enum { COUNT = 1 << 18 };
    struct fixture *f = fixture_of(state);
    const struct backend *b = f->backend;
    case_begin(f, "streams");
    struct average_args a = {.batch = 1, .channels = COUNT / 4, .pixels = 4};
    struct event *uploaded = NULL, *computed = NULL, *downloaded = NULL;
    float *pinned = NULL, *averages = NULL, *x = device_output(f, COUNT);
    double *expected = doubles(COUNT / 4);
    must(f, "alloc_pinned",
         b->alloc_pinned(&f->error, f->device, &pinned, COUNT * sizeof(float), "a test"));
    must(f, "alloc_pinned",
         b->alloc_pinned(&f->error, f->device, &averages, COUNT / 4 * sizeof(float), "a test"));
    must(f, "event_create", b->event_create(&f->error, f->device, &uploaded));
    must(f, "event_create", b->event_create(&f->error, f->device, &computed));
    must(f, "event_create", b->event_create(&f->error, f->device, &downloaded));
    /* an event that was never recorded counts as reached */
    must(f, "event_wait", b->event_wait(&f->error, f->device, downloaded, STREAM_COPY));
    must(f, "event_synchronize", b->event_synchronize(&f->error, f->device, downloaded));
    for (size_t i = 0; i < COUNT; i++)
        pinned[i] = (float)(i % 1000);
    for (size_t i = 0; i < COUNT / 4; i++)
        expected[i] = (double)(i * 4 % 1000) + 1.5;
    a.x = x;
    a.y = device_output(f, COUNT / 4);
    must(f, "upload",
         b->upload(&f->error, f->device, STREAM_COPY, x, pinned, COUNT * sizeof(float)));
    must(f, "event_record", b->event_record(&f->error, f->device, uploaded, STREAM_COPY));
    must(f, "event_wait", b->event_wait(&f->error, f->device, uploaded, STREAM_COMPUTE));
    RUN(f, average_forward, &a);
    must(f, "event_record", b->event_record(&f->error, f->device, computed, STREAM_COMPUTE));
    must(f, "event_wait", b->event_wait(&f->error, f->device, computed, STREAM_COPY));
    must(f, "download",
         b->download(&f->error, f->device, STREAM_COPY, averages, a.y, COUNT / 4 * sizeof(float)));
    must(f, "event_record", b->event_record(&f->error, f->device, downloaded, STREAM_COPY));
    must(f, "event_synchronize", b->event_synchronize(&f->error, f->device, downloaded));
    check_floats("averages", averages, expected, COUNT / 4, 1e-6, 0);
    b->event_destroy(f->device, uploaded);
    b->event_destroy(f->device, computed);
    b->event_destroy(f->device, downloaded);
    b->release_pinned(f->device, pinned);
    b->release_pinned(f->device, averages);
    case_end(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_are_listed),
        cmocka_unit_test(device_describes_itself),
        cmocka_unit_test(open_a_device_that_does_not_exist),
        cmocka_unit_test(open_twice),
        cmocka_unit_test(new_memory),
        cmocka_unit_test(too_much_memory),
        cmocka_unit_test(clear_within_a_buffer),
        cmocka_unit_test(events_order_the_streams),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
