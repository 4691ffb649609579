/* folder.c: making and locking folders. */
#include "base/folder.h"

#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- making ---------------------------------------------------------------------------------- */

/* Makes one folder, whose parent exists. */
static enum status make_one(struct error *error, const char *path) {
    if (mkdir(path, 0777) == 0)
        return STATUS_OK;
    int reason = errno;
    struct stat found;
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode))
        return STATUS_OK;
    if (reason == EEXIST)
        return error_set(error, STATUS_FAILED,
                         "cannot make folder '%s': a file or a broken link of that name is in the "
                         "way; move it, or choose another folder",
                         path);
    return error_set_errno(error, STATUS_FAILED, reason, "cannot make folder '%s'%s", path,
                           file_remedy(reason));
}

enum status folder_make(struct error *error, const char *path) {
    char part[PATH_CAPACITY];
    if (path_join(error, part, "", path) != STATUS_OK)
        return error->status;
    for (char *end = part + strspn(part, "/"); (end = strchr(end, '/')) != NULL;) {
        *end = '\0';
        if (make_one(error, part) != STATUS_OK)
            return error->status;
        *end = '/';
        end += strspn(end, "/");
    }
    return make_one(error, part);
}

/* ---- locking --------------------------------------------------------------------------------- */

/* Whether the open file still has its name. The previous holder of the lock may have removed it
 * between our open and our flock, and a lock on a removed file keeps nobody out. */
static bool still_named(const struct folder_lock *lock) {
    struct stat open, named;
    return fstat(lock->handle, &open) == 0 && lstat(lock->path, &named) == 0 &&
           open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

static int flock_retrying(int handle) {
    int result;
    do
        result = flock(handle, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    return result;
}

static void drop(struct folder_lock *lock) {
    close(lock->handle); /* the file is empty: nothing to check */
    lock->handle = -1;
}

static enum status busy(struct error *error, const char *path) {
    return error_set(error, STATUS_FAILED,
                     "another process is using folder '%s'; wait until it has ended, or choose "
                     "another folder",
                     path);
}

enum status folder_lock(struct error *error, struct folder_lock *out, const char *path) {
    enum { TRIES = 100 }; /* a try fails only if another process releases the lock during it */
    out->handle = -1;
    if (path_join(error, out->path, path, ".lock") != STATUS_OK)
        return error->status;
    for (int i = 0; i < TRIES; i++) {
        /* Open for writing, because an exclusive flock on NFS needs that. */
        out->handle = file_open_retrying(out->path, O_RDWR | O_CREAT | O_NOFOLLOW);
        if (out->handle < 0)
            return error_set_errno(error, STATUS_FAILED, errno, "cannot make lock file '%s'%s",
                                   out->path, file_remedy(errno));
        bool locked = flock_retrying(out->handle) == 0;
        if (locked && still_named(out))
            return STATUS_OK;
        if (!locked && errno != EWOULDBLOCK) {
            output_warning("cannot lock '%s': %s; make sure that no other process uses its folder",
                           out->path, strerror(errno));
            return STATUS_OK;
        }
        drop(out);
        if (!locked)
            break;
    }
    return busy(error, path);
}

/* Removes the file before unlocking it, so that nobody gets the lock on a file about to disappear.
 * If that fails, an unlocked file remains, which does no harm. If someone has removed our file
 * meanwhile, a file of that name is the lock of another process. */
void folder_unlock(struct folder_lock *lock) {
    if (lock->handle < 0)
        return;
    if (still_named(lock))
        (void)unlink(lock->path);
    drop(lock);
}
