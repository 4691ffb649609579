/* run_folder.h: the files of a run: config.json, metrics.jsonl, model.safetensors,
 * best.safetensors. */
#ifndef RUN_FOLDER_H
#define RUN_FOLDER_H

#include "error.h"
#include "files.h"
#include "model.h"
#include "run.h"

#include <stdbool.h>
#include <sys/types.h>

/* An open run folder. */
struct run_folder {
    char path[PATH_CAPACITY];
    int metrics;         /* descriptor of metrics.jsonl */
    off_t metrics_bytes; /* whole lines in it */
};

/* The folder that is no folder yet: run_folder_close does nothing. */
#define RUN_FOLDER_CLOSED                                                                          \
    { .metrics = -1 }

enum run_weights { WEIGHTS_FINAL, WEIGHTS_BEST };

/* Looks into the folder without changing anything; *unfinished says that a run was begun there and
 * not ended. Errors: STATUS_USAGE for a finished run, unless `force`. */
enum status run_folder_check(struct error *error, bool *unfinished, const char *path, bool force);

/* Makes the folder, removes the weights of an older run, and writes config.json and an empty
 * metrics.jsonl. Errors: STATUS_FAILED. */
enum status run_folder_open(struct error *error, struct run_folder *out,
                            const struct run_description *run);

/* Adds the line of an epoch to metrics.jsonl, whole or not at all. Errors: STATUS_FAILED. */
enum status run_folder_add(struct error *error, struct run_folder *folder,
                           const struct epoch_metrics *metrics);

/* Writes model.safetensors or best.safetensors. Errors: STATUS_FAILED. */
enum status run_folder_save(struct error *error, struct run_folder *folder, enum run_weights which,
                            const struct tensor_list *tensors, const struct run_description *run);

/* Closes metrics.jsonl. Errors: STATUS_FAILED. */
enum status run_folder_close(struct error *error, struct run_folder *folder);

#endif
