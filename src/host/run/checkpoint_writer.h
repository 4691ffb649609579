/* checkpoint_writer.h: writes checkpoints by a thread of its own, while training goes on. */
#ifndef CHECKPOINT_WRITER_H
#define CHECKPOINT_WRITER_H

#include "run/checkpoint.h"

#include <pthread.h>
#include <stdbool.h>

/* All zero: nothing is being written. */
struct checkpoint_writer {
    bool busy; /* the thread runs, or ended and was not waited for */
    pthread_t thread;
    struct checkpoint checkpoint; /* being written */
    const char *path;
    struct error error; /* of the thread */
};

/* Waits for the checkpoint before, takes a new one, and starts to write it to `path`. Until
 * checkpoint_writer_wait nothing else of the run may be written; `path` and what `run` points to
 * must stay as they are. Waits for the device, not for the disk. Errors: those of
 * checkpoint_writer_wait and checkpoint_take; STATUS_FAILED: no thread. */
enum status checkpoint_writer_start(struct error *error, struct checkpoint_writer *writer,
                                    const char *path, struct model *model,
                                    const struct run_state *state,
                                    const struct run_description *run);

/* Waits until the checkpoint is in its place; returns at once if none is being written. Errors:
 * those of checkpoint_put. */
enum status checkpoint_writer_wait(struct error *error, struct checkpoint_writer *writer);

#endif
