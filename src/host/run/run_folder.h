/* run_folder.h: the files of a run: config.json, metrics.jsonl, model.safetensors,
 * best.safetensors, checkpoint.safetensors, and with --tensorboard an event file.
 *
 * The checkpoint is authoritative: a new run writes it first, and a resumed run makes the other
 * files agree with it. */
#ifndef RUN_FOLDER_H
#define RUN_FOLDER_H

#include "base/folder.h"
#include "error.h"
#include "model/model.h"
#include "run/event_file.h"
#include "run/metrics.h"
#include "run/run.h"

#include <stdbool.h>

/* An open run folder. */
struct run_folder {
    char path[PATH_CAPACITY];
    struct folder_lock lock;
    struct metrics metrics;
    struct event_file events; /* none without --tensorboard */
};

/* No open folder. */
#define RUN_FOLDER_CLOSED                                                                          \
    { .lock = FOLDER_NOT_LOCKED, .metrics = METRICS_CLOSED, .events = EVENT_FILE_NONE }

enum run_weights { WEIGHTS_FINAL, WEIGHTS_BEST, WEIGHTS_CHECKPOINT };

/* The path of model.safetensors, best.safetensors or checkpoint.safetensors in the folder `path`.
 * Errors: STATUS_USAGE: too long. */
enum status run_folder_weights_path(struct error *error, char out[PATH_CAPACITY], const char *path,
                                    enum run_weights which);

/* The paths of its metrics.jsonl and of its config.json. */
enum status run_folder_metrics_path(struct error *error, char out[PATH_CAPACITY], const char *path);
enum status run_folder_config_path(struct error *error, char out[PATH_CAPACITY], const char *path);

/* Checks that a new run may use the folder; changes nothing. *unfinished: it holds an unfinished
 * run. Errors: STATUS_USAGE: unless `force`, for a finished run or weights of an unfinished one. */
enum status run_folder_check(struct error *error, bool *unfinished, const char *path, bool force);

/* Makes and locks the folder, and removes temporary files of interrupted writes. Close it with
 * run_folder_close, even if this fails. Errors: STATUS_FAILED, also if another process uses the
 * folder. */
enum status run_folder_make(struct error *error, struct run_folder *out, const char *path);

/* Removes the files that mark a run as resumable or finished. Errors: STATUS_FAILED. */
enum status run_folder_clear(struct error *error, const char *path);

/* Second step of opening, after a checkpoint of `state` was written: writes config.json and makes
 * the other files agree with `state`. metrics.jsonl keeps only the lines of recorded epochs, with
 * --tensorboard a new event file shows them, and weights newer than `state` are removed. Errors:
 * STATUS_FAILED; STATUS_BAD_DATA, before anything is changed: metrics.jsonl lacks lines, or
 * best.safetensors is missing. */
enum status run_folder_open(struct error *error, struct run_folder *folder,
                            const struct run_description *run, const struct run_state *state);

/* Adds the line of an epoch to metrics.jsonl, and its scalars to the event file. Errors:
 * STATUS_FAILED. */
enum status run_folder_add(struct error *error, struct run_folder *folder,
                           const struct epoch_metrics *epoch);

/* Writes model.safetensors or best.safetensors. Errors: STATUS_FAILED. */
enum status run_folder_save(struct error *error, struct run_folder *folder, enum run_weights which,
                            const struct tensor_list *tensors, const struct run_description *run);

/* If both exist, adds misclassified.png to the event file. Errors: STATUS_FAILED; STATUS_BAD_DATA:
 * the picture cannot be read. */
enum status run_folder_show_mistakes(struct error *error, struct run_folder *folder, int64_t step);

/* Closes metrics.jsonl and the event file, and unlocks the folder. Errors: STATUS_FAILED. */
enum status run_folder_close(struct error *error, struct run_folder *folder);

#endif
