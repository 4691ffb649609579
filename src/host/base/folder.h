/* folder.h: making and locking folders. */
#ifndef FOLDER_H
#define FOLDER_H

#include "base/files.h"
#include "error.h"

/* Makes `path` and its missing parents (mode 0777 less the umask); an existing folder is fine.
 * Errors: STATUS_FAILED naming the part that failed. */
enum status folder_make(struct error *error, const char *path);

/* A folder locked by this process through the file .lock in it, which exists while the lock is
 * held. */
struct folder_lock {
    char path[PATH_CAPACITY]; /* of .lock */
    int handle;               /* descriptor; -1: not locked */
};

#define FOLDER_NOT_LOCKED                                                                          \
    { .handle = -1 }

/* Locks the folder `path` against other processes that call this, until folder_unlock or the end of
 * the process. A killed process leaves .lock behind, unlocked. If the file system cannot lock,
 * warns and succeeds. Errors: STATUS_FAILED: another process has the lock, or .lock cannot be made;
 * STATUS_USAGE: path too long. */
enum status folder_lock(struct error *error, struct folder_lock *out, const char *path);

/* Removes .lock and releases the lock; does nothing without one. */
void folder_unlock(struct folder_lock *lock);

#endif
