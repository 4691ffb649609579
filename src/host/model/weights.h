/* weights.h: weights files in the safetensors format
 * (https://github.com/huggingface/safetensors#format): eight bytes with the length of the header,
 * little-endian; the header, JSON of name -> dtype, shape, data_offsets, padded with spaces to a
 * multiple of 8 bytes; the data, contiguous. */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "error.h"
#include "model/model.h"
#include "model/weights_metadata.h"

#include <jansson.h>

/* Writes the tensors to `path`, whole or not at all. 64-bit integers come first, so that every
 * tensor lies at a multiple of its element size, as readers that map the file want it. `more`, an
 * object of strings or NULL, goes into `__metadata__` beside what `origin` says. Errors:
 * STATUS_FAILED, the older file untouched. */
enum status weights_write(struct error *error, const char *path, const struct tensor_list *list,
                          const struct weights_origin *origin, json_t *more);

/* Reads a weights file, written by this program or by PyTorch's safetensors, into *out: the tensors
 * in the order of their data, aligned to 8 bytes; F16, BF16 and F64 become F32, with a note on
 * standard error. Nothing in the file is trusted, and a hostile one costs neither time nor memory:
 * files may have 64 MiB and headers 1 MiB. NaN and infinity are values like others. *metadata, unless
 * it is NULL, becomes the file's `__metadata__`: an object of strings, empty where the file has none.
 * Release with tensor_list_free and json_decref; on failure *out is empty and *metadata NULL. Errors:
 * STATUS_BAD_DATA naming the file and, where one is to blame, the tensor; STATUS_FAILED: no memory. */
enum status weights_read(struct error *error, struct tensor_list *out, json_t **metadata,
                         const char *path);

/* Reads the header alone, for its metadata. Errors: as weights_read. */
enum status weights_read_metadata(struct error *error, json_t **metadata, const char *path);

/* Reads a weights file into the model (model_import). A prefix that all names share, as "module.",
 * is left off, with a note on standard error; a tensor with a NaN or an infinity gets a
 * warning. The metadata must fit `use` (weights_metadata_check). *metadata as for weights_read.
 * Errors: those of weights_read, weights_metadata_check and model_import. */
enum status weights_load(struct error *error, struct model *model, json_t **metadata,
                         const char *path, const struct weights_origin *use);

#endif
