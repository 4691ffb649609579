/* run_fixture.h: short training runs on a handful of synthetic images, and reading what they wrote.
 * They run on the CPU, or, with TEST_BACKEND=cuda, on CUDA. */
#ifndef RUN_FIXTURE_H
#define RUN_FIXTURE_H

#include "run/options.h"
#include "run/train.h"
#include "support.h"

#include <jansson.h>
#include <stdbool.h>

enum { TRAIN_IMAGES = 20, TEST_IMAGES = 12, BATCH = 8, STEPS = 3, EPOCHS = 3, MAX_LINES = 16 };
enum { SMALL_SEED = 3 }; /* of a small run */

bool on_cuda(void);

/* The settings of EPOCHS epochs of STEPS steps, the last one of 4 images, into `folder`/run. */
struct options small_run(const char *folder, enum recipe_kind kind, enum norm_kind norm);

/* TRAIN_IMAGES synthetic images to train on and TEST_IMAGES to test with; release with
 * dataset_close. */
struct dataset small_set(void);

/* Trains on TRAIN_IMAGES images; run_ok fails the test when that fails. */
enum status run(struct error *error, const struct options *options);
void run_ok(const struct options *options);

/* Whether `folder` holds a file of that name. */
bool is_there(const char *folder, const char *name);

/* The lines of metrics.jsonl; release with free_metrics. */
struct metrics_file {
    int count;
    json_t *lines[MAX_LINES];
};
struct metrics_file read_metrics(const char *folder);
void free_metrics(struct metrics_file *file);

/* A number of an object; fails the test if there is none. */
double number(const json_t *object, const char *key);

/* A file of less than 1 MiB; release with free. */
unsigned char *slurp(size_t *size, const char *path);
bool same_files(const char *a, const char *b);

#endif
