/* test_weights_read.c: valid and invalid weights files: what is read, and the message for each kind
 * of damage. */
#include "support.h"

#include "model/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CAPACITY = 1 << 16 };

/* ---- files ----------------------------------------------------------------------------------- */

/* Puts a file of a header length, a header and `data_bytes` bytes 0, 1, 2, ... */
static void put_as(const char *path, uint64_t length, const char *header, size_t header_bytes,
                   size_t data_bytes) {
    size_t size = 8 + header_bytes + data_bytes;
    unsigned char *bytes = malloc(size);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + header_bytes + i] = (unsigned char)i;
    file_put(path, bytes, size);
    free(bytes);
}

static void put(const char *path, const char *header, size_t data_bytes) {
    put_as(path, strlen(header), header, strlen(header), data_bytes);
}

/* Reads an invalid file; nothing may stay open or allocated. */
static enum status read_bad(struct error *error, const char *path) {
    struct tensor_list list;
    int descriptor = lowest_free_descriptor();
    memset(error, 0, sizeof *error);
    enum status status = weights_read(error, &list, NULL, path);
    assert_int_equal(lowest_free_descriptor(), descriptor);
    if (status == STATUS_OK) {
        tensor_list_free(&list);
    } else {
        assert_int_equal(list.count, 0);
        assert_null(list.storage);
    }
    return status;
}

#define REFUSED(path, ...)                                                                         \
    do {                                                                                           \
        struct error error_;                                                                       \
        FAILED(read_bad(&error_, path), STATUS_BAD_DATA, &error_, path, __VA_ARGS__);              \
    } while (0)

/* A file of the header and 16 bytes of data is refused with these words. */
#define BAD(header, ...)                                                                           \
    do {                                                                                           \
        const char *path_ = in_folder(*state, "bad.safetensors");                                  \
        put(path_, header, 16);                                                                    \
        REFUSED(path_, __VA_ARGS__);                                                               \
    } while (0)

static struct tensor_list read_ok(const char *path) {
    struct error error;
    struct tensor_list list;
    assert_succeeded(weights_read(&error, &list, NULL, path), &error);
    return list;
}

#define ENTRY(dtype, shape, offsets)                                                               \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
/* A file of one tensor "a". */
#define ONE(dtype, shape, offsets) "{\"a\":" ENTRY(dtype, shape, offsets) "}"

/* ---- valid files ----------------------------------------------------------------------------- */

static void check_tensor(const struct tensor *tensor, const struct tensor *expected) {
    assert_string_equal(tensor->name, expected->name);
    assert_int_equal(tensor->type, expected->type);
    assert_int_equal(tensor->dimensions, expected->dimensions);
    for (int i = 0; i < expected->dimensions; i++)
        assert_true(tensor->shape[i] == expected->shape[i]);
    assert_int_equal(tensor->bytes, expected->bytes);
    assert_int_equal((uintptr_t)tensor->data % 8, 0);
    assert_memory_equal(tensor->data, expected->data, expected->bytes);
}

static void round_trip(void **state) {
    static const float weights[2 * 3 * 2 * 2] = {1.5f, -0.0f, 1e-45f, 3e38f, [23] = -7};
    static const float bias[3] = {0.1f, 0.2f, 0.3f};
    static const int64_t batches = INT64_C(0x0102030405060708), most = INT64_MIN;
    const struct dataset odd = {.name = "a \"set\" \xc3\xa9", .class_names = synthetic_class_names};
    const struct weights_origin origin = {recipe_find(RECIPE_TUNED, NORM_BATCH), &odd};
    const struct tensor_list list = {
        .count = 4,
        .tensors = {{"w", TENSOR_F32, 4, {2, 3, 2, 2}, weights, sizeof weights},
                    {"b", TENSOR_F32, 1, {3}, bias, sizeof bias},
                    {"n", TENSOR_I64, 0, {0}, &batches, sizeof batches},
                    {"m", TENSOR_I64, 1, {1}, &most, sizeof most}},
    };
    struct error error;
    const char *path = in_folder(*state, "model.safetensors");
    assert_succeeded(weights_write(&error, path, &list, &origin, NULL), &error);
    struct tensor_list read = read_ok(path);
    const int order[] = {2, 3, 0, 1}; /* in the file: 64-bit integers come first */
    assert_int_equal(read.count, list.count);
    for (int i = 0; i < list.count; i++)
        check_tensor(&read.tensors[i], &list.tensors[order[i]]);
    tensor_list_free(&read);
}

/* The metadata given to the writer comes back; a file without any has an empty object. */
static void metadata(void **state) {
    const struct dataset dataset = dataset_named("CIFAR-10");
    const struct weights_origin origin = {recipe_find(RECIPE_REFERENCE, NORM_LAYER), &dataset};
    struct error error;
    struct tensor_list list = {.count = 0};
    json_t *more = json_pack("{s:s}", "step", "12"), *found;
    const char *path = in_folder(*state, "model.safetensors");
    assert_succeeded(weights_write(&error, path, &list, &origin, more), &error);
    json_decref(more);
    assert_succeeded(weights_read(&error, &list, &found, path), &error);
    static const char *const expected[][2] = {{"format", "pt"},
                                              {"norm", "ln"},
                                              {"recipe", "reference"},
                                              {"dataset", "CIFAR-10"},
                                              {"step", "12"}};
    tensor_list_free(&list);
    assert_int_equal(json_object_size(found), 11); /* the rest: test_weights.c */
    for (int i = 0; i < 5; i++)
        assert_string_equal(json_string_value(json_object_get(found, expected[i][0])),
                            expected[i][1]);
    json_decref(found);
    put(path, "{}", 0);
    assert_succeeded(weights_read(&error, &list, &found, path), &error);
    tensor_list_free(&list);
    assert_int_equal(json_object_size(found), 0);
    json_decref(found);
    put(path, "{\"__metadata__\":null}", 0); /* the official reader accepts it */
    assert_succeeded(weights_read(&error, &list, &found, path), &error);
    tensor_list_free(&list);
    assert_int_equal(json_object_size(found), 0);
    json_decref(found);
    put(path, "{\"a\":1}", 0);
    assert_int_equal(weights_read(&error, &list, &found, path), STATUS_BAD_DATA);
    assert_null(found);
}

/* Bytes that save_file of PyTorch's safetensors 0.8.0 writes, and others that it could: names in
 * another order than the data, integers after an odd number of floats. */
static void as_pytorch_writes(void **state) {
    static const char file[] =
        "\x10\x01\0\0\0\0\0\0"
        "{\"__metadata__\":{\"format\":\"pt\"},\"convblock1.2.num_batches_tracked\":{\"dtype\":"
        "\"I64\",\"shape\":[],\"data_offsets\":[0,8]},\"convblock1.0.weight\":{\"dtype\":\"F32\","
        "\"shape\":[1,1,2,2],\"data_offsets\":[8,24]},\"convblock1.2.weight\":{\"dtype\":\"F32\","
        "\"shape\":[2],\"data_offsets\":[24,32]}}      \x05\0\0\0\0\0\0\0\0\0\x80?\0\0\x80?\0\0\x80"
        "?\0\0\x80?\0\0\x80?\0\0\x80?";
    const float ones[4] = {1, 1, 1, 1};
    const int64_t five = 5;
    const struct tensor expected[] = {
        {"convblock1.2.num_batches_tracked", TENSOR_I64, 0, {0}, &five, 8},
        {"convblock1.0.weight", TENSOR_F32, 4, {1, 1, 2, 2}, ones, 16},
        {"convblock1.2.weight", TENSOR_F32, 1, {2}, ones, 8},
    };
    const char *path = in_folder(*state, "pytorch.safetensors");
    file_put(path, file, sizeof file - 1);
    struct tensor_list list = read_ok(path);
    assert_int_equal(list.count, 3);
    for (int i = 0; i < 3; i++)
        check_tensor(&list.tensors[i], &expected[i]);
    tensor_list_free(&list);
}

static void any_order(void **state) {
    const char *path = in_folder(*state, "order.safetensors");
    put(path,
        "{ \"z\" : " ENTRY("F32", "[3]", "[8,20]") ",\n\"n\":" ENTRY(
            "I64", "[]", "[20,28]") ", \"a\":" ENTRY("F32", "[1, 2]",
                                                     "[0,8]") ", \"__metadata__\": {} } \t ",
        28);
    unsigned char bytes[28];
    for (int i = 0; i < 28; i++)
        bytes[i] = (unsigned char)i;
    const struct tensor expected[] = {
        {"a", TENSOR_F32, 2, {1, 2}, bytes, 8},
        {"z", TENSOR_F32, 1, {3}, bytes + 8, 12},
        {"n", TENSOR_I64, 0, {0}, bytes + 20, 8},
    };
    struct tensor_list list = read_ok(path);
    assert_int_equal(list.count, 3);
    for (int i = 0; i < 3; i++)
        check_tensor(&list.tensors[i], &expected[i]);
    tensor_list_free(&list);
    put(path, "{}", 0);
    list = read_ok(path);
    assert_int_equal(list.count, 0);
    tensor_list_free(&list);
}

static void not_finite_values_are_read(void **state) {
    const float values[] = {NAN, INFINITY, -INFINITY};
    const struct tensor_list list = {.count = 1,
                                     .tensors = {{"x", TENSOR_F32, 1, {3}, values, 12}}};
    const struct weights_origin origin = {recipe_find(RECIPE_TUNED, NORM_GROUP), NULL};
    struct error error;
    const char *path = in_folder(*state, "nan.safetensors");
    assert_succeeded(weights_write(&error, path, &list, &origin, NULL), &error);
    struct tensor_list read = read_ok(path);
    check_tensor(&read.tensors[0], &list.tensors[0]);
    tensor_list_free(&read);
}

/* Files that the official reader accepts too: empty tensors, even where another begins, and members
 * that the format does not define. */
static void harmless_oddities(void **state) {
    const char *path = in_folder(*state, "odd.safetensors");
    put(path,
        "{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"e\":" ENTRY(
            "F32", "[0,3]",
            "[0,0]") ",\"f\":" ENTRY("I64", "[5,0,9223372036854775807]",
                                     "[8,8]") ",\"g\":" ENTRY("F32", "[0]",
                                                              "[16,16]") ","
                                                                         "\"b\":{\"dtype\":\"F32\","
                                                                         "\"shape\":[2],\"data_"
                                                                         "offsets\":[8,16],"
                                                                         "\"more\":{\"x\":[1]}}}",
        16);
    static const char *const names[] = {"e", "a", "f", "b", "g"};
    struct tensor_list list = read_ok(path);
    assert_int_equal(list.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(list.tensors[i].name, names[i]);
        assert_int_equal(list.tensors[i].bytes, i % 2 == 1 ? 8 : 0);
    }
    const float *b = list.tensors[3].data;
    unsigned char bytes[4];
    memcpy(bytes, b, 4);
    assert_int_equal(bytes[0], 8); /* data byte 8 */
    tensor_list_free(&list);
}

/* Other formats become F32, each at its place between others. */
static void other_formats(void **state) {
    static const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff,
                                    0x7c00, 0xfc00, 0x7e00, 0x8000, 0x3555, 0x0000};
    static const float half_due[] = {1,        -2,        0x1p-24f, 0x3ffp-24f, 0x1p-14f,    65504,
                                     INFINITY, -INFINITY, NAN,      -0.0f,      0x1.554p-2f, 0};
    static const uint16_t brain[] = {0x3f80, 0xc049, 0x7f80, 0x0001};
    static const float brain_due[] = {1, -3.140625f, INFINITY, 0x1p-133f};
    static const double wide[] = {0.1, -1e300, 1e-50, 3};
    static const float wide_due[] = {0.1f, -INFINITY, 0, 3}, one[] = {1};
    static const char header[] = "{\"h\":" ENTRY("F16", "[3,4]", "[0,24]") ",\"b\":" ENTRY(
        "BF16", "[4]", "[24,32]") ",\"w\":" ENTRY("F64", "[4]",
                                                  "[32,64]") ",\"o\":" ENTRY("F32", "[1]",
                                                                             "[64,68]") "}";
    const char *path = in_folder(*state, "formats.safetensors");
    put(path, header, 68);
    size_t place = 8 + strlen(header);
    file_poke(path, place, half, sizeof half);
    file_poke(path, place + 24, brain, sizeof brain);
    file_poke(path, place + 32, wide, sizeof wide);
    file_poke(path, place + 64, one, sizeof one);
    struct tensor_list list = read_ok(path);
    const struct tensor expected[] = {{"h", TENSOR_F32, 2, {3, 4}, half_due, sizeof half_due},
                                      {"b", TENSOR_F32, 1, {4}, brain_due, sizeof brain_due},
                                      {"w", TENSOR_F32, 1, {4}, wide_due, sizeof wide_due},
                                      {"o", TENSOR_F32, 1, {1}, one, sizeof one}};
    assert_int_equal(list.count, 4);
    assert_true(isnan(((const float *)list.tensors[0].data)[8]));
    ((float *)tensor_list_storage(&list, 0))[8] = half_due[8]; /* any NaN gives this one */
    for (int i = 0; i < 4; i++)
        check_tensor(&list.tensors[i], &expected[i]);
    tensor_list_free(&list);
}

/* The header alone. */
static void metadata_alone(void **state) {
    struct error error;
    json_t *found;
    const char *path = in_folder(*state, "half.safetensors");
    put(path, "{\"__metadata__\":{\"norm\":\"gn\"},\"a\":" ENTRY("F32", "[4]", "[0,16]") "}", 16);
    assert_succeeded(weights_read_metadata(&error, &found, path), &error);
    assert_string_equal(json_string_value(json_object_get(found, "norm")), "gn");
    json_decref(found);
    assert_int_equal(truncate(path, 60), 0);
    assert_int_equal(weights_read_metadata(&error, &found, path), STATUS_BAD_DATA);
    assert_null(found);
}

static struct weights_settings settings_of(const char *text) {
    json_t *metadata = json_loads(text, 0, NULL);
    assert_non_null(metadata);
    struct weights_settings settings = weights_metadata_settings(metadata);
    json_decref(metadata);
    return settings;
}

/* Metadata is as untrusted as the rest. */
static void settings(void **state) {
    (void)state;
    struct weights_settings s = settings_of(
        "{\"norm\":\"ln\",\"recipe\":\"reference\",\"groups\":\"7\",\"dataset\":\"synthetic\","
        "\"dataset_seed\":\"18446744073709551615\"}");
    assert_true(s.known && s.norm == NORM_LAYER && s.recipe == RECIPE_REFERENCE && s.groups == 7);
    assert_true(s.synthetic && s.seed == UINT64_MAX);
    static const char *const unknown[] = {"{}", "{\"norm\":\"gn\"}", "{\"recipe\":\"tuned\"}",
                                          "{\"norm\":\"rms\",\"recipe\":\"tuned\"}",
                                          "{\"norm\":\"gn\",\"recipe\":\"\"}"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_false(settings_of(unknown[i]).known);
    static const char *const groups[] = {"0", "-1", "513", "99999999999999999999", "four", ""};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        char text[128];
        snprintf(
            text, sizeof text,
            "{\"norm\":\"gn\",\"recipe\":\"tuned\",\"groups\":\"%s\",\"dataset\":\"synthetic\","
            "\"dataset_seed\":\"-1\"}",
            groups[i]);
        s = settings_of(text);
        assert_true(s.known && s.groups == 0 && !s.synthetic);
    }
}

static struct weights_settings with_channels(const char *channels) {
    char text[160];
    snprintf(text, sizeof text, "{\"norm\":\"gn\",\"recipe\":\"tuned\",\"channels\":\"%s\"}",
             channels);
    return settings_of(text);
}

static void channels(void **state) {
    (void)state;
    static const int due[BLOCK_COUNT] = {1, 2, 3, 4, 5, 6, 7, 8, 90, 512};
    struct weights_settings s = with_channels("1,2,3,4,5,6,7,8,90,512");
    assert_true(s.known);
    assert_memory_equal(s.channels, due, sizeof due);
    static const char *const bad[] = {"",
                                      ",,,,,,,,,",
                                      "1,2,3,4,5,6,7,8,9",
                                      "1,2,3,4,5,6,7,8,9,",
                                      "1,2,3,4,5,6,7,8,9,10,11",
                                      "1,2,3,4,5,6,7,8,9,513",
                                      "0,2,3,4,5,6,7,8,9,10",
                                      "1,2,3,4,-5,6,7,8,9,10",
                                      "99999999999999999999,2,3,4,5,6,7,8,9,10",
                                      "+1,2,3,4,5,6,7,8,9,10",
                                      " 1,2,3,4,5,6,7,8,9,10",
                                      "01,2,3,4,5,6,7,8,9,10",
                                      "1;2;3;4;5;6;7;8;9;10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        s = with_channels(bad[i]);
        if (!s.known || s.channels[0] != 0)
            fail_msg("'%s' was read", bad[i]);
    }
}

/* Options that contradict the metadata are refused by name; options missing there are accepted. */
static void contradictions(void **state) {
    (void)state;
    struct error error;
    const struct weights_origin use = {recipe_find(RECIPE_TUNED, NORM_GROUP), NULL};
    json_t *metadata = weights_metadata_make(&use);
    assert_succeeded(weights_metadata_check(&error, metadata, &use, "f"), &error);
    static const char *const keys[] = {"norm", "recipe", "groups", "channels", "mean", "std"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *other = json_copy(metadata);
        char expected[64];
        snprintf(expected, sizeof expected, "trained with %s other, not ", keys[i]);
        assert_int_equal(json_object_set_new(other, keys[i], json_string("other")), 0);
        FAILED(weights_metadata_check(&error, other, &use, "f"), STATUS_USAGE, &error,
               "weights file 'f'", expected);
        json_decref(other);
    }
    json_t *foreign = json_pack("{s:s}", "groups", "9"); /* not written by this program */
    assert_succeeded(weights_metadata_check(&error, foreign, &use, "f"), &error);
    json_decref(foreign);
    json_decref(metadata);
}

/* ---- not a weights file ---------------------------------------------------------------------- */

static void no_file(void **state) {
    const char *folder = *state, *pipe = in_folder(*state, "pipe");
    REFUSED(in_folder(*state, "none"), "no weights file", "leaves model.safetensors");
    REFUSED(in_folder(*state, "none/none"), "no weights file");
    REFUSED(folder, "is a folder", "model.safetensors");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    REFUSED(pipe, "device or pipe");
    REFUSED("/dev/zero", "device or pipe");
    assert_int_equal(symlink("loop", in_folder(*state, "loop")), 0);
    REFUSED(in_folder(*state, "loop"), "cannot open");
}

static void no_rights(void **state) {
    const char *path = in_folder(*state, "secret");
    put(path, "{}", 0);
    assert_int_equal(chmod(path, 0), 0);
    become_ordinary();
    struct error error;
    enum status status = read_bad(&error, path);
    become_self();
    FAILED(status, STATUS_BAD_DATA, &error, path, "Permission denied");
}

static void wrong_lengths(void **state) {
    const char *path = in_folder(*state, "length");
    static const uint64_t over[] = {17, 18, 1000, UINT32_MAX, UINT64_C(1) << 63, UINT64_MAX};
    file_put(path, "", 0);
    REFUSED(path, "is empty");
    file_put(path, "\2\0\0\0\0\0\0", 7);
    REFUSED(path, "is cut short", "7 bytes");
    put_as(path, 0, "", 0, 0);
    REFUSED(path, "no JSON header");
    put_as(path, 0, "", 0, 16);
    REFUSED(path, "no JSON header");
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++) {
        char text[32];
        put_as(path, over[i], "{}", 2, 14);
        snprintf(text, sizeof text, "%llu", (unsigned long long)over[i]);
        REFUSED(path, "announces a header of", text, "16 follow");
    }
}

/* Files that are something else by their first bytes, with the way to convert them. */
static void other_files(void **state) {
    static const struct {
        const char *start;
        size_t bytes;
        const char *what, *advice;
    } cases[] = {
        {"PK\3\4\0\0\x08\x08", 8, "a PyTorch file", "save_file(torch.load("},
        {"\x80\2\x8a\nl\xfc\x9c\x46", 8, "a pickle, like old PyTorch files",
         "save_file(torch.load("},
        {"\x80\3]q\0(K\0", 8, "a pickle", "save_file(torch.load("},
        {"\x80\5\x95\x89\1\0\0\0", 8, "a pickle", "save_file(torch.load("},
        {"\x89HDF\r\n\x1a\n", 8, "an HDF5 file", "safetensors"},
        {"\x93NUMPY\1\0", 8, "a NumPy array", "safetensors"},
        {"\x1f\x8b\x08\0\0\0\0\0", 8, "compressed with gzip", "gunzip"},
        {"version https://git-lfs", 23, "a Git LFS pointer", "git lfs pull"},
    };
    const char *path = in_folder(*state, "weights.pt");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        file_put(path, NULL, 3 << 20);
        file_poke(path, 0, cases[i].start, cases[i].bytes);
        REFUSED(path, cases[i].what, "not a safetensors file", cases[i].advice);
    }
}

/* Sparse files: gigabytes that need neither room nor time. */
static void large_files(void **state) {
    const char *path = in_folder(*state, "large");
    file_put(path, NULL, (size_t)1 << 40);
    REFUSED(path, "too large", "1099511627776");
    file_put(path, NULL, (size_t)3 << 20);
    file_poke(path, 0, "\1\0\x10\0\0\0\0\0{", 9); /* one over a MiB */
    REFUSED(path, "header of 1048577 bytes", "1048576");
    file_poke(path, 0, "\0\0\x10\0\0\0\0\0{", 9);
    REFUSED(path, "bad JSON header");
}

/* ---- invalid headers ------------------------------------------------------------------------- */

static void not_json(void **state) {
    BAD("[]", "no JSON header");
    BAD(" {}", "no JSON header");
    BAD("{", "bad JSON header");
    BAD("{}x", "bad JSON header", "end of file expected");
    BAD("{'a':1}", "bad JSON header");
    BAD("{\"a\":1,}", "bad JSON header");
    BAD("{\"\xff\":1}", "bad JSON header", "unable to decode");
    BAD("{\"a\\u0000b\":1}", "bad JSON header");
    BAD("{\"a\":99999999999999999999}", "bad JSON header", "too big integer");
    BAD("{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"a\":" ENTRY("F32", "[2]", "[8,16]") "}",
        "duplicate", "\"a\"");
    BAD("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
        "duplicate", "\"dtype\"");
    put_as(in_folder(*state, "nul"), 3, "{}\0", 3, 0);
    REFUSED(in_folder(*state, "nul"), "bad JSON header");
}

/* A megabyte of brackets or members needs neither stack nor much time. */
static void deep_and_wide(void **state) {
    enum { BYTES = 1 << 20 };
    const char *path = in_folder(*state, "deep");
    char *text = malloc(BYTES + 1);
    assert_non_null(text);
    clock_t start = clock();
    memset(text, '[', BYTES);
    memcpy(text, "{\"a\":", 5);
    put_as(path, BYTES, text, BYTES, 0);
    REFUSED(path, "bad JSON header");
    memset(text, ' ', BYTES);
    text[0] = '{';
    for (int i = 0; i < BYTES / 10 - 1; i++) {
        char member[16];
        snprintf(member, sizeof member, "\"%05x\":0,", i);
        memcpy(text + 1 + 10 * i, member, 10);
    }
    text[10 * (BYTES / 10 - 1)] = '}'; /* in place of the last comma */
    put_as(path, BYTES, text, BYTES, 0);
    REFUSED(path, "'00000'", "dtype, shape and data_offsets");
    strcpy(text, "{\"a\":{\"dtype\":\"F32\",\"shape\":[");
    size_t used = strlen(text);
    memset(text + used, ' ', BYTES - used);
    for (; used < BYTES - 100; used += 2)
        memcpy(text + used, "1,", 2);
    memcpy(text + used, "1],\"data_offsets\":[0,4]}}", 25);
    put_as(path, BYTES, text, BYTES, 4);
    REFUSED(path, "'a'", "dimensions", "at most 4");
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20); /* a sanitizer on a busy core */
    free(text);
}

static void entries(void **state) {
    BAD("{\"a\":1}", "'a'", "dtype, shape and data_offsets");
    BAD("{\"a\":[]}", "'a'", "dtype, shape and data_offsets");
    BAD("{\"a\":null}", "'a'", "dtype, shape and data_offsets");
    BAD("{\"a\":{}}", "'a'", "no dtype");
    BAD("{\"a\":{\"type\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "'a'", "no dtype");
    BAD("{\"a\":{\"dtype\":\"F32\",\"shapes\":[4],\"data_offsets\":[0,16]}}", "'a'", "no shape");
    BAD("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"offsets\":[0,16]}}", "'a'", "no data_offsets");
    BAD("{\"a\":{\"dtype\":32,\"shape\":[4],\"data_offsets\":[0,16]}}", "'a'", "no dtype");
    BAD(ONE("U8", "[16]", "[0,16]"), "'a'", "dtype U8", "F32, F16, BF16, F64", ".float()");
    BAD(ONE("f32", "[4]", "[0,16]"), "'a'", "dtype f32");
    BAD(ONE("", "[4]", "[0,16]"), "'a'", "dtype ");
    BAD("{\"__metadata__\":[]}", "__metadata__");
    BAD("{\"__metadata__\":{\"format\":1}}", "__metadata__", "'format'", "not a string");
}

static void shapes(void **state) {
    BAD(ONE("F32", "4", "[0,16]"), "'a'", "no shape");
    BAD(ONE("F32", "{}", "[0,16]"), "'a'", "no shape");
    BAD(ONE("F32", "[-4]", "[0,16]"), "'a'", "not all whole numbers");
    BAD(ONE("F32", "[-2,-2]", "[0,16]"), "'a'", "not all whole numbers");
    BAD(ONE("F32", "[0]", "[0,16]"), "'a'", "16 bytes of data", "needs 0");
    BAD(ONE("F32", "[0]", "[0,0]"), "16 bytes at its end");
    BAD(ONE("F16", "[4]", "[0,16]"), "'a'", "16 bytes of data", "needs 8");
    BAD(ONE("F64", "[3]", "[0,16]"), "'a'", "more than the 16 bytes");
    BAD(ONE("F32", "[4.0]", "[0,16]"), "'a'", "not all whole numbers");
    BAD(ONE("F32", "[\"4\"]", "[0,16]"), "'a'", "not all whole numbers");
    BAD(ONE("F32", "[1,1,1,1,4]", "[0,16]"), "'a'", "5 dimensions", "at most 4");
    BAD(ONE("F32", "[5]", "[0,16]"), "'a'", "more than the 16 bytes");
    BAD(ONE("F32", "[9223372036854775807]", "[0,16]"), "'a'", "more than the 16 bytes");
    /* products that are 4 or 0 modulo 2^64 */
    BAD(ONE("F32", "[4611686018427387905,4]", "[0,16]"), "'a'", "more than the 16 bytes");
    BAD(ONE("F32", "[4294967296,4294967296]", "[0,16]"), "'a'", "more than the 16 bytes");
    BAD(ONE("F32", "[2,2305843009213693953,2]", "[0,16]"), "'a'", "more than the 16 bytes");
    BAD(ONE("F32", "[3]", "[0,16]"), "'a'", "16 bytes of data", "needs 12");
    BAD(ONE("I64", "[]", "[0,16]"), "'a'", "16 bytes of data", "needs 8");
    BAD(ONE("F32", "[]", "[0,16]"), "'a'", "16 bytes of data", "needs 4");
}

static void offsets(void **state) {
    BAD(ONE("F32", "[4]", "16"), "'a'", "no data_offsets");
    BAD(ONE("F32", "[4]", "[16]"), "'a'", "no data_offsets");
    BAD(ONE("F32", "[4]", "[0,8,16]"), "'a'", "no data_offsets");
    BAD(ONE("F32", "[4]", "[0,16.0]"), "'a'", "no data_offsets");
    BAD(ONE("F32", "[4]", "[0,\"16\"]"), "'a'", "no data_offsets");
    BAD(ONE("F32", "[4]", "[16,0]"), "'a'", "impossible", "[16, 0]");
    BAD(ONE("F32", "[4]", "[-16,0]"), "'a'", "impossible", "[-16, 0]");
    BAD(ONE("F32", "[4]", "[-9223372036854775808,9223372036854775807]"), "'a'", "impossible");
    BAD(ONE("F32", "[4]", "[1,17]"), "'a'", "byte 17", "has 16", "cut short");
    BAD(ONE("F32", "[4]", "[0,9223372036854775807]"), "'a'", "9223372036854775807", "cut short");
    BAD(ONE("F32", "[3]", "[4,16]"), "'a'", "byte 4", "4 bytes before it");
    BAD(ONE("F32", "[3]", "[0,12]"), "4 bytes at its end");
    BAD("{\"__metadata__\":{}}", "16 bytes at its end");
    BAD("{\"a\":" ENTRY("F32", "[2]", "[0,8]") ",\"b\":" ENTRY("F32", "[3]", "[4,16]") "}",
        "'b' overlaps 'a'");
    BAD("{\"b\":" ENTRY("F32", "[4]", "[0,16]") ",\"a\":" ENTRY("F32", "[4]", "[0,16]") "}",
        "overlaps", "'a'", "'b'");
    BAD("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[2]", "[8,16]") "}", "'b'",
        "byte 8", "4 bytes before it");
}

static void names(void **state) {
    char header[CAPACITY], name[200];
    memset(name, 'n', sizeof name);
    name[96] = '\0';
    snprintf(header, sizeof header, "{\"%s\":" ENTRY("F32", "[4]", "[0,16]") "}", name);
    BAD(header, "'nnnnnnnn", "96 bytes", "at most 95");
    memmove(header + 2, header + 3, strlen(header + 2)); /* 95 bytes are fine */
    const char *path = in_folder(*state, "long");
    put(path, header, 16);
    struct tensor_list list = read_ok(path);
    assert_string_equal(list.tensors[0].name, name + 1);
    tensor_list_free(&list);
}

/* As many tensors as a list holds, and one more. */
static void many(void **state) {
    const char *path = in_folder(*state, "many");
    for (int count = MAX_TENSORS; count <= MAX_TENSORS + 1; count++) {
        char header[CAPACITY];
        size_t used = 0;
        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(
                header + used, sizeof header - used,
                "%c\"t%d\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[%d,%d]}",
                i == 0 ? '{' : ',', i, 4 * i, 4 * i + 4);
        strcpy(header + used, "}");
        put(path, header, 4 * (size_t)count);
        if (count > MAX_TENSORS) {
            REFUSED(path, "one too many", "128");
            continue;
        }
        struct tensor_list list = read_ok(path);
        assert_int_equal(list.count, MAX_TENSORS);
        assert_string_equal(list.tensors[MAX_TENSORS - 1].name, "t127");
        tensor_list_free(&list);
    }
}

/* ---- every cut, every bit -------------------------------------------------------------------- */

static size_t example(unsigned char *bytes) {
    static const char header[] =
        "{\"a\":" ENTRY("F32", "[2]", "[8,16]") ",\"n\":" ENTRY("I64", "[]", "[0,8]") "}";
    size_t length = sizeof header - 1;
    memset(bytes, 0, 8);
    bytes[0] = (unsigned char)length;
    memcpy(bytes + 8, header, length);
    memset(bytes + 8 + length, 0x5a, 16);
    return 8 + length + 16;
}

static void every_cut(void **state) {
    unsigned char bytes[512];
    const char *path = in_folder(*state, "cut");
    size_t size = example(bytes);
    for (size_t cut = 0; cut < size; cut++) {
        file_put(path, bytes, cut);
        REFUSED(path, "weights file");
    }
    file_put(path, bytes, size);
    struct tensor_list list = read_ok(path);
    tensor_list_free(&list);
}

/* A flipped bit gives a different file or a refusal, never anything else. */
static void every_bit(void **state) {
    unsigned char bytes[512];
    const char *path = in_folder(*state, "bit");
    size_t size = example(bytes);
    file_put(path, bytes, size);
    for (size_t bit = 0; bit < 8 * (size - 16); bit++) {
        unsigned char flipped = bytes[bit / 8] ^ (unsigned char)(1u << bit % 8);
        struct error error;
        file_poke(path, bit / 8, &flipped, 1);
        enum status status = read_bad(&error, path);
        assert_true(status == STATUS_OK || status == STATUS_BAD_DATA);
        file_poke(path, bit / 8, &bytes[bit / 8], 1);
    }
}

/* ---- calls that fail ------------------------------------------------------------------------- */

static int reads, failing_read, read_reason; /* the call that fails, from 1; 0: none */
static int allocations, failing_allocation;

ssize_t read(int file, void *out, size_t bytes) {
    if (++reads == failing_read) {
        errno = read_reason; /* 0: the file has become shorter */
        return read_reason == 0 ? 0 : -1;
    }
    return syscall(SYS_read, file, out, bytes);
}

static bool no_memory_now(void) {
    return ++allocations == failing_allocation;
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    void *block = NULL;
    if (no_memory_now() || posix_memalign(&block, alignment, bytes) != 0)
        return NULL;
    return block;
}

static void *json_alloc(size_t bytes) {
    return no_memory_now() ? NULL : malloc(bytes);
}

static void failing_reads(void **state) {
    static const int reasons[] = {EIO, 0};
    struct error error;
    unsigned char bytes[512];
    const char *path = in_folder(*state, "file");
    file_put(path, bytes, example(bytes));
    for (int i = 0; i < 2; i++) {
        for (failing_read = 1; failing_read <= 4; failing_read++) { /* length, header, data */
            reads = 0, read_reason = reasons[i];
            enum status status = read_bad(&error, path);
            FAILED(status, STATUS_BAD_DATA, &error, path,
                   reasons[i] == 0 ? "while being read" : strerror(EIO));
        }
    }
    reads = 0, failing_read = 2, read_reason = EINTR;
    struct tensor_list list = read_ok(path);
    tensor_list_free(&list);
    failing_read = 0;
}

/* Every allocation fails, jansson's too, which reports some of its own failures as bad JSON. */
static void no_memory(void **state) {
    struct error error;
    unsigned char bytes[512];
    const char *path = in_folder(*state, "file");
    file_put(path, bytes, example(bytes));
    json_set_alloc_funcs(json_alloc, free);
    enum status status = STATUS_FAILED;
    for (failing_allocation = 1; status != STATUS_OK; failing_allocation++) {
        allocations = 0;
        status = read_bad(&error, path);
        if (status == STATUS_FAILED)
            assert_non_null(strstr(error.text, "out of memory"));
        else
            assert_true(status == STATUS_BAD_DATA || status == STATUS_OK);
    }
    assert_true(failing_allocation > 20);
    failing_allocation = 0;
    json_set_alloc_funcs(malloc, free);
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(round_trip),
        IN_FOLDER(metadata),
        IN_FOLDER(as_pytorch_writes),
        IN_FOLDER(any_order),
        IN_FOLDER(no_file),
        IN_FOLDER(no_rights),
        IN_FOLDER(wrong_lengths),
        IN_FOLDER(harmless_oddities),
        IN_FOLDER(other_formats),
        IN_FOLDER(metadata_alone),
        cmocka_unit_test(settings),
        cmocka_unit_test(channels),
        cmocka_unit_test(contradictions),
        IN_FOLDER(other_files),
        IN_FOLDER(large_files),
        IN_FOLDER(not_json),
        IN_FOLDER(deep_and_wide),
        IN_FOLDER(entries),
        IN_FOLDER(shapes),
        IN_FOLDER(offsets),
        IN_FOLDER(names),
        IN_FOLDER(many),
        IN_FOLDER(every_cut),
        IN_FOLDER(every_bit),
        IN_FOLDER(not_finite_values_are_read),
        IN_FOLDER(failing_reads),
        IN_FOLDER(no_memory),
    };
    return cmocka_run_group_tests_name("weights_read", tests, NULL, NULL);
}
