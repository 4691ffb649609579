/* test_dataset.c: the CIFAR-10 reader on good files and on every kind of bad one.
 *
 * The files are mostly holes: 30,730,000 zeros (label 0, black pixels) that take no room on the
 * disk, with a few bytes written in. The program replaces the C library's
 * aligned_alloc, mmap and pthread_create with its own, which can fail. */
#include "support.h"

#include "base/thread.h"
#include "data/dataset.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORDS = 10000, RECORD = 1 + IMAGE_BYTES, WHOLE = RECORDS * RECORD };

static const char *const names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                    "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
enum { FILES = sizeof names / sizeof names[0] };

/* ---- failing calls --------------------------------------------------------------------------- */

/* Calls so far, and the call that fails, from 1; 0: none. */
struct failing {
    int calls, fail_at;
};
static struct failing allocations, maps, threads;

static bool fails(struct failing *calls) {
    return ++calls->calls == calls->fail_at;
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    void *block = NULL;
    if (fails(&allocations) || posix_memalign(&block, alignment, bytes) != 0)
        return NULL;
    return block;
}

/* Only maps of files are counted; the C library does not call this one for its own memory. */
void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset) {
    if (file >= 0 && fails(&maps)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    union {
        void *symbol;
        void *(*call)(void *, size_t, int, int, int, off_t);
    } real = {.symbol = dlsym(RTLD_NEXT, "mmap")};
    return real.call(address, bytes, protection, flags, file, offset);
}

/* All threads from the `fail_at`-th on cannot be started. */
int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*work)(void *),
                   void *argument) {
    union {
        void *symbol;
        int (*call)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    } real = {.symbol = dlsym(RTLD_NEXT, "pthread_create")};
    if (++threads.calls >= threads.fail_at && threads.fail_at != 0)
        return EAGAIN;
    return real.call(out, attributes, work, argument);
}

/* ---- folders with data ----------------------------------------------------------------------- */

/* cmocka set-up: a temporary folder with six whole files. */
static int data_folder_make(void **state) {
    if (temporary_folder_make(state) != 0)
        return -1;
    for (int i = 0; i < FILES; i++)
        file_put(in_folder(*state, names[i]), NULL, WHOLE);
    return 0;
}

/* Checks that opening the folder fails for bad data, with this in the message, and that nothing
 * stays open or set. */
#define REFUSED(folder, ...)                                                                       \
    do {                                                                                           \
        struct error error;                                                                        \
        struct dataset set;                                                                        \
        int descriptor = lowest_free_descriptor();                                                 \
        FAILED(dataset_open(&error, &set, folder), STATUS_BAD_DATA, &error, __VA_ARGS__);          \
        assert_null(set.train.images);                                                             \
        assert_null(set.test.labels);                                                              \
        assert_int_equal(lowest_free_descriptor(), descriptor);                                    \
    } while (0)

/* ---- good data ------------------------------------------------------------------------------- */

/* Every file gets a label, a first and a last pixel byte at its first, at one middle and at its
 * last record. */
static void bytes_come_to_their_places(void **state) {
    static const int records[] = {0, 4567, RECORDS - 1};
    struct error error;
    struct dataset set;
    for (int i = 0; i < FILES; i++)
        for (int j = 0; j < 3; j++) {
            const uint8_t head[] = {(uint8_t)(i + j), (uint8_t)(10 * i + j + 1)};
            const uint8_t tail = (uint8_t)(200 + 3 * i + j);
            size_t offset = (size_t)records[j] * RECORD;
            file_poke(in_folder(*state, names[i]), offset, head, 2);
            file_poke(in_folder(*state, names[i]), offset + RECORD - 1, &tail, 1);
        }
    assert_succeeded(dataset_open(&error, &set, *state), &error);
    assert_string_equal(set.name, "CIFAR-10 (modified)");
    assert_string_equal(set.class_names[0], "airplane");
    assert_string_equal(set.class_names[9], "truck");
    assert_int_equal(set.train.count, 5 * RECORDS);
    assert_int_equal(set.test.count, RECORDS);
    for (int i = 0; i < FILES; i++)
        for (int j = 0; j < 3; j++) {
            const struct image_set *part = i < 5 ? &set.train : &set.test;
            int n = (i < 5 ? i * RECORDS : 0) + records[j];
            const uint8_t *image = part->images[n];
            assert_int_equal(part->labels[n], i + j);
            assert_int_equal(image[0], 10 * i + j + 1);
            assert_int_equal(image[1], 0);
            assert_int_equal(image[IMAGE_BYTES - 1], 200 + 3 * i + j);
        }
    dataset_close(&set);
    assert_null(set.train.images);
}

static void count_classes(int counts[CLASS_COUNT], const struct image_set *set) {
    memset(counts, 0, CLASS_COUNT * sizeof *counts);
    for (int i = 0; i < set->count; i++)
        counts[set->labels[i]]++;
}

/* The real files, where they are: 5,000 training and 1,000 test images of each class, and a frog
 * first (the first label of data_batch_1.bin is 6). */
static void the_real_set_is_balanced(void **state) {
    (void)state;
    struct error error;
    struct dataset set;
    struct stat found;
    int counts[CLASS_COUNT];
    const char *folder = getenv("CIFAR10_DIR");
    if (folder == NULL)
        folder = "data/cifar-10-batches-bin";
    if (stat(folder, &found) != 0)
        skip_because("no CIFAR-10 here (make data fetches it)");
    assert_succeeded(dataset_open(&error, &set, folder), &error);
    assert_string_equal(set.name, "CIFAR-10"); /* all six have their official MD5 */
    assert_string_equal(set.class_names[set.train.labels[0]], "frog");
    count_classes(counts, &set.train);
    for (int i = 0; i < CLASS_COUNT; i++)
        assert_int_equal(counts[i], 5000);
    count_classes(counts, &set.test);
    for (int i = 0; i < CLASS_COUNT; i++)
        assert_int_equal(counts[i], 1000);
    dataset_close(&set);
}

static void the_synthetic_set_opens_by_name(void **state) {
    (void)state;
    struct error error;
    struct dataset set;
    assert_succeeded(dataset_open(&error, &set, "synthetic:1"), &error);
    assert_string_equal(set.name, "synthetic");
    assert_true(set.synthetic && set.seed == 1);
    assert_ptr_equal(set.class_names, synthetic_class_names);
    assert_int_equal(set.train.count, 10000);
    assert_int_equal(set.test.count, 2000);
    assert_memory_not_equal(set.train.images[0], set.test.images[0], IMAGE_BYTES);
    dataset_close(&set);
}

static bool same_image(const struct image_set *a, int i, const struct image_set *b, int k) {
    return a->labels[i] == b->labels[k] && memcmp(a->images[i], b->images[k], IMAGE_BYTES) == 0;
}

/* Each training image is in one of the two sets, and both keep the order. The split is that of the
 * number of images alone: it is the same for another set of as many, and a part of a larger one. */
static void images_are_held_out(void **state) {
    (void)state;
    struct error error;
    struct dataset whole, split, fewer, other;
    assert_succeeded(dataset_open(&error, &whole, "synthetic:1"), &error);
    assert_succeeded(dataset_open_split(&error, &split, "synthetic:1", 1500), &error);
    assert_succeeded(dataset_open_split(&error, &fewer, "synthetic:1", 100), &error);
    assert_succeeded(dataset_open_split(&error, &other, "synthetic:2", 1500), &error);
    assert_int_equal(split.validation, 1500);
    assert_int_equal(split.train.count, 8500);
    assert_int_equal(split.test.count, 1500);
    int kept = 0, held_out = 0, in_fewer = 0, first[3] = {0};
    for (int i = 0; i < whole.train.count; i++) {
        bool is_held_out = held_out < 1500 && same_image(&whole.train, i, &split.test, held_out);
        assert_true(is_held_out || same_image(&whole.train, i, &split.train, kept));
        assert_int_equal(
            (is_held_out ? &other.test : &other.train)->labels[is_held_out ? held_out : kept],
            whole.train.labels[i]);
        if (in_fewer < 100 && same_image(&whole.train, i, &fewer.test, in_fewer)) {
            assert_true(is_held_out);
            in_fewer++;
        }
        if (is_held_out && held_out < 3)
            first[held_out] = i;
        held_out += is_held_out;
        kept += !is_held_out;
    }
    assert_int_equal(in_fewer, 100);
    assert_true(first[0] == 10 && first[1] == 19 && first[2] == 24); /* as ever */
    dataset_close(&whole);
    dataset_close(&split);
    dataset_close(&fewer);
    dataset_close(&other);
}

/* The test set is not opened, and an image must be left to train on. */
static void held_out_without_a_test_set(void **state) {
    struct error error;
    struct dataset set;
    int descriptor = lowest_free_descriptor();
    assert_int_equal(unlink(in_folder(*state, "test_batch.bin")), 0);
    assert_succeeded(dataset_open_split(&error, &set, *state, 5 * RECORDS - 1), &error);
    assert_int_equal(set.train.count, 1);
    assert_int_equal(set.test.count, 5 * RECORDS - 1);
    dataset_close(&set);
    FAILED(dataset_open_split(&error, &set, *state, 5 * RECORDS), STATUS_USAGE, &error,
           "50000 images cannot be held out", "hold out 49999 at most");
    assert_null(set.train.images);
    assert_int_equal(lowest_free_descriptor(), descriptor);
    FAILED(dataset_open_split(&error, &set, *state, 0), STATUS_BAD_DATA, &error, "test_batch.bin");
}

static void names_without_images(void **state) {
    (void)state;
    struct dataset set = dataset_named("synthetic");
    assert_string_equal(set.name, "synthetic");
    assert_ptr_equal(set.class_names, synthetic_class_names);
    const char *const others[] = {"CIFAR-10 (modified)", "CIFAR-10", "another set", "", NULL};
    for (int i = 0; i < 5; i++) {
        set = dataset_named(others[i]);
        assert_string_equal(set.name, i == 0 ? others[0] : "CIFAR-10");
        assert_string_equal(set.class_names[9], "truck");
        assert_null(set.test.images);
    }
}

/* The test images alone: the same ones, and the other five files may be missing. */
static void test_images_alone(void **state) {
    struct error error;
    struct dataset whole, test;
    const char *path = in_folder(*state, "test_batch.bin");
    for (int i = 0; i < FILES - 1; i++)
        assert_int_equal(unlink(in_folder(*state, names[i])), 0);
    file_poke(path, 0, "\7\1\2\3", 4);
    assert_succeeded(dataset_open_test(&error, &test, *state), &error);
    assert_int_equal(test.train.count, 0);
    assert_null(test.train.images);
    assert_int_equal(test.test.count, RECORDS);
    assert_int_equal(test.test.labels[0], 7);
    assert_int_equal(test.test.images[0][2], 3);
    dataset_close(&test);
    file_put(path, NULL, 5);
    FAILED(dataset_open_test(&error, &test, *state), STATUS_BAD_DATA, &error, path);
    assert_null(test.test.images);
    assert_succeeded(dataset_open(&error, &whole, "synthetic:3"), &error);
    assert_succeeded(dataset_open_test(&error, &test, "synthetic:3"), &error);
    assert_int_equal(test.train.count, 0);
    assert_int_equal(test.test.count, whole.test.count);
    assert_memory_equal(test.test.pixels, whole.test.pixels,
                        (size_t)whole.test.count * IMAGE_BYTES);
    assert_memory_equal(test.test.labels, whole.test.labels, (size_t)whole.test.count);
    dataset_close(&test);
    dataset_close(&whole);
}

/* ---- what is remembered ---------------------------------------------------------------------- */

/* Puts the official MD5 of each file into the folder's record. */
static void forge_memory(const char *memory) {
    static const char *const official[] = {
        "5dd7e06a14cb22eb9f671a540d1b7c25", "5ea93a67294ea407fff1d09f752e9692",
        "942cd6a4bcdd0dd3c604fbe906cb4421", "ae636b3ba5c66a11e91e8cb52e771fcb",
        "53f37980c15c3d472c316c40844f3f0d", "803d5f7f4d78ea53de84dbe85f74fb6d"};
    char text[2048];
    FILE *file = fopen(memory, "r");
    assert_non_null(file);
    size_t bytes = fread(text, 1, sizeof text, file);
    assert_int_equal(fclose(file), 0);
    const char *line = text;
    for (int i = 0; i < FILES; i++) {
        file_poke(memory, (size_t)(line - text), official[i], 32);
        line = (const char *)memchr(line, '\n', bytes - (size_t)(line - text)) + 1;
    }
    assert_ptr_equal(line, text + bytes); /* one line per file */
}

/* The path of the one file in a folder. */
static const char *only_file(const char *folder) {
    DIR *entries = opendir(folder);
    const char *path = NULL;
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        assert_null(path);
        path = in_folder(folder, entry->d_name);
    }
    closedir(entries);
    return path;
}

static const char *name_of(const char *folder) {
    struct error error;
    struct dataset set;
    assert_succeeded(dataset_open(&error, &set, folder), &error);
    const char *name = set.name;
    dataset_close(&set);
    return name;
}

/* Sums are computed once, and again for a file that has changed. */
static void sums_are_remembered(void **state) {
    const char *cache = in_folder(*state, "cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
    const char *memory = only_file(in_folder(cache, "train_gpu"));
    forge_memory(memory);
    assert_string_equal(name_of(*state), "CIFAR-10");
    file_poke(in_folder(*state, names[3]), 1, "\1", 1);
    assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
    forge_memory(memory);
    assert_string_equal(name_of(*state), "CIFAR-10");
    file_put(memory, "nonsense\n", 9); /* an unreadable record is not trusted */
    assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
    forge_memory(memory);
    assert_string_equal(name_of(*state), "CIFAR-10");
    unsetenv("XDG_CACHE_HOME");
}

/* A damaged sum would call official files modified, so it is taken again. */
static void a_damaged_sum_is_corrected(void **state) {
    char before[2048], after[sizeof before];
    const char *cache = in_folder(*state, "cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
    const char *memory = only_file(in_folder(cache, "train_gpu"));
    FILE *file = fopen(memory, "r");
    assert_non_null(file);
    size_t bytes = fread(before, 1, sizeof before, file);
    assert_int_equal(fclose(file), 0);
    file_poke(memory, 0, before[0] == '0' ? "1" : "0", 1);
    assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
    file = fopen(memory, "r");
    assert_non_null(file);
    assert_int_equal(fread(after, 1, sizeof after, file), bytes);
    assert_int_equal(fclose(file), 0);
    assert_memory_equal(after, before, bytes);
    unsetenv("XDG_CACHE_HOME");
}

/* With no place for the record, every start sums the files. */
static void nothing_can_be_remembered(void **state) {
    static const char *const places[] = {"/dev/null", "/nonexistent", "not/absolute", ""};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        setenv("XDG_CACHE_HOME", places[i], 1);
        assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
    }
    unsetenv("XDG_CACHE_HOME");
}

/* Where no thread can be started, the sums are taken one after the other. */
static void sums_without_threads(void **state) {
    char sums[2][2048] = {"", ""};
    const char *cache = in_folder(*state, "cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    for (int i = 0; i < 2; i++) {
        threads = (struct failing){.fail_at = i == 0 ? 0 : 3};
        assert_string_equal(name_of(*state), "CIFAR-10 (modified)");
        assert_int_equal(threads.calls, FILES);
        threads.fail_at = 0;
        const char *memory = only_file(in_folder(cache, "train_gpu"));
        FILE *file = fopen(memory, "r");
        assert_non_null(file);
        assert_true(fread(sums[i], 1, sizeof sums[i] - 1, file) > FILES * 32);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(unlink(memory), 0);
    }
    assert_string_equal(sums[0], sums[1]);
    unsetenv("XDG_CACHE_HOME");
}

/* ---- other data ------------------------------------------------------------------------------ */

/* What people have in place of the six files. */
static void recognized_folders(void **state) {
    static const char *const cases[][3] = {
        {"data_batch_1.bin.gz", "holds compressed files", "gunzip"},
        {"test_batch.bin.gz", "holds compressed files", "gunzip"},
        {"cifar-10-binary.tar.gz", "holds the archive of CIFAR-10", "tar -xzf"},
        {"data_batch_1", "holds the Python version of CIFAR-10", "make data"},
        {"cifar-10-batches-py", "holds the Python version of CIFAR-10", "make data"},
        {"data_batch_1.mat", "holds the Matlab version of CIFAR-10", "make data"},
        {"train.bin", "holds CIFAR-100", "networks are for CIFAR-10"},
        {"cifar-100-binary", "holds CIFAR-100", "networks are for CIFAR-10"},
        {"meta", "holds the Python version of CIFAR-100", "networks are for CIFAR-10"},
        {"train.mat", "holds the Matlab version of CIFAR-100", "networks are for CIFAR-10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = in_folder(*state, cases[i][0]);
        file_put(path, "", 0);
        REFUSED(*state, *state, cases[i][1], cases[i][2]);
        assert_int_equal(unlink(path), 0);
    }
    const char *inner = in_folder(*state, "cifar-10-batches-bin");
    assert_int_equal(mkdir(inner, 0777), 0);
    file_put(in_folder(inner, "data_batch_1.bin"), "", 0);
    REFUSED(*state, "one folder below", inner);
}

static void recognized_files(void **state) {
    static const char *const cases[][3] = {
        {"cifar-10-binary.tar.gz", "is the archive of CIFAR-10", "tar -xzf"},
        {"cifar-10-python.tar.gz", "is the Python version", "make data"},
        {"cifar-100-binary.tar.gz", "is CIFAR-100", "networks are for CIFAR-10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = in_folder(*state, cases[i][0]);
        file_put(path, "", 0);
        REFUSED(path, path, cases[i][1], cases[i][2]);
    }
}

static void broken_links(void **state) {
    const char *folder = in_folder(*state, "folder"), *file = in_folder(*state, names[4]);
    assert_int_equal(symlink("/nowhere/cifar", folder), 0);
    REFUSED(folder, folder, "broken link", "'/nowhere/cifar'");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("elsewhere.bin", file), 0);
    REFUSED(*state, file, "broken link", "'elsewhere.bin'");
}

/* ---- bad data -------------------------------------------------------------------------------- */

static void a_missing_folder(void **state) {
    const char *folder = in_folder(*state, "absent");
    REFUSED(folder, folder, strerror(ENOENT), "make data", "synthetic");
}

static void a_file_as_folder(void **state) {
    const char *folder = in_folder(*state, names[0]);
    REFUSED(folder, folder, "is one of the six files", "give the folder");
    folder = in_folder(*state, "some file");
    file_put(folder, "x", 1);
    REFUSED(folder, folder, "not a folder", "make data");
}

static void an_empty_name(void **state) {
    (void)state;
    REFUSED("", "data folder ''", strerror(ENOENT));
}

static void a_missing_file(void **state) {
    for (int i = 0; i < FILES; i += FILES - 1) { /* the first and the last */
        const char *path = in_folder(*state, names[i]), *aside = in_folder(*state, "aside");
        assert_int_equal(rename(path, aside), 0);
        REFUSED(*state, path, "no data file", "make data", "synthetic");
        assert_int_equal(rename(aside, path), 0);
    }
}

static void a_short_file(void **state) {
    const char *path = in_folder(*state, "data_batch_2.bin");
    assert_int_equal(truncate(path, WHOLE - 1), 0);
    char advice[200];
    snprintf(advice, sizeof advice, "`tools/fetch-cifar10 '%s'` fetches it", (char *)*state);
    REFUSED(*state, path, "cut short", "30729999 bytes", "30730000 expected", advice);
    assert_int_equal(truncate(path, WHOLE), 0);
    file_poke(path, 0, "\12", 1);
    REFUSED(*state, path, "damaged", advice);
}

static void a_long_file(void **state) {
    const char *path = in_folder(*state, "data_batch_1.bin");
    assert_int_equal(truncate(path, WHOLE + 1), 0);
    REFUSED(*state, path, "too long", "30730001 bytes", "30730000 expected");
}

static void an_empty_file(void **state) {
    const char *path = in_folder(*state, "data_batch_1.bin");
    assert_int_equal(truncate(path, 0), 0);
    REFUSED(*state, path, "is empty", "0 bytes", "30730000 expected");
}

static void a_label_over_nine(void **state) {
    const char *path = in_folder(*state, "data_batch_2.bin");
    const uint8_t nine = 9, ten = 10;
    file_poke(path, (size_t)1233 * RECORD, &nine, 1);
    file_poke(path, (size_t)1234 * RECORD, &ten, 1);
    REFUSED(*state, path, "record 1234 ", "byte 3792082", "label 10");
}

static void a_folder_in_place_of_a_file(void **state) {
    const char *path = in_folder(*state, "data_batch_3.bin");
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    REFUSED(*state, path, "is a folder");
}

/* Nobody writes to the pipe: a reader would wait forever. */
static void a_pipe_in_place_of_a_file(void **state) {
    const char *path = in_folder(*state, "data_batch_1.bin");
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0);
    REFUSED(*state, path, "pipe");
}

static void a_file_without_rights(void **state) {
    struct error error;
    struct dataset set;
    const char *path = in_folder(*state, "data_batch_1.bin");
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(chmod(path, 0), 0);
    become_ordinary();
    enum status status = dataset_open(&error, &set, *state);
    become_self();
    FAILED(status, STATUS_BAD_DATA, &error, path, strerror(EACCES));
}

/* Some file systems cannot map a file. */
static void a_file_that_cannot_be_mapped(void **state) {
    struct error error;
    struct dataset set;
    int descriptor = lowest_free_descriptor();
    maps = (struct failing){.fail_at = 2};
    FAILED(dataset_open(&error, &set, *state), STATUS_BAD_DATA, &error,
           in_folder(*state, "data_batch_2.bin"), "cannot map", strerror(ENODEV));
    maps.fail_at = 0;
    assert_null(set.train.images);
    assert_int_equal(lowest_free_descriptor(), descriptor);
}

/* Reads the last image in a thread, as the loader does. */
static void *read_last(void *argument) {
    const struct dataset *set = argument;
    volatile uint8_t last = set->train.images[set->train.count - 1][IMAGE_BYTES - 1];
    (void)last;
    return NULL;
}

/* In a process of its own: opens the set, cuts a file, reads what is gone. Ends with status 0 if it
 * can. */
static void read_what_is_gone(const char *folder, const char *log, bool in_thread) {
    struct error error;
    struct dataset set;
    pthread_t thread;
    if (freopen(log, "w", stderr) == NULL || dataset_open(&error, &set, folder) != STATUS_OK ||
        truncate(in_folder(folder, names[4]), 0) != 0 || fputs("a bar", stderr) < 0 ||
        fflush(stderr) != 0)
        _exit(100);
    if (!in_thread)
        read_last(&set);
    else if (thread_start(&thread, read_last, &set) != 0 || pthread_join(thread, NULL) != 0)
        _exit(101);
    _exit(0);
}

/* Without a handler, and in a thread that blocks the signal, the process would be killed by SIGBUS
 * without a word. */
static void a_file_that_shrinks_while_it_is_used(void **state) {
    const char *log = in_folder(*state, "log");
    for (int in_thread = 0; in_thread < 2; in_thread++) {
        char text[4096] = "";
        int status;
        file_put(in_folder(*state, names[4]), NULL, WHOLE);
        pid_t child = fork();
        if (child == 0)
            read_what_is_gone(*state, log, in_thread);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), STATUS_BAD_DATA);
        FILE *file = fopen(log, "r");
        assert_non_null(file);
        assert_true(fread(text, 1, sizeof text - 1, file) > 0);
        assert_int_equal(fclose(file), 0);
        const char *line = strstr(text, "a bartrain_gpu: a data file in '");
        assert_non_null(line);
        assert_non_null(strstr(line, *state));
        assert_non_null(strstr(line, "shorter or unreadable"));
        assert_int_equal(line[strlen(line) - 1], '\n');
    }
}

/* The message does not stand behind the bar. */
static void a_file_that_shrinks_with_a_terminal(void **state) {
    char text[4096] = "";
    size_t length = 0;
    ssize_t bytes;
    int status, terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0)
        fail_msg("no terminal: %s", strerror(errno));
    const char *name = ptsname(terminal);
    assert_non_null(name);
    pid_t child = fork();
    if (child == 0)
        read_what_is_gone(*state, name, false);
    /* ends with an error when the child has closed it */
    while ((bytes = read(terminal, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)bytes;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(close(terminal), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STATUS_BAD_DATA);
    assert_non_null(strstr(text, "a bar\r\ntrain_gpu: a data file in '"));
}

/* Fails each allocation in turn; the sanitizer's leak check sees what is not released. */
static void no_memory(void **state) {
    enum { CIFAR_BLOCKS = 4, SYNTHETIC_BLOCKS = 6 };
    struct error error;
    struct dataset set;
    for (int synthetic = 0; synthetic < 2; synthetic++)
        for (int n = 1; n <= (synthetic ? SYNTHETIC_BLOCKS : CIFAR_BLOCKS); n++) {
            allocations = (struct failing){.fail_at = n};
            enum status status = dataset_open(&error, &set, synthetic ? "synthetic:1" : *state);
            allocations.fail_at = 0;
            FAILED(status, STATUS_FAILED, &error, "out of memory");
            assert_int_equal(allocations.calls, n); /* it was the last one tried */
            assert_null(set.train.images);
            assert_null(set.test.images);
        }
}

#define WITH_DATA(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, data_folder_make, temporary_folder_remove)

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)

int main(void) {
    unsetenv("XDG_CACHE_HOME"); /* only tests that ask for it leave a record */
    unsetenv("HOME");
    const struct CMUnitTest tests[] = {
        WITH_DATA(bytes_come_to_their_places),
        cmocka_unit_test(the_real_set_is_balanced),
        cmocka_unit_test(the_synthetic_set_opens_by_name),
        cmocka_unit_test(names_without_images),
        cmocka_unit_test(images_are_held_out),
        WITH_DATA(held_out_without_a_test_set),
        WITH_DATA(test_images_alone),
        WITH_DATA(sums_are_remembered),
        WITH_DATA(a_damaged_sum_is_corrected),
        WITH_DATA(nothing_can_be_remembered),
        WITH_DATA(sums_without_threads),
        IN_FOLDER(recognized_folders),
        IN_FOLDER(recognized_files),
        WITH_DATA(broken_links),
        WITH_DATA(a_missing_folder),
        WITH_DATA(a_file_as_folder),
        cmocka_unit_test(an_empty_name),
        WITH_DATA(a_missing_file),
        WITH_DATA(a_short_file),
        WITH_DATA(a_long_file),
        WITH_DATA(an_empty_file),
        WITH_DATA(a_label_over_nine),
        WITH_DATA(a_folder_in_place_of_a_file),
        WITH_DATA(a_pipe_in_place_of_a_file),
        WITH_DATA(a_file_without_rights),
        WITH_DATA(a_file_that_cannot_be_mapped),
        WITH_DATA(a_file_that_shrinks_while_it_is_used),
        WITH_DATA(a_file_that_shrinks_with_a_terminal),
        WITH_DATA(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
