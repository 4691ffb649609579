/* cifar10.c: the six binary files of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html):
 * records of a label byte and the pixels. The MD5 of each file, computed while it is read or
 * remembered from an earlier start, is compared with the official one. */
#include "data/cifar10.h"

#include "base/file_read.h"
#include "base/output.h"
#include "data/checked_files.h"
#include "data/cifar_folder.h"
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILE_RECORDS = 10000,
    RECORD_BYTES = 1 + IMAGE_BYTES,
    FILE_BYTES = FILE_RECORDS * RECORD_BYTES,
    CHUNK_RECORDS = 100, /* read at once; divides FILE_RECORDS */
};

struct data_file {
    const char *name, *md5;
};

static const struct data_file train_files[] = {
    {"data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"},
    {"data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"},
    {"data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"},
    {"data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"},
    {"data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"},
};
static const struct data_file test_file = {"test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"};
enum { TRAIN_FILES = sizeof train_files / sizeof train_files[0] };

/* A folder being read. */
struct folder_reader {
    const char *folder;
    uint8_t *chunk; /* [CHUNK_RECORDS][RECORD_BYTES] */
    struct checked_files checked;
    bool modified;
};

/* ---- advice ---------------------------------------------------------------------------------- */

static const char default_folder[] = "data/cifar-10-batches-bin"; /* of `make data` */

/* Appends the command that puts the official files into the folder. */
static enum status advise_fetching(struct error *error, const char *folder) {
    if (strcmp(folder, default_folder) == 0)
        return error_append(error, "; `make data` fetches it");
    return error_append(error, "; `tools/fetch-cifar10 '%s'` fetches it", folder);
}

static enum status advise_other_data(struct error *error) {
    return error_append(error,
                        "; `make data` fetches CIFAR-10 into %s, and the data set "
                        "`synthetic` needs no files",
                        default_folder);
}

/* ---- one file -------------------------------------------------------------------------------- */

static enum status cannot_open(struct error *error, const struct file_reader *file,
                               const char *folder) {
    if (file->reason == EISDIR || file->reason == ENOTSUP)
        return advise_fetching(error, folder);
    if (file->reason != ENOENT)
        return error->status;
    if (cifar_folder_explain_link(error, file->path, file->kind) != STATUS_OK ||
        cifar_folder_explain(error, folder) != STATUS_OK)
        return error->status;
    return advise_other_data(error);
}

static enum status check_size(struct error *error, const struct file_reader *file,
                              const char *folder) {
    if (file->size == FILE_BYTES)
        return STATUS_OK;
    const char *fault = file->size == 0           ? "is empty"
                        : file->size < FILE_BYTES ? "is cut short"
                                                  : "is too long";
    error_set(error, STATUS_BAD_DATA, "data file '%s' %s: %" PRIu64 " bytes found, %d expected",
              file->path, fault, file->size, FILE_BYTES);
    return advise_fetching(error, folder);
}

/* Appends record `number` of the file to the set. */
static enum status take_record(struct error *error, struct image_set *set, const uint8_t *record,
                               const struct file_reader *file, int number, const char *folder) {
    if (record[0] >= CLASS_COUNT) {
        error_set(error, STATUS_BAD_DATA,
                  "data file '%s' is damaged: record %d (from 0), byte %d: label %d, above %d",
                  file->path, number, number * RECORD_BYTES, record[0], CLASS_COUNT - 1);
        return advise_fetching(error, folder);
    }
    set->labels[set->count] = record[0];
    memcpy(set->images + (size_t)set->count * IMAGE_BYTES, record + 1, IMAGE_BYTES);
    set->count++;
    return STATUS_OK;
}

/* Appends all records to the set, and adds their bytes to `sum` unless it is NULL. */
static enum status read_records(struct error *error, struct image_set *set, struct md5 *sum,
                                struct file_reader *file, const struct folder_reader *reader) {
    for (int first = 0; first < FILE_RECORDS; first += CHUNK_RECORDS) {
        if (file_read(error, reader->chunk, CHUNK_RECORDS * RECORD_BYTES, file) != STATUS_OK)
            return error->status;
        if (sum != NULL)
            md5_add(sum, reader->chunk, CHUNK_RECORDS * RECORD_BYTES);
        for (int i = 0; i < CHUNK_RECORDS; i++)
            if (take_record(error, set, reader->chunk + i * RECORD_BYTES, file, first + i,
                            reader->folder) != STATUS_OK)
                return error->status;
    }
    return STATUS_OK;
}

/* Compares the file's sum with the official one. */
static void judge(struct folder_reader *reader, const struct data_file *data, const char *sum) {
    if (strcmp(sum, data->md5) == 0)
        return;
    if (!reader->modified)
        output_warning("data file '%s/%s' differs from the official one: its MD5 is %s, not %s; "
                       "the data set is called CIFAR-10 (modified)",
                       reader->folder, data->name, sum, data->md5);
    reader->modified = true;
}

static enum status read_open(struct error *error, struct folder_reader *reader,
                             struct image_set *set, struct file_reader *file,
                             const struct data_file *data) {
    struct checked_file now;
    struct md5 sum;
    checked_files_find(&now, &reader->checked, data->name, file->handle);
    /* Any other sum that is remembered is computed again: the memory may be damaged. */
    bool known = strcmp(now.md5, data->md5) == 0;
    md5_begin(&sum);
    if (check_size(error, file, reader->folder) != STATUS_OK ||
        read_records(error, set, known ? NULL : &sum, file, reader) != STATUS_OK)
        return error->status;
    if (!known) {
        md5_finish(now.md5, &sum);
        checked_files_put(&reader->checked, &now);
    }
    judge(reader, data, now.md5);
    return STATUS_OK;
}

/* Appends the file's records to the set, which has room for them. */
static enum status read_file(struct error *error, struct folder_reader *reader,
                             struct image_set *set, const struct data_file *data) {
    char path[PATH_CAPACITY];
    struct file_reader file;
    if (path_join(error, path, reader->folder, data->name) != STATUS_OK)
        return error->status;
    if (file_open(error, &file, path, "data file") != STATUS_OK)
        return cannot_open(error, &file, reader->folder);
    enum status status = read_open(error, reader, set, &file, data);
    file_close(&file);
    return status;
}

/* ---- the sets -------------------------------------------------------------------------------- */

static enum status set_alloc(struct error *error, struct image_set *set, int file_count) {
    size_t count = (size_t)file_count * FILE_RECORDS;
    if (memory_alloc(error, &set->images, count, IMAGE_BYTES, "CIFAR-10 images") != STATUS_OK)
        return error->status;
    return memory_alloc(error, &set->labels, count, 1, "CIFAR-10 labels");
}

static enum status read_sets(struct error *error, struct folder_reader *reader,
                             struct image_set *train, struct image_set *test, bool with_train) {
    if (with_train && set_alloc(error, train, TRAIN_FILES) != STATUS_OK)
        return error->status;
    for (int i = 0; i < TRAIN_FILES && with_train; i++)
        if (read_file(error, reader, train, &train_files[i]) != STATUS_OK)
            return error->status;
    if (set_alloc(error, test, 1) != STATUS_OK)
        return error->status;
    return read_file(error, reader, test, &test_file);
}

/* Tells a missing folder, or a file given as the folder, from a folder that lacks a file. */
static enum status check_folder(struct error *error, const char *folder) {
    struct stat found;
    if (stat(folder, &found) != 0) {
        int reason = errno;
        if (cifar_folder_explain_link(error, folder, "data folder") != STATUS_OK)
            return error->status;
        error_set_errno(error, STATUS_BAD_DATA, reason, "cannot open data folder '%s'", folder);
        return advise_other_data(error);
    }
    if (S_ISDIR(found.st_mode) || cifar_folder_explain_file(error, folder) != STATUS_OK)
        return S_ISDIR(found.st_mode) ? STATUS_OK : error->status;
    error_set(error, STATUS_BAD_DATA, "data folder '%s' is not a folder", folder);
    return advise_other_data(error);
}

enum status cifar10_read(struct error *error, struct image_set *train, struct image_set *test,
                         bool *modified, const char *folder, bool with_train) {
    struct folder_reader reader = {.folder = folder};
    if (check_folder(error, folder) != STATUS_OK ||
        memory_alloc(error, &reader.chunk, CHUNK_RECORDS, RECORD_BYTES, "reading CIFAR-10") !=
            STATUS_OK)
        return error->status;
    checked_files_open(&reader.checked, folder);
    enum status status = read_sets(error, &reader, train, test, with_train);
    checked_files_save(&reader.checked);
    memory_free(reader.chunk);
    *modified = reader.modified;
    return status;
}
