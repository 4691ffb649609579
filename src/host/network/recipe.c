/* recipe.c: the rows of the recipe table, and the words for their values.
 *
 * The reference rows are those of the published study; tests/test_network.c checks its figures. The
 * tuned rows are ours: one network for all three norms (45,520 parameters each), in which only the
 * norm and the standardization of the filters differ. */
#include "network/recipe.h"

#include <stddef.h>
#include <stdio.h>

/* What Muon and augmentation do where an option asks for them. */
#define OPTIONAL .muon_rate = 0.1f, .muon_momentum = 0.6f, .crop = 4

/* Common to the reference rows: 20 epochs, batches of 128, no augmentation, ReLU before the
 * norm. */
#define REFERENCE                                                                                  \
    .kind = RECIPE_REFERENCE, .activation = RELU_BEFORE, .epochs = 20, .batch_size = 128,          \
    .momentum = 0.9f, .schedule = SCHEDULE_STEPS, .augment = AUGMENT_NONE, OPTIONAL

#define TUNED                                                                                      \
    .kind = RECIPE_TUNED, .activation = RELU_AFTER,                                                \
    .channels = {24, 32, 24, 24, 28, 32, 24, 24, 24, 28}, .early_padding = 1, .first_skip = true,  \
    .epochs = 20, .batch_size = 128, .learning_rate = 0.2f, .momentum = 0.9f,                      \
    .weight_decay = 5e-4f, .nesterov = true, .schedule = SCHEDULE_LINEAR, .warmup = 0.1f,          \
    .augment = AUGMENT_FLIP_CROP, OPTIONAL

/* With standardized filters, group and layer norm can train at batch norm's learning rate. Batch
 * norm uses its filters as they are. */
static const struct recipe recipes[] = {
    {REFERENCE, .norm = NORM_BATCH, .channels = {16, 32, 16, 24, 28, 32, 16, 20, 26, 32},
     .early_padding = 1, .first_skip = true, .groups = 1, .dropout = 0.05f, .learning_rate = 0.1f,
     .milestones = {8, 16}},
    {REFERENCE, .norm = NORM_GROUP, .channels = {16, 32, 16, 24, 28, 32, 16, 20, 28, 32},
     .early_padding = 1, .first_skip = true, .groups = 4, .learning_rate = 0.01f},
    {REFERENCE, .norm = NORM_LAYER, .channels = {8, 10, 8, 10, 12, 14, 8, 10, 12, 14},
     .early_padding = 0, .first_skip = false, .per_element = true, .groups = 1,
     .learning_rate = 0.1f, .milestones = {10, 20}},
    {TUNED, .norm = NORM_BATCH, .groups = 1},
    {TUNED, .norm = NORM_GROUP, .groups = 4, .filter_norm = 1.4f},
    {TUNED, .norm = NORM_LAYER, .groups = 1, .filter_norm = 1.4f},
};
_Static_assert(sizeof recipes / sizeof recipes[0] == (size_t)RECIPE_COUNT * NORM_COUNT,
               "one row for each recipe and norm");

const struct recipe *recipe_find(enum recipe_kind kind, enum norm_kind norm) {
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++)
        if (recipes[i].kind == kind && recipes[i].norm == norm)
            return &recipes[i];
    return NULL;
}

#define NORM_WORD(value, name, word, title) word,
#define NORM_TITLE(value, name, word, title) title,

const char *const norm_words[] = {NORM_LIST(NORM_WORD) NULL};
const char *const recipe_words[] = {
    [RECIPE_TUNED] = "tuned",
    [RECIPE_REFERENCE] = "reference",
    [RECIPE_COUNT] = NULL,
};

const char *const activation_words[] = {
    [RELU_BEFORE] = "relu-first",
    [RELU_AFTER] = "relu",
    [SILU_AFTER] = "silu",
    [SILU_AFTER + 1] = NULL,
};
const char *const optimizer_words[] = {
    [OPTIMIZER_SGD] = "sgd",
    [OPTIMIZER_MUON] = "muon",
    [OPTIMIZER_MUON + 1] = NULL,
};

const char *norm_option(enum norm_kind norm) {
    return norm_words[norm];
}

const char *norm_title(enum norm_kind norm) {
    static const char *const titles[] = {NORM_LIST(NORM_TITLE)};
    return titles[norm];
}

const char *recipe_option(enum recipe_kind kind) {
    return recipe_words[kind];
}

const char *activation_option(enum activation activation) {
    return activation_words[activation];
}

const char *optimizer_option(enum optimizer_kind optimizer) {
    return optimizer_words[optimizer];
}

const char *augment_option(enum augment_kind augment) {
    switch (augment) {
    case AUGMENT_NONE:
        return "none";
    case AUGMENT_FLIP_CROP:
        return "flip-crop";
    }
    return "";
}

void recipe_list_channels(char out[RECIPE_CHANNELS_CAPACITY], const struct recipe *recipe) {
    int length = 0;
    for (int i = 0; i < BLOCK_COUNT; i++)
        length += snprintf(out + length, (size_t)(RECIPE_CHANNELS_CAPACITY - length), "%s%d",
                           i == 0 ? "" : ",", recipe->channels[i]);
}
