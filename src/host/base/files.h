/* files.h: paths, and writing files so that they are whole or absent. */
#ifndef FILES_H
#define FILES_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Joins `folder` and `name` in a fixed buffer; an empty `folder` copies `name`. Errors:
 * STATUS_USAGE: the path is too long. */
enum { PATH_CAPACITY = 1024 };
enum status path_join(struct error *error, char out[PATH_CAPACITY], const char *folder,
                      const char *name);

/* open(2) with O_CLOEXEC and mode 0666, repeated after EINTR. */
int file_open_retrying(const char *path, int flags);

/* Advice for a failed call on a file with the errno `reason`: " (make room, or choose another
 * folder)", or "". For a message that continues with the reason. */
const char *file_remedy(int reason);

/* One piece of a file. */
struct file_piece {
    const void *data;
    size_t bytes;
};

/* Writes the pieces to `path` so that a reader sees the old file or the whole new one: writes
 * "PATH.tmp" beside it, then fsync, rename, fsync of the folder. On failure the temporary file is
 * removed and an older `path` is untouched. The exception is the last fsync: if it fails, the new
 * file is in place, and the error says that it may not survive a power failure. A symbolic link is
 * followed, and its target replaced. Pipes, devices other than disks, standard output and other open
 * files (/dev/fd/3) are written to directly. If SIGXFSZ is ignored, a limit on file sizes (ulimit
 * -f) is an error like a full disk. Errors: STATUS_FAILED naming the call, the file, the bytes needed
 * and the reason. */
enum status file_write(struct error *error, const char *path, const struct file_piece *pieces,
                       int piece_count);

/* Removes `path` and any temporary file that an interrupted file_write left beside it; either may
 * be missing. file_tidy removes only the temporary file. Errors: STATUS_FAILED naming the file and
 * the reason. */
enum status file_remove(struct error *error, const char *path);
enum status file_tidy(struct error *error, const char *path);

/* Appends the bytes to the open file `path` in one call, so that a reader sees all of them or none,
 * and updates *end, the size of the file. If only a part fits, that part is cut off again. Errors:
 * STATUS_FAILED naming the file, the bytes needed and the reason. */
enum status file_append(struct error *error, int file, off_t *end, const void *data, size_t bytes,
                        const char *path);

/* fsync of an open file; succeeds for those that cannot be synced, such as pipes. Errors:
 * STATUS_FAILED naming `path`. */
enum status file_sync(struct error *error, int file, const char *path);

/* Whether `path` exists: a file or folder, or a link to one. */
bool file_exists(const char *path);

#endif
