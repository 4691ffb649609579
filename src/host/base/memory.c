/* memory.c: checked, zeroed, cache-line aligned allocation. */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

/* A block of at least one byte. Large blocks use huge pages where the system has them: computing on
 * some hundred MB then needs fewer address translations. */
static void *allocate(size_t bytes) {
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : LINE;
    size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void *block = aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
#ifdef MADV_HUGEPAGE
    if (block != NULL && alignment == HUGE_PAGE)
        (void)madvise(block, rounded, MADV_HUGEPAGE); /* only advice: a failure does no harm */
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
    return STATUS_OK; // cppcheck-suppress memleak ; it is in *out now
}

void memory_free(void *block) {
    free(block);
}
