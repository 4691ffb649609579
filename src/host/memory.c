/* memory.c: checked, zeroed, cache-line aligned allocation. */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

enum status memory_alloc(struct error *error, void *out, size_t count, size_t size,
                         const char *what) {
    void *block = NULL;
    memcpy(out, &block, sizeof block);
    if (size != 0 && count > (SIZE_MAX - ALIGNMENT) / size)
        return error_set(error, STATUS_FAILED, "out of memory: %zu x %zu bytes for %s overflow",
                         count, size, what);
    size_t bytes = count * size;
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    block = aligned_alloc(ALIGNMENT, rounded == 0 ? ALIGNMENT : rounded);
    if (block == NULL)
        return error_set(error, STATUS_FAILED, "out of memory: needed %zu bytes for %s", bytes,
                         what);
    memset(block, 0, rounded == 0 ? ALIGNMENT : rounded);
    memcpy(out, &block, sizeof block);
    return STATUS_OK; // cppcheck-suppress memleak ; it lies in *out now
}

void memory_free(void *block) {
    free(block);
}
