/* fault_runs.h: many short runs, each in its own process and folder, in which one call fails or the
 * program dies; and checks of how each ended and what it left.
 *
 * The parent never trains: children of a process that has threads or an open device could not. */
#ifndef FAULT_RUNS_H
#define FAULT_RUNS_H

#include "faults.h"
#include "run_fixture.h"

/* The epochs and checkpoints of a run. */
enum fault_length {
    LENGTH_SHORT, /* one epoch of three steps, a checkpoint at its start and its end */
    LENGTH_LONG,  /* two epochs of two steps, a checkpoint after each step as well */
};
enum { LENGTHS = 2 };

/* What the run finds in its folder. */
enum fault_start {
    START_FRESH,   /* nothing */
    START_FORCED,  /* an earlier, whole run of another seed; --force */
    START_RESUMED, /* a run that died between two steps; --resume */
};
enum { STARTS = 3 };

/* Reports, in place of a training run (fault_reports.h). */
enum fault_report {
    REPORT_NONE,
    REPORT_OF_RUN,  /* resumes a run that lacks only its report */
    REPORT_OF_RUNS, /* `compare --runs` of three finished ones */
    REPORT_TRAINED, /* `compare` where one of three runs is missing, with a sweep */
};
enum { REPORTS = REPORT_TRAINED + 1 };

/* A run, and what happens in it. */
struct trial {
    enum fault_report report;
    enum fault_length length;
    enum fault_start start;
    bool evaluate; /* `eval` of the weights of an undisturbed run instead */
    bool json;     /* of it */
    struct fault_plan plan;

    /* For calls outside the plan's classes: makes call number plan.call fail. */
    void (*arm)(long call);
    const char *(*struck)(void); /* the name of the call that failed; NULL: none did */
};

/* How the run ended; in memory that parent and child share. */
struct outcome {
    bool returned; /* from train_on, eval_on or compare_on */
    struct error error;
    struct fault_log log;
    char call[64];   /* the result of `struck`; "": none */
    long blocks;     /* of memory that it left */
    int descriptors; /* that it left open */
};

/* Set-up and tear-down of a test program: the undisturbed runs, in *state for the functions
 * below. */
int fault_runs_make(void **state);
int fault_runs_remove(void **state);

/* Runs a trial without faults; returns how often it makes calls of these classes. */
long count_calls(void *state, struct trial trial, unsigned classes);

/* Runs a trial and checks that it ended in time, as its plan says, without a leak, with a message;
 * and that the folder can then be resumed, or started over, and ends like an undisturbed run.
 * Prints what is wrong; returns whether the trial ended with STATUS_OK, which only harmless
 * failures may. */
bool run_trial(void *state, struct outcome *out, const struct trial *trial);

/* Fails the test if anything was wrong since the last call. */
void assert_no_complaint(void *state);

#endif
