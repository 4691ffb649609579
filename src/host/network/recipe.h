/* recipe.h: the recipes as data: the network and how it is trained, a row for each recipe and
 * norm. */
#ifndef RECIPE_H
#define RECIPE_H

#include "norm_kind.h"

#include <stdbool.h>

enum recipe_kind { RECIPE_TUNED, RECIPE_REFERENCE };
enum { RECIPE_COUNT = 2 };

enum schedule_kind {
    SCHEDULE_STEPS,  /* the peak rate, times 0.1 after each milestone epoch */
    SCHEDULE_LINEAR, /* linear warm-up to the peak, then linear decay to zero, step by step */
};

/* Muon: of the 3x3 filters; the other parameters train with SGD. */
enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_MUON };

enum augment_kind { AUGMENT_NONE, AUGMENT_FLIP_CROP };

/* Output channels of the blocks, in the order of their names. */
enum { BLOCK_COUNT = 10 }; /* C1 C2 c3, C3 C4 C5 c6, C7 C8 C9 */

struct recipe {
    enum recipe_kind kind;
    enum norm_kind norm;

    /* the network */
    int channels[BLOCK_COUNT];
    int early_padding; /* zero padding of C1 and C2; the other 3x3 convolutions have 1 */
    bool first_skip;   /* a skip around C2 and c3, and a ReLU of the sum, if the shapes are equal */
    bool per_element;  /* norm weight and bias of shape [C, H, W] instead of [C] */
    enum activation activation; /* before or after each norm; then dropout */
    int groups;                 /* of group norm; 1 for other norms */
    float filter_norm; /* L2 norm that 3x3 filters are standardized to; 0: used as they are */
    float dropout;     /* after each norm: probability that an element is set to 0 */

    /* the training */
    int epochs, batch_size;
    float learning_rate;          /* peak */
    float momentum, weight_decay; /* weight decay: of convolutions only */
    bool nesterov;
    enum optimizer_kind optimizer;
    float muon_rate, muon_momentum; /* peak, in proportion to learning_rate; of OPTIMIZER_MUON */
    enum schedule_kind schedule;
    int milestones[2]; /* SCHEDULE_STEPS: the rate falls after these epochs (from 1); 0: never */
    float warmup;      /* SCHEDULE_LINEAR: share of all steps in the warm-up */
    enum augment_kind augment;
    int crop; /* AUGMENT_FLIP_CROP: shifts of up to so many pixels */
};

/* The row of a recipe and norm; every pair has one. */
const struct recipe *recipe_find(enum recipe_kind kind, enum norm_kind norm);

/* The words for the values of an enum, in its order, then NULL. */
extern const char *const norm_words[NORM_COUNT + 1];
extern const char *const recipe_words[RECIPE_COUNT + 1];
extern const char *const optimizer_words[];
extern const char *const activation_words[];

/* "bn", "gn", "ln"; "batch norm", ...; "tuned", "reference"; "relu-first", "relu", "silu"; "sgd",
 * "muon"; "none", "flip-crop". */
const char *norm_option(enum norm_kind norm);
const char *norm_title(enum norm_kind norm);
const char *recipe_option(enum recipe_kind kind);
const char *activation_option(enum activation activation);
const char *optimizer_option(enum optimizer_kind optimizer);
const char *augment_option(enum augment_kind augment);

/* The channels in the form of --channels: "24,32,24,24,28,32,24,24,24,28". */
enum { RECIPE_CHANNELS_CAPACITY = 128 };
void recipe_list_channels(char out[RECIPE_CHANNELS_CAPACITY], const struct recipe *recipe);

#endif
