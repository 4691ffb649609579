/* weights_metadata.h: what a weights file says of itself in `__metadata__`: every setting that changes
 * what its weights mean, as strings:
 *
 *   format    "pt", which PyTorch's readers want
 *   norm, recipe, groups    as the options take them: "gn", "tuned", "4"
 *   channels  widths of the blocks: "24,32,24,24,28,32,24,24,24,28"
 *   dataset   name of the set that the weights were trained on; dataset_seed: of the synthetic one
 *   classes   its class names, a JSON array
 *   mean, std of each channel, as images are normalized: "0.49139968,0.48215827,0.44653124" */
#ifndef WEIGHTS_METADATA_H
#define WEIGHTS_METADATA_H

#include "data/dataset.h"
#include "error.h"
#include "network/recipe.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Where weights come from, or what they are to be used with. */
struct weights_origin {
    const struct recipe *recipe;
    const struct dataset *dataset; /* its images are not read; NULL: any */
};

/* The metadata of such weights; NULL: no memory. */
json_t *weights_metadata_make(const struct weights_origin *origin);

/* Checks that weights with this metadata can be used with the recipe of `use`, and warns on standard
 * error if they were trained on another data set. What the file does not say is fine. `path` names
 * the file. Errors: STATUS_USAGE naming the setting that differs; STATUS_FAILED: no memory. */
enum status weights_metadata_check(struct error *error, const json_t *metadata,
                                   const struct weights_origin *use, const char *path);

/* What the metadata says of the settings that options choose. */
struct weights_settings {
    bool known; /* norm and recipe are in it, and supported */
    enum norm_kind norm;
    enum recipe_kind recipe;
    int groups; /* 0: not in it */
    bool synthetic;
    uint64_t seed; /* of the synthetic set */
};

struct weights_settings weights_metadata_settings(const json_t *metadata);

#endif
