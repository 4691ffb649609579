/* file_map.h: regular files mapped into memory, to read them without a copy. */
#ifndef FILE_MAP_H
#define FILE_MAP_H

#include "base/file_read.h"
#include "error.h"

#include <stdint.h>

struct file_map {
    const uint8_t *bytes; /* [size]; NULL: nothing is mapped */
    size_t size;
};

/* Maps the whole of an open file that is not empty; it may be closed afterwards. The bytes change
 * when the file does, and reading them beyond its end, or from a disk that fails, raises SIGBUS.
 * Errors: STATUS_BAD_DATA. */
enum status file_map(struct error *error, struct file_map *out, const struct file_reader *reader);

/* Ends the mapping, if there is one. */
void file_unmap(struct file_map *map);

/* From now on such a SIGBUS ends the program with a message made of this format and with
 * STATUS_BAD_DATA. Errors: STATUS_FAILED. */
enum status file_map_guard(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
