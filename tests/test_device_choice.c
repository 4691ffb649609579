/* test_device_choice.c: which backend is chosen, with made-up backends. */
#include "support.h"

#include "model/device_choice.h"
#include "run/device_setup.h"

#include <stdlib.h>
#include <string.h>

struct device {
    struct device_options options;
    int opened;
};

/* A backend's open gets only the options, so the two devices are global. */
static struct device cuda_device, cpu_device;

static enum status cuda_open(struct error *error, struct device **out,
                             const struct device_options *options) {
    if (options->index >= 2)
        return error_set(error, STATUS_NO_DEVICE, "cuda: there is no device %d", options->index);
    cuda_device.options = *options;
    cuda_device.opened++;
    *out = &cuda_device;
    return STATUS_OK;
}

static enum status no_cuda_open(struct error *error, struct device **out,
                                const struct device_options *options) {
    (void)out, (void)options;
    return error_set(error, STATUS_NO_DEVICE, "no CUDA driver; install one");
}

static enum status cpu_open(struct error *error, struct device **out,
                            const struct device_options *options) {
    (void)error;
    cpu_device.options = *options;
    cpu_device.opened++;
    *out = &cpu_device;
    return STATUS_OK;
}

static void any_close(struct device *device) {
    device->opened--;
}

static const char *cuda_describe(const struct device *device) {
    (void)device;
    return "a GPU";
}

static const char *cpu_describe(const struct device *device) {
    (void)device;
    return "a CPU";
}

static const struct backend cuda = {
    .name = "cuda", .open = cuda_open, .close = any_close, .describe = cuda_describe};
static const struct backend broken = {
    .name = "cuda", .open = no_cuda_open, .close = any_close, .describe = cuda_describe};
static const struct backend cpu = {
    .name = "cpu", .open = cpu_open, .close = any_close, .describe = cpu_describe};
static const struct backend *const both[] = {&cuda, &cpu, NULL};
static const struct backend *const cpu_only[] = {&cpu, NULL};
static const struct backend *const cuda_broken[] = {&broken, &cpu, NULL};
static const struct backend *const nothing_works[] = {&broken, NULL};

/* Chooses, checks the text and the backend, closes. */
static void takes(const struct backend *const *list, struct device_request request,
                  const struct backend *backend, const char *text) {
    struct error error;
    struct device_choice choice;
    assert_succeeded(device_choose(&error, &choice, list, &request), &error);
    assert_ptr_equal(choice.backend, backend);
    assert_string_equal(choice.text, text);
    assert_int_equal(choice.device->opened, 1);
    assert_int_equal(choice.device->options.index, request.index);
    assert_int_equal(choice.device->options.threads, request.threads);
    device_close(&choice);
    device_close(&choice); /* a second time is fine */
    assert_int_equal(cuda_device.opened + cpu_device.opened, 0);
}

static const struct device_request automatic = {.kind = DEVICE_AUTO, .threads = 3};

static void automatic_choice(void **state) {
    (void)state;
    takes(both, automatic, &cuda, "a GPU");
    takes(cpu_only, automatic, &cpu, "a CPU (this build has no CUDA backend)");
    takes(cuda_broken, automatic, &cpu, "a CPU (no CUDA driver; install one)");
}

static void named_choice(void **state) {
    (void)state;
    takes(both, (struct device_request){.kind = DEVICE_CPU, .threads = 2}, &cpu, "a CPU");
    takes(both, (struct device_request){.kind = DEVICE_CUDA}, &cuda, "a GPU");
    takes(both, (struct device_request){.kind = DEVICE_CUDA, .index = 1}, &cuda, "a GPU");
}

static void refusals(void **state) {
    (void)state;
    struct error error;
    struct device_choice choice;
    const struct device_request gpu = {.kind = DEVICE_CUDA}, third = {DEVICE_CUDA, .index = 2};
    FAILED(device_choose(&error, &choice, cpu_only, &gpu), STATUS_NO_DEVICE, &error,
           "no CUDA backend", "`make` finds a CUDA toolkit");
    FAILED(device_choose(&error, &choice, cuda_broken, &gpu), STATUS_NO_DEVICE, &error,
           "no CUDA driver");
    FAILED(device_choose(&error, &choice, both, &third), STATUS_NO_DEVICE, &error, "no device 2");
    FAILED(device_choose(&error, &choice, nothing_works, &automatic), STATUS_NO_DEVICE, &error,
           "no CUDA driver");
    device_close(&choice); /* nothing is open */
    assert_int_equal(cuda_device.opened + cpu_device.opened, 0);
}

/* The backends that this program was built with. */
static void this_build(void **state) {
    (void)state;
    struct error error;
    struct device_choice choice;
    const struct device_request request = {.kind = DEVICE_CPU, .threads = 1};
    assert_succeeded(device_choose(&error, &choice, backends, &request), &error);
    assert_ptr_equal(choice.backend, &cpu_backend);
    assert_non_null(strstr(choice.text, "CPU"));
    device_close(&choice);
}

/* The backend states what is wrong; the run's setup adds the option. */
static void advice(void **state) {
    (void)state;
    struct error error;
    struct device_choice choice;
    const struct device_request cpu_request = {.kind = DEVICE_CPU};
    const struct device_request gpu_request = {.kind = DEVICE_CUDA, .index = 1000};
    FAILED(device_set_up(&error, &choice, &gpu_request), STATUS_NO_DEVICE, &error,
           "; --device cpu uses the CPU instead");
    setenv("TRAIN_GPU_CPU", "sse9", 1);
    FAILED(device_set_up(&error, &choice, &cpu_request), STATUS_NO_DEVICE, &error, "sse9");
    assert_null(strstr(error.text, "--device"));
    unsetenv("TRAIN_GPU_CPU");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(automatic_choice), cmocka_unit_test(named_choice),
        cmocka_unit_test(refusals),         cmocka_unit_test(this_build),
        cmocka_unit_test(advice),
    };
    return cmocka_run_group_tests_name("device choice", tests, NULL, NULL);
}
