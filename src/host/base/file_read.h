/* file_read.h: reading regular files. Every message names the file by its kind and path; callers
 * append their advice with error_append. */
#ifndef FILE_READ_H
#define FILE_READ_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* A file open for reading. */
struct file_reader {
    const char *path, *kind; /* for messages: "weights file" */
    int handle;              /* descriptor; -1: not open */
    int reason;              /* errno of a failed file_open; EISDIR: a folder, ENOTSUP: a device */
    uint64_t size, done;     /* bytes in the file when it was opened; bytes read so far */
};

/* Opens `path`; both texts must outlive *out. Never waits for a pipe. Errors: STATUS_BAD_DATA, with
 * out->reason, if it does not exist, cannot be opened, or is not a regular file. */
enum status file_open(struct error *error, struct file_reader *out, const char *path,
                      const char *kind);

/* Reads exactly `bytes` bytes. Errors: STATUS_BAD_DATA, also when the file ends before that. */
enum status file_read(struct error *error, void *out, size_t bytes, struct file_reader *reader);

/* Reads `bytes` bytes, or fewer at the end of the file; *got says how many. Errors:
 * STATUS_BAD_DATA. */
enum status file_read_up_to(struct error *error, void *out, size_t *got, size_t bytes,
                            struct file_reader *reader);

/* Closes the file if it is open. */
void file_close(struct file_reader *reader);

/* Reads a whole file of at most `limit` bytes into *out, followed by a zero byte; *bytes is its
 * size. Release with memory_free. Errors: STATUS_BAD_DATA; STATUS_FAILED: no memory. On failure
 * *out is NULL. */
enum status file_read_whole(struct error *error, char **out, size_t *bytes, const char *path,
                            const char *kind, size_t limit);

#endif
