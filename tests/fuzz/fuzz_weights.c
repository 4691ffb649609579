/* fuzz_weights.c: any bytes as a weights file. */
#include "fuzz.h"

#include "model/weights.h"
#include "model/weights_header.h"

#include <stdbool.h>
#include <string.h>

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

/* Bytes of data after the header. */
static size_t data_bytes(const uint8_t *data, size_t size) {
    uint64_t header;
    memcpy(&header, data, LENGTH_BYTES); /* little-endian, as this machine is */
    return size - LENGTH_BYTES - (size_t)header;
}

/* `expected`: the file's bytes for it, if they are stored as in memory. */
static void check_tensor(const struct tensor *tensor, const uint8_t *expected) {
    size_t bytes = tensor_type_bytes(tensor->type);
    require(memchr(tensor->name, '\0', sizeof tensor->name) != NULL);
    require(tensor->dimensions >= 0 && tensor->dimensions <= MAX_DIMENSIONS);
    for (int i = 0; i < tensor->dimensions; i++) {
        require(tensor->shape[i] >= 0);
        bytes *= (size_t)tensor->shape[i];
    }
    require(tensor->bytes == bytes);
    require((uintptr_t)tensor->data % ALIGNMENT == 0);
    require(bytes == 0 || expected == NULL || memcmp(tensor->data, expected, bytes) == 0);
}

/* The tensors fill the data exactly, one after the other, and equal it. */
static void check_list(const struct tensor_list *list, const uint8_t *data, size_t size) {
    size_t total = data_bytes(data, size), place = size - total;
    enum stored_type stored[MAX_TENSORS];
    struct tensor_list again;
    struct error error;
    json_t *metadata;
    require(memchr(data + LENGTH_BYTES, '\0', place - LENGTH_BYTES) == NULL); /* not in JSON */
    require(list->count >= 0 && list->count <= MAX_TENSORS);
    require(weights_parse_header(&error, &again, stored, &metadata,
                                 (const char *)data + LENGTH_BYTES, place - LENGTH_BYTES, total,
                                 "") == STATUS_OK);
    json_decref(metadata);
    for (int i = 0; i < list->count; i++) {
        const struct tensor *tensor = &list->tensors[i];
        size_t count = tensor->bytes / tensor_type_bytes(tensor->type);
        bool as_stored = stored[i] == STORED_F32 || stored[i] == STORED_I64;
        require(count * stored_type_bytes(stored[i]) <= size - place);
        check_tensor(tensor, as_stored ? data + place : NULL);
        place += count * stored_type_bytes(stored[i]);
        for (int k = 0; k < i; k++)
            require(strcmp(tensor->name, list->tensors[k].name) != 0);
    }
    require(place == size);
}

static void check_metadata(json_t *metadata) {
    const char *key;
    json_t *value;
    require(json_is_object(metadata));
    json_object_foreach(metadata, key, value) require(json_is_string(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error error = {STATUS_OK, ""};
    struct tensor_list list;
    json_t *metadata;
    const char *path = fuzz_file(data, size);
    int descriptor = fuzz_lowest_descriptor();
    enum status status = weights_read(&error, &list, &metadata, path);
    require(fuzz_lowest_descriptor() == descriptor);
    if (status == STATUS_OK) {
        check_list(&list, data, size);
        check_metadata(metadata);
        json_decref(metadata);
        tensor_list_free(&list);
    } else {
        require(status == STATUS_BAD_DATA);
        require(list.count == 0 && list.storage == NULL && metadata == NULL);
        fuzz_check_error(status, &error, path);
    }
    return 0;
}
