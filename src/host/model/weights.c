/* weights.c: the safetensors writer. */
#include "model/weights.h"

#include "base/files.h"
#include "base/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, PADDING = 8 };

/* The types in the order of the file, by decreasing element size. */
static const enum tensor_type type_order[] = {TENSOR_I64, TENSOR_F32};
enum { TYPE_COUNT = sizeof type_order / sizeof type_order[0] };

/* Adds one tensor, at `offset` in the data, to the header; false: no memory. */
static bool describe(json_t *header, const struct tensor *tensor, size_t offset) {
    json_t *shape = json_array();
    for (int i = 0; i < tensor->dimensions; i++)
        shape = text_json_append(shape, json_integer(tensor->shape[i]));
    json_t *entry =
        json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor_type_name(tensor->type), "shape", shape,
                  "data_offsets", (json_int_t)offset, (json_int_t)(offset + tensor->bytes));
    return json_object_set_new(header, tensor->name, entry) == 0;
}

/* Makes the header and the pieces of the data; NULL: no memory. */
static json_t *make_header(struct file_piece *pieces, const struct tensor_list *list,
                           const struct weights_origin *origin, json_t *more) {
    json_t *header = json_object(), *metadata = weights_metadata_make(origin);
    size_t offset = 0;
    int place = 0;
    bool whole = metadata != NULL && (more == NULL || json_object_update(metadata, more) == 0) &&
                 json_object_set(header, "__metadata__", metadata) == 0;
    json_decref(metadata);
    if (!whole) {
        json_decref(header);
        return NULL;
    }
    for (int t = 0; t < TYPE_COUNT; t++) {
        for (int i = 0; i < list->count; i++) {
            const struct tensor *tensor = &list->tensors[i];
            if (tensor->type != type_order[t])
                continue;
            if (!describe(header, tensor, offset)) {
                json_decref(header);
                return NULL;
            }
            offset += tensor->bytes;
            pieces[place++] = (struct file_piece){tensor->data, tensor->bytes};
        }
    }
    return header;
}

/* Returns the header as text, padded with spaces, and its length, also as 8 little-endian bytes. */
static char *print_header(size_t *length, unsigned char out_length[LENGTH_BYTES],
                          const json_t *header) {
    char *text = text_of_json(header, JSON_COMPACT);
    if (text == NULL)
        return NULL;
    size_t used = strlen(text);
    *length = (used + PADDING - 1) / PADDING * PADDING;
    char *padded = realloc(text, *length + 1);
    if (padded == NULL) {
        free(text);
        return NULL;
    }
    memset(padded + used, ' ', *length - used);
    for (int i = 0; i < LENGTH_BYTES; i++)
        out_length[i] = (unsigned char)((uint64_t)*length >> 8 * i);
    return padded;
}

enum status weights_write(struct error *error, const char *path, const struct tensor_list *list,
                          const struct weights_origin *origin, json_t *more) {
    struct file_piece pieces[MAX_TENSORS + 2];
    unsigned char length_bytes[LENGTH_BYTES];
    size_t length = 0;
    json_t *header = make_header(pieces + 2, list, origin, more);
    char *text = print_header(&length, length_bytes, header);
    json_decref(header);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the header of '%s'", path);
    pieces[0] = (struct file_piece){length_bytes, LENGTH_BYTES};
    pieces[1] = (struct file_piece){text, length};
    enum status status = file_write(error, path, pieces, list->count + 2);
    free(text);
    return status;
}
