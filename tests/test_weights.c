/* test_weights.c: the bytes of a written weights file, read back by a parser that shares only the
 * published format description with the writer. */
#include "support.h"

#include "model/weights.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct file_bytes {
    unsigned char *bytes;
    size_t size;
};

static struct file_bytes read_file(const char *path) {
    struct file_bytes file = {NULL, 0};
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    file.size = (size_t)ftell(stream);
    rewind(stream);
    file.bytes = malloc(file.size + 1);
    assert_non_null(file.bytes);
    assert_int_equal(fread(file.bytes, 1, file.size, stream), file.size);
    fclose(stream);
    return file;
}

static size_t header_length(const struct file_bytes *file) {
    uint64_t length = 0;
    assert_true(file->size >= 8);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | file->bytes[i];
    assert_true(length <= file->size - 8);
    return (size_t)length;
}

static json_t *parse_header(const struct file_bytes *file) {
    json_error_t error;
    size_t length = header_length(file);
    assert_int_equal(length % 8, 0);
    assert_int_equal(file->bytes[8], '{');
    size_t end = length;
    while (end > 0 && file->bytes[8 + end - 1] == ' ')
        end--;
    assert_int_equal(file->bytes[8 + end - 1], '}'); /* only spaces follow */
    assert_true(length - end < 8);
    json_t *header = json_loadb((const char *)file->bytes + 8, end, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(header);
    return header;
}

/* Compares one tensor of the file with the expected one; returns its size in bytes. */
static size_t check_tensor(const struct file_bytes *file, const json_t *header,
                           const struct tensor *tensor) {
    const json_t *entry = json_object_get(header, tensor->name);
    assert_int_equal(json_object_size(entry), 3);
    assert_string_equal(json_string_value(json_object_get(entry, "dtype")),
                        tensor->type == TENSOR_F32 ? "F32" : "I64");
    const json_t *shape = json_object_get(entry, "shape");
    assert_int_equal(json_array_size(shape), tensor->dimensions);
    size_t bytes = tensor->type == TENSOR_F32 ? 4 : 8;
    for (int i = 0; i < tensor->dimensions; i++) {
        json_int_t size = json_integer_value(json_array_get(shape, (size_t)i));
        assert_true(size == tensor->shape[i]);
        bytes *= (size_t)size;
    }
    const json_t *offsets = json_object_get(entry, "data_offsets");
    assert_int_equal(json_array_size(offsets), 2);
    size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));
    assert_int_equal(end - begin, bytes);
    size_t data = 8 + header_length(file);
    assert_true(data + end <= file->size);
    assert_int_equal((data + begin) % (tensor->type == TENSOR_F32 ? 4 : 8), 0);
    assert_memory_equal(file->bytes + data + begin, tensor->data, bytes);
    return bytes;
}

/* Data that any byte swap or shift changes. */
static float weights[2 * 3 * 3 * 3], bias[5];
static int64_t batches = 0x0102030405060708;

static struct tensor_list example(void) {
    for (int i = 0; i < 54; i++)
        weights[i] = 0.37f * (float)i - 3;
    for (int i = 0; i < 5; i++)
        bias[i] = -1.0f / (float)(i + 1);
    struct tensor_list list = {.count = 4};
    list.tensors[0] = (struct tensor){"convblock1.0.weight", TENSOR_F32, 4,
                                      {2, 3, 3, 3},          weights,    sizeof weights};
    list.tensors[1] = (struct tensor){"convblock1.2.bias", TENSOR_F32, 1, {5}, bias, sizeof bias};
    list.tensors[2] = (struct tensor){
        "convblock1.2.num_batches_tracked", TENSOR_I64, 0, {0}, &batches, sizeof batches};
    list.tensors[3] = (struct tensor){
        "convblock2.2.num_batches_tracked", TENSOR_I64, 1, {1}, &batches, sizeof batches};
    return list;
}

static struct dataset dataset;
static struct weights_origin origin;

/* cmocka set-up: a folder, and the weights' metadata. */
static int prepare(void **state) {
    dataset = dataset_named("synthetic");
    dataset.seed = 18446744073709551615u;
    origin = (struct weights_origin){recipe_find(RECIPE_REFERENCE, NORM_BATCH), &dataset};
    return temporary_folder_make(state);
}

static void written_file(void **state) {
    struct error error;
    const char *path = in_folder(*state, "model.safetensors");
    struct tensor_list list = example();
    assert_succeeded(weights_write(&error, path, &list, &origin, NULL), &error);
    assert_int_equal(folder_entries(*state), 1);
    struct file_bytes file = read_file(path);
    json_t *header = parse_header(&file);
    assert_int_equal(json_object_size(header), list.count + 1);
    size_t total = 0;
    for (int i = 0; i < list.count; i++)
        total += check_tensor(&file, header, &list.tensors[i]);
    assert_int_equal(file.size, 8 + header_length(&file) + total); /* no hole, nothing after */
    const json_t *metadata = json_object_get(header, "__metadata__");
    static const char *const expected[][2] = {
        {"format", "pt"},
        {"norm", "bn"},
        {"recipe", "reference"},
        {"groups", "1"},
        {"channels", "16,32,16,24,28,32,16,20,26,32"},
        {"activation", "relu-first"},
        {"mean", "0.49139968,0.48215827,0.44653124"},
        {"std", "0.24703233,0.24348505,0.26158768"},
        {"dataset", "synthetic"},
        {"dataset_seed", "18446744073709551615"},
        {"classes", "[\"disc\",\"ring\",\"square\",\"triangle\",\"cross\",\"horizontal stripes\","
                    "\"vertical stripes\",\"diagonal stripes\",\"checks\",\"dots\"]"},
    };
    assert_int_equal(json_object_size(metadata), 11);
    for (size_t i = 0; i < 11; i++)
        assert_string_equal(json_string_value(json_object_get(metadata, expected[i][0])),
                            expected[i][1]);
    json_decref(header);
    free(file.bytes);
}

/* The same list gives the same bytes: nothing in the file depends on time or place. */
static void same_bytes_again(void **state) {
    struct error error;
    const char *first = in_folder(*state, "a"), *second = in_folder(*state, "b");
    struct tensor_list list = example();
    assert_succeeded(weights_write(&error, first, &list, &origin, NULL), &error);
    assert_succeeded(weights_write(&error, second, &list, &origin, NULL), &error);
    struct file_bytes file = read_file(first);
    assert_file_holds(second, file.bytes, file.size);
    free(file.bytes);
}

static void empty_list(void **state) {
    struct error error;
    const char *path = in_folder(*state, "empty");
    struct tensor_list list = {0};
    assert_succeeded(weights_write(&error, path, &list, &origin, NULL), &error);
    struct file_bytes file = read_file(path);
    json_t *header = parse_header(&file);
    assert_int_equal(json_object_size(header), 1);
    assert_int_equal(file.size, 8 + header_length(&file));
    json_decref(header);
    free(file.bytes);
}

/* The most tensors, with the longest names. */
static void full_list(void **state) {
    struct error error;
    const char *path = in_folder(*state, "full");
    struct tensor_list list = {.count = MAX_TENSORS};
    for (int i = 0; i < MAX_TENSORS; i++) {
        struct tensor *tensor = &list.tensors[i];
        *tensor = (struct tensor){.type = i % 2 == 0 ? TENSOR_F32 : TENSOR_I64,
                                  .dimensions = 1,
                                  .shape = {i % 2 == 0 ? 5 : 1}};
        memset(tensor->name, 'n', sizeof tensor->name - 1);
        tensor->name[0] = (char)('A' + i % 26);
        tensor->name[1] = (char)('A' + i / 26);
        tensor->data = i % 2 == 0 ? (const void *)bias : &batches;
        tensor->bytes = i % 2 == 0 ? sizeof bias : sizeof batches;
    }
    assert_succeeded(weights_write(&error, path, &list, &origin, NULL), &error);
    struct file_bytes file = read_file(path);
    json_t *header = parse_header(&file);
    assert_int_equal(json_object_size(header), MAX_TENSORS + 1);
    for (int i = 0; i < MAX_TENSORS; i++)
        check_tensor(&file, header, &list.tensors[i]);
    json_decref(header);
    free(file.bytes);
}

static void folder_missing(void **state) {
    struct error error;
    struct tensor_list list = example();
    const char *path = in_folder(*state, "none/model.safetensors");
    FAILED(weights_write(&error, path, &list, &origin, NULL), STATUS_FAILED, &error, path);
    assert_int_equal(folder_entries(*state), 0);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, prepare, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(written_file), IN_FOLDER(same_bytes_again), IN_FOLDER(empty_list),
        IN_FOLDER(full_list),    IN_FOLDER(folder_missing),
    };
    return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
