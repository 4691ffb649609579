/* support.c: temporary folders, files and error checks for the test programs. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ORDINARY_USER = 65534 }; /* "nobody" */

/* ---- temporary folders ----------------------------------------------------------------------- */

int temporary_folder_make(void **state) {
    const char *base = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/train_gpu-test-XXXXXX", base == NULL ? "/tmp" : base) < 0)
        return -1;
    if (mkdtemp(path) == NULL) {
        fprintf(stderr, "cannot make the temporary folder %s: %s\n", path, strerror(errno));
        free(path);
        return -1;
    }
    *state = path;
    return 0;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place) {
    (void)found, (void)kind, (void)place;
    return remove(path);
}

static int make_writable(const char *path, const struct stat *found, int kind, struct FTW *place) {
    (void)found, (void)place;
    return kind == FTW_D || kind == FTW_DNR ? chmod(path, 0700) : 0;
}

int temporary_folder_remove(void **state) {
    enum { OPEN_FOLDERS = 16 };
    nftw(*state, make_writable, OPEN_FOLDERS, FTW_PHYS); /* a test may have removed permissions */
    int result = nftw(*state, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

/* ---- checks ---------------------------------------------------------------------------------- */

void skip_because(const char *reason) {
    print_message("skip: %s\n", reason);
    skip();
}

void assert_failed(enum status returned, enum status expected, const struct error *error,
                   const char *const *parts) {
    if (returned == STATUS_OK)
        fail_msg("succeeded, but status %d was expected", (int)expected);
    if (returned != expected || error->status != expected)
        fail_msg("status %d returned, %d in the error, %d expected: %s", (int)returned,
                 (int)error->status, (int)expected, error->text);
    if (strchr(error->text, '\n') != NULL)
        fail_msg("more than one line: %s", error->text);
    for (; *parts != NULL; parts++)
        if (strstr(error->text, *parts) == NULL)
            fail_msg("'%s' is not in the message: %s", *parts, error->text);
}

void assert_succeeded(enum status returned, const struct error *error) {
    if (returned != STATUS_OK)
        fail_msg("status %d: %s", (int)returned, error->text);
}

uint64_t hash_bytes(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* ---- files ----------------------------------------------------------------------------------- */

const char *in_folder(const char *folder, const char *name) {
    enum { BUFFERS = 8, CAPACITY = 1024 };
    static char buffers[BUFFERS][CAPACITY];
    static int last;
    last = (last + 1) % BUFFERS;
    int length = snprintf(buffers[last], CAPACITY, "%s/%s", folder, name);
    assert_in_range(length, 1, CAPACITY - 1);
    return buffers[last];
}

static void write_at(int file, const char *path, const void *data, size_t size, size_t offset) {
    const char *bytes = data;
    for (size_t done = 0; done < size;) {
        ssize_t written = pwrite(file, bytes + done, size - done, (off_t)(offset + done));
        if (written <= 0)
            fail_msg("cannot write %s: %s", path, strerror(errno));
        done += (size_t)written;
    }
}

void file_put(const char *path, const void *data, size_t size) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        fail_msg("cannot make %s: %s", path, strerror(errno));
    if (data != NULL)
        write_at(file, path, data, size, 0);
    assert_int_equal(close(file), 0);
}

void file_poke(const char *path, size_t offset, const void *data, size_t size) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    write_at(file, path, data, size, offset);
    assert_int_equal(close(file), 0);
}

void assert_file_holds(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    char *found = malloc(size + 1); /* one more, to notice a file that is too long */
    assert_non_null(found);
    assert_int_equal(fread(found, 1, size + 1, file), size);
    if (size > 0)
        assert_memory_equal(found, data, size);
    free(found);
    assert_int_equal(fclose(file), 0);
}

int folder_entries(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    int count = -2;
    while (readdir(folder) != NULL)
        count++;
    assert_int_equal(closedir(folder), 0);
    return count;
}

int lowest_free_descriptor(void) {
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(close(descriptor), 0);
    return descriptor;
}

/* ---- permissions ----------------------------------------------------------------------------- */

void become_ordinary(void) {
    if (geteuid() == 0 && seteuid(ORDINARY_USER) != 0)
        skip_because("root cannot become an ordinary user here");
}

void become_self(void) {
    if (geteuid() != getuid())
        assert_int_equal(seteuid(getuid()), 0);
}
