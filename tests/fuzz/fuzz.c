/* fuzz.c: what the fuzz targets share. */
#include "fuzz.h"

#include "backend.h"
#include "base/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Replaces the real one, which needs OpenMP: no target computes anything. */
const struct backend cpu_backend = {.name = "cpu"};

void fuzz_require(int holds, const char *condition, const char *file, int line) {
    if (holds)
        return;
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

const char *fuzz_file(const uint8_t *data, size_t size) {
    static int handle = -1; /* libFuzzer calls from one thread */
    static char path[64];
    if (handle < 0) {
        handle = memfd_create("input", MFD_CLOEXEC);
        require(handle >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", handle);
    }
    fuzz_fill(handle, data, size);
    return path;
}

void fuzz_fill(int file, const void *data, size_t size) {
    require(ftruncate(file, 0) == 0);
    require(pwrite(file, data, size, 0) == (ssize_t)size);
}

/* ---- folders --------------------------------------------------------------------------------- */

enum { MAX_FOLDERS = 2 };

static struct folder {
    char path[PATH_CAPACITY];
    const char *const *names;
} folders[MAX_FOLDERS];
static int folder_count;

static const char *in_folder(const struct folder *folder, const char *name) {
    static char path[PATH_CAPACITY + 64];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    return path;
}

static void remove_folders(void) {
    for (int i = 0; i < folder_count; i++) {
        for (const char *const *name = folders[i].names; *name != NULL; name++)
            unlink(in_folder(&folders[i], *name));
        rmdir(folders[i].path);
    }
}

const char *fuzz_folder(int *files, const char *const *names) {
    const char *base = getenv("TMPDIR");
    require(folder_count < MAX_FOLDERS);
    require(folder_count > 0 || atexit(remove_folders) == 0);
    struct folder *folder = &folders[folder_count];
    snprintf(folder->path, sizeof folder->path, "%s/train_gpu-fuzz-XXXXXX",
             base == NULL ? "/tmp" : base);
    require(mkdtemp(folder->path) != NULL);
    folder->names = names;
    folder_count++;
    for (int i = 0; names[i] != NULL; i++) {
        files[i] = open(in_folder(folder, names[i]), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        require(files[i] >= 0);
    }
    return folder->path;
}

/* ---- checks ---------------------------------------------------------------------------------- */

void fuzz_check_error(enum status returned, const struct error *error, const char *path) {
    require(error->status == returned);
    require(error->text[0] != '\0');
    require(strchr(error->text, '\n') == NULL);
    require(strstr(error->text, path) != NULL);
}

int fuzz_lowest_descriptor(void) {
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    require(descriptor >= 0);
    require(close(descriptor) == 0);
    return descriptor;
}
