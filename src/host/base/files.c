/* files.c: paths, and files that are whole or absent.
 *
 * file_write survives a power failure by the order of its calls: fsync puts the contents on the
 * disk, then rename(2), atomic for readers, then fsync of the folder puts the name on the disk. */
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_SUFFIX ".tmp"

enum { TEMPORARY_CAPACITY = PATH_CAPACITY + sizeof TEMPORARY_SUFFIX };

/* ---- paths ----------------------------------------------------------------------------------- */

enum status path_join(struct error *error, char out[PATH_CAPACITY], const char *folder,
                      const char *name) {
    size_t length = strlen(folder);
    const char *separator = length == 0 || folder[length - 1] == '/' ? "" : "/";
    int needed = snprintf(out, PATH_CAPACITY, "%s%s%s", folder, separator, name);
    if (needed >= 0 && needed < PATH_CAPACITY)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "path too long, over %d bytes: '%.200s...'; choose a shorter one",
                     PATH_CAPACITY - 1, out);
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

int file_open_retrying(const char *path, int flags) {
    int handle;
    do
        handle = open(path, flags | O_CLOEXEC, 0666);
    while (handle < 0 && errno == EINTR);
    return handle;
}

const char *file_remedy(int reason) {
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

/* ---- writing a file -------------------------------------------------------------------------- */

/* Where the bytes go. */
enum destination {
    REPLACEMENT,     /* a new file that takes the place of the old one */
    IN_PLACE,        /* the device or pipe that the path names */
    STANDARD_OUTPUT, /* the path names the open standard output: opening it again would overwrite
                        a file from its start, and fail for a socket */
};

/* A file being written: first under `temporary`, then renamed to `target`. */
struct writing {
    const char *path; /* as given */
    enum destination destination;
    char target[PATH_CAPACITY]; /* the same with links followed */
    char temporary[TEMPORARY_CAPACITY];
    char folder[PATH_CAPACITY];
    size_t bytes;            /* all pieces together */
    int file, folder_handle; /* descriptors; -1: not open */
};

static enum status call_failed(struct error *error, const struct writing *writing, const char *call,
                               int reason) {
    return error_set_errno(error, STATUS_FAILED, reason,
                           "cannot write '%s': %s failed, %zu bytes needed%s", writing->path, call,
                           writing->bytes, file_remedy(reason));
}

/* The folder that `path` lies in: "." for a bare name, "/" for "/name". */
static void folder_of(char out[PATH_CAPACITY], const char *path) {
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(out, slash == NULL ? "." : path, length);
    out[length] = '\0';
}

/* Whether `path` is a link in /proc: an open file of a process (/dev/fd/3 leads there). */
static bool is_descriptor(const char *path) {
    struct stat link, proc;
    return lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && stat("/proc", &proc) == 0 &&
           link.st_dev == proc.st_dev;
}

/* Follows links from `path` to a path that is no link; nothing needs to exist there. The link of an
 * open file is not followed. */
static enum status follow_links(struct error *error, char out[PATH_CAPACITY], const char *path) {
    enum { MAX_LINKS = 40 }; /* path_resolution(7) */
    if (path_join(error, out, "", path) != STATUS_OK)
        return error->status;
    for (int i = 0; i < MAX_LINKS; i++) {
        char link[PATH_CAPACITY], folder[PATH_CAPACITY];
        ssize_t length = is_descriptor(out) ? -1 : readlink(out, link, sizeof link);
        if (length < 0) /* not a link, or nothing there */
            return STATUS_OK;
        if (length == sizeof link)
            return error_set_errno(error, STATUS_FAILED, ENAMETOOLONG,
                                   "cannot write '%s': it is a link to a path over %d bytes", path,
                                   PATH_CAPACITY - 1);
        link[length] = '\0';
        folder_of(folder, out);
        if (path_join(error, out, link[0] == '/' ? "" : folder, link) != STATUS_OK)
            return error->status;
    }
    return error_set_errno(error, STATUS_FAILED, ELOOP, "cannot write '%s'", path);
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static const char *kind_of(const struct stat *found) {
    return S_ISDIR(found->st_mode) ? "folder" : S_ISBLK(found->st_mode) ? "disk" : "socket";
}

/* Finds target and destination. An open file is written in place: its owner would not see a new file
 * of the same name, and the file may have no name. */
static enum status find_target(struct error *error, struct writing *out) {
    struct stat found, other;
    if (follow_links(error, out->target, out->path) != STATUS_OK)
        return error->status;
    if (stat(out->path, &found) != 0)
        out->destination = REPLACEMENT; /* a new file, or opening it will fail */
    else if (fstat(STDOUT_FILENO, &other) == 0 && same_file(&found, &other))
        out->destination = STANDARD_OUTPUT;
    else if (S_ISREG(found.st_mode))
        out->destination = is_descriptor(out->target) ? IN_PLACE : REPLACEMENT;
    else if (S_ISCHR(found.st_mode) || S_ISFIFO(found.st_mode))
        out->destination = IN_PLACE;
    else
        return error_set(error, STATUS_FAILED,
                         "cannot write '%s': it is a %s, not a file; choose another name",
                         out->path, kind_of(&found));
    return STATUS_OK;
}

static enum status prepare(struct error *error, struct writing *out, const char *path,
                           const struct file_piece *pieces, int piece_count) {
    *out = (struct writing){.path = path, .file = -1, .folder_handle = -1};
    for (int i = 0; i < piece_count; i++)
        out->bytes += pieces[i].bytes;
    if (find_target(error, out) != STATUS_OK)
        return error->status;
    snprintf(out->temporary, sizeof out->temporary, "%s" TEMPORARY_SUFFIX, out->target);
    folder_of(out->folder, out->target);
    return STATUS_OK;
}

static enum status open_both(struct error *error, struct writing *writing) {
    writing->folder_handle = file_open_retrying(writing->folder, O_RDONLY | O_DIRECTORY);
    if (writing->folder_handle < 0)
        return call_failed(error, writing, "open of its folder", errno);
    /* O_NOFOLLOW: a link left under the temporary name must not lead the bytes elsewhere. */
    writing->file =
        file_open_retrying(writing->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
    if (writing->file < 0)
        return call_failed(error, writing, "open of the temporary file beside it", errno);
    return STATUS_OK;
}

/* Continues after short writes and signals. A full disk causes a short write before an error. */
static enum status write_piece(struct error *error, const struct writing *writing,
                               const struct file_piece *piece) {
    const char *data = piece->data;
    for (size_t done = 0; done < piece->bytes;) {
        ssize_t written = write(writing->file, data + done, piece->bytes - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) /* zero should not happen, but must not loop forever */
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

/* On a network file system, close reports data that could not be stored. On Linux the descriptor is
 * closed even after EINTR. */
static enum status close_file(struct error *error, struct writing *writing) {
    int result = close(writing->file);
    writing->file = -1;
    return result != 0 && errno != EINTR ? call_failed(error, writing, "close", errno) : STATUS_OK;
}

static enum status write_pieces(struct error *error, const struct writing *writing,
                                const struct file_piece *pieces, int piece_count) {
    for (int i = 0; i < piece_count; i++)
        if (write_piece(error, writing, &pieces[i]) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

static enum status write_beside(struct error *error, struct writing *writing,
                                const struct file_piece *pieces, int piece_count) {
    if (write_pieces(error, writing, pieces, piece_count) != STATUS_OK)
        return error->status;
    if (sync_retrying(writing->file) != 0)
        return call_failed(error, writing, "fsync", errno);
    return close_file(error, writing);
}

/* Gives the new file, which is complete on the disk, its name. */
static enum status put_in_place(struct error *error, const struct writing *writing) {
    if (rename(writing->temporary, writing->target) != 0)
        return call_failed(error, writing, "rename", errno);
    /* EINVAL: the file system (some network ones) cannot sync a folder. */
    if (sync_retrying(writing->folder_handle) != 0 && errno != EINVAL)
        return error_set_errno(error, STATUS_FAILED, errno,
                               "'%s' is written, but fsync of its folder failed, and it may not "
                               "outlive a power failure; check the disk",
                               writing->path);
    return STATUS_OK;
}

/* Removes the temporary file of a failed write, unless it was renamed already. If that fails too,
 * the message says so, because the user has to remove it. */
static void discard(struct error *error, struct writing *writing) {
    if (writing->file >= 0)
        close(writing->file); /* its contents are discarded: nothing to check */
    if (unlink(writing->temporary) != 0 && errno != ENOENT)
        error_append(error, "; cannot remove '%s': %s", writing->temporary, strerror(errno));
}

static enum status replace(struct error *error, struct writing *writing,
                           const struct file_piece *pieces, int piece_count) {
    enum status status = open_both(error, writing);
    if (status == STATUS_OK) {
        status = write_beside(error, writing, pieces, piece_count);
        if (status == STATUS_OK)
            status = put_in_place(error, writing);
        if (status != STATUS_OK)
            discard(error, writing);
    }
    if (writing->folder_handle >= 0)
        close(writing->folder_handle); /* nothing was written: nothing to check */
    return status;
}

/* Writes to the open `file` and closes it. */
static enum status write_there(struct error *error, struct writing *writing,
                               const struct file_piece *pieces, int piece_count) {
    if (writing->file < 0)
        return call_failed(error, writing, "open", errno);
    if (write_pieces(error, writing, pieces, piece_count) == STATUS_OK)
        return close_file(error, writing);
    close(writing->file); /* the write error is reported, not this one */
    return error->status;
}

enum status file_write(struct error *error, const char *path, const struct file_piece *pieces,
                       int piece_count) {
    struct writing writing;
    if (prepare(error, &writing, path, pieces, piece_count) != STATUS_OK)
        return error->status;
    switch (writing.destination) {
    case REPLACEMENT:
        return replace(error, &writing, pieces, piece_count);
    case IN_PLACE:
        writing.file = file_open_retrying(path, O_WRONLY | O_TRUNC | O_NOCTTY);
        return write_there(error, &writing, pieces, piece_count);
    case STANDARD_OUTPUT:
        writing.file = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        return write_there(error, &writing, pieces, piece_count);
    }
    return STATUS_FAILED;
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
    int reason = written < 0 ? errno : ENOSPC; /* the usual cause of a short write */
    if (written > 0 && ftruncate(file, *end) != 0)
        reason = errno;
    return error_set_errno(error, STATUS_FAILED, reason, "cannot write '%s', %zu bytes needed%s",
                           path, bytes, file_remedy(reason));
}

/* ---- removing, syncing ----------------------------------------------------------------------- */

static enum status remove_one(struct error *error, const char *path) {
    if (unlink(path) == 0 || errno == ENOENT)
        return STATUS_OK;
    int reason = errno;
    return error_set_errno(error, STATUS_FAILED, reason, "cannot remove '%s'%s", path,
                           file_remedy(reason));
}

enum status file_tidy(struct error *error, const char *path) {
    char target[PATH_CAPACITY], temporary[TEMPORARY_CAPACITY];
    if (follow_links(error, target, path) != STATUS_OK)
        return error->status;
    snprintf(temporary, sizeof temporary, "%s" TEMPORARY_SUFFIX, target);
    return remove_one(error, temporary);
}

enum status file_remove(struct error *error, const char *path) {
    if (file_tidy(error, path) != STATUS_OK) /* first, while a link still leads there */
        return error->status;
    return remove_one(error, path);
}

enum status file_sync(struct error *error, int file, const char *path) {
    if (sync_retrying(file) == 0 || errno == EINVAL)
        return STATUS_OK;
    return error_set_errno(error, STATUS_FAILED, errno,
                           "'%s' is written, but fsync failed, and it may not outlive a power "
                           "failure; check the disk",
                           path);
}
