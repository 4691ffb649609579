/* fault_world.h: what fault_runs.c and fault_reports.c share. */
#ifndef FAULT_WORLD_H
#define FAULT_WORLD_H

#include "fault_runs.h"

enum { MAX_KNOWN = 512 };

struct world {
    void *folder; /* char *, of all folders below */
    char undisturbed[LENGTHS][PATH_CAPACITY];
    char earlier[LENGTHS][PATH_CAPACITY];  /* complete, of another seed: for START_FORCED */
    char half[LENGTHS][PATH_CAPACITY];     /* incomplete: for START_RESUMED */
    char runs[NORM_COUNT][PATH_CAPACITY];  /* finished ones of a comparison */
    char reported[REPORTS][PATH_CAPACITY]; /* the results of undisturbed reports */
    struct dataset dataset;
    struct outcome *shared;
    int complaints;
    int known_count; /* folder contents that resumed correctly */
    uint64_t known[MAX_KNOWN];
};

/* The smallest network, of one channel; runs of three steps, or of two epochs of two. */
struct options fault_settings(const struct world *world, enum fault_length length);

/* Runs the trial in a child, without checks; returns waitpid's status and leaves the rest in
 * world->shared. */
int in_child(const struct world *world, const struct trial *trial, const struct options *options);

/* The same without faults; fails the test if that fails. */
void run_calmly(const struct world *world, const struct trial *calm, const struct options *options);

/* Checks how the trial ended. */
void check_end(struct world *world, const struct trial *trial, int status);

void complain(struct world *world, const struct trial *trial, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void make_folder(const char *path);
void copy_file(const char *to, const char *from);
void copy_run(const char *to, const char *from);
void remove_run(const char *path); /* what a run may have left, temporary files included */

#endif
