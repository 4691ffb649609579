/* test_event_file.c: event files: the checksum against published values, records against those of
 * TensorBoard's own writer, full disks, and the files of short training runs against metrics.jsonl.
 * tests/test_resume.c tests interrupted runs. */
#include "event_records.h"
#include "run_fixture.h"
#include "support.h"

#include "base/clock.h"
#include "run/crc32c.h"
#include "run/event_file.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the checksum ---------------------------------------------------------------------------- */

/* RFC 3720, appendix B.4, and the check value of the catalogue of parametrised CRC algorithms
 * (reveng.sourceforge.io/crc-catalogue), CRC-32/ISCSI. */
static void published_checksums(void **state) {
    (void)state;
    enum { SIZE = 32 };
    static const uint8_t zeros[SIZE];
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2,    0, 0, 0, 0, 0, 0, 0};
    uint8_t ones[SIZE], up[SIZE], down[SIZE];
    for (int i = 0; i < SIZE; i++) {
        ones[i] = 0xff;
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(SIZE - 1 - i);
    }
    assert_int_equal(crc32c(zeros, SIZE), 0x8a9136aa);
    assert_int_equal(crc32c(ones, SIZE), 0x62a8ab43);
    assert_int_equal(crc32c(up, SIZE), 0x46dd794e);
    assert_int_equal(crc32c(down, SIZE), 0x113fdb5c);
    assert_int_equal(crc32c(read_command, sizeof read_command), 0xd9963a56);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
}

/* ---- records --------------------------------------------------------------------------------- */

static struct event_file create(const char *folder) {
    struct error error;
    struct event_file file;
    assert_succeeded(event_file_create(&error, &file, folder), &error);
    return file;
}

static struct event_list close_and_read(struct event_file *file) {
    struct error error;
    assert_succeeded(event_file_close(&error, file), &error);
    return read_events(file->path);
}

/* Only the first bytes of a PNG of 3 x 2 pixels of `colour_type`. */
enum { PNG_BYTES = 37 };
static void put_png(uint8_t out[PNG_BYTES], uint8_t colour_type) {
    static const uint8_t start[PNG_BYTES] =
        "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2\10?\0\0\0\1\2\3\4rest";
    memcpy(out, start, PNG_BYTES);
    out[25] = colour_type;
}

/* What TensorBoard 2.21 writes for the same events: tensorboard.summary.writer.record_writer with
 * the bytes of tensorboard.compat.proto.event_pb2. */
static const uint8_t scalars_record[] = {
    0x2e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc5, 0xcb, 0x57, 0xfa, 0x09, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xf8, 0x3f, 0x10, 0xac, 0x02, 0x2a, 0x20, 0x0a, 0x11, 0x0a, 0x0a, 0x6c, 0x6f,
    0x73, 0x73, 0x2f, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x15, 0x00, 0x00, 0x80, 0x3e, 0x0a, 0x0b, 0x0a,
    0x04, 0x72, 0x61, 0x74, 0x65, 0x15, 0xe6, 0xb1, 0x61, 0xff, 0xef, 0x1c, 0x5e, 0xf1};
static const uint8_t image_record[] = {
    0x4e, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc4, 0xb9, 0x05, 0xad, 0x09, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0xf8, 0x3f, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
    0x2a, 0x38, 0x0a, 0x36, 0x0a, 0x05, 0x73, 0x68, 0x65, 0x65, 0x74, 0x22, 0x2d, 0x08, 0x02, 0x10,
    0x03, 0x18, 0x03, 0x22, 0x25, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00,
    0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x02, 0x08, 0x02, 0x00,
    0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x72, 0x65, 0x73, 0x74, 0x12, 0x2e, 0x43, 0x4b};

static void same_bytes_as_tensorboard(void **state) {
    struct error error;
    struct event_file file = create(*state);
    size_t begin = (size_t)file.bytes, size;
    const struct event_scalar scalars[] = {{"loss/train", 0.25f}, {"rate", -3e38f}};
    uint8_t png[PNG_BYTES];
    put_png(png, 2);
    assert_succeeded(event_file_add_scalars(&error, &file, 300, 1.5, scalars, 2), &error);
    assert_succeeded(event_file_add_image(&error, &file, "sheet", -1, 1.5, png, PNG_BYTES), &error);
    assert_succeeded(event_file_close(&error, &file), &error);
    unsigned char *bytes = slurp(&size, file.path);
    assert_int_equal(size, begin + sizeof scalars_record + sizeof image_record);
    assert_memory_equal(bytes + begin, scalars_record, sizeof scalars_record);
    assert_memory_equal(bytes + begin + sizeof scalars_record, image_record, sizeof image_record);
    free(bytes);
}

static void name_and_version(void **state) {
    double before = clock_wall();
    struct event_file file = create(*state);
    const char *name = strrchr(file.path, '/') + 1;
    long long seconds = 0;
    char rest[32] = "";
    assert_int_equal(sscanf(name, "events.out.tfevents.%10lld%31s", &seconds, rest), 2);
    assert_string_equal(rest, ".train_gpu");
    assert_true((double)seconds > before - 1 && (double)seconds <= clock_wall());
    struct event_list list = close_and_read(&file);
    assert_int_equal(list.count, 1);
    assert_true(list.events[0].wall_time >= before && list.events[0].wall_time <= clock_wall());
    assert_int_equal(list.events[0].scalars + list.events[0].images, 0);
    free_events(&list);
}

static void steps(void **state) {
    static const int64_t cases[] = {0,          1,         127, 128,  16383,    16384,
                                    UINT32_MAX, INT64_MAX, -1,  -128, INT64_MIN};
    enum { CASES = sizeof cases / sizeof cases[0] };
    struct error error;
    struct event_file file = create(*state);
    const struct event_scalar scalar = {"tag", 1};
    for (int i = 0; i < CASES; i++)
        assert_succeeded(event_file_add_scalars(&error, &file, cases[i], 1.0 + i, &scalar, 1),
                         &error);
    struct event_list list = close_and_read(&file);
    assert_int_equal(list.count, CASES + 1);
    for (int i = 0; i < CASES; i++) {
        assert_true(list.events[i + 1].step == cases[i]);
        assert_true(list.events[i + 1].wall_time == 1.0 + i);
    }
    free_events(&list);
}

static void values(void **state) {
    static const float cases[EVENT_SCALARS] = {NAN,    INFINITY, -INFINITY, -0.0f,
                                               1e-45f, 3.4e38f,  1.0f / 3,  -1};
    struct error error;
    struct event_file file = create(*state);
    char long_tag[EVENT_TAG];
    struct event_scalar scalars[EVENT_SCALARS];
    memset(long_tag, 'x',
           EVENT_TAG - 1); /* its length takes two bytes, and so do those around it */
    long_tag[EVENT_TAG - 1] = '\0';
    for (int i = 0; i < EVENT_SCALARS; i++)
        scalars[i] = (struct event_scalar){i % 2 == 0 ? "short" : long_tag, cases[i]};
    assert_succeeded(event_file_add_scalars(&error, &file, 7, 1, scalars, EVENT_SCALARS), &error);
    struct event_list list = close_and_read(&file);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.events[1].scalars, EVENT_SCALARS);
    assert_memory_equal(list.events[1].values, cases, sizeof cases); /* bits: NaN and -0 as well */
    for (int i = 0; i < EVENT_SCALARS; i++)
        assert_string_equal(list.events[1].tags[i], scalars[i].tag);
    free_events(&list);
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Nothing after the header is checked: the bytes are passed on as they are. */
static void large_image_of_a_file(void **state) {
    enum { SIZE = 300000 };
    struct error error;
    uint8_t *png = malloc(SIZE);
    assert_non_null(png);
    for (int i = 0; i < SIZE; i++)
        png[i] = (uint8_t)(i * 7 + i / 256);
    put_png(png, 6);
    memcpy(png + 16, "\0\1\0\2\0\0\0\200", 8); /* 65538 x 128 pixels */
    const char *path = in_folder(*state, "sheet.png");
    file_put(path, png, SIZE);
    struct event_file file = create(*state);
    double before = clock_wall();
    assert_succeeded(event_file_add_image_file(&error, &file, "sheet", 1 << 20, path), &error);
    struct event_list list = close_and_read(&file);
    assert_int_equal(list.count, 2);
    const struct event *event = &list.events[1];
    assert_true(event->images == 1 && event->scalars == 0 && event->step == 1 << 20);
    assert_true(event->wall_time >= before && event->wall_time <= clock_wall());
    assert_string_equal(event->tags[0], "sheet");
    assert_true(event->width == 65538 && event->height == 128 && event->colorspace == 4);
    assert_int_equal(event->png_bytes, SIZE);
    assert_memory_equal(event->png, png, SIZE);
    free_events(&list);
    free(png);
}

static void kinds_of_images(void **state) {
    static const struct {
        uint8_t colour_type;
        unsigned colorspace; /* 0: not in any PNG */
    } cases[] = {{0, 1}, {1, 0}, {2, 3}, {3, 3}, {4, 2}, {5, 0}, {6, 4}, {7, 0}, {255, 0}};
    struct error error;
    struct event_file file = create(*state);
    uint8_t png[PNG_BYTES];
    int good = 0;
    unsigned due[sizeof cases / sizeof cases[0]];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_png(png, cases[i].colour_type);
        enum status status = event_file_add_image(&error, &file, "tag", 1, 1, png, PNG_BYTES);
        if (cases[i].colorspace == 0)
            FAILED(status, STATUS_BAD_DATA, &error, "'tag'", "not a PNG");
        else
            assert_succeeded(status, &error), due[good++] = cases[i].colorspace;
    }
    struct event_list list = close_and_read(&file);
    assert_int_equal(list.count, good + 1);
    for (int i = 0; i < good; i++) {
        assert_int_equal(list.events[i + 1].colorspace, due[i]);
        assert_true(list.events[i + 1].width == 3 && list.events[i + 1].height == 2);
    }
    free_events(&list);
}

/* Bytes that are not a PNG leave the file as it was. */
static void no_images(void **state) {
    struct error error;
    uint8_t png[PNG_BYTES], bad[PNG_BYTES];
    put_png(png, 2);
    struct event_file file = create(*state);
    off_t before = file.bytes;
#define REFUSED(size)                                                                              \
    FAILED(event_file_add_image(&error, &file, "tag", 1, 1, bad, size), STATUS_BAD_DATA, &error,   \
           "'tag'", "not a PNG")
    for (size_t i = 0; i < 16; i++) { /* signature, length and name of the first chunk */
        memcpy(bad, png, PNG_BYTES);
        bad[i] ^= 1;
        REFUSED(PNG_BYTES);
    }
    memcpy(bad, png, PNG_BYTES);
    for (size_t size = 0; size < 33; size++)
        REFUSED(size);
    bad[19] = 0; /* no pixel wide */
    REFUSED(PNG_BYTES);
    bad[16] = 0x80, bad[19] = 3; /* over 2^31 - 1 */
    REFUSED(PNG_BYTES);
    memcpy(bad, png, PNG_BYTES);
    bad[20] = 0x80;
    REFUSED(PNG_BYTES);
    const char *path = in_folder(*state, "none.png");
    FAILED(event_file_add_image_file(&error, &file, "tag", 1, path), STATUS_BAD_DATA, &error, path);
    FAILED(event_file_add_image_file(&error, &file, "tag", 1, *state), STATUS_BAD_DATA, &error,
           *state);
    path = in_folder(*state, "empty.png");
    file_put(path, "", 0);
    FAILED(event_file_add_image_file(&error, &file, "tag", 1, path), STATUS_BAD_DATA, &error, path,
           "not a PNG");
    assert_true(file.bytes == before);
    struct event_list list = close_and_read(&file);
    assert_int_equal(list.count, 1);
    free_events(&list);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk that is full after `room` more bytes: the records that fit are complete, nothing else is
 * written, and with room again, records follow. */
static void fill(const char *folder, size_t room) {
    struct error error, full;
    struct event_file file = create(folder);
    const struct event_scalar scalar = {"tag", 1};
    size_t begin = (size_t)file.bytes, fits = 0;
    enum status status;
    limit_files(begin + room);
    while ((status = event_file_add_scalars(&full, &file, 1, 1, &scalar, 1)) == STATUS_OK)
        fits++;
    limit_files(RLIM_INFINITY);
    FAILED(status, STATUS_FAILED, &full, file.path, "bytes needed", "make room");
    struct event_list list = read_events(file.path);
    assert_int_equal(list.count, 1 + fits);
    free_events(&list);
    size_t each = fits == 0 ? 0 : ((size_t)file.bytes - begin) / fits;
    assert_true(fits == 0 || (fits == room / each && fits * each == (size_t)file.bytes - begin));
    assert_succeeded(event_file_add_scalars(&error, &file, 2, 1, &scalar, 1), &error);
    list = close_and_read(&file);
    assert_int_equal(list.count, 2 + fits);
    assert_true(list.events[1 + fits].step == 2);
    free_events(&list);
    assert_int_equal(unlink(file.path), 0);
}

static void full_disk(void **state) {
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    if (before.rlim_max != RLIM_INFINITY)
        skip_because("the size of files is limited here");
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    for (size_t room = 0; room < 100; room++)
        fill(*state, room);
    struct error error;
    struct event_file file;
    limit_files(10);
    enum status status = event_file_create(&error, &file, *state);
    limit_files(RLIM_INFINITY);
    FAILED(status, STATUS_FAILED, &error, *state, "bytes needed");
    assert_file_holds(file.path, "", 0);
    assert_succeeded(event_file_close(&error, &file), &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

/* Only our own files are removed, and descriptors are closed. */
static void removes_its_own(void **state) {
    static const char *const others[] = {
        "events.out.tfevents.1700000000.host", "events.out.tfevents.1700000000.train_gpu.v2",
        "events.out.tfevents..train_gpu",      "events.out.tfevents.17x.train_gpu",
        "tfevents.1700000000.train_gpu",       "metrics.jsonl"};
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct error error;
    for (int i = 0; i < OTHERS; i++)
        file_put(in_folder(*state, others[i]), "x", 1);
    file_put(in_folder(*state, "events.out.tfevents.1.train_gpu"), "x", 1);
    int descriptor = lowest_free_descriptor();
    struct event_file file = create(*state);
    assert_succeeded(event_file_close(&error, &file), &error);
    assert_int_equal(folder_entries(*state), OTHERS + 2);
    assert_succeeded(event_files_remove(&error, *state), &error);
    assert_int_equal(lowest_free_descriptor(), descriptor);
    assert_int_equal(folder_entries(*state), OTHERS);
    for (int i = 0; i < OTHERS; i++)
        assert_true(is_there(*state, others[i]));
    const char *none = in_folder(*state, "none");
    FAILED(event_files_remove(&error, none), STATUS_FAILED, &error, none);
    FAILED(event_file_create(&error, &file, none), STATUS_FAILED, &error, none);
    assert_succeeded(event_file_close(&error, &file), &error);
}

/* TensorBoard reads files in the order of their names and moves on only to later ones, so a new
 * name must be later even within the same second, and after the clock was set back. */
static void names_follow_each_other(void **state) {
    struct error error;
    char before[1024], path[1024];
    file_put(in_folder(*state, "events.out.tfevents.4000000000.train_gpu"), "x", 1);
    file_put(in_folder(*state, "events.out.tfevents.9000000000.other"), "x", 1);
    struct event_file file = create(*state);
    assert_succeeded(event_file_close(&error, &file), &error);
    assert_non_null(strstr(file.path, ".4000000001.train_gpu"));
    assert_succeeded(event_files_remove(&error, *state), &error);
    assert_int_equal(folder_entries(*state), 1);
    assert_int_equal(unlink(in_folder(*state, "events.out.tfevents.9000000000.other")), 0);
    for (int i = 1; i <= 3; i++) {
        file = create(*state);
        assert_succeeded(event_file_close(&error, &file), &error);
        assert_int_equal(find_event_files(path, *state), i);
        assert_string_equal(path, file.path);
        assert_true(i == 1 || strcmp(path, before) > 0);
        strcpy(before, path);
    }
}

static void no_event_file(void **state) {
    struct error error;
    struct event_file none = EVENT_FILE_NONE;
    const struct event_scalar scalar = {"tag", 1};
    const char *path = in_folder(*state, "none.png");
    assert_succeeded(event_file_add_scalars(&error, &none, 1, 1, &scalar, 1), &error);
    assert_succeeded(event_file_add_image(&error, &none, "tag", 1, 1, "", 0), &error);
    assert_succeeded(event_file_add_image_file(&error, &none, "tag", 1, path), &error);
    assert_succeeded(event_file_close(&error, &none), &error);
    assert_int_equal(folder_entries(*state), 0);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void events_of_a_run(void **state) {
    char path[1024];
    struct options options = small_run(*state, RECIPE_TUNED, NORM_GROUP);
    options.tensorboard = true;
    double before = clock_wall();
    run_ok(&options);
    assert_events_are_metrics(options.out, 1);
    assert_int_equal(find_event_files(path, options.out), 1);
    struct event_list list = read_events(path);
    assert_int_equal(list.count, 1 + EPOCHS);
    assert_true(list.events[0].wall_time >= before &&
                list.events[EPOCHS].wall_time <= clock_wall());
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        assert_true(list.events[epoch].step == (int64_t)epoch * STEPS);
        assert_true(list.events[epoch].wall_time > list.events[epoch - 1].wall_time);
    }
    free_events(&list);
}

/* Without the option there is no event file, not even an earlier run's. */
static void only_when_wanted(void **state) {
    char path[1024];
    struct options options = small_run(*state, RECIPE_REFERENCE, NORM_LAYER);
    options.max_steps = 1;
    run_ok(&options);
    assert_int_equal(find_event_files(path, options.out), 0);
    options.force = true;
    options.tensorboard = true;
    run_ok(&options);
    assert_events_are_metrics(options.out, 1);
    run_ok(&options);
    assert_events_are_metrics(options.out, 1);
    file_put(in_folder(options.out, "events.out.tfevents.1.other"), "x", 1);
    options.tensorboard = false;
    run_ok(&options);
    assert_int_equal(find_event_files(path, options.out), 1);
    assert_non_null(strstr(path, ".other"));
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_checksums),
        IN_FOLDER(same_bytes_as_tensorboard),
        IN_FOLDER(name_and_version),
        IN_FOLDER(steps),
        IN_FOLDER(values),
        IN_FOLDER(large_image_of_a_file),
        IN_FOLDER(kinds_of_images),
        IN_FOLDER(no_images),
        IN_FOLDER(full_disk),
        IN_FOLDER(removes_its_own),
        IN_FOLDER(names_follow_each_other),
        IN_FOLDER(no_event_file),
        IN_FOLDER(events_of_a_run),
        IN_FOLDER(only_when_wanted),
    };
    return cmocka_run_group_tests_name("event_file", tests, NULL, NULL);
}
