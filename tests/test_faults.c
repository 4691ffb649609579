/* test_faults.c: every allocation, file operation and thread creation of a short run fails, once or
 * from there on; and the program dies, with or without the power, before each call that changes a
 * file. Each run must end in time, with a message and without a leak, and --resume must end like an
 * undisturbed run. */
#include "device_fixture.h"
#include "fault_runs.h"

#include <stdlib.h>

/* Runs the trial once for each of its calls of the plan's classes. */
static void try_each(void *state, struct trial trial) {
    struct outcome out;
    long calls = count_calls(state, trial, trial.plan.classes);
    assert_true(calls > 0);
    for (trial.plan.call = 1; trial.plan.call <= calls; trial.plan.call++)
        run_trial(state, &out, &trial);
}

/* The same for each initial state of the folder. */
static void try_each_start(void *state, struct trial trial) {
    for (int start = 0; start < STARTS; start++) {
        trial.start = (enum fault_start)start;
        try_each(state, trial);
    }
}

/* Every file operation of a training run, one kind of call after another. */
static void try_files(void *state, enum fault_length length, enum fault_effect effect) {
    static const enum fault_class classes[] = {FAULT_OPEN,     FAULT_WRITE,  FAULT_SYNC,
                                               FAULT_TRUNCATE, FAULT_RENAME, FAULT_REMOVE,
                                               FAULT_FOLDER,   FAULT_CLOSE};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        try_each_start(
            state, (struct trial){.length = length, .plan = {FAULT_SET(classes[i]), effect, 0}});
    assert_no_complaint(state);
}

static void file_calls_once(void **state) {
    try_files(*state, LENGTH_LONG, EFFECT_ONCE);
}

static void file_calls_always(void **state) {
    try_files(*state, LENGTH_SHORT, EFFECT_ALWAYS);
}

/* A disk that is gone: temporary files cannot be removed either. */
static void disk_gone(void **state) {
    try_each_start(*state, (struct trial){.plan = {FAULT_CHANGES, EFFECT_ALWAYS, 0}});
    assert_no_complaint(*state);
}

static void killed(void **state) {
    try_each_start(*state,
                   (struct trial){.length = LENGTH_LONG, .plan = {FAULT_CHANGES, EFFECT_KILL, 0}});
    assert_no_complaint(*state);
}

/* On the slow stand-in only kills are tried: file operations fail in the same way there. */
static void killed_on_cuda(void **state) {
    try_each_start(*state, (struct trial){.plan = {FAULT_CHANGES, EFFECT_KILL, 0}});
    assert_no_complaint(*state);
}

static void power_lost(void **state) {
    try_each_start(*state, (struct trial){.plan = {FAULT_CHANGES, EFFECT_POWER, 0}});
    assert_no_complaint(*state);
}

/* Only --resume reads in a training run. */
static void reads(void **state) {
    struct trial trial = {.length = LENGTH_LONG, .start = START_RESUMED};
    for (int effect = EFFECT_ONCE; effect <= EFFECT_ALWAYS; effect++) {
        trial.plan = (struct fault_plan){FAULT_SET(FAULT_READ), (enum fault_effect)effect, 0};
        try_each(*state, trial);
    }
    assert_no_complaint(*state);
}

/* A resumed run allocates what a fresh one does, minus the first checkpoint's memory, plus what
 * reading needs. */
static void memory_once(void **state) {
    struct trial trial = {.start = START_RESUMED,
                          .plan = {FAULT_SET(FAULT_MEMORY), EFFECT_ONCE, 0}};
    try_each(*state, trial);
    trial.start = START_FRESH;
    try_each(*state, trial);
    assert_no_complaint(*state);
}

static void memory_always(void **state) {
    if (getenv("TEST_LONG") == NULL)
        skip_because("takes a minute and adds little: TEST_LONG=1 runs it");
    try_each_start(*state, (struct trial){.plan = {FAULT_SET(FAULT_MEMORY), EFFECT_ALWAYS, 0}});
    assert_no_complaint(*state);
}

static void threads(void **state) {
    for (int effect = EFFECT_ONCE; effect <= EFFECT_ALWAYS; effect++)
        try_each_start(*state, (struct trial){.plan = {FAULT_SET(FAULT_THREAD),
                                                       (enum fault_effect)effect, 0}});
    assert_no_complaint(*state);
}

static void evaluation(void **state) {
    static const enum fault_class classes[] = {FAULT_MEMORY, FAULT_OPEN, FAULT_READ, FAULT_CLOSE,
                                               FAULT_THREAD};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        for (int effect = EFFECT_ONCE; effect <= EFFECT_ALWAYS; effect++)
            for (int json = 0; json < 2; json++)
                try_each(*state, (struct trial){.evaluate = true,
                                                .json = json == 1,
                                                .plan = {FAULT_SET(classes[i]),
                                                         (enum fault_effect)effect, 0}});
    assert_no_complaint(*state);
}

/* Under AddressSanitizer a process costs several times as much, so only short runs are tried: they
 * cover the error paths. */
static void short_runs(void **state) {
    try_files(*state, LENGTH_SHORT, EFFECT_ONCE);
}

static void memory_of_resuming(void **state) {
    try_each(*state, (struct trial){.start = START_RESUMED,
                                    .plan = {FAULT_SET(FAULT_MEMORY), EFFECT_ONCE, 0}});
    assert_no_complaint(*state);
}

static bool is_sanitized(void) {
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

static void not_on_a_gpu(void **state) {
    (void)state;
    skip_because("it would open the GPU ten thousand times; run it on the stand-in");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_calls_once), cmocka_unit_test(file_calls_always),
        cmocka_unit_test(disk_gone),       cmocka_unit_test(killed),
        cmocka_unit_test(power_lost),      cmocka_unit_test(reads),
        cmocka_unit_test(memory_once),     cmocka_unit_test(memory_always),
        cmocka_unit_test(threads),         cmocka_unit_test(evaluation),
    };
    const struct CMUnitTest none[] = {cmocka_unit_test(not_on_a_gpu)};
    const struct CMUnitTest on_stand_in[] = {cmocka_unit_test(killed_on_cuda),
                                             cmocka_unit_test(threads)};
    const struct CMUnitTest sanitized[] = {
        cmocka_unit_test(short_runs),         cmocka_unit_test(reads),
        cmocka_unit_test(memory_of_resuming), cmocka_unit_test(threads),
        cmocka_unit_test(evaluation),
    };
    if (gpu_required())
        return cmocka_run_group_tests(none, NULL, NULL);
    if (on_cuda())
        return cmocka_run_group_tests(on_stand_in, fault_runs_make, fault_runs_remove);
    if (is_sanitized())
        return cmocka_run_group_tests(sanitized, fault_runs_make, fault_runs_remove);
    return cmocka_run_group_tests(tests, fault_runs_make, fault_runs_remove);
}
