/* weights_read.c: weights files into memory and into a model. The file is checked from the outside
 * in: its kind and size, the length of its header, the header (weights_header.c); then the data is
 * read, whose size is known to be that of the file. */
#include "model/weights.h"

#include "base/output.h"
#include "memory.h"
#include "model/weights_header.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are copied as they lie");

/* The networks have 0.3 MB of weights; what is larger than the limit is none of them. */
enum { LENGTH_BYTES = 8, MAX_HEADER = 1 << 20, MAX_FILE = 64 << 20, ALIGNMENT = 8 };

struct weights_file {
    const char *path;
    int handle;
    uint64_t bytes, done; /* its size; read so far */
};

/* ---- the file -------------------------------------------------------------------------------- */

static enum status cannot_open(struct error *error, const char *path, int reason) {
    if (reason == ENOENT)
        return error_set(error, STATUS_BAD_DATA,
                         "no weights file '%s'; a run leaves model.safetensors in its folder",
                         path);
    return error_set_errno(error, STATUS_BAD_DATA, reason, "cannot open weights file '%s'", path);
}

static enum status check_kind(struct error *error, struct weights_file *file) {
    struct stat found;
    if (fstat(file->handle, &found) != 0)
        return cannot_open(error, file->path, errno);
    if (!S_ISREG(found.st_mode))
        return error_set(error, STATUS_BAD_DATA, "weights file '%s' is a %s, not a file%s",
                         file->path, S_ISDIR(found.st_mode) ? "folder" : "device or pipe",
                         S_ISDIR(found.st_mode) ? "; give model.safetensors in it" : "");
    if (found.st_size < LENGTH_BYTES)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' is %s: %lld bytes, %d at least expected", file->path,
                         found.st_size == 0 ? "empty" : "cut short", (long long)found.st_size,
                         LENGTH_BYTES);
    if (found.st_size > MAX_FILE)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' is too large for these networks: %lld bytes, up to %d "
                         "are taken",
                         file->path, (long long)found.st_size, MAX_FILE);
    file->bytes = (uint64_t)found.st_size;
    return STATUS_OK;
}

static enum status read_exactly(struct error *error, void *out, struct weights_file *file,
                                size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        ssize_t got = read(file->handle, (unsigned char *)out + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, STATUS_BAD_DATA, errno, "cannot read weights file '%s'",
                                   file->path);
        if (got == 0)
            return error_set(error, STATUS_BAD_DATA,
                             "weights file '%s' ended at byte %" PRIu64 " while being read; try "
                             "again when nothing writes to it",
                             file->path, file->done);
        done += (size_t)got;
        file->done += (uint64_t)got;
    }
    return STATUS_OK;
}

/* ---- header and data ------------------------------------------------------------------------- */

/* Reads the length of the header, which may be any 64-bit number. */
static enum status read_length(struct error *error, size_t *out, struct weights_file *file) {
    unsigned char bytes[LENGTH_BYTES];
    uint64_t length = 0;
    if (read_exactly(error, bytes, file, LENGTH_BYTES) != STATUS_OK)
        return error->status;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | bytes[i];
    if (length > file->bytes - LENGTH_BYTES)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' asks for a header of %" PRIu64 " bytes, but %" PRIu64
                         " follow; it is cut short or no safetensors file",
                         file->path, length, file->bytes - LENGTH_BYTES);
    if (length > MAX_HEADER)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' has a header of %" PRIu64 " bytes; up to %d are taken",
                         file->path, length, MAX_HEADER);
    *out = (size_t)length;
    return STATUS_OK;
}

static enum status read_header(struct error *error, struct tensor_list *out, json_t **metadata,
                               struct weights_file *file) {
    size_t length = 0;
    char *text;
    if (read_length(error, &length, file) != STATUS_OK ||
        memory_alloc(error, &text, length, 1, "the header of a weights file") != STATUS_OK)
        return error->status;
    enum status status = read_exactly(error, text, file, length);
    if (status == STATUS_OK)
        status = weights_parse_header(error, out, metadata, text, length,
                                      file->bytes - LENGTH_BYTES - length, file->path);
    memory_free(text);
    return status;
}

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Reads the data of the listed tensors, which lie one behind the other, each to a place of its own
 * alignment: in the file a 64-bit integer may follow any number of floats. */
static enum status read_data(struct error *error, struct tensor_list *list,
                             struct weights_file *file) {
    size_t bytes = 0;
    for (int i = 0; i < list->count; i++)
        bytes += aligned(list->tensors[i].bytes);
    if (memory_alloc(error, &list->storage, bytes, 1, "the weights of a file") != STATUS_OK)
        return error->status;
    unsigned char *to = list->storage;
    for (int i = 0; i < list->count; i++) {
        if (read_exactly(error, to, file, list->tensors[i].bytes) != STATUS_OK)
            return error->status;
        list->tensors[i].data = to;
        to += aligned(list->tensors[i].bytes);
    }
    return STATUS_OK;
}

/* Gives the metadata to the caller who wants it. */
static void hand_over(json_t **out, json_t *metadata) {
    if (out != NULL)
        *out = metadata;
    else
        json_decref(metadata);
}

enum status weights_read(struct error *error, struct tensor_list *out, json_t **metadata,
                         const char *path) {
    struct weights_file file = {.path = path};
    json_t *found = NULL;
    memset(out, 0, sizeof *out);
    if (metadata != NULL)
        *metadata = NULL;
    do /* O_NONBLOCK: a pipe is refused below instead of waited for */
        file.handle = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    while (file.handle < 0 && errno == EINTR);
    if (file.handle < 0)
        return cannot_open(error, path, errno);
    enum status status = check_kind(error, &file);
    if (status == STATUS_OK)
        status = read_header(error, out, &found, &file);
    if (status == STATUS_OK)
        status = read_data(error, out, &file);
    close(file.handle); /* only read: nothing to lose */
    if (status == STATUS_OK) {
        hand_over(metadata, found);
        return STATUS_OK;
    }
    json_decref(found);
    tensor_list_free(out);
    return status;
}

/* ---- into a model ---------------------------------------------------------------------------- */

/* Warns of the first tensor with a NaN or an infinity; its name is one of the network's. */
static void warn_of_values(const struct tensor_list *list, const char *path) {
    const struct tensor *tensor = tensor_list_not_finite(list);
    if (tensor != NULL)
        output_warning("weights file '%s': tensor '%s' holds a value that is not finite", path,
                       tensor->name);
}

/* Warns of weights that say they are another network's: of some networks, as of gn and ln with
 * --recipe tuned, all tensors have the same names and shapes. */
static void warn_of_origin(const struct network *network, const json_t *metadata,
                           const char *path) {
    const char *norm = json_string_value(json_object_get(metadata, "norm"));
    const char *recipe = json_string_value(json_object_get(metadata, "recipe"));
    if (norm == NULL || recipe == NULL ||
        (strcmp(norm, norm_option(network->norm)) == 0 &&
         strcmp(recipe, recipe_option(network->recipe)) == 0))
        return;
    output_warning("weights file '%s' says that it was trained with --norm %.20s --recipe %.20s, "
                   "and is used with --norm %s --recipe %s",
                   path, norm, recipe, norm_option(network->norm), recipe_option(network->recipe));
}

enum status weights_load(struct error *error, struct model *model, json_t **metadata,
                         const char *path) {
    struct tensor_list list;
    json_t *found;
    if (metadata != NULL)
        *metadata = NULL;
    if (weights_read(error, &list, &found, path) != STATUS_OK)
        return error->status;
    enum status status = model_import(error, model, &list, path);
    if (status == STATUS_OK) {
        warn_of_values(&list, path);
        warn_of_origin(model_network(model), found, path);
        hand_over(metadata, found);
    } else {
        json_decref(found);
    }
    tensor_list_free(&list);
    return status;
}
