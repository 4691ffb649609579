/* fuzz.c: what the fuzz targets share. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
    require(ftruncate(handle, 0) == 0);
    require(pwrite(handle, data, size, 0) == (ssize_t)size);
    return path;
}

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
