/* metrics.h: metrics.jsonl: the epochs of a run, a line of JSON for each. */
#ifndef METRICS_H
#define METRICS_H

#include "base/files.h"
#include "error.h"
#include "run/run.h"

#include <sys/types.h>

/* The file, open for appending. */
struct metrics {
    char path[PATH_CAPACITY];
    int handle;
    off_t bytes; /* of whole lines in it */
};

/* Not open: metrics_close does nothing. */
#define METRICS_CLOSED                                                                             \
    { .handle = -1 }

/* Opens or creates the file and truncates it after its first `lines` lines. Errors: STATUS_FAILED;
 * STATUS_BAD_DATA: it has fewer whole lines and is unchanged. */
enum status metrics_open(struct error *error, struct metrics *out, const char *path, int lines);

/* Adds the line of an epoch, whole or not at all, and syncs. Errors: STATUS_FAILED. */
enum status metrics_add(struct error *error, struct metrics *metrics,
                        const struct epoch_metrics *epoch);

/* Closes the file, if it is open. Errors: STATUS_FAILED. */
enum status metrics_close(struct error *error, struct metrics *metrics);

/* Reads the epochs of a file into (*out)[*count]. null becomes NaN; unknown members are ignored;
 * the scores' `correct` and `images` stay 0. Release with memory_free. Errors: STATUS_BAD_DATA
 * naming file and line; STATUS_FAILED: no memory. On failure *out is NULL and *count 0. */
enum status metrics_read(struct error *error, struct epoch_metrics **out, int *count,
                         const char *path);

#endif
