/* cifar10.c: the six binary files of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html):
 * records of a label byte and the pixels. The files are mapped, and only the labels are copied, once
 * they are known to be valid. The MD5 of each file, remembered from an earlier start or computed by
 * a thread for each file, is compared with the official one. */
#include "data/cifar10.h"

#include "base/file_map.h"
#include "base/output.h"
#include "base/thread.h"
#include "data/checked_files.h"
#include "data/cifar_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILE_RECORDS = 10000,
    RECORD_BYTES = 1 + IMAGE_BYTES,
    FILE_BYTES = FILE_RECORDS * RECORD_BYTES,
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

/* A file whose sum is to be compared. */
struct sum_job {
    const struct data_file *data;
    struct checked_file now;
    const struct file_map *map;
    bool known; /* its sum is remembered, and the official one */
    bool started;
    pthread_t thread;
};

/* A folder being opened. */
struct folder_reader {
    const char *folder;
    struct checked_files checked;
    struct sum_job jobs[TRAIN_FILES + 1];
    int job_count;
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

/* Enters the records of file `number` of the set, which is mapped. */
static enum status enter_records(struct error *error, struct image_set *set, int number,
                                 const struct file_reader *file, const char *folder) {
    const int first = number * FILE_RECORDS;
    const uint8_t *record = set->files[number].bytes;
    for (int i = 0; i < FILE_RECORDS; i++, record += RECORD_BYTES) {
        const uint8_t label = record[0];
        if (label >= CLASS_COUNT) {
            error_set(error, STATUS_BAD_DATA,
                      "data file '%s' is damaged: record %d (from 0), byte %d: label %d, above %d",
                      file->path, i, i * RECORD_BYTES, label, CLASS_COUNT - 1);
            return advise_fetching(error, folder);
        }
        set->labels[first + i] = label;
        set->images[first + i] = record + 1;
    }
    return STATUS_OK;
}

static enum status map_open(struct error *error, struct folder_reader *reader,
                            struct image_set *set, int number, const struct file_reader *file,
                            const struct data_file *data) {
    struct sum_job *job = &reader->jobs[reader->job_count];
    struct file_map *map = &set->files[number];
    if (check_size(error, file, reader->folder) != STATUS_OK ||
        file_map(error, map, file) != STATUS_OK ||
        enter_records(error, set, number, file, reader->folder) != STATUS_OK)
        return error->status;
    *job = (struct sum_job){.data = data, .map = map};
    checked_files_find(&job->now, &reader->checked, data->name, file->handle);
    /* Any other sum that is remembered is computed again: the memory may be damaged. */
    job->known = strcmp(job->now.md5, data->md5) == 0;
    reader->job_count++;
    return STATUS_OK;
}

/* Opens file `number` of the set and enters its records. */
static enum status open_file(struct error *error, struct folder_reader *reader,
                             struct image_set *set, int number, const struct data_file *data) {
    char path[PATH_CAPACITY];
    struct file_reader file;
    if (path_join(error, path, reader->folder, data->name) != STATUS_OK)
        return error->status;
    if (file_open(error, &file, path, "data file") != STATUS_OK)
        return cannot_open(error, &file, reader->folder);
    enum status status = map_open(error, reader, set, number, &file, data);
    file_close(&file);
    return status;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void *take_sum(void *argument) {
    struct sum_job *job = argument;
    struct md5 sum;
    md5_begin(&sum);
    md5_add(&sum, job->map->bytes, job->map->size);
    md5_finish(job->now.md5, &sum);
    return NULL;
}

/* Takes the sums that are not known, each in a thread of its own if it can be had. */
static void take_sums(struct folder_reader *reader) {
    for (int i = 0; i < reader->job_count; i++) {
        struct sum_job *job = &reader->jobs[i];
        if (job->known)
            continue;
        job->started = thread_start(&job->thread, take_sum, job) == 0;
        if (!job->started)
            take_sum(job);
    }
    for (int i = 0; i < reader->job_count; i++)
        if (reader->jobs[i].started && pthread_join(reader->jobs[i].thread, NULL) != 0)
            abort(); /* it fails only if misused */
}

/* Compares all sums with the official ones, and remembers them. Returns whether one differs; a
 * warning names the first such file. */
static bool differs(struct folder_reader *reader) {
    bool modified = false;
    take_sums(reader);
    for (int i = 0; i < reader->job_count; i++) {
        const struct sum_job *job = &reader->jobs[i];
        if (!job->known)
            checked_files_put(&reader->checked, &job->now);
        if (strcmp(job->now.md5, job->data->md5) == 0)
            continue;
        if (!modified)
            output_warning(
                "data file '%s/%s' differs from the official one: its MD5 is %s, not %s; "
                "the data set is called CIFAR-10 (modified)",
                reader->folder, job->data->name, job->now.md5, job->data->md5);
        modified = true;
    }
    checked_files_save(&reader->checked);
    return modified;
}

/* ---- the sets -------------------------------------------------------------------------------- */

static enum status open_sets(struct error *error, struct folder_reader *reader,
                             struct image_set *train, struct image_set *test, bool with_train,
                             bool with_test) {
    if (with_train && image_set_make_list(error, train, TRAIN_FILES * FILE_RECORDS,
                                          "the list of training images") != STATUS_OK)
        return error->status;
    for (int i = 0; i < TRAIN_FILES && with_train; i++)
        if (open_file(error, reader, train, i, &train_files[i]) != STATUS_OK)
            return error->status;
    if (!with_test)
        return STATUS_OK;
    if (image_set_make_list(error, test, FILE_RECORDS, "the list of test images") != STATUS_OK)
        return error->status;
    return open_file(error, reader, test, 0, &test_file);
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

enum status cifar10_open(struct error *error, struct image_set *train, struct image_set *test,
                         bool *modified, const char *folder, bool with_train, bool with_test) {
    struct folder_reader reader = {.folder = folder};
    if (check_folder(error, folder) != STATUS_OK ||
        file_map_guard(error,
                       "a data file in '%s' has become shorter or unreadable while it was in use; "
                       "restore it and start again: what a run had saved is kept",
                       folder) != STATUS_OK)
        return error->status;
    checked_files_open(&reader.checked, folder);
    if (open_sets(error, &reader, train, test, with_train, with_test) != STATUS_OK)
        return error->status;
    *modified = differs(&reader);
    return STATUS_OK;
}
