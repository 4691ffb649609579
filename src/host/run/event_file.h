/* event_file.h: an event file for TensorBoard. Each record is written by one call, so that
 * TensorBoard can read the file at the same time. */
#ifndef EVENT_FILE_H
#define EVENT_FILE_H

#include "base/files.h"
#include "error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An open event file. */
struct event_file {
    char path[PATH_CAPACITY];
    int file;    /* descriptor; -1: none */
    off_t bytes; /* of whole records in it */
};

/* No event file: adding to it does nothing and succeeds. */
#define EVENT_FILE_NONE                                                                            \
    { .file = -1 }

struct event_scalar {
    const char *tag; /* TensorBoard groups tags by the part before the first '/' */
    float value;
};

/* Removes this program's event files from `folder`, but not those of other programs. Errors:
 * STATUS_FAILED. */
enum status event_files_remove(struct error *error, const char *folder);

/* Makes an event file in `folder`, named events.out.tfevents.SECONDS.train_gpu, which TensorBoard
 * recognizes. SECONDS is the current time, or later than in existing names. The file begins a
 * session at step 0, so TensorBoard drops what it has read from earlier files. Errors:
 * STATUS_FAILED; STATUS_USAGE: the path is too long. */
enum status event_file_create(struct error *error, struct event_file *out, const char *folder);

/* Adds the scalars of a step in one record; wall_time is as from clock_wall. Errors:
 * STATUS_FAILED. */
enum status event_file_add_scalars(struct error *error, struct event_file *out, int64_t step,
                                   double wall_time, const struct event_scalar *scalars, int count);

/* Adds a PNG from memory, or from the file `path` with the current time. Errors: STATUS_FAILED;
 * STATUS_BAD_DATA: the file cannot be read or is not a PNG. */
enum status event_file_add_image(struct error *error, struct event_file *out, const char *tag,
                                 int64_t step, double wall_time, const void *png, size_t bytes);
enum status event_file_add_image_file(struct error *error, struct event_file *out, const char *tag,
                                      int64_t step, const char *path);

/* Syncs and closes the file, if there is one. Errors: STATUS_FAILED. */
enum status event_file_close(struct error *error, struct event_file *file);

#endif
