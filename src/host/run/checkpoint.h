/* checkpoint.h: a file from which a run can be resumed between two steps: a weights file
 * (weights.h) that also holds the velocity of each weight, and in `__metadata__` the run's settings
 * and state. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "error.h"
#include "model/model.h"
#include "run/run.h"

/* The state of a run in host memory. */
struct checkpoint {
    struct tensor_list tensors;
    struct run_state state;
    const struct run_description *run;
};

/* Copies the model's state and `state`. Waits for the device. Release with checkpoint_free. Errors:
 * STATUS_DIVERGED: a value is not finite; before the first step STATUS_BAD_DATA instead, because
 * the value comes from --weights; STATUS_FAILED. On failure *out is empty. */
enum status checkpoint_take(struct error *error, struct checkpoint *out, struct model *model,
                            const struct run_state *state, const struct run_description *run);

/* Writes it to `path`, whole or not at all. Errors: STATUS_FAILED, with an older file untouched. */
enum status checkpoint_put(struct error *error, const char *path,
                           const struct checkpoint *checkpoint);

/* Frees the copy; an empty one is fine. */
void checkpoint_free(struct checkpoint *checkpoint);

/* Checks that the file exists. Errors: STATUS_BAD_DATA. */
enum status checkpoint_find(struct error *error, const char *path);

/* Restores the model and *state from the file. Errors: STATUS_BAD_DATA: no file, or not a valid
 * checkpoint; STATUS_USAGE: the run had other settings, which are named, or another version. */
enum status checkpoint_read(struct error *error, struct run_state *state, struct model *model,
                            const char *path, const struct run_description *run);

/* The same without a model: reads only *state, and does not check the tensors. */
enum status checkpoint_look(struct error *error, struct run_state *state, const char *path,
                            const struct run_description *run);

#endif
