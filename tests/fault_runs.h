/* fault_runs.h: many short runs, each in a process and a folder of its own, in each of which one
 * call fails or the program dies; and the checks of how it ended and of what it left.
 *
 * The parent never trains: a child of a process that has threads, or that has opened a device,
 * could not. */
#ifndef FAULT_RUNS_H
#define FAULT_RUNS_H

#include "faults.h"
#include "run_fixture.h"

/* How many epochs and checkpoints a run has. */
enum fault_length {
    LENGTH_SHORT, /* one epoch of three steps, a checkpoint at its start and its end */
    LENGTH_LONG,  /* two epochs of two steps, a checkpoint after each step as well */
};
enum { LENGTHS = 2 };

/* What is in the folder before. */
enum fault_start {
    START_FRESH,   /* nothing */
    START_FORCED,  /* an earlier, whole run of another seed; --force */
    START_RESUMED, /* a run that died between two steps; --resume */
};
enum { STARTS = 3 };

/* What is done instead of a training run (fault_reports.h). */
enum fault_report {
    REPORT_NONE,
    REPORT_OF_RUN,  /* a run of which nothing but its report is missing is resumed */
    REPORT_OF_RUNS, /* `compare --runs` of three finished ones */
    REPORT_TRAINED, /* `compare` where one of three runs is missing, with a sweep */
};
enum { REPORTS = REPORT_TRAINED + 1 };

/* A run, and what is to happen in it. */
struct trial {
    enum fault_report report;
    enum fault_length length;
    enum fault_start start;
    bool evaluate; /* `eval` of the weights of an undisturbed run instead */
    bool json;     /* of it */
    struct fault_plan plan;

    /* The same for what the plan does not know: makes call number plan.call fail. */
    void (*arm)(long call);
    const char *(*struck)(void); /* the name of the call that failed; NULL: none did */
};

/* How it ended; in memory that parent and child share. */
struct outcome {
    bool returned; /* from train_on, eval_on or compare_on */
    struct error error;
    struct fault_log log;
    char call[64];   /* what `struck` says; "" */
    long blocks;     /* of memory that it left */
    int descriptors; /* that it left, 0 or another number */
};

/* Set-up and tear-down of a test program: the undisturbed runs. *state is for the functions below.
 */
int fault_runs_make(void **state);
int fault_runs_remove(void **state);

/* Runs a trial without faults; returns how often it makes calls of these classes. */
long count_calls(void *state, struct trial trial, unsigned classes);

/* Runs a trial and checks that it ended in time, in the way that its plan wants, without a leak,
 * with a message; and that what is in the folder can be resumed, or begun anew, and then ends like
 * an undisturbed run. Says what is wrong, if anything is; returns whether it ended with STATUS_OK,
 * as only what is harmless may. */
bool run_trial(void *state, struct outcome *out, const struct trial *trial);

/* Fails the test if anything was wrong in it since the last call. */
void assert_no_complaint(void *state);

#endif
