/* weights_header.c: the header of a weights file, {"name": {"dtype": "F32", "shape": [16, 3, 3, 3],
 * "data_offsets": [begin, end]}, ...}, offsets in bytes from the end of the header. Every number is
 * compared with the size of the file before it is multiplied or used. */
#include "model/weights_header.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 64 }; /* bytes of a name that a message shows */

/* A header being read: the tensors so far, in the order of their data. */
struct header {
    const char *path;
    uint64_t data_bytes;
    struct tensor_list *list;
    /* for each tensor in the list: its type in the file, its place in the data, in bytes */
    enum stored_type *stored;
    uint64_t begins[MAX_TENSORS], sizes[MAX_TENSORS];
};

static const struct {
    const char *name;
    size_t bytes;
    enum tensor_type type; /* in memory */
} formats[] = {
    [STORED_F32] = {"F32", 4, TENSOR_F32}, [STORED_I64] = {"I64", 8, TENSOR_I64},
    [STORED_F16] = {"F16", 2, TENSOR_F32}, [STORED_BF16] = {"BF16", 2, TENSOR_F32},
    [STORED_F64] = {"F64", 8, TENSOR_F32},
};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

const char *stored_type_name(enum stored_type type) {
    return formats[type].name;
}

size_t stored_type_bytes(enum stored_type type) {
    return formats[type].bytes;
}

static enum status bad_tensor(struct error *error, const struct header *header, const char *name,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

static enum status bad_tensor(struct error *error, const struct header *header, const char *name,
                              const char *format, ...) {
    char fault[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault, sizeof fault, format, arguments);
    va_end(arguments);
    return error_set(error, STATUS_BAD_DATA, "weights file '%s': tensor '%.*s' %s", header->path,
                     SHOWN, name, fault);
}

/* ---- one tensor ------------------------------------------------------------------------------ */

static enum status parse_type(struct error *error, struct tensor *out, enum stored_type *stored,
                              const struct header *header, const json_t *value) {
    const char *word = json_string_value(value);
    if (word == NULL)
        return bad_tensor(error, header, out->name, "has no dtype");
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(word, formats[i].name) == 0) {
            *stored = (enum stored_type)i;
            out->type = formats[i].type;
            return STATUS_OK;
        }
    }
    return bad_tensor(error, header, out->name,
                      "has dtype %.*s; supported: F32, F16, BF16, F64 and I64 (in PyTorch: "
                      "tensor.float())",
                      SHOWN, word);
}

static bool has_zero(const json_t *shape) {
    bool found = false;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *dimension = json_array_get(shape, i);
        found = found || (json_is_integer(dimension) && json_integer_value(dimension) == 0);
    }
    return found;
}

/* A tensor with a dimension of 0 is empty. *size is its size in the file, in bytes. */
static enum status parse_shape(struct error *error, struct tensor *out, uint64_t *size,
                               enum stored_type stored, const struct header *header,
                               const json_t *value) {
    if (!json_is_array(value))
        return bad_tensor(error, header, out->name, "has no shape");
    if (json_array_size(value) > MAX_DIMENSIONS)
        return bad_tensor(error, header, out->name, "has %zu dimensions; at most %d are supported",
                          json_array_size(value), MAX_DIMENSIONS);
    const uint64_t most = header->data_bytes / formats[stored].bytes;
    uint64_t elements = has_zero(value) ? 0 : 1;
    out->dimensions = (int)json_array_size(value);
    for (int i = 0; i < out->dimensions; i++) {
        const json_t *dimension = json_array_get(value, (size_t)i);
        int64_t count = json_integer_value(dimension);
        if (!json_is_integer(dimension) || count < 0)
            return bad_tensor(error, header, out->name,
                              "has a shape that is not all whole numbers, 0 or above");
        if (elements > 0 && (uint64_t)count > most / elements)
            return bad_tensor(error, header, out->name,
                              "has a shape for more than the %" PRIu64 " bytes of data in the file",
                              header->data_bytes);
        elements *= (uint64_t)count;
        out->shape[i] = count;
    }
    out->bytes = (size_t)elements * tensor_type_bytes(out->type);
    *size = elements * formats[stored].bytes;
    return STATUS_OK;
}

static enum status parse_offsets(struct error *error, uint64_t *begin, uint64_t size,
                                 const struct tensor *tensor, const struct header *header,
                                 const json_t *value) {
    const json_t *first = json_array_get(value, 0), *last = json_array_get(value, 1);
    int64_t from = json_integer_value(first), to = json_integer_value(last);
    if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return bad_tensor(error, header, tensor->name, "has no data_offsets of two whole numbers");
    if (from < 0 || to < from)
        return bad_tensor(error, header, tensor->name,
                          "has impossible data_offsets [%" PRId64 ", %" PRId64 "]", from, to);
    if ((uint64_t)to > header->data_bytes)
        return bad_tensor(error, header, tensor->name,
                          "ends at byte %" PRId64 " of the data, but the file has %" PRIu64
                          ": it is cut short or damaged",
                          to, header->data_bytes);
    if ((uint64_t)(to - from) != size)
        return bad_tensor(error, header, tensor->name,
                          "has %" PRId64 " bytes of data, but its shape needs %" PRIu64, to - from,
                          size);
    *begin = (uint64_t)from;
    return STATUS_OK;
}

/* Inserts the tensor after those that begin before it or at the same byte; but an empty one before
 * a tensor that begins there and is not empty. */
static void insert(struct header *header, const struct tensor *tensor, enum stored_type stored,
                   uint64_t begin, uint64_t size) {
    struct tensor_list *list = header->list;
    uint64_t *begins = header->begins, *sizes = header->sizes;
    int place = list->count++;
    for (; place > 0 && (begins[place - 1] > begin ||
                         (begins[place - 1] == begin && size == 0 && sizes[place - 1] > 0));
         place--) {
        list->tensors[place] = list->tensors[place - 1];
        header->stored[place] = header->stored[place - 1];
        begins[place] = begins[place - 1];
        sizes[place] = sizes[place - 1];
    }
    list->tensors[place] = *tensor;
    header->stored[place] = stored;
    begins[place] = begin;
    sizes[place] = size;
}

static enum status parse_tensor(struct error *error, struct header *header, const char *name,
                                const json_t *entry) {
    struct tensor tensor = {.data = NULL};
    enum stored_type stored = STORED_F32;
    uint64_t begin = 0, size = 0;
    if (header->list->count == MAX_TENSORS)
        return bad_tensor(error, header, name, "is one too many; at most %d are supported",
                          MAX_TENSORS);
    if (strlen(name) >= sizeof tensor.name)
        return bad_tensor(error, header, name, "has a name of %zu bytes; at most %zu are supported",
                          strlen(name), sizeof tensor.name - 1);
    memcpy(tensor.name, name, strlen(name) + 1);
    if (!json_is_object(entry))
        return bad_tensor(error, header, name,
                          "is not described by an object with dtype, shape and data_offsets");
    /* Like safetensors' own reader, this ignores other members. */
    if (parse_type(error, &tensor, &stored, header, json_object_get(entry, "dtype")) != STATUS_OK ||
        parse_shape(error, &tensor, &size, stored, header, json_object_get(entry, "shape")) !=
            STATUS_OK ||
        parse_offsets(error, &begin, size, &tensor, header,
                      json_object_get(entry, "data_offsets")) != STATUS_OK)
        return error->status;
    insert(header, &tensor, stored, begin, size);
    return STATUS_OK;
}

static enum status no_memory(struct error *error, const char *path) {
    return error_set(error, STATUS_FAILED, "out of memory for the header of '%s'", path);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum status check_metadata(struct error *error, const struct header *header,
                                  json_t *metadata) {
    const char *key;
    json_t *value;
    if (json_is_null(metadata))
        return STATUS_OK;
    if (!json_is_object(metadata))
        return error_set(error, STATUS_BAD_DATA, "weights file '%s': __metadata__ is not an object",
                         header->path);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return error_set(error, STATUS_BAD_DATA,
                             "weights file '%s': '%.*s' in __metadata__ is not a string",
                             header->path, SHOWN, key);
    }
    return STATUS_OK;
}

/* Checks that the tensors fill the data without gaps or overlaps. */
static enum status check_places(struct error *error, const struct header *header) {
    const struct tensor_list *list = header->list;
    uint64_t end = 0;
    for (int i = 0; i < list->count; i++) {
        const struct tensor *tensor = &list->tensors[i];
        if (header->begins[i] < end)
            return bad_tensor(error, header, tensor->name, "overlaps '%s'",
                              list->tensors[i - 1].name);
        if (header->begins[i] > end)
            return bad_tensor(error, header, tensor->name,
                              "begins at byte %" PRIu64 " of the data: %" PRIu64
                              " bytes before it belong to no tensor",
                              header->begins[i], header->begins[i] - end);
        end += header->sizes[i];
    }
    if (end == header->data_bytes)
        return STATUS_OK;
    return error_set(error, STATUS_BAD_DATA,
                     "weights file '%s': %" PRIu64 " bytes at its end belong to no tensor",
                     header->path, header->data_bytes - end);
}

static enum status parse_root(struct error *error, struct header *header, json_t *root) {
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry) {
        enum status status = strcmp(name, "__metadata__") == 0
                                 ? check_metadata(error, header, entry)
                                 : parse_tensor(error, header, name, entry);
        if (status != STATUS_OK)
            return status;
    }
    return check_places(error, header);
}

/* A reference to the root's metadata, or to an empty object. */
static enum status take_metadata(struct error *error, json_t **out, json_t *root,
                                 const char *path) {
    json_t *metadata = json_object_get(root, "__metadata__");
    *out = json_is_object(metadata) ? json_incref(metadata) : json_object();
    return *out != NULL ? STATUS_OK : no_memory(error, path);
}

enum status weights_parse_header(struct error *error, struct tensor_list *out,
                                 enum stored_type stored[MAX_TENSORS], json_t **metadata,
                                 const char *text, size_t length, uint64_t data_bytes,
                                 const char *path) {
    struct header header = {.path = path, .data_bytes = data_bytes, .list = out, .stored = stored};
    memset(out, 0, sizeof *out);
    *metadata = NULL;
    if (length == 0 || text[0] != '{')
        return error_set(error, STATUS_BAD_DATA,
                         "weights file '%s' has no JSON header; is it a safetensors file?", path);
    bool out_of_memory;
    json_error_t fault;
    json_t *root = text_parse_json(&out_of_memory, &fault, text, length);
    if (out_of_memory)
        return no_memory(error, path);
    if (root == NULL)
        return error_set(error, STATUS_BAD_DATA, "weights file '%s': bad JSON header, byte %d: %s",
                         path, fault.position, fault.text);
    enum status status = parse_root(error, &header, root);
    if (status == STATUS_OK)
        status = take_metadata(error, metadata, root, path);
    json_decref(root);
    return status;
}
