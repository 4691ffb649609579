/* event_file.h: an event file, which TensorBoard reads. Each record is written whole by one call, so
 * that TensorBoard can read meanwhile. */
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
    off_t bytes; /* whole records in it */
};

/* No event file: adding to it does nothing and succeeds. */
#define EVENT_FILE_NONE                                                                            \
    { .file = -1 }

struct event_scalar {
    const char *tag; /* the part before the first '/' is its group in TensorBoard */
    float value;
};

/* Removes the event files of this program from `folder`, not those of others. Errors:
 * STATUS_FAILED. */
enum status event_files_remove(struct error *error, const char *folder);

/* Makes an event file in `folder` that is named as TensorBoard wants it:
 * events.out.tfevents.SECONDS.train_gpu, after the time, or later where there is a later one. It
 * begins a session at step 0: TensorBoard drops what it has read from earlier files. Errors:
 * STATUS_FAILED; STATUS_USAGE: the path is too long. */
enum status event_file_create(struct error *error, struct event_file *out, const char *folder);

/* Adds the scalars of a step in one record; wall_time as clock_wall. Errors: STATUS_FAILED. */
enum status event_file_add_scalars(struct error *error, struct event_file *out, int64_t step,
                                   double wall_time, const struct event_scalar *scalars, int count);

/* Adds a PNG: its bytes, or the file `path`, with the time of the call. Errors: STATUS_FAILED;
 * STATUS_BAD_DATA: the file cannot be read, or is not a PNG. */
enum status event_file_add_image(struct error *error, struct event_file *out, const char *tag,
                                 int64_t step, double wall_time, const void *png, size_t bytes);
enum status event_file_add_image_file(struct error *error, struct event_file *out, const char *tag,
                                      int64_t step, const char *path);

/* Syncs and closes it; none is fine. Errors: STATUS_FAILED. */
enum status event_file_close(struct error *error, struct event_file *file);

#endif
