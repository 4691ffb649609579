/* file_read.c: reading regular files. */
#include "base/file_read.h"

#include "base/files.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status cannot_open(struct error *error, struct file_reader *reader, int reason) {
    reader->reason = reason;
    file_close(reader);
    switch (reason) {
    case ENOENT:
        return error_set(error, STATUS_BAD_DATA, "no %s '%s'", reader->kind, reader->path);
    case EISDIR:
        return error_set(error, STATUS_BAD_DATA, "%s '%s' is a folder, not a file", reader->kind,
                         reader->path);
    case ENOTSUP:
        return error_set(error, STATUS_BAD_DATA, "%s '%s' is a device or pipe, not a file",
                         reader->kind, reader->path);
    default:
        return error_set_errno(error, STATUS_BAD_DATA, reason, "cannot open %s '%s'", reader->kind,
                               reader->path);
    }
}

enum status file_open(struct error *error, struct file_reader *out, const char *path,
                      const char *kind) {
    struct stat found;
    *out = (struct file_reader){.path = path, .kind = kind, .handle = -1};
    /* O_NONBLOCK: opening a pipe, which is refused below, must not wait for its writer */
    out->handle = file_open_retrying(path, O_RDONLY | O_NONBLOCK);
    if (out->handle < 0 || fstat(out->handle, &found) != 0)
        return cannot_open(error, out, errno);
    if (!S_ISREG(found.st_mode))
        return cannot_open(error, out, S_ISDIR(found.st_mode) ? EISDIR : ENOTSUP);
    out->size = (uint64_t)found.st_size;
    return STATUS_OK;
}

enum status file_read_up_to(struct error *error, void *out, size_t *got, size_t bytes,
                            struct file_reader *reader) {
    for (*got = 0; *got < bytes;) {
        ssize_t count = read(reader->handle, (char *)out + *got, bytes - *got);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, STATUS_BAD_DATA, errno,
                                   "cannot read %s '%s' at byte %" PRIu64, reader->kind,
                                   reader->path, reader->done);
        if (count == 0)
            break;
        *got += (size_t)count;
        reader->done += (uint64_t)count;
    }
    return STATUS_OK;
}

enum status file_read(struct error *error, void *out, size_t bytes, struct file_reader *reader) {
    size_t got;
    if (file_read_up_to(error, out, &got, bytes, reader) != STATUS_OK)
        return error->status;
    if (got == bytes)
        return STATUS_OK;
    return error_set(error, STATUS_BAD_DATA,
                     "%s '%s' ended at byte %" PRIu64 " while being read; try again when nothing "
                     "writes to it",
                     reader->kind, reader->path, reader->done);
}

void file_close(struct file_reader *reader) {
    if (reader->handle >= 0)
        close(reader->handle); /* nothing was written: nothing to check */
    reader->handle = -1;
}

/* Reads the whole of an open file. */
static enum status read_all(struct error *error, char **out, size_t *bytes,
                            struct file_reader *reader, size_t limit) {
    if (reader->size > limit)
        return error_set(error, STATUS_BAD_DATA,
                         "%s '%s' is too large: %" PRIu64 " bytes, at most %zu are read",
                         reader->kind, reader->path, reader->size, limit);
    if (memory_alloc(error, out, reader->size + 1, 1, reader->kind) != STATUS_OK)
        return error->status;
    *bytes = reader->size;
    if (file_read(error, *out, *bytes, reader) == STATUS_OK)
        return STATUS_OK;
    memory_free(*out);
    *out = NULL;
    return error->status;
}

enum status file_read_whole(struct error *error, char **out, size_t *bytes, const char *path,
                            const char *kind, size_t limit) {
    struct file_reader reader;
    *out = NULL;
    *bytes = 0;
    if (file_open(error, &reader, path, kind) != STATUS_OK)
        return error->status;
    enum status status = read_all(error, out, bytes, &reader, limit);
    file_close(&reader);
    return status;
}
