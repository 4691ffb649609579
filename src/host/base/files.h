/* files.h: paths, and files that are whole or absent. */
#ifndef FILES_H
#define FILES_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Joins `folder` and `name` in a fixed buffer. Errors: STATUS_USAGE: it does not fit. */
enum { PATH_CAPACITY = 1024 };
enum status path_join(struct error *error, char out[PATH_CAPACITY], const char *folder,
                      const char *name);

/* open(2) close-on-exec and with mode 0666, again after a signal. */
int file_open_retrying(const char *path, int flags);

/* What to do about a failed call on a file: " (make room, or choose another folder)" or "", for a
 * message that ends with the reason. */
const char *file_remedy(int reason);

/* One piece of a file. */
struct file_piece {
    const void *data;
    size_t bytes;
};

/* Writes the pieces to `path` so that a reader sees the old file or the whole new one: to
 * "PATH.tmp" beside it, fsync, rename, fsync of the folder. On failure the temporary file is
 * removed and an older `path` is untouched; only when the last of these calls fails is the new file
 * in place already, and the error says that it may not outlive a power failure. A symbolic link is
 * followed: what it leads to is replaced. A pipe or a device other than a disk is written to; so is
 * an open file (/dev/fd/3), and standard output where `path` leads to that. A limit on file sizes (ulimit -f) is an error like a
 * full disk where SIGXFSZ is ignored. Errors: STATUS_FAILED naming the call, the file, the bytes
 * needed and the reason. */
enum status file_write(struct error *error, const char *path, const struct file_piece *pieces,
                       int piece_count);

/* Removes `path` and the temporary file that an interrupted file_write left beside it; either may
 * be missing. file_tidy removes the temporary file alone. Errors: STATUS_FAILED naming the file and
 * the reason. */
enum status file_remove(struct error *error, const char *path);
enum status file_tidy(struct error *error, const char *path);

/* Appends the bytes to the open file `path` in one call, so that a reader sees all of them or none,
 * and updates *end, the size of the file. If only a part fits, it is cut off again. Errors:
 * STATUS_FAILED naming the file, the bytes needed and the reason. */
enum status file_append(struct error *error, int file, off_t *end, const void *data, size_t bytes,
                        const char *path);

/* fsync of an open file; succeeds for files that cannot be synced, such as pipes. Errors:
 * STATUS_FAILED naming `path`. */
enum status file_sync(struct error *error, int file, const char *path);

/* Whether `path` leads to anything: a file, a folder, a link to one. */
bool file_exists(const char *path);

#endif
