/* weights_metadata.h: the `__metadata__` of a weights file: every setting that changes the meaning
 * of its weights, as strings:
 *
 *   format        "pt", which PyTorch's readers need
 *   norm          "gn"
 *   recipe        "tuned"
 *   groups        "4"
 *   channels      widths of the blocks: "24,32,24,24,28,32,24,24,24,28"
 *   dataset       name of the set that the weights were trained on
 *   dataset_seed  seed of the synthetic set
 *   classes       names of the classes, a JSON array
 *   mean, std     of each channel, to normalize images: "0.49139968,0.48215827,0.44653124" */
#ifndef WEIGHTS_METADATA_H
#define WEIGHTS_METADATA_H

#include "data/dataset.h"
#include "error.h"
#include "network/recipe.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The network and data set that weights were trained with or are used with. */
struct weights_origin {
    const struct recipe *recipe;
    const struct dataset *dataset; /* only its name, classes and seed are read; NULL: any */
};

/* The metadata of such weights; NULL: no memory. */
json_t *weights_metadata_make(const struct weights_origin *origin);

/* Checks that weights with this metadata can be used with the recipe of `use`, and warns on
 * standard error if they were trained on another data set. Settings that are not in the file are
 * not checked. `path` names the file. Errors: STATUS_USAGE naming the setting that differs;
 * STATUS_FAILED: no memory. */
enum status weights_metadata_check(struct error *error, const json_t *metadata,
                                   const struct weights_origin *use, const char *path);

/* The settings in the metadata that a user would otherwise have to give. */
struct weights_settings {
    bool known; /* norm and recipe are given and supported; if not, ignore the rest */
    enum norm_kind norm;
    enum recipe_kind recipe;
    int groups;                 /* 0: not given */
    int channels[BLOCK_COUNT];  /* the first is 0: not given */
    enum activation activation; /* not given: the recipe's, before there was a choice */
    bool synthetic;
    uint64_t seed; /* of the synthetic set */
};

struct weights_settings weights_metadata_settings(const json_t *metadata);

#endif
