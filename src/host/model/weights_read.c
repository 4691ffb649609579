/* weights_read.c: reads weights files into memory and into a model. Checks come before use: the
 * file's kind and size, then the length of its header, then the header (weights_header.c). The
 * data, which then has the right size, is read last. */
#include "model/weights.h"

#include "base/file_read.h"
#include "base/output.h"
#include "memory.h"
#include "model/weights_header.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are copied as they are");

/* The networks have at most 0.3 MB of weights; a file above the limit cannot be for them. */
enum { LENGTH_BYTES = 8, MAX_HEADER = 1 << 20, MAX_FILE = 64 << 20 };

/* ---- the file -------------------------------------------------------------------------------- */

static enum status check_size(struct error *error, const struct file_reader *file) {
    if (file->size < LENGTH_BYTES)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' is %s: %" PRIu64 " bytes, at least %d expected",
                         file->path, file->size == 0 ? "empty" : "cut short", file->size,
                         LENGTH_BYTES);
    if (file->size > MAX_FILE)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' is too large for these networks: %" PRIu64
                         " bytes, at most %d are supported",
                         file->path, file->size, MAX_FILE);
    return STATUS_OK;
}

/* Opens the file; call file_close after success only. */
static enum status open_weights(struct error *error, struct file_reader *out, const char *path) {
    if (file_open(error, out, path, "weights file") != STATUS_OK) {
        if (out->reason == ENOENT)
            error_append(error, "; a run leaves model.safetensors in its folder");
        if (out->reason == EISDIR)
            error_append(error, "; give the model.safetensors in it");
        return error->status;
    }
    if (check_size(error, out) == STATUS_OK)
        return STATUS_OK;
    file_close(out);
    return error->status;
}

/* ---- the header ------------------------------------------------------------------------------ */

#define CONVERT                                                                                    \
    "convert its state dict: python3 -c \"import sys, torch, safetensors.torch as s; "             \
    "s.save_file(torch.load(sys.argv[1], map_location='cpu'), sys.argv[2])\" FILE.pt "             \
    "FILE.safetensors"

/* Explains, by its first bytes, what a file is instead of a safetensors file; STATUS_OK:
 * unknown. */
static enum status not_safetensors(struct error *error, const unsigned char bytes[LENGTH_BYTES],
                                   const char *path) {
    static const struct {
        const char *start;
        size_t length;
        const char *what, *advice;
    } kinds[] = {
        {"PK\3\4", 4, "a PyTorch file (.pt, .pth) or another zip archive", CONVERT},
        {"\x80\2", 2, "a pickle, like old PyTorch files", CONVERT},
        {"\x80\3", 2, "a pickle", CONVERT},
        {"\x80\4", 2, "a pickle", CONVERT},
        {"\x80\5", 2, "a pickle", CONVERT},
        {"\x89HDF", 4, "an HDF5 file", "save the weights with safetensors"},
        {"\x93NUMPY", 6, "a NumPy array", "save the weights with safetensors"},
        {"\x1f\x8b", 2, "compressed with gzip", "unpack it with gunzip"},
        {"version ", 8, "a Git LFS pointer", "fetch the file itself with git lfs pull"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (memcmp(bytes, kinds[i].start, kinds[i].length) == 0)
            return error_set(error, STATUS_BAD_DATA,
                             "weights file '%s' is %s, not a safetensors file; %s", path,
                             kinds[i].what, kinds[i].advice);
    return STATUS_OK;
}

/* Reads the length of the header, an untrusted 64-bit number, and the `bytes` that hold it. */
static enum status read_length(struct error *error, size_t *out, unsigned char bytes[LENGTH_BYTES],
                               struct file_reader *file) {
    uint64_t length = 0;
    if (file_read(error, bytes, LENGTH_BYTES, file) != STATUS_OK)
        return error->status;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | bytes[i];
    bool follows = length <= file->size - LENGTH_BYTES;
    if ((!follows || length > MAX_HEADER) && not_safetensors(error, bytes, file->path) != STATUS_OK)
        return error->status;
    if (!follows)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' announces a header of %" PRIu64 " bytes, but %" PRIu64
                         " follow; it is cut short or not a safetensors file",
                         file->path, length, file->size - LENGTH_BYTES);
    if (length > MAX_HEADER)
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' has a header of %" PRIu64
                         " bytes; at most %d are supported",
                         file->path, length, MAX_HEADER);
    *out = (size_t)length;
    return STATUS_OK;
}

static enum status read_header(struct error *error, struct tensor_list *out,
                               enum stored_type stored[MAX_TENSORS], json_t **metadata,
                               struct file_reader *file) {
    unsigned char first[LENGTH_BYTES];
    size_t length = 0;
    char *text;
    if (read_length(error, &length, first, file) != STATUS_OK ||
        memory_alloc(error, &text, length, 1, "the header of a weights file") != STATUS_OK)
        return error->status;
    enum status status = file_read(error, text, length, file);
    if (status == STATUS_OK && length > 0 && text[0] != '{')
        status = not_safetensors(error, first, file->path);
    if (status == STATUS_OK)
        status = weights_parse_header(error, out, stored, metadata, text, length,
                                      file->size - LENGTH_BYTES - length, file->path);
    memory_free(text);
    return status;
}

/* ---- the data -------------------------------------------------------------------------------- */

/* IEEE 754 binary16: sign, 5 bits of exponent, 10 of mantissa. */
static float half_value(uint16_t bits) {
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    float value = exponent == 0    ? ldexpf((float)mantissa, -24)
                  : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                   : ldexpf((float)(1024 + mantissa), exponent - 25);
    return (bits & 0x8000) != 0 ? -value : value;
}

/* bfloat16, the upper half of a float: sign, 8 bits of exponent, 7 of mantissa. */
static float bfloat_value(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static void convert(float *out, const unsigned char *from, size_t count, enum stored_type stored) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        double wide;
        switch (stored) {
        case STORED_F32:
        case STORED_I64:
            return;
        case STORED_F16:
            memcpy(&half, from + i * sizeof half, sizeof half);
            out[i] = half_value(half);
            break;
        case STORED_BF16:
            memcpy(&half, from + i * sizeof half, sizeof half);
            out[i] = bfloat_value(half);
            break;
        case STORED_F64:
            memcpy(&wide, from + i * sizeof wide, sizeof wide);
            out[i] = (float)wide;
            break;
        }
    }
}

/* Reads a tensor that is stored in another format than F32, and converts it. */
static enum status read_converted(struct error *error, void *out, const struct tensor *tensor,
                                  enum stored_type stored, struct file_reader *file) {
    size_t count = tensor->bytes / sizeof(float), bytes = count * stored_type_bytes(stored);
    unsigned char *raw;
    if (memory_alloc(error, &raw, bytes, 1, "the weights of a file") != STATUS_OK)
        return error->status;
    enum status status = file_read(error, raw, bytes, file);
    if (status == STATUS_OK)
        convert(out, raw, count, stored);
    memory_free(raw);
    return status;
}

/* Reads the data of the listed tensors, which lie one after another. */
static enum status read_data(struct error *error, struct tensor_list *list,
                             const enum stored_type stored[MAX_TENSORS], struct file_reader *file) {
    const char *converted = NULL;
    if (tensor_list_allocate(error, list, "the weights of a file") != STATUS_OK)
        return error->status;
    for (int i = 0; i < list->count; i++) {
        const struct tensor *tensor = &list->tensors[i];
        void *to = tensor_list_storage(list, i);
        bool as_stored = stored[i] == STORED_F32 || stored[i] == STORED_I64;
        if ((as_stored ? file_read(error, to, tensor->bytes, file)
                       : read_converted(error, to, tensor, stored[i], file)) != STATUS_OK)
            return error->status;
        if (!as_stored)
            converted = stored_type_name(stored[i]);
    }
    if (converted != NULL)
        output_note("weights file '%s' has %s numbers; they are converted to F32", file->path,
                    converted);
    return STATUS_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Reads the header and, if `with_data`, the data. */
static enum status read_parts(struct error *error, struct tensor_list *out, json_t **metadata,
                              const char *path, bool with_data) {
    struct file_reader file;
    enum stored_type stored[MAX_TENSORS] = {STORED_F32};
    memset(out, 0, sizeof *out);
    *metadata = NULL;
    if (open_weights(error, &file, path) != STATUS_OK)
        return error->status;
    enum status status = read_header(error, out, stored, metadata, &file);
    if (status == STATUS_OK && with_data)
        status = read_data(error, out, stored, &file);
    file_close(&file);
    if (status == STATUS_OK)
        return STATUS_OK;
    json_decref(*metadata);
    *metadata = NULL;
    tensor_list_free(out);
    return status;
}

enum status weights_read(struct error *error, struct tensor_list *out, json_t **metadata,
                         const char *path) {
    json_t *found;
    enum status status = read_parts(error, out, &found, path, true);
    if (metadata != NULL)
        *metadata = found;
    else
        json_decref(found);
    return status;
}

enum status weights_read_metadata(struct error *error, json_t **metadata, const char *path) {
    struct tensor_list list;
    enum status status = read_parts(error, &list, metadata, path, false);
    tensor_list_free(&list);
    return status;
}

/* ---- into a model ---------------------------------------------------------------------------- */

static void note_prefix(const char *prefix, const char *path) {
    if (prefix[0] != '\0')
        output_note("weights file '%s': all names begin with '%s', which is ignored", path, prefix);
}

/* Warns of the first tensor with a NaN or an infinity. */
static void warn_of_values(const struct tensor_list *list, const char *path) {
    const struct tensor *tensor = tensor_list_not_finite(list);
    if (tensor != NULL)
        output_warning("weights file '%s': tensor '%s' holds a value that is not finite", path,
                       tensor->name);
}

enum status weights_load(struct error *error, struct model *model, json_t **metadata,
                         const char *path, const struct weights_origin *use) {
    struct tensor_list list;
    char prefix[TENSOR_NAME_CAPACITY];
    json_t *found;
    if (metadata != NULL)
        *metadata = NULL;
    if (weights_read(error, &list, &found, path) != STATUS_OK)
        return error->status;
    enum status status = weights_metadata_check(error, found, use, path);
    if (status == STATUS_OK) {
        model_strip_prefix(prefix, &list, model);
        note_prefix(prefix, path);
        status = model_import(error, model, &list, path);
    }
    if (status == STATUS_OK)
        warn_of_values(&list, path);
    if (status == STATUS_OK && metadata != NULL)
        *metadata = json_incref(found);
    json_decref(found);
    tensor_list_free(&list);
    return status;
}
