/* test_vectors.c: every pass over the maps uses the vectors of its instruction set.
 *
 * A loop that falls back to scalar code still gives right results, only many times slower. So
 * instructions are counted: the operation runs in a child that is stepped one instruction at a time
 * (ptrace). That is the same number each time, however busy the machine is. It is counted for maps
 * of two sizes: their difference is the loops' part, without what surrounds them. */
#include "compare.h"
#include "device_fixture.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHANNELS = 1, CONV_CHANNELS = 12, SIDE = 32, PIXELS = 256, HALF = PIXELS / 2 };

/* An operation on maps of `pixels` pixels, SIDE in a row; `option` says which of its forms. */
typedef enum status operation_call(struct fixture *f, int pixels, int option);

/* ---- counting -------------------------------------------------------------------------------- */

/* The child: stops before and after the operation. Its threads are gone: f->device has one. */
static void run_traced(struct fixture *f, operation_call *call, int pixels, int option) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    (void)raise(SIGSTOP);
    enum status status = call(f, pixels, option);
    (void)raise(SIGSTOP);
    _exit(status == STATUS_OK ? 0 : 1);
}

/* Instructions of the operation; -1 if this process may not trace. */
static long instructions(struct fixture *f, operation_call *call, int pixels, int option) {
    int status = 0;
    long count = 0;
    pid_t child = fork();
    if (child == 0)
        run_traced(f, call, pixels, option);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return -1;
    do {
        count++;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child)
            return -1;
    } while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    bool finished = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
    if (WIFSTOPPED(status)) {
        (void)ptrace(PTRACE_CONT, child, NULL, NULL);
        (void)waitpid(child, &status, 0);
    }
    if (!finished || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s: the traced child ended with status %#x", case_text(), (unsigned)status);
    return count;
}

/* Floats in a vector of the device's instruction set. */
static int lanes(const struct fixture *f) {
    const char *set = f->backend->arithmetic(f->device);
    return strcmp(set, "AVX-512") == 0 ? 16 : strcmp(set, "AVX2") == 0 ? 8 : 4;
}

/* Fails if the operation takes more than `limit` instructions for each vector of its maps. */
static void check_count(struct fixture *f, const char *name, operation_call *call, int option,
                        double limit) {
    case_begin(f, "%s, option %d", name, option);
    long all = instructions(f, call, PIXELS, option), half = instructions(f, call, HALF, option);
    if (all < 0 || half < 0)
        skip_because("this process may not trace a child (ptrace)");
    double vectors = (double)CHANNELS * (PIXELS - HALF) / lanes(f);
    double each = (double)(all - half) / vectors;
    if (!(each > 0 && each <= limit))
        fail_msg("%s: %.1f instructions for each vector of %d pixels, more than %.0f: is a loop "
                 "of it scalar?",
                 case_text(), each, lanes(f), limit);
    case_end(f);
}

/* ---- operations ------------------------------------------------------------------------------ */

static float x[CHANNELS * PIXELS], y[CHANNELS * PIXELS], gradient[CHANNELS * PIXELS];
static float weight[CHANNELS * PIXELS], bias[CHANNELS * PIXELS];
static float weight_gradient[CHANNELS * PIXELS], bias_gradient[CHANNELS * PIXELS];
static float statistics[4][CHANNELS];
static uint8_t code[CHANNELS * PIXELS];
static float workspace[4 * CHANNELS * PIXELS], conv_workspace[1 << 18];
static float conv_x[CONV_CHANNELS * PIXELS], conv_y[CONV_CHANNELS * PIXELS];
static float filters[CONV_CHANNELS * CONV_CHANNELS * 9],
    filter_gradient[CONV_CHANNELS * CONV_CHANNELS * 9];
static const struct step_state state = {.learning_rate = 0.1f};

/* Forms of a norm. */
enum { BATCH_NORM = 1, PER_ELEMENT = 2, DROPOUT = 4, AFTER = 8, SILU = 16 };

static struct norm_args norm_args(int pixels, int option) {
    return (struct norm_args){
        .batch = 1,
        .channels = CHANNELS,
        .pixels = pixels,
        .groups = 1,
        .per_element = (option & PER_ELEMENT) != 0,
        .training = true,
        .activation = option & SILU    ? SILU_AFTER
                      : option & AFTER ? RELU_AFTER
                                       : RELU_BEFORE,
        .epsilon = 1e-5f,
        .dropout = option & DROPOUT ? 0.1f : 0,
        .state = &state,
        .x = x,
        .weight = weight,
        .bias = bias,
        .y = y,
        .mean = statistics[0],
        .rstd = statistics[1],
        .running_mean = statistics[2],
        .running_var = statistics[3],
        .dy = gradient,
        .dx = gradient,
        .dweight = weight_gradient,
        .dbias = bias_gradient,
        .workspace = workspace,
    };
}

static enum status norm_forward(struct fixture *f, int pixels, int option) {
    struct norm_args a = norm_args(pixels, option);
    enum norm_kind kind = option & BATCH_NORM ? NORM_BATCH : NORM_GROUP;
    return f->ops->norm[kind].forward(&f->error, f->device, &a);
}

static enum status norm_backward(struct fixture *f, int pixels, int option) {
    struct norm_args a = norm_args(pixels, option);
    enum norm_kind kind = option & BATCH_NORM ? NORM_BATCH : NORM_GROUP;
    return f->ops->norm[kind].backward(&f->error, f->device, &a);
}

static struct pool_args pool_args(int pixels, int with_skip) {
    return (struct pool_args){.batch = 1,
                              .channels = CHANNELS,
                              .height = pixels / SIDE,
                              .width = SIDE,
                              .x = x,
                              .skip = with_skip ? gradient : NULL,
                              .y = y,
                              .code = code,
                              .dy = y,
                              .ds = gradient};
}

static enum status pool_forward(struct fixture *f, int pixels, int with_skip) {
    struct pool_args a = pool_args(pixels, with_skip);
    return f->ops->pool_forward(&f->error, f->device, &a);
}

static enum status pool_backward(struct fixture *f, int pixels, int with_skip) {
    struct pool_args a = pool_args(pixels, with_skip);
    return f->ops->pool_backward(&f->error, f->device, &a);
}

/* A 3x3 convolution with enough channels for Winograd's algorithm. The gradient of x is the forward
 * pass with other filters. */
enum { FORWARD, FILTER };

static enum status conv(struct fixture *f, int pixels, int pass) {
    struct conv_args a = {.batch = 1,
                          .in_channels = CONV_CHANNELS,
                          .out_channels = CONV_CHANNELS,
                          .height = pixels / SIDE,
                          .width = SIDE,
                          .kernel = 3,
                          .padding = 1,
                          .x = conv_x,
                          .weight = filters,
                          .y = conv_y,
                          .dy = conv_y,
                          .dweight = filter_gradient,
                          .workspace = conv_workspace};
    return pass == FORWARD ? f->ops->conv_forward(&f->error, f->device, &a)
                           : f->ops->conv_backward(&f->error, f->device, &a);
}

static struct average_args average_args(int pixels) {
    return (struct average_args){.batch = 1,
                                 .channels = CHANNELS,
                                 .pixels = pixels,
                                 .x = x,
                                 .y = y,
                                 .dy = y,
                                 .dx = gradient};
}

static enum status average_forward(struct fixture *f, int pixels, int option) {
    (void)option;
    struct average_args a = average_args(pixels);
    return f->ops->average_forward(&f->error, f->device, &a);
}

static enum status average_backward(struct fixture *f, int pixels, int option) {
    (void)option;
    struct average_args a = average_args(pixels);
    return f->ops->average_backward(&f->error, f->device, &a);
}

static enum status sgd(struct fixture *f, int pixels, int nesterov) {
    struct sgd_args a = {.count = (size_t)(CHANNELS * pixels),
                         .decayed = (size_t)pixels,
                         .weight = weight,
                         .velocity = y,
                         .gradient = gradient,
                         .momentum = 0.9f,
                         .nesterov = nesterov != 0,
                         .state = &state};
    return f->ops->sgd(&f->error, f->device, &a);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* The limits, for AVX-512, AVX2 and baseline, are about one and a half times what GCC 12 needs.
 * Scalar loops take two (baseline) to sixteen times that. */
static const struct {
    const char *name;
    operation_call *call;
    int option;
    double limits[3];
} operations[] = {
    {"batch norm forward", norm_forward, BATCH_NORM, {30, 30, 37}},
    {"batch norm forward, ReLU after", norm_forward, BATCH_NORM | AFTER, {22, 22, 28}},
    {"batch norm backward", norm_backward, BATCH_NORM, {26, 27, 39}},
    {"batch norm backward, ReLU after", norm_backward, BATCH_NORM | AFTER, {35, 35, 47}},
    {"group norm forward", norm_forward, 0, {30, 30, 37}},
    {"group norm forward, ReLU after", norm_forward, AFTER, {22, 22, 28}},
    {"group norm forward, SiLU", norm_forward, SILU, {61, 64, 106}},
    {"group norm backward, SiLU", norm_backward, SILU, {86, 89, 153}},
    {"layer norm forward, SiLU", norm_forward, PER_ELEMENT | SILU, {64, 67, 110}},
    {"layer norm backward, SiLU", norm_backward, PER_ELEMENT | SILU, {158, 172, 241}},
    {"group norm forward, dropout", norm_forward, DROPOUT, {46, 88, 107}},
    {"group norm backward", norm_backward, 0, {26, 27, 39}},
    {"group norm backward, ReLU after", norm_backward, AFTER, {35, 35, 47}},
    {"group norm backward, dropout", norm_backward, DROPOUT, {42, 86, 108}},
    {"layer norm forward", norm_forward, PER_ELEMENT, {33, 33, 42}},
    {"layer norm forward, ReLU after", norm_forward, PER_ELEMENT | AFTER, {25, 25, 32}},
    {"layer norm backward", norm_backward, PER_ELEMENT, {100, 110, 115}},
    {"layer norm backward, ReLU after", norm_backward, PER_ELEMENT | AFTER, {110, 120, 125}},
    {"convolution forward", conv, FORWARD, {3500, 4100, 4200}},
    {"convolution backward to the filters", conv, FILTER, {3800, 4800, 4400}},
    {"pool forward", pool_forward, 0, {44, 41, 46}},
    {"pool forward with skip", pool_forward, 1, {63, 57, 62}},
    {"pool backward", pool_backward, 0, {65, 52, 49}},
    {"average forward", average_forward, 0, {6, 6, 8}},
    {"average backward", average_backward, 0, {6, 6, 6}},
    {"SGD", sgd, 0, {14, 14, 23}},
    {"SGD, Nesterov", sgd, 1, {17, 17, 26}},
};

static void passes_use_vectors(void **state_of_test) {
    static const struct device_options one_thread = {.threads = 1};
    (void)fixture_of(state_of_test);
#ifndef FULL_SPEED
    skip_because("built without -O3");
#endif
    struct fixture f;
    fixture_open(&f, &cpu_backend, &one_thread);
    int set = lanes(&f) == 16 ? 0 : lanes(&f) == 8 ? 1 : 2;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        check_count(&f, operations[i].name, operations[i].call, operations[i].option,
                    operations[i].limits[set]);
    fixture_close(&f);
}

/* Each instruction of the child wakes this process up: twice as fast on one core. */
static void stay_on_one_core(void) {
    cpu_set_t set;
    int core = sched_getcpu();
    CPU_ZERO(&set);
    CPU_SET((size_t)(core < 0 ? 0 : core), &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

int main(void) {
    stay_on_one_core();
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_use_vectors)};
    for (int i = 0; i < CHANNELS * PIXELS; i++) { /* both signs */
        x[i] = (float)(i % 7) - 3;
        gradient[i] = (float)(i % 5) - 2;
        weight[i] = 1;
    }
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
