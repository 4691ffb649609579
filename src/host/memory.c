/* memory.c: checked, zeroed, cache-line aligned allocation. */
#include "memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

/* A block of at least one byte; large ones in huge pages where the system has them: a step walks
 * through hundreds of MB, and with pages of 4 KiB it waits for address translation. */
static void *allocate(size_t bytes) {
    void *block = NULL;
    bool large = bytes >= 2 * HUGE_PAGE;
    if (posix_memalign(&block, large ? HUGE_PAGE : LINE, bytes == 0 ? 1 : bytes) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (large)
        (void)madvise(block, bytes, MADV_HUGEPAGE); /* only advice: a refusal changes nothing */
#endif
    return block;
}

enum status memory_alloc(struct error *error, void *out, size_t count, size_t size,
                         const char *what) {
    void *block = NULL;
    memcpy(out, &block, sizeof block);
    if (size != 0 && count > (SIZE_MAX - HUGE_PAGE) / size)
        return error_set(error, STATUS_FAILED, "out of memory: %zu x %zu bytes for %s overflow",
                         count, size, what);
    size_t bytes = count * size;
    block = allocate(bytes);
    if (block == NULL)
        return error_set(error, STATUS_FAILED, "out of memory: needed %zu bytes for %s", bytes,
                         what);
    memset(block, 0, bytes);
    memcpy(out, &block, sizeof block);
    return STATUS_OK; // cppcheck-suppress memleak ; it lies in *out now
}

void memory_free(void *block) {
    free(block);
}
