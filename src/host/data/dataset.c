/* dataset.c: opening a data set: the six binary files of CIFAR-10, or the synthetic set. */
#include "data/dataset.h"

#include "base/files.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The binary format (https://www.cs.toronto.edu/~kriz/cifar.html): records of a label byte and the
 * pixels. */
enum {
    TRAIN_FILES = 5,
    FILE_RECORDS = 10000,
    RECORD_BYTES = 1 + IMAGE_BYTES,
    FILE_BYTES = FILE_RECORDS * RECORD_BYTES,
    CHUNK_RECORDS = 100, /* read at once; divides FILE_RECORDS */
};

enum { SYNTHETIC_TRAIN = 10000, SYNTHETIC_TEST = 2000 };

static const char *const cifar_class_names[CLASS_COUNT] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

#define OTHER_SOURCES "run `make data`, or give --data DIR, or --data synthetic"

/* ---- one file -------------------------------------------------------------------------------- */

static enum status cannot_open(struct error *error, const char *path, int reason) {
    if (reason == ENOENT)
        return error_set(error, STATUS_BAD_DATA, "no data file '%s': " OTHER_SOURCES, path);
    return error_set(error, STATUS_BAD_DATA, "cannot open data file '%s': %s; " OTHER_SOURCES, path,
                     strerror(reason));
}

/* Whether the open file is one, and of the right size. */
static enum status check_size(struct error *error, int file, const char *path) {
    struct stat found;
    if (fstat(file, &found) != 0)
        return cannot_open(error, path, errno);
    if (!S_ISREG(found.st_mode))
        return error_set(error, STATUS_BAD_DATA,
                         "data file '%s' is a %s, not a file: " OTHER_SOURCES, path,
                         S_ISDIR(found.st_mode) ? "folder" : "device or pipe");
    if (found.st_size == FILE_BYTES)
        return STATUS_OK;
    const char *fault = found.st_size == 0           ? "is empty"
                        : found.st_size < FILE_BYTES ? "is cut short"
                                                     : "is too long";
    return error_set(error, STATUS_BAD_DATA,
                     "data file '%s' %s: %lld bytes found, %d expected; remove it and run "
                     "`make data`",
                     path, fault, (long long)found.st_size, FILE_BYTES);
}

/* Reads `bytes` bytes at the file's position `offset`; the message counts from the start of the
 * file. */
static enum status read_exactly(struct error *error, uint8_t *out, size_t bytes, int file,
                                const char *path, size_t offset) {
    for (size_t done = 0; done < bytes;) {
        ssize_t got = read(file, out + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, STATUS_BAD_DATA,
                             "cannot read data file '%s' at byte %zu: %s; remove it and run "
                             "`make data`",
                             path, offset + done, strerror(errno));
        if (got == 0)
            return error_set(error, STATUS_BAD_DATA,
                             "data file '%s' ended at byte %zu while being read, %d bytes "
                             "expected; try again when nothing writes to it",
                             path, offset + done, FILE_BYTES);
        done += (size_t)got;
    }
    return STATUS_OK;
}

/* Appends one record, the file's number `number`, to the set. */
static enum status take_record(struct error *error, struct image_set *set, const uint8_t *record,
                               const char *path, int number) {
    if (record[0] >= CLASS_COUNT)
        return error_set(error, STATUS_BAD_DATA,
                         "data file '%s' is damaged: record %d (from 0), byte %d: label %d, over "
                         "%d; remove it and run `make data`",
                         path, number, number * RECORD_BYTES, record[0], CLASS_COUNT - 1);
    set->labels[set->count] = record[0];
    memcpy(set->images + (size_t)set->count * IMAGE_BYTES, record + 1, IMAGE_BYTES);
    set->count++;
    return STATUS_OK;
}

static enum status read_records(struct error *error, struct image_set *set, int file,
                                const char *path, uint8_t *chunk) {
    for (int first = 0; first < FILE_RECORDS; first += CHUNK_RECORDS) {
        if (read_exactly(error, chunk, CHUNK_RECORDS * RECORD_BYTES, file, path,
                         (size_t)first * RECORD_BYTES) != STATUS_OK)
            return error->status;
        for (int i = 0; i < CHUNK_RECORDS; i++)
            if (take_record(error, set, chunk + i * RECORD_BYTES, path, first + i) != STATUS_OK)
                return error->status;
    }
    return STATUS_OK;
}

/* Appends the records of `folder`/`name` to the set, which has room for them. */
static enum status read_file(struct error *error, struct image_set *set, const char *folder,
                             const char *name, uint8_t *chunk) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder, name) != STATUS_OK)
        return error->status;
    int file; /* O_NONBLOCK: a pipe of that name is refused below instead of waited for */
    do
        file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    while (file < 0 && errno == EINTR);
    if (file < 0)
        return cannot_open(error, path, errno);
    enum status status = check_size(error, file, path);
    if (status == STATUS_OK)
        status = read_records(error, set, file, path, chunk);
    close(file); /* only read: nothing to lose */
    return status;
}

/* ---- the names ------------------------------------------------------------------------------- */

static const char synthetic_name[] = "synthetic", cifar_name[] = "CIFAR-10";

struct dataset dataset_named(const char *name) {
    if (name != NULL && strcmp(name, synthetic_name) == 0)
        return (struct dataset){.name = synthetic_name, .class_names = synthetic_class_names};
    return (struct dataset){.name = cifar_name, .class_names = cifar_class_names};
}

/* ---- the sets -------------------------------------------------------------------------------- */

static enum status set_alloc(struct error *error, struct image_set *set, int capacity) {
    if (memory_alloc(error, &set->images, (size_t)capacity, IMAGE_BYTES, "CIFAR-10 images") !=
        STATUS_OK)
        return error->status;
    return memory_alloc(error, &set->labels, (size_t)capacity, 1, "CIFAR-10 labels");
}

static enum status read_train(struct error *error, struct image_set *set, const char *folder,
                              uint8_t *chunk) {
    static const char *const names[TRAIN_FILES] = {"data_batch_1.bin", "data_batch_2.bin",
                                                   "data_batch_3.bin", "data_batch_4.bin",
                                                   "data_batch_5.bin"};
    if (set_alloc(error, set, TRAIN_FILES * FILE_RECORDS) != STATUS_OK)
        return error->status;
    for (int i = 0; i < TRAIN_FILES; i++)
        if (read_file(error, set, folder, names[i], chunk) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

static enum status read_test(struct error *error, struct image_set *set, const char *folder,
                             uint8_t *chunk) {
    if (set_alloc(error, set, FILE_RECORDS) != STATUS_OK)
        return error->status;
    return read_file(error, set, folder, "test_batch.bin", chunk);
}

/* A folder that is not there is told apart from a folder that lacks a file. */
static enum status check_folder(struct error *error, const char *folder) {
    struct stat found;
    if (stat(folder, &found) != 0)
        return error_set(error, STATUS_BAD_DATA, "cannot open data folder '%s': %s; " OTHER_SOURCES,
                         folder, strerror(errno));
    if (!S_ISDIR(found.st_mode))
        return error_set(error, STATUS_BAD_DATA, "data folder '%s' is not a folder; " OTHER_SOURCES,
                         folder);
    return STATUS_OK;
}

static enum status open_cifar(struct error *error, struct dataset *out, const char *folder,
                              bool with_train) {
    *out = dataset_named(cifar_name);
    if (check_folder(error, folder) != STATUS_OK)
        return error->status;
    uint8_t *chunk;
    enum status status =
        memory_alloc(error, &chunk, CHUNK_RECORDS, RECORD_BYTES, "reading CIFAR-10");
    if (status == STATUS_OK && with_train)
        status = read_train(error, &out->train, folder, chunk);
    if (status == STATUS_OK)
        status = read_test(error, &out->test, folder, chunk);
    memory_free(chunk);
    return status;
}

/* The test images follow the training images in the seed's sequence: no image is in both. */
static enum status open_synthetic(struct error *error, struct dataset *out, uint64_t seed,
                                  bool with_train) {
    *out = dataset_named(synthetic_name);
    if (with_train && synthetic_fill(error, &out->train, seed, 0, SYNTHETIC_TRAIN) != STATUS_OK)
        return error->status;
    return synthetic_fill(error, &out->test, seed, SYNTHETIC_TRAIN, SYNTHETIC_TEST);
}

bool dataset_is_synthetic(uint64_t *seed, const char *where) {
    const size_t length = sizeof synthetic_name - 1;
    if (strncmp(where, synthetic_name, length) != 0 || where[length] != ':' ||
        where[length + 1] < '0' || where[length + 1] > '9')
        return false;
    char *end;
    errno = 0;
    *seed = strtoull(where + length + 1, &end, 10);
    return *end == '\0' && errno == 0;
}

static enum status open_parts(struct error *error, struct dataset *out, const char *where,
                              bool with_train) {
    uint64_t seed;
    *out = (struct dataset){.name = NULL};
    enum status status = dataset_is_synthetic(&seed, where)
                             ? open_synthetic(error, out, seed, with_train)
                             : open_cifar(error, out, where, with_train);
    if (status != STATUS_OK)
        dataset_close(out);
    return status;
}

enum status dataset_open(struct error *error, struct dataset *out, const char *where) {
    return open_parts(error, out, where, true);
}

enum status dataset_open_test(struct error *error, struct dataset *out, const char *where) {
    return open_parts(error, out, where, false);
}

static void set_free(struct image_set *set) {
    memory_free(set->images);
    memory_free(set->labels);
}

void dataset_close(struct dataset *dataset) {
    set_free(&dataset->train);
    set_free(&dataset->test);
    *dataset = (struct dataset){.name = NULL};
}
