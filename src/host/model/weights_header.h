/* weights_header.h: the header of a weights file (safetensors), read without trusting it. */
#ifndef WEIGHTS_HEADER_H
#define WEIGHTS_HEADER_H

#include "error.h"
#include "model/model.h"

#include <jansson.h>
#include <stdint.h>

/* The number formats that a file may store; in memory a tensor is F32 or I64. */
enum stored_type { STORED_F32, STORED_I64, STORED_F16, STORED_BF16, STORED_F64 };

/* "F16"; bytes of an element in the file. */
const char *stored_type_name(enum stored_type type);
size_t stored_type_bytes(enum stored_type type);

/* Reads the JSON header `text` of `length` bytes into *out: name, type, shape and bytes of each
 * tensor, in the order of their data; `data` and `storage` stay NULL. stored[i] is the type of
 * tensor i in the file. The tensors of a valid file fill the `data_bytes` bytes after the header
 * exactly: tensor i + 1 begins where tensor i ends. *metadata becomes `__metadata__`, an object of
 * strings, empty if the file has none; NULL on failure. Errors: STATUS_BAD_DATA naming the file
 * `path` and any tensor at fault; STATUS_FAILED: no memory. */
enum status weights_parse_header(struct error *error, struct tensor_list *out,
                                 enum stored_type stored[MAX_TENSORS], json_t **metadata,
                                 const char *text, size_t length, uint64_t data_bytes,
                                 const char *path);

#endif
