/* weights_header.h: the header of a weights file (safetensors), read without trusting it. */
#ifndef WEIGHTS_HEADER_H
#define WEIGHTS_HEADER_H

#include "error.h"
#include "model/model.h"

#include <jansson.h>
#include <stdint.h>

/* Reads the JSON header `text` of `length` bytes into *out: name, type, shape and bytes of each
 * tensor, in the order of their data; `data` and `storage` stay NULL. What is accepted fills the
 * `data_bytes` bytes behind the header exactly: tensor i + 1 begins where tensor i ends.
 * *metadata becomes `__metadata__`, an object of strings, or an empty one; NULL on failure. Errors:
 * STATUS_BAD_DATA naming the file `path` and, where one is to blame, the tensor; STATUS_FAILED: no
 * memory. */
enum status weights_parse_header(struct error *error, struct tensor_list *out, json_t **metadata,
                                 const char *text, size_t length, uint64_t data_bytes,
                                 const char *path);

#endif
