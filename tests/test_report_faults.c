/* test_report_faults.c: allocations and file operations fail once each while a report is made: at
 * the end of a run, by `compare --runs`, and by `compare` with the training that it needs. Each
 * time there must be a message, no leak and no partial file, and the same command must then leave
 * what an undisturbed one does. TEST_LONG=1 tries every call, the short form those of `struct
 * choice`, which include all the last ones. */
#include "fault_reports.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* How often an undisturbed trial makes calls of these classes. */
static long count_report_calls(void *state, struct trial trial) {
    struct outcome out;
    long count = 0;
    unsigned classes = trial.plan.classes;
    trial.plan = (struct fault_plan){.call = 0};
    assert_true(run_report_trial(state, &out, &trial));
    for (int i = 0; i < FAULT_CLASSES; i++)
        if ((classes & FAULT_SET(i)) != 0)
            count += out.log.calls[i];
    return count;
}

/* The calls that are tried; TEST_LONG=1 tries all. The report comes last; test_faults.c covers the
 * training and loading before it. */
struct choice {
    int step; /* every step-th call is tried */
    int last; /* and each of the `last` ones */
};

static void try_once(void *state, enum fault_report report, enum fault_start start,
                     unsigned classes, struct choice choice) {
    struct trial trial = {.report = report, .start = start, .plan = {classes, EFFECT_ONCE, 0}};
    struct outcome out;
    long calls = count_report_calls(state, trial);
    int step = getenv("TEST_LONG") == NULL ? choice.step : 1;
    assert_true(calls > 0);
    printf("# %ld calls\n", calls);
    for (long call = 1; call <= calls; call += call + choice.last < calls ? step : 1) {
        trial.plan.call = call;
        run_report_trial(state, &out, &trial);
    }
    assert_no_complaint(state);
}

enum { ALL_FILES = FAULT_CHANGES | FAULT_SET(FAULT_READ), MEMORY = FAULT_SET(FAULT_MEMORY) };

static void files_of_a_run(void **state) {
    try_once(*state, REPORT_OF_RUN, START_RESUMED, ALL_FILES, (struct choice){5, 40});
}

static void memory_of_a_run(void **state) {
    try_once(*state, REPORT_OF_RUN, START_RESUMED, MEMORY, (struct choice){31, 60});
}

static void files_of_runs(void **state) {
    try_once(*state, REPORT_OF_RUNS, START_FRESH, ALL_FILES, (struct choice){1, 0});
}

static void files_over_older(void **state) {
    try_once(*state, REPORT_OF_RUNS, START_FORCED, ALL_FILES, (struct choice){1, 0});
}

static void memory_of_runs(void **state) {
    try_once(*state, REPORT_OF_RUNS, START_FRESH, MEMORY, (struct choice){3, 100});
}

static void files_of_training(void **state) {
    try_once(*state, REPORT_TRAINED, START_FRESH, ALL_FILES, (struct choice){31, 40});
}

static void files_of_training_anew(void **state) {
    try_once(*state, REPORT_TRAINED, START_FORCED, ALL_FILES, (struct choice){101, 0});
}

static void memory_of_training(void **state) {
    try_once(*state, REPORT_TRAINED, START_FRESH, MEMORY, (struct choice){101, 40});
}

static bool is_sanitized(void) {
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_a_run),         cmocka_unit_test(memory_of_a_run),
        cmocka_unit_test(files_of_runs),          cmocka_unit_test(files_over_older),
        cmocka_unit_test(memory_of_runs),         cmocka_unit_test(files_of_training),
        cmocka_unit_test(files_of_training_anew), cmocka_unit_test(memory_of_training),
    };
    /* a process costs several times as much there */
    const struct CMUnitTest sanitized[] = {
        cmocka_unit_test(memory_of_a_run),
        cmocka_unit_test(files_of_runs),
        cmocka_unit_test(memory_of_runs),
    };
    if (is_sanitized())
        return cmocka_run_group_tests_name("report_faults", sanitized, fault_reports_make,
                                           fault_reports_remove);
    return cmocka_run_group_tests_name("report_faults", tests, fault_reports_make,
                                       fault_reports_remove);
}
