/* files.c: paths, folders, and files that are whole or absent.
 *
 * The order of file_write is the one that survives a power failure (rename(2) is atomic for
 * readers, and fsync of the file before it and of the folder after it put contents and name on the
 * disk). */
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_SUFFIX ".tmp"

enum { TEMPORARY_CAPACITY = PATH_CAPACITY + sizeof TEMPORARY_SUFFIX };

/* ---- paths and folders ----------------------------------------------------------------------- */

static enum status path_too_long(struct error *error, const char *path) {
    return error_set(error, STATUS_USAGE,
                     "path too long, over %d bytes: '%.200s...'; choose a shorter one",
                     PATH_CAPACITY - 1, path);
}

enum status path_join(struct error *error, char out[PATH_CAPACITY], const char *folder,
                      const char *name) {
    size_t length = strlen(folder);
    const char *separator = length == 0 || folder[length - 1] == '/' ? "" : "/";
    int needed = snprintf(out, PATH_CAPACITY, "%s%s%s", folder, separator, name);
    return needed < 0 || needed >= PATH_CAPACITY ? path_too_long(error, folder) : STATUS_OK;
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

static int open_retrying(const char *path, int flags) {
    int handle;
    do
        handle = open(path, flags | O_CLOEXEC, 0666);
    while (handle < 0 && errno == EINTR);
    return handle;
}

/* What to do about a failed call, in the words that go before the reason. */
static const char *remedy(int reason) {
    switch (reason) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return " (make room, or choose another folder)";
    case EACCES:
    case EPERM:
    case EROFS:
        return " (choose a folder that you may write to)";
    case ENOENT:
    case ENOTDIR:
        return " (make the folder, or choose another)";
    default:
        return "";
    }
}

/* Makes one folder, whose parent is there. */
static enum status folder_make_one(struct error *error, const char *path) {
    if (mkdir(path, 0777) == 0)
        return STATUS_OK;
    int reason = errno;
    struct stat found;
    if (stat(path, &found) != 0)
        return error_set_errno(error, STATUS_FAILED, reason, "cannot make folder '%s'%s", path,
                               remedy(reason));
    if (!S_ISDIR(found.st_mode))
        return error_set(error, STATUS_FAILED,
                         "cannot make folder '%s': a file of that name is in the way; move it, or "
                         "choose another folder",
                         path);
    return STATUS_OK;
}

enum status folder_make(struct error *error, const char *path) {
    char part[PATH_CAPACITY];
    if (path_join(error, part, "", path) != STATUS_OK)
        return error->status;
    for (char *end = part + strspn(part, "/"); (end = strchr(end, '/')) != NULL;) {
        *end = '\0';
        if (folder_make_one(error, part) != STATUS_OK)
            return error->status;
        *end = '/';
        end += strspn(end, "/");
    }
    return folder_make_one(error, part);
}

enum status folder_lock(struct error *error, int *out, const char *path) {
    int result;
    *out = open_retrying(path, O_RDONLY | O_DIRECTORY);
    if (*out < 0)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot open folder '%s'", path);
    do
        result = flock(*out, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result == 0 || errno != EWOULDBLOCK)
        return STATUS_OK;
    close(*out); /* only read: nothing to lose */
    *out = -1;
    return error_set(error, STATUS_FAILED,
                     "another process trains in '%s'; wait until it has ended, or choose another "
                     "folder with --out",
                     path);
}

/* ---- writing a file -------------------------------------------------------------------------- */

/* A file on its way: written under `temporary`, meant for `path`. */
struct writing {
    const char *path;
    char temporary[TEMPORARY_CAPACITY];
    char folder[PATH_CAPACITY];
    size_t bytes;            /* all pieces together */
    int file, folder_handle; /* descriptors; -1: not open */
};

static enum status call_failed(struct error *error, const struct writing *writing, const char *call,
                               int reason) {
    return error_set_errno(error, STATUS_FAILED, reason,
                           "cannot write '%s': %s failed, %zu bytes needed%s", writing->path, call,
                           writing->bytes, remedy(reason));
}

static enum status prepare(struct error *error, struct writing *out, const char *path,
                           const struct file_piece *pieces, int piece_count) {
    *out = (struct writing){.path = path, .file = -1, .folder_handle = -1};
    for (int i = 0; i < piece_count; i++)
        out->bytes += pieces[i].bytes;
    if (path_join(error, out->folder, "", path) != STATUS_OK)
        return error->status;
    snprintf(out->temporary, sizeof out->temporary, "%s" TEMPORARY_SUFFIX, path);
    char *slash = strrchr(out->folder, '/');
    if (slash == NULL)
        strcpy(out->folder, ".");
    else
        slash[slash == out->folder ? 1 : 0] = '\0'; /* the folder of "/name" is "/" */
    return STATUS_OK;
}

static enum status open_both(struct error *error, struct writing *writing) {
    writing->folder_handle = open_retrying(writing->folder, O_RDONLY | O_DIRECTORY);
    if (writing->folder_handle < 0)
        return call_failed(error, writing, "open of its folder", errno);
    /* O_NOFOLLOW: a link left under the temporary name must not lead the bytes elsewhere. */
    writing->file = open_retrying(writing->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
    if (writing->file < 0)
        return call_failed(error, writing, "open of the temporary file beside it", errno);
    return STATUS_OK;
}

/* Continues after short writes and signals: a full disk shows itself as a short write first. */
static enum status write_piece(struct error *error, const struct writing *writing,
                               const struct file_piece *piece) {
    const char *data = piece->data;
    for (size_t done = 0; done < piece->bytes;) {
        ssize_t written = write(writing->file, data + done, piece->bytes - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) /* zero: no file should, but it must not loop for ever */
            return call_failed(error, writing, "write", written < 0 ? errno : EIO);
        done += (size_t)written;
    }
    return STATUS_OK;
}

static int sync_retrying(int handle) {
    int result;
    do
        result = fsync(handle);
    while (result != 0 && errno == EINTR);
    return result;
}

/* Closing reports what a network file system could not store. Linux has closed even when EINTR
 * comes back. */
static enum status close_file(struct error *error, struct writing *writing) {
    int result = close(writing->file);
    writing->file = -1;
    return result != 0 && errno != EINTR ? call_failed(error, writing, "close", errno) : STATUS_OK;
}

static enum status write_beside(struct error *error, struct writing *writing,
                                const struct file_piece *pieces, int piece_count) {
    for (int i = 0; i < piece_count; i++)
        if (write_piece(error, writing, &pieces[i]) != STATUS_OK)
            return error->status;
    if (sync_retrying(writing->file) != 0)
        return call_failed(error, writing, "fsync", errno);
    return close_file(error, writing);
}

/* The new file is complete on the disk; gives it its name. */
static enum status put_in_place(struct error *error, const struct writing *writing) {
    if (rename(writing->temporary, writing->path) != 0)
        return call_failed(error, writing, "rename", errno);
    /* EINVAL: a file system that cannot sync a folder (some network ones); there is nothing to wait
     * for. */
    if (sync_retrying(writing->folder_handle) != 0 && errno != EINVAL)
        return error_set_errno(error, STATUS_FAILED, errno,
                               "'%s' is written, but fsync of its folder failed, and it may not "
                               "outlive a power failure; check the disk",
                               writing->path);
    return STATUS_OK;
}

/* Removes what a failure left. The first reason stays in `error`; that the rest could not be
 * removed either is added, since someone has to do it by hand. After a rename there is nothing
 * left, which is fine. */
static void discard(struct error *error, struct writing *writing) {
    if (writing->file >= 0)
        close(writing->file); /* its contents are given up: nothing to check */
    if (unlink(writing->temporary) == 0 || errno == ENOENT)
        return;
    int reason = errno;
    size_t length = strlen(error->text);
    snprintf(error->text + length, sizeof error->text - length, "; cannot remove '%s': %s",
             writing->temporary, strerror(reason));
}

enum status file_write(struct error *error, const char *path, const struct file_piece *pieces,
                       int piece_count) {
    struct writing writing;
    if (prepare(error, &writing, path, pieces, piece_count) != STATUS_OK)
        return error->status;
    enum status status = open_both(error, &writing);
    if (status == STATUS_OK) {
        status = write_beside(error, &writing, pieces, piece_count);
        if (status == STATUS_OK)
            status = put_in_place(error, &writing);
        if (status != STATUS_OK)
            discard(error, &writing);
    }
    if (writing.folder_handle >= 0)
        close(writing.folder_handle); /* only read: nothing to lose */
    return status;
}

/* ---- adding to a file ------------------------------------------------------------------------ */

enum status file_append(struct error *error, int file, off_t *end, const void *data, size_t bytes,
                        const char *path) {
    ssize_t written;
    do
        written = write(file, data, bytes);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)bytes) {
        *end += written;
        return STATUS_OK;
    }
    int reason = written < 0 ? errno : ENOSPC; /* what ends a write to a file early */
    if (written > 0 && ftruncate(file, *end) != 0)
        reason = errno;
    return error_set_errno(error, STATUS_FAILED, reason, "cannot write '%s', %zu bytes needed%s",
                           path, bytes, remedy(reason));
}

/* ---- removing, syncing ----------------------------------------------------------------------- */

static enum status remove_one(struct error *error, const char *path) {
    if (unlink(path) == 0 || errno == ENOENT)
        return STATUS_OK;
    int reason = errno;
    return error_set_errno(error, STATUS_FAILED, reason, "cannot remove '%s'%s", path,
                           remedy(reason));
}

enum status file_tidy(struct error *error, const char *path) {
    char temporary[TEMPORARY_CAPACITY];
    snprintf(temporary, sizeof temporary, "%s" TEMPORARY_SUFFIX, path);
    return remove_one(error, temporary);
}

enum status file_remove(struct error *error, const char *path) {
    if (remove_one(error, path) != STATUS_OK)
        return error->status;
    return file_tidy(error, path);
}

enum status file_sync(struct error *error, int file, const char *path) {
    if (sync_retrying(file) == 0 || errno == EINVAL)
        return STATUS_OK;
    return error_set_errno(error, STATUS_FAILED, errno,
                           "'%s' is written, but fsync failed, and it may not outlive a power "
                           "failure; check the disk",
                           path);
}
