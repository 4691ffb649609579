/* weights.h: weights files in the safetensors format
 * (https://github.com/huggingface/safetensors#format): eight bytes with the length of the header,
 * little-endian; the header, JSON of name -> dtype, shape, data_offsets, padded with spaces to a
 * multiple of 8 bytes; the data, contiguous. */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "error.h"
#include "model.h"
#include "recipe.h"

/* What the file says of itself in its `__metadata__`, beside {"format": "pt"}. */
struct weights_origin {
    enum norm_kind norm;
    enum recipe_kind recipe;
    const char *dataset; /* name of the set that the weights were trained on */
};

/* Writes the tensors to `path`, whole or not at all. 64-bit integers come first, so that every
 * tensor lies at a multiple of its element size, as readers that map the file want it. Errors:
 * STATUS_FAILED, the older file untouched. */
enum status weights_write(struct error *error, const char *path, const struct tensor_list *list,
                          const struct weights_origin *origin);

#endif
