/* memory.h: checked host memory. Sizes are multiplied without overflow, blocks are zeroed and
 * aligned to 64 bytes (a cache line, an AVX-512 vector), and a failure says what the memory was
 * for. */
#ifndef MEMORY_H
#define MEMORY_H

#include "error.h"

#include <stddef.h>

/* Allocates count * size zeroed bytes into *out. `what` completes "out of memory: needed N bytes
 * for ...". Errors: STATUS_FAILED; *out is then NULL. Release with memory_free. */
enum status memory_alloc(struct error *error, void *out, size_t count, size_t size,
                         const char *what);

/* Frees memory from memory_alloc; NULL is fine. */
void memory_free(void *block);

#endif
