/* fuzz_dataset.c: a file of CIFAR-10's test set of any size and with any bytes.
 *
 * 30 MB are too much for a fuzzer, so the input describes changes to a valid file of zeros: four
 * bytes say how many bytes longer or shorter it is, then five bytes overwrite one byte each: four
 * for its place, one for its value. All are little-endian. */
#include "fuzz.h"

#include "base/files.h"
#include "data/dataset.h"
#include "data/md5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS = 10000, RECORD = 1 + IMAGE_BYTES, FILE_BYTES = RECORDS * RECORD };
enum { SIZE_BYTES = 4, POKE_BYTES = 5, MAX_POKES = 64 };

/* Replace the real ones, which would take most of the time; the sum affects only the name. */
void md5_begin(struct md5 *md5) {
    *md5 = (struct md5){.bytes = 0};
}

void md5_add(struct md5 *md5, const void *data, size_t bytes) {
    (void)data;
    md5->bytes += bytes;
}

void md5_finish(char out[MD5_TEXT], struct md5 *md5) {
    snprintf(out, MD5_TEXT, "%032llx", (unsigned long long)md5->bytes);
}

/* The one folder of this process, and the file in it, open for changes. */
static struct {
    const char *folder;
    char path[PATH_CAPACITY + 32];
    int handle;
} place;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char *const names[] = {"test_batch.bin", NULL};
    (void)argc, (void)argv;
    unsetenv("XDG_CACHE_HOME"); /* no record is kept of these files */
    unsetenv("HOME");
    place.folder = fuzz_folder(&place.handle, names);
    snprintf(place.path, sizeof place.path, "%s/%s", place.folder, names[0]);
    return 0;
}

static uint32_t four_bytes(const uint8_t *data) {
    return (uint32_t)data[3] << 24 | (uint32_t)data[2] << 16 | (uint32_t)data[1] << 8 | data[0];
}

/* Byte i of the pokes goes to this place of the file. */
static off_t poke_place(const uint8_t *poke) {
    return four_bytes(poke) % FILE_BYTES;
}

static uint8_t byte_at(const struct image_set *set, off_t offset) {
    off_t record = offset / RECORD, rest = offset % RECORD;
    return rest == 0 ? set->labels[record] : set->images[record][rest - 1];
}

/* A later poke may have changed the same byte, so the file is the reference. */
static void check_set(const struct dataset *set, const uint8_t *pokes, int count) {
    require(strcmp(set->name, "CIFAR-10 (modified)") == 0 && set->class_names != NULL);
    require(set->train.count == 0 && set->train.images == NULL);
    require(set->test.count == RECORDS);
    for (int i = 0; i < RECORDS; i++)
        require(set->test.labels[i] < CLASS_COUNT);
    for (int i = 0; i < count; i++) {
        uint8_t expected;
        off_t offset = poke_place(pokes + i * POKE_BYTES);
        require(pread(place.handle, &expected, 1, offset) == 1);
        require(byte_at(&set->test, offset) == expected);
    }
}

/* Makes the file; returns whether it is valid. */
static int make_file(off_t size, const uint8_t *pokes, int count) {
    int right = size == FILE_BYTES;
    require(ftruncate(place.handle, 0) == 0 && ftruncate(place.handle, size) == 0);
    for (int i = 0; i < count; i++) {
        off_t offset = poke_place(pokes + i * POKE_BYTES);
        if (offset < size)
            require(pwrite(place.handle, pokes + i * POKE_BYTES + 4, 1, offset) == 1);
    }
    for (int i = 0; right && i < count; i++) {
        uint8_t byte;
        off_t offset = poke_place(pokes + i * POKE_BYTES);
        require(pread(place.handle, &byte, 1, offset) == 1);
        right = offset % RECORD != 0 || byte < CLASS_COUNT;
    }
    return right;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error error = {STATUS_OK, ""};
    struct dataset set;
    if (size < SIZE_BYTES)
        return 0;
    off_t file_size = FILE_BYTES + (off_t)(int32_t)four_bytes(data) % (2 * FILE_BYTES);
    int count = (int)((size - SIZE_BYTES) / POKE_BYTES);
    count = count < MAX_POKES ? count : MAX_POKES;
    int right = make_file(file_size < 0 ? 0 : file_size, data + SIZE_BYTES, count);
    int descriptor = fuzz_lowest_descriptor();
    enum status status = dataset_open_test(&error, &set, place.folder);
    require(fuzz_lowest_descriptor() == descriptor);
    require(status == (right ? STATUS_OK : STATUS_BAD_DATA));
    if (right)
        check_set(&set, data + SIZE_BYTES, count);
    else
        fuzz_check_error(status, &error, place.path);
    dataset_close(&set);
    require(set.test.images == NULL && set.test.labels == NULL);
    return 0;
}
