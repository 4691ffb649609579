/* test_cuda_faults.c: every call of CUDA, cuDNN and cuBLAS fails in a short run: with an error
 * after which the device still works, and with one after which it is lost. */
#include "cudasim.h"
#include "fault_runs.h"

#include <cuda_runtime.h>
#include <cudnn.h>
#include <stdio.h>
#include <string.h>

static void arm_lost_device(long call) {
    cudasim_fail_call(call, cudaErrorIllegalAddress);
}

static void arm_no_memory(long call) {
    cudasim_fail_call(call, cudaErrorMemoryAllocation);
}

static void arm_library(long call) {
    cudasim_fail_library_call(call, CUDNN_STATUS_EXECUTION_FAILED);
}

static bool is_one_of(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Releases, where nothing could be done about a failure; and the query for free memory, since
 * allocating tells as well. */
static bool harmless_anywhere(const char *name) {
    static const char *const names[] = {
        "cudaFree",         "cudaFreeHost",         "cudaEventDestroy", "cudaStreamDestroy",
        "cudaGraphDestroy", "cudaGraphExecDestroy", "cudaMemGetInfo"};
    return is_one_of(name, names, sizeof names / sizeof names[0]);
}

/* The wait for the streams before their memory is released; only releases follow. */
static bool harmless_at_the_end(const char *name) {
    static const char *const names[] = {"cudaEventRecord", "cudaEventSynchronize"};
    return is_one_of(name, names, sizeof names / sizeof names[0]);
}

/* The line, the kernel, or the purpose of the memory. */
static bool says_where(const char *text) {
    static const char *const places[] = {"src/kernels/", "kernel ", "out of GPU memory: needed ",
                                         "no pinned host memory: needed "};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strstr(text, places[i]) != NULL)
            return true;
    return false;
}

/* Makes each call fail in turn, until none is left. */
static void try_each(void **state, struct trial trial) {
    struct outcome out;
    bool ending = false, replayed = trial.evaluate || trial.arm == arm_library;
    do {
        trial.plan.call++;
        bool succeeded = run_trial(*state, &out, &trial);
        replayed = replayed || strcmp(out.call, "cudaGraphLaunch") == 0;
        if (out.call[0] == '\0' || (succeeded && harmless_anywhere(out.call)))
            continue;
        if (succeeded && !harmless_at_the_end(out.call))
            fail_msg("call %ld: the failure of %s was not noticed", trial.plan.call, out.call);
        if (ending && !succeeded)
            fail_msg("call %ld: %s fails the run after calls that may fail only at its end",
                     trial.plan.call, out.call);
        ending = ending || succeeded;
        if (!succeeded && !says_where(out.error.text))
            fail_msg("call %ld: the message does not say where: %s", trial.plan.call,
                     out.error.text);
    } while (out.call[0] != '\0');
    printf("# %ld calls\n", trial.plan.call - 1);
    assert_true(trial.plan.call > 100 && replayed);
    assert_no_complaint(*state);
}

static const struct trial device_lost = {.arm = arm_lost_device, .struck = cudasim_failed_call};
static const struct trial call_fails = {.arm = arm_no_memory, .struck = cudasim_failed_call};
static const struct trial library_fails = {.arm = arm_library, .struck = cudasim_failed_call};

static struct trial evaluating(struct trial trial) {
    trial.evaluate = true;
    return trial;
}

static struct trial resuming(struct trial trial) {
    trial.start = START_RESUMED;
    return trial;
}

static void training_calls(void **state) {
    try_each(state, call_fails);
}

static void training_device_lost(void **state) {
    try_each(state, device_lost);
}

static void training_library(void **state) {
    try_each(state, library_fails);
}

static void resumed_calls(void **state) {
    try_each(state, resuming(call_fails));
}

static void evaluation_calls(void **state) {
    try_each(state, evaluating(call_fails));
}

static void evaluation_device_lost(void **state) {
    try_each(state, evaluating(device_lost));
}

static void evaluation_library(void **state) {
    try_each(state, evaluating(library_fails));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_calls),     cmocka_unit_test(training_device_lost),
        cmocka_unit_test(training_library),   cmocka_unit_test(resumed_calls),
        cmocka_unit_test(evaluation_calls),   cmocka_unit_test(evaluation_device_lost),
        cmocka_unit_test(evaluation_library),
    };
    return cmocka_run_group_tests(tests, fault_runs_make, fault_runs_remove);
}
