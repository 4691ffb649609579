/* test_backend_cuda.c: tests of the CUDA backend's C code that need the stand-in: opening without a
 * device, errors of every kind, recordings, and the choice of algorithms. */
#include "compare.h"
#include "cudasim.h"
#include "device_fixture.h"
#include "kernels/device.h"
#include "model/device_choice.h"
#include "reference_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct device_options defaults = {0};

static const struct conv_args example = {.batch = 6,
                                         .in_channels = 5,
                                         .height = 6,
                                         .width = 7,
                                         .out_channels = 4,
                                         .kernel = 3,
                                         .padding = 1};

/* ---- opening --------------------------------------------------------------------------------- */

static struct error open_failure(int index) {
    struct device_options options = {.index = index};
    struct device *device = NULL;
    struct error error = {0};
    assert_int_equal(cuda_backend.open(&error, &device, &options), STATUS_NO_DEVICE);
    assert_null(device);
    return error;
}

static void no_driver(void **state) {
    (void)state;
    setenv("CUDASIM_DRIVER", "none", 1);
    struct error error = open_failure(0);
    unsetenv("CUDASIM_DRIVER");
    FAILED(error.status, STATUS_NO_DEVICE, &error, "no NVIDIA driver", "nvidia-smi");
}

static void old_driver(void **state) {
    (void)state;
    setenv("CUDASIM_DRIVER", "old", 1);
    struct error error = open_failure(0);
    unsetenv("CUDASIM_DRIVER");
    FAILED(error.status, STATUS_NO_DEVICE, &error, "driver is too old", "CUDA up to 11.8",
           "built with CUDA 13.0", "update the driver");
}

static void no_device(void **state) {
    (void)state;
    setenv("CUDASIM_DEVICES", "0", 1);
    struct error error = open_failure(0);
    unsetenv("CUDASIM_DEVICES");
    FAILED(error.status, STATUS_NO_DEVICE, &error, "lists no GPU", "CUDA_VISIBLE_DEVICES");
}

static void device_out_of_range(void **state) {
    (void)state;
    struct error error = open_failure(1);
    FAILED(error.status, STATUS_NO_DEVICE, &error, "one CUDA device", "not cuda:1");
    setenv("CUDASIM_DEVICES", "3", 1);
    error = open_failure(3);
    unsetenv("CUDASIM_DEVICES");
    FAILED(error.status, STATUS_NO_DEVICE, &error, "3 CUDA devices", "cuda:0 to cuda:2",
           "not cuda:3");
    error = open_failure(-1);
    FAILED(error.status, STATUS_NO_DEVICE, &error, "not cuda:-1");
}

/* Index 1 opens device 1, not another one. */
static void device_by_number(void **state) {
    (void)state;
    struct error error;
    struct device *device;
    setenv("CUDASIM_DEVICES", "3", 1);
    for (int index = 2; index >= 0;
         index--) { /* the last one leaves device 0 current for the other tests */
        const struct device_options options = {.index = index};
        int current = -1;
        assert_succeeded(cuda_backend.open(&error, &device, &options), &error);
        assert_int_equal(cudaGetDevice(&current), cudaSuccess);
        assert_int_equal(current, index);
        cuda_backend.close(device);
    }
    unsetenv("CUDASIM_DEVICES");
}

static void device_too_old(void **state) {
    (void)state;
    setenv("CUDASIM_ARCH", "7.0", 1);
    struct error error = open_failure(0);
    unsetenv("CUDASIM_ARCH");
    FAILED(error.status, STATUS_NO_DEVICE, &error, "compute capability 7.0", "are for 7.5",
           "CUDA_ARCH=70");
}

/* The parts of a description that a bug report needs. */
static void description(void **state) {
    (void)state;
    struct error error;
    struct device *device;
    assert_succeeded(cuda_backend.open(&error, &device, &defaults), &error);
    const char *text = cuda_backend.describe(device);
    static const char *const parts[] = {"compute capability 9.0", "GiB",          "CUDA 13.0",
                                        "(driver 13.0)",          "cuDNN 9.28.0", "cuBLAS 13."};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(text, parts[i]) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", text, parts[i]);
    cuda_backend.close(device);
}

/* Each call of open fails once; the message names it and its place in the repository.
 * (The stand-in ends the program if something is left at its end.) */
static int open_with_failures(void (*inject)(long, int), int code) {
    for (int call = 1; call < 100; call++) {
        struct error error = {0};
        struct device *device = NULL;
        inject(call, code);
        enum status status = cuda_backend.open(&error, &device, &defaults);
        inject(0, 0);
        if (status == STATUS_OK) {
            cuda_backend.close(device);
            return call - 1;
        }
        assert_null(device);
        FAILED(status, STATUS_NO_DEVICE, &error, "(src/kernels/");
        assert_true(strncmp(error.text, "cu", 2) == 0);
    }
    fail_msg("open never succeeded");
    return 0;
}

static void open_fails_at_each_call(void **state) {
    (void)state;
    assert_in_range(open_with_failures(cudasim_fail_call, cudaErrorUnknown), 8, 40);
    assert_in_range(open_with_failures(cudasim_fail_library_call, CUDNN_STATUS_NOT_INITIALIZED), 8,
                    40);
}

/* close ignores failures and releases the rest. */
static void close_fails_at_each_call(void **state) {
    (void)state;
    struct error error;
    struct device *device;
    for (int call = 1; call < 12; call++) {
        assert_succeeded(cuda_backend.open(&error, &device, &defaults), &error);
        cudasim_fail_call(call, cudaErrorUnknown);
        cuda_backend.close(device);
        cudasim_fail_call(0, 0);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void out_of_memory(void **state) {
    struct fixture *f = fixture_of(state);
    void *memory = f;
    size_t left = cuda_backend.memory_left(f->device);
    assert_true(left > 0);
    FAILED(cuda_backend.alloc(&f->error, f->device, &memory, left + 4096, "the activations"),
           STATUS_FAILED, &f->error, "out of GPU memory", "for the activations", "nvidia-smi");
    assert_null(memory);
    char number[32];
    snprintf(number, sizeof number, "%zu", cuda_backend.memory_left(f->device));
    FAILED(f->error.status, STATUS_FAILED, &f->error, number);
    /* The next launch does not report it. */
    case_begin(f, "after running out of memory");
    double ones[8] = {1, 1, 1, 1, 1, 1, 1, 1}, mean[2] = {1, 1};
    struct average_args a = {.batch = 1, .channels = 2, .pixels = 4};
    a.x = device_floats(f, ones, 8);
    a.y = device_output(f, 2);
    RUN(f, average_forward, &a);
    check_device(f, "average", a.y, mean, 0, 0);
    case_end(f);
}

/* memory_left is the free memory, not the device's total. */
static void memory_left_is_what_is_free(void **state) {
    struct fixture *f = fixture_of(state);
    const size_t taken = 64 << 20;
    void *memory = NULL;
    size_t before = cuda_backend.memory_left(f->device);
    must(f, "alloc", cuda_backend.alloc(&f->error, f->device, &memory, taken, "a test"));
    assert_true(cuda_backend.memory_left(f->device) <= before - taken);
    cuda_backend.release(f->device, memory);
    assert_true(cuda_backend.memory_left(f->device) > before - taken);
}

/* alloc frees memory that it could not clear. */
static void alloc_fails_at_each_call(void **state) {
    struct fixture *f = fixture_of(state);
    size_t left = cuda_backend.memory_left(f->device);
    for (int call = 1; call <= 3; call++) {
        void *memory = f;
        cudasim_fail_call(call, cudaErrorUnknown);
        enum status status = cuda_backend.alloc(&f->error, f->device, &memory, 100, "a test");
        cudasim_fail_call(0, 0);
        FAILED(status, STATUS_FAILED, &f->error, "cudaErrorUnknown");
        assert_null(memory);
        assert_int_equal(cuda_backend.memory_left(f->device), left);
    }
    cudasim_fail_call(1, cudaErrorMemoryAllocation);
    void *memory = f;
    enum status status = cuda_backend.alloc_pinned(&f->error, f->device, &memory, 12345, "a slot");
    FAILED(status, STATUS_FAILED, &f->error, "12345 bytes for a slot", "cudaErrorMemoryAllocation");
    assert_null(memory);
    cudasim_fail_call(1, cudaErrorUnknown);
    assert_int_equal(cuda_backend.memory_left(f->device), 0);
}

/* Runs `body` in a process of its own, since the fault lasts as long as the process. */
static void in_child(void (*body)(struct fixture *), struct fixture *f) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body(f);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void expect(bool condition, const struct fixture *f, int code) {
    if (condition)
        return;
    fprintf(stderr, "# check %d: %s\n", code, f->error.text);
    _exit(code);
}

static void after_a_fault(struct fixture *f) {
    cudasim_fail_call(1, cudaErrorIllegalAddress);
    enum status status = cuda_backend.event_synchronize(&f->error, f->device, f->event);
    expect(status == STATUS_FAILED, f, 1);
    expect(strstr(f->error.text, "cudaEventSynchronize (src/kernels/backend_cuda.c:") != NULL, f,
           2);
    expect(strstr(f->error.text, "cudaErrorIllegalAddress") != NULL, f, 3);
    expect(strstr(f->error.text, "recorded steps and with CUDA_LAUNCH_BLOCKING=1") != NULL, f, 4);
    expect(strstr(f->error.text, "compute-sanitizer") != NULL, f, 5);
    struct average_args a = {.batch = 1, .channels = 1, .pixels = 1};
    f->error = (struct error){0};
    status = f->ops->average_forward(&f->error, f->device, &a);
    expect(status == STATUS_FAILED, f, 6);
    expect(strstr(f->error.text, "cudaErrorIllegalAddress") != NULL, f, 7);
    status = cuda_backend.event_record(&f->error, f->device, f->event, STREAM_COMPUTE);
    expect(status == STATUS_FAILED, f, 8);
    cuda_backend.close(f->device);
}

static void sticky_error(void **state) {
    in_child(after_a_fault, fixture_of(state));
}

/* Messages of cuDNN and cuBLAS. */
static void library_errors(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "errors of the libraries");
    struct linear_args a = {.batch = 2, .inputs = 3, .outputs = 4};
    double ones[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    a.x = device_floats(f, ones, 6);
    a.weight = device_floats(f, ones, 12);
    a.y = device_in_out(f, ones, 8);
    cudasim_fail_library_call(1, CUBLAS_STATUS_EXECUTION_FAILED);
    FAILED(f->ops->linear_forward(&f->error, f->device, &a), STATUS_FAILED, &f->error,
           "cublasSgemm (src/kernels/linear.c:", "CUBLAS_STATUS_EXECUTION_FAILED");
    case_end(f);
}

/* ---- recordings ------------------------------------------------------------------------------ */

/* dx += conv_transpose(dy, weight), which shows how often it ran. */
struct accumulation {
    struct conv_args conv;
    size_t x, weight, y;
};

static struct accumulation accumulation_of(struct fixture *f) {
    struct accumulation a = {.conv = example};
    struct conv_args *c = &a.conv;
    c->accumulate = true;
    a.x = (size_t)(c->batch * c->in_channels * c->height * c->width);
    a.y = (size_t)(c->batch * c->out_channels * c->height * c->width);
    a.weight = (size_t)(c->out_channels * c->in_channels * 9);
    double *x = random_doubles(a.x, -1, 1), *dy = random_doubles(a.y, -1, 1);
    double *weight = random_doubles(a.weight, -1, 1);
    c->x = device_floats(f, x, a.x);
    c->weight = device_floats(f, weight, a.weight);
    c->dy = device_floats(f, dy, a.y);
    c->dx = device_in_out(f, doubles(a.x), a.x);
    c->dweight = device_output(f, a.weight);
    c->workspace = device_workspace(f, f->ops->conv_workspace(f->device, c));
    return a;
}

/* dx is `times` the result of one backward pass. */
static void check_accumulated(struct fixture *f, const struct accumulation *a, double times) {
    struct conv_args once = a->conv;
    double *expected = doubles(a->x);
    once.accumulate = false;
    once.dx = device_output(f, a->x);
    once.dweight = device_output(f, a->weight);
    RUN(f, conv_backward, &once);
    const float *dx = device_read(f, once.dx);
    for (size_t i = 0; i < a->x; i++)
        expected[i] = times * (double)dx[i];
    check_device(f, "dx", a->conv.dx, expected, 1e-5, 1e-5);
}

static void record_and_replay(void **state) {
    struct fixture *f = fixture_of(state);
    struct recording *recording = NULL;
    case_begin(f, "record and replay");
    struct accumulation a = accumulation_of(f);
    struct linear_args linear = {.batch = 6, .inputs = 20, .outputs = 9};
    linear.x = a.conv.x;
    linear.weight = a.conv.weight;
    linear.y = device_output(f, 54);
    must(f, "record_begin", cuda_backend.record_begin(&f->error, f->device));
    RUN(f, conv_backward, &a.conv);
    RUN(f, linear_forward, &linear); /* in a workspace that is not cuBLAS's own */
    must(f, "record_end", cuda_backend.record_end(&f->error, f->device, &recording));
    assert_non_null(recording);
    check_accumulated(f, &a, 0);
    cudasim_reset_counts();
    for (int i = 0; i < 3; i++)
        must(f, "replay", cuda_backend.replay(&f->error, f->device, recording));
    struct cudasim_counts counts = cudasim_counts();
    assert_int_equal(counts.graph_launches, 3);
    assert_int_equal(counts.allocations, 0);
    assert_int_equal(counts.synchronizations, 0);
    check_accumulated(f, &a, 3);
    cuda_backend.recording_destroy(f->device, recording);
    case_end(f);
}

/* CUDA does not notice a refused operation, so the recording is cancelled: none of its operations
 * runs, and the next recording is complete. */
static void refusal_while_recording(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "a refused operation while recording");
    struct accumulation a = accumulation_of(f);
    struct conv_args refused = example;
    refused.kernel = 2;
    must(f, "record_begin", cuda_backend.record_begin(&f->error, f->device));
    assert_refused(f, f->ops->conv_forward(&f->error, f->device, &refused));
    RUN(f, conv_backward, &a.conv);
    cuda_backend.record_cancel(f->device);
    RUN(f, conv_backward, &a.conv);
    check_accumulated(f, &a, 1);
    case_end(f);
    record_and_replay(state);
}

/* A recording succeeds after a backward pass that left gradients for later and was never finished,
 * called or in a recording that was cancelled. */
static void recording_after_unfinished_gradients(void **state) {
    struct fixture *f = fixture_of(state);
    const struct finish_args nothing = {0};
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        struct recording *recording = NULL;
        case_begin(f, "recording after gradients were left%s", cancelled ? ", cancelled" : "");
        struct accumulation a = accumulation_of(f);
        a.conv.filter_workspace = device_workspace(f, f->ops->conv_workspace(f->device, &a.conv));
        if (cancelled)
            must(f, "record_begin", cuda_backend.record_begin(&f->error, f->device));
        RUN(f, conv_backward, &a.conv);
        if (cancelled)
            cuda_backend.record_cancel(f->device);
        must(f, "record_begin", cuda_backend.record_begin(&f->error, f->device));
        RUN(f, conv_backward, &a.conv);
        RUN(f, finish_gradients, &nothing);
        must(f, "record_end", cuda_backend.record_end(&f->error, f->device, &recording));
        must(f, "replay", cuda_backend.replay(&f->error, f->device, recording));
        a.conv.filter_workspace = NULL;
        check_accumulated(f, &a, cancelled ? 1 : 2);
        cuda_backend.recording_destroy(f->device, recording);
        case_end(f);
    }
}

/* Allocating while the stream is captured is forbidden and invalidates the recording. */
static void allocation_while_recording(void **state) {
    struct fixture *f = fixture_of(state);
    struct recording *recording = (struct recording *)f;
    void *memory = NULL;
    must(f, "record_begin", cuda_backend.record_begin(&f->error, f->device));
    enum status status = cuda_backend.alloc(&f->error, f->device, &memory, 100, "a test");
    FAILED(status, STATUS_FAILED, &f->error, "cudaErrorStreamCapture");
    status = cuda_backend.record_end(&f->error, f->device, &recording);
    FAILED(status, STATUS_FAILED, &f->error, "cudaStreamEndCapture", "cudaErrorStreamCapture");
    assert_null(recording);
    record_and_replay(state);
}

/* Each call that makes the recording fails once. */
static void recording_fails_at_each_call(void **state) {
    struct fixture *f = fixture_of(state);
    int failures = 0;
    for (int call = 1; call < 20; call++) {
        case_begin(f, "recording, call %d fails", call);
        struct accumulation a = accumulation_of(f);
        struct recording *recording = NULL;
        must(f, "record_begin", cuda_backend.record_begin(&f->error, f->device));
        RUN(f, conv_backward, &a.conv);
        cudasim_fail_call(call, cudaErrorUnknown);
        enum status status = cuda_backend.record_end(&f->error, f->device, &recording);
        cudasim_fail_call(0, 0);
        assert_int_equal(recording == NULL, status != STATUS_OK);
        failures += status != STATUS_OK;
        if (recording != NULL)
            cuda_backend.recording_destroy(f->device, recording);
        RUN(f, conv_backward, &a.conv);
        case_end(f);
    }
    assert_in_range(failures, 3, 10);
}

/* ---- convolutions ---------------------------------------------------------------------------- */

static const char *last_choice(struct fixture *f) {
    const char *last = "";
    for (int i = 0; cuda_backend.choice(f->device, i) != NULL; i++)
        last = cuda_backend.choice(f->device, i);
    return last;
}

/* By default no algorithm whose results vary is chosen, although the stand-in ranks it first. */
static void reproducible_choice(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, &cuda_backend, &defaults);
    assert_null(cuda_backend.choice(f.device, 0));
    assert_null(cuda_backend.choice(f.device, -1));
    struct conv_args a = {.batch = 128,
                          .in_channels = 16,
                          .height = 32,
                          .width = 32,
                          .out_channels = 32,
                          .kernel = 3,
                          .padding = 1};
    size_t bytes = f.ops->conv_workspace(f.device, &a);
    assert_true(bytes > 0);
    assert_int_equal(f.ops->conv_workspace(f.device, &a), bytes);
    char expected[64];
    snprintf(expected, sizeof expected, ", workspace %.1f MiB", (double)bytes / (1 << 20));
    const char *text = cuda_backend.choice(f.device, 0);
    const char *start = "conv 16x32x32 -> 32x32x32, 3x3, batch 128: forward "
                        "IMPLICIT_PRECOMP_GEMM, backward data WINOGRAD_NONFUSED, backward filter "
                        "ALGO_1, workspace ";
    if (strncmp(text, start, strlen(start)) != 0 || strstr(text, expected) == NULL)
        fail_msg("%s", text);
    assert_null(cuda_backend.choice(f.device, 1));
    fixture_close(&f);
}

/* The fastest timed algorithm is chosen, although its results vary; a smaller batch keeps it,
 * without another timing and whatever the heuristics say. */
static void fast_choice(void **state) {
    (void)state;
    struct fixture f;
    const struct device_options options = {.fast_algorithms = true};
    fixture_open(&f, &cuda_backend, &options);
    struct conv_args a = example;
    cudasim_reset_counts();
    (void)f.ops->conv_workspace(f.device, &a);
    assert_true(cudasim_counts().synchronizations > 0);
    static const char chosen[] = ": forward WINOGRAD_NONFUSED, backward data WINOGRAD_NONFUSED, "
                                 "backward filter ALGO_1, ";
    if (strstr(last_choice(&f), chosen) == NULL)
        fail_msg("%s", last_choice(&f));
    cudasim_reset_counts();
    (void)f.ops->conv_workspace(f.device, &a);
    a.batch = 2;
    (void)f.ops->conv_workspace(f.device, &a);
    assert_int_equal(cudasim_counts().synchronizations, 0);
    assert_non_null(strstr(last_choice(&f), "batch 2: "));
    if (strstr(last_choice(&f), chosen) == NULL)
        fail_msg("%s", last_choice(&f));
    fixture_close(&f);
}

/* An algorithm that wants more than 256 MiB of workspace is passed over, however high its rank. */
static void workspace_is_capped(void **state) {
    static const char *const chosen[] = {
        ": forward IMPLICIT_PRECOMP_GEMM, backward data ALGO_1, backward filter ALGO_1, workspace ",
        ": forward IMPLICIT_PRECOMP_GEMM, backward data ALGO_0, backward filter ALGO_1, "
        "workspace "};
    (void)state;
    for (int fast = 0; fast < 2; fast++) {
        struct fixture f;
        const struct device_options options = {.fast_algorithms = fast};
        struct conv_args a = example;
        char megabytes[64];
        fixture_open(&f, &cuda_backend, &options);
        a.height = a.width = 32;
        a.batch = 128;
        (void)f.ops->conv_workspace(f.device, &a);
        assert_non_null(strstr(last_choice(&f), "backward data WINOGRAD_NONFUSED"));
        a.batch = 1 << 15;
        size_t bytes = f.ops->conv_workspace(f.device, &a);
        assert_in_range(bytes, 1, 256 << 20);
        snprintf(megabytes, sizeof megabytes, "workspace %.1f MiB", (double)bytes / (1 << 20));
        if (strstr(last_choice(&f), chosen[fast]) == NULL ||
            strstr(last_choice(&f), megabytes) == NULL)
            fail_msg("%s", last_choice(&f));
        fixture_close(&f);
    }
}

/* If all algorithms want more, the convolution says so. */
static void no_workspace_is_small_enough(void **state) {
    (void)state;
    struct fixture f;
    struct conv_args a = example;
    fixture_open(&f, &cuda_backend, &defaults);
    a.height = a.width = 32;
    a.batch = 1 << 17;
    assert_int_equal(f.ops->conv_workspace(f.device, &a), 0);
    FAILED(f.ops->conv_backward(&f.error, f.device, &a), STATUS_FAILED, &f.error,
           "no reproducible algorithm", "backward filter pass",
           "with at most 268435456 bytes of workspace; a smaller batch needs less");
    fixture_close(&f);
}

struct conv_case {
    struct conv_args args;
    size_t x, weight, y;
    double *x_values, *weight_values, *dy_values;
};

/* Buffers for a convolution, with exactly `workspace` bytes of workspace. */
static struct conv_case conv_case_of(struct fixture *f, const struct conv_args *shape,
                                     size_t workspace) {
    struct conv_case c = {.args = *shape};
    c.x = (size_t)(shape->batch * shape->in_channels * shape->height * shape->width);
    c.y = (size_t)(shape->batch * shape->out_channels * shape->height * shape->width);
    c.weight = (size_t)(shape->out_channels * shape->in_channels * 9);
    c.x_values = random_doubles(c.x, -1, 1);
    c.weight_values = random_doubles(c.weight, -1, 1);
    c.dy_values = random_doubles(c.y, -1, 1);
    c.args.x = device_floats(f, c.x_values, c.x);
    c.args.weight = device_floats(f, c.weight_values, c.weight);
    c.args.y = device_output(f, c.y);
    c.args.dy = device_floats(f, c.dy_values, c.y);
    c.args.dx = device_output(f, c.x);
    c.args.dweight = device_output(f, c.weight);
    c.args.workspace = device_workspace(f, workspace);
    return c;
}

/* Sums of up to 252 products of numbers in [-1, 1]: float32 is accurate to 1e-5 in direct sums and
 * to 5e-5 with Winograd's algorithms; TF32 is not. */
static const double float32_error = 5e-5, tf32_error = 2e-2;

static void check_conv_case(struct fixture *f, struct conv_case *c, double tolerance) {
    double *y = doubles(c->y), *dx = doubles(c->x), *dweight = doubles(c->weight);
    RUN(f, conv_forward, &c->args);
    RUN(f, conv_backward, &c->args);
    reference_conv_forward(y, &c->args, c->x_values, c->weight_values);
    reference_conv_backward(dx, dweight, &c->args, c->x_values, c->weight_values, c->dy_values);
    check_device(f, "y", c->args.y, y, tolerance, tolerance);
    check_device(f, "dx", c->args.dx, dx, tolerance, tolerance);
    check_device(f, "dweight", c->args.dweight, dweight, 4 * tolerance, 4 * tolerance);
}

/* One convolution on a device with these options. */
static void check_options(const struct device_options *options) {
    struct fixture f;
    fixture_open(&f, &cuda_backend, options);
    case_begin(&f, "precision %d, fast %d", (int)options->precision, options->fast_algorithms);
    struct conv_case c = conv_case_of(&f, &example, f.ops->conv_workspace(f.device, &example));
    check_conv_case(&f, &c, options->precision == PRECISION_TF32 ? tf32_error : float32_error);
    case_end(&f);
    fixture_close(&f);
}

static void conv_of_all_options(void **state) {
    (void)state;
    for (int precision = 0; precision < 2; precision++)
        for (int fast = 0; fast < 2; fast++)
            check_options(&(struct device_options){.precision = (enum precision)precision,
                                                   .fast_algorithms = fast});
}

/* The largest difference of y from doubles. */
static double rounding(const float *y, const double *expected, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)y[i] - expected[i];
        largest = difference > largest ? difference : -difference > largest ? -difference : largest;
    }
    return largest;
}

/* TF32 keeps 10 bits of the inputs, so its errors differ from float32's: it is used if and only if
 * it is requested. */
static void precision_is_what_was_asked_for(void **state) {
    (void)state;
    for (int precision = 0; precision < 2; precision++) {
        struct device_options options = {.precision = (enum precision)precision};
        struct fixture f;
        fixture_open(&f, &cuda_backend, &options);
        case_begin(&f, "errors of precision %d", precision);
        struct conv_case c = conv_case_of(&f, &example, f.ops->conv_workspace(f.device, &example));
        double *y = doubles(c.y), *z = doubles(c.x);
        reference_conv_forward(y, &c.args, c.x_values, c.weight_values);
        RUN(&f, conv_forward, &c.args);
        double conv = rounding(device_read(&f, c.args.y), y, c.y);
        struct linear_args linear = {.batch = 6, .inputs = 20, .outputs = 9};
        linear.x = c.args.x;
        linear.weight = c.args.weight;
        linear.y = device_output(&f, 54);
        reference_linear_forward(z, &linear, c.x_values, c.weight_values);
        RUN(&f, linear_forward, &linear);
        double gemm = rounding(device_read(&f, linear.y), z, 54);
        if (precision == PRECISION_TF32 ? conv < 1e-4 || gemm < 1e-4 : conv > 1e-5 || gemm > 1e-5)
            fail_msg("precision %d: errors of %g and %g", precision, conv, gemm);
        case_end(&f);
        fixture_close(&f);
    }
}

/* After conv_workspace for one batch, every smaller batch runs in the same workspace, with the same
 * algorithms. */
static void smaller_batches(void **state) {
    (void)state;
    for (int fast = 0; fast < 2; fast++) {
        struct fixture f;
        const struct device_options options = {.fast_algorithms = fast};
        fixture_open(&f, &cuda_backend, &options);
        struct conv_args shape = example;
        shape.batch = 17;
        size_t granted = f.ops->conv_workspace(f.device, &shape);
        const char *algorithms = strchr(last_choice(&f), ':');
        size_t length = (size_t)(strstr(algorithms, ", workspace") - algorithms);
        for (int batch = 16; batch >= 1; batch -= 5) {
            shape.batch = batch;
            case_begin(&f, "batch %d in the workspace of 17", batch);
            struct conv_case c = conv_case_of(&f, &shape, granted);
            check_conv_case(&f, &c, float32_error);
            case_end(&f);
            const char *others = strchr(last_choice(&f), ':');
            assert_int_equal(strncmp(others, algorithms, length), 0);
            assert_true(f.ops->conv_workspace(f.device, &shape) <= granted);
        }
        shape.batch = 100;
        assert_true(f.ops->conv_workspace(f.device, &shape) >= granted);
        fixture_close(&f);
    }
}

/* Without conv_workspace there is no workspace, so the algorithm must need none. */
static void shape_never_asked_for(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, &cuda_backend, &defaults);
    struct conv_args a = example;
    FAILED(f.ops->conv_forward(&f.error, f.device, &a), STATUS_FAILED, &f.error,
           "no reproducible algorithm", "backward data pass", "3x3 convolution of 5x6x7",
           "at most 0 bytes");
    fixture_close(&f);
    const struct device_options fast = {.fast_algorithms = true};
    fixture_open(&f, &cuda_backend, &fast);
    case_begin(&f, "no workspace");
    struct conv_case c = conv_case_of(&f, &example, 0);
    c.args.workspace = NULL;
    check_conv_case(&f, &c, float32_error);
    assert_non_null(strstr(last_choice(&f), "IMPLICIT_GEMM"));
    assert_non_null(strstr(last_choice(&f), ", no workspace"));
    case_end(&f);
    fixture_close(&f);
}

/* conv_workspace cannot return an error; the convolution after it does. */
static void workspace_failure_is_not_lost(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, &cuda_backend, &defaults);
    struct conv_args a = example;
    cudasim_fail_library_call(7, CUDNN_STATUS_INTERNAL_ERROR);
    assert_int_equal(f.ops->conv_workspace(f.device, &a), 0);
    cudasim_fail_library_call(0, 0);
    FAILED(f.ops->conv_forward(&f.error, f.device, &a), STATUS_FAILED, &f.error, "cudnn",
           "(src/kernels/cudnn_choices.c:");
    f.error = (struct error){0};
    FAILED(f.ops->conv_backward(&f.error, f.device, &a), STATUS_FAILED, &f.error,
           "(src/kernels/cudnn_choices.c:");
    fixture_close(&f);
}

static void too_many_shapes(void **state) {
    (void)state;
    struct fixture f;
    fixture_open(&f, &cuda_backend, &defaults);
    struct conv_args a = {
        .batch = 1, .in_channels = 1, .height = 1, .out_channels = 1, .kernel = 1};
    for (a.width = 1; a.width <= 512; a.width++)
        assert_true(f.ops->conv_workspace(f.device, &a) > 0);
    assert_int_equal(f.ops->conv_workspace(f.device, &a), 0);
    FAILED(f.ops->conv_forward(&f.error, f.device, &a), STATUS_FAILED, &f.error, "512");
    fixture_close(&f);
}

/* ---- the cost of a call ---------------------------------------------------------------------- */

static void check_calls(const char *what, long launches) {
    struct cudasim_counts counts = cudasim_counts();
    if (counts.launches != launches || counts.copies != 0 || counts.synchronizations != 0 ||
        counts.allocations != 0)
        fail_msg("%s: %ld launches, %ld copies, %ld synchronizations, %ld allocations", what,
                 counts.launches, counts.copies, counts.synchronizations, counts.allocations);
    cudasim_reset_counts();
}

/* No call allocates or waits, not even the first one of a smaller batch. */
static void calls_of_the_libraries(void **state) {
    struct fixture *f = fixture_of(state);
    for (int batch = 6; batch > 4; batch--) {
        struct conv_args shape = example;
        shape.height = 5;
        shape.batch = 6;
        case_begin(f, "calls, batch %d", batch);
        size_t workspace = f->ops->conv_workspace(f->device, &shape);
        shape.batch = batch;
        struct conv_case c = conv_case_of(f, &shape, workspace);
        struct linear_args linear = {.batch = 6, .inputs = 20, .outputs = 9};
        linear.x = linear.dy = c.args.x;
        linear.weight = c.args.weight;
        linear.y = linear.dx = device_output(f, 120);
        linear.dweight = device_output(f, 180);
        cudasim_reset_counts();
        RUN(f, conv_forward, &c.args);
        check_calls("conv_forward", 1);
        RUN(f, conv_backward, &c.args);
        check_calls("conv_backward", 2);
        c.args.dx = NULL;
        RUN(f, conv_backward, &c.args);
        check_calls("conv_backward without dx", 1);
        RUN(f, linear_forward, &linear);
        check_calls("linear_forward", 1);
        RUN(f, linear_backward, &linear);
        check_calls("linear_backward", 2);
        case_end(f);
    }
}

/* ---- batch norm ------------------------------------------------------------------------------ */

enum { BN_CHANNELS = 4, BN_COUNT = 3 * BN_CHANNELS * 10 };

static struct norm_args batch_norm_example(struct fixture *f, struct norm_tensors *host) {
    struct norm_args a = {.batch = 3,
                          .channels = BN_CHANNELS,
                          .pixels = 10,
                          .training = true,
                          .activation = RELU_AFTER,
                          .epsilon = 1e-3f,
                          .stat_momentum = 0.25f};
    *host = (struct norm_tensors){.x = random_doubles(BN_COUNT, -1, 3),
                                  .dy = random_doubles(BN_COUNT, -1, 1),
                                  .weight = random_doubles(BN_CHANNELS, 1, 2),
                                  .bias = random_doubles(BN_CHANNELS, 8, 9), /* ReLU passes all */
                                  .y = doubles(BN_COUNT),
                                  .before_relu = doubles(BN_COUNT),
                                  .mean = doubles(BN_CHANNELS),
                                  .rstd = doubles(BN_CHANNELS),
                                  .running_mean = random_doubles(BN_CHANNELS, -1, 1),
                                  .running_var = random_doubles(BN_CHANNELS, 1, 2),
                                  .dx = doubles(BN_COUNT),
                                  .dweight = doubles(BN_CHANNELS),
                                  .dbias = doubles(BN_CHANNELS)};
    a.x = device_floats(f, host->x, BN_COUNT);
    a.dy = device_floats(f, host->dy, BN_COUNT);
    a.weight = device_floats(f, host->weight, BN_CHANNELS);
    a.bias = device_floats(f, host->bias, BN_CHANNELS);
    a.running_mean = device_in_out(f, host->running_mean, BN_CHANNELS);
    a.running_var = device_in_out(f, host->running_var, BN_CHANNELS);
    a.y = device_output(f, BN_COUNT);
    a.dx = device_output(f, BN_COUNT);
    a.mean = device_output(f, BN_CHANNELS);
    a.rstd = device_output(f, BN_CHANNELS);
    a.dweight = device_output(f, BN_CHANNELS);
    a.dbias = device_output(f, BN_CHANNELS);
    a.workspace = device_workspace(f, f->ops->norm[NORM_BATCH].workspace(f->device, &a));
    return a;
}

/* cuDNN's plain mode and the persistent one of fast_algorithms, with a launch of ours before or
 * after; and our own, in one launch. None allocates or waits. */
static void batch_norm_modes(void **state) {
    (void)state;
    static const struct device_options all[] = {
        {.fast_algorithms = false}, {.fast_algorithms = true}, {.batch_norm = BATCH_NORM_OWN}};
    for (int i = 0; i < 3; i++) {
        struct fixture f;
        struct norm_tensors host;
        const long launches = all[i].batch_norm == BATCH_NORM_OWN ? 1 : 2;
        fixture_open(&f, &cuda_backend, &all[i]);
        case_begin(&f, "batch norm of %s, fast %d", batch_norm_option(all[i].batch_norm),
                   all[i].fast_algorithms);
        struct norm_args a = batch_norm_example(&f, &host);
        reference_norm_forward(&host, NORM_BATCH, &a, 0);
        reference_norm_backward(&host, NORM_BATCH, &a, 0);
        cudasim_reset_counts();
        must(&f, "forward", f.ops->norm[NORM_BATCH].forward(&f.error, f.device, &a));
        check_calls("batch norm forward", launches);
        must(&f, "backward", f.ops->norm[NORM_BATCH].backward(&f.error, f.device, &a));
        check_calls("batch norm backward", launches);
        check_device(&f, "y", a.y, host.y, 1e-5, 1e-5);
        check_device(&f, "mean", a.mean, host.mean, 1e-5, 1e-6);
        check_device(&f, "rstd", a.rstd, host.rstd, 1e-5, 0);
        check_device(&f, "running_mean", a.running_mean, host.running_mean, 1e-5, 1e-6);
        check_device(&f, "running_var", a.running_var, host.running_var, 1e-5, 0);
        check_device(&f, "dx", a.dx, host.dx, 1e-4, 1e-5);
        check_device(&f, "dweight", a.dweight, host.dweight, 1e-4, 1e-5);
        check_device(&f, "dbias", a.dbias, host.dbias, 1e-5, 1e-5);
        case_end(&f);
        fixture_close(&f);
    }
}

static void batch_norm_of_one_value(void **state) {
    struct fixture *f = fixture_of(state);
    struct norm_tensors host;
    case_begin(f, "batch norm of one value");
    struct norm_args a = batch_norm_example(f, &host);
    a.batch = a.pixels = 1;
    FAILED(f->ops->norm[NORM_BATCH].forward(&f->error, f->device, &a), STATUS_FAILED, &f->error,
           "unbiased variance");
    case_end(f);
}

/* Each call gives the same bits. */
static void same_bits(void **state) {
    struct fixture *f = fixture_of(state);
    case_begin(f, "the same bits");
    struct conv_case c = conv_case_of(f, &example, f->ops->conv_workspace(f->device, &example));
    uint64_t first[3] = {0};
    for (int round = 0; round < 4; round++) {
        RUN(f, conv_forward, &c.args);
        RUN(f, conv_backward, &c.args);
        uint64_t now[3] = {hash_bytes(device_read(f, c.args.y), c.y * sizeof(float)),
                           hash_bytes(device_read(f, c.args.dx), c.x * sizeof(float)),
                           hash_bytes(device_read(f, c.args.dweight), c.weight * sizeof(float))};
        if (round == 0)
            memcpy(first, now, sizeof first);
        assert_memory_equal(first, now, sizeof first);
    }
    case_end(f);
}

int main(void) {
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(no_driver),
        cmocka_unit_test(old_driver),
        cmocka_unit_test(no_device),
        cmocka_unit_test(device_out_of_range),
        cmocka_unit_test(device_by_number),
        cmocka_unit_test(device_too_old),
        cmocka_unit_test(description),
        cmocka_unit_test(open_fails_at_each_call),
        cmocka_unit_test(close_fails_at_each_call),
        cmocka_unit_test(reproducible_choice),
        cmocka_unit_test(fast_choice),
        cmocka_unit_test(workspace_is_capped),
        cmocka_unit_test(no_workspace_is_small_enough),
        cmocka_unit_test(conv_of_all_options),
        cmocka_unit_test(precision_is_what_was_asked_for),
        cmocka_unit_test(smaller_batches),
        cmocka_unit_test(shape_never_asked_for),
        cmocka_unit_test(workspace_failure_is_not_lost),
        cmocka_unit_test(too_many_shapes),
        cmocka_unit_test(batch_norm_modes),
    };
    const struct CMUnitTest opened[] = {
        cmocka_unit_test(memory_left_is_what_is_free),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(alloc_fails_at_each_call),
        cmocka_unit_test(library_errors),
        cmocka_unit_test(record_and_replay),
        cmocka_unit_test(refusal_while_recording),
        cmocka_unit_test(recording_after_unfinished_gradients),
        cmocka_unit_test(allocation_while_recording),
        cmocka_unit_test(recording_fails_at_each_call),
        cmocka_unit_test(calls_of_the_libraries),
        cmocka_unit_test(same_bits),
        cmocka_unit_test(batch_norm_of_one_value),
        cmocka_unit_test(sticky_error),
    };
    setenv("TEST_BACKEND", "cuda", 1);
    int failed = cmocka_run_group_tests_name("cuda alone", alone, NULL, NULL);
    return failed + run_on_backends(opened, sizeof opened / sizeof opened[0]);
}
