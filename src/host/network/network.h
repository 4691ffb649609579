/* network.h: the layer table. A recipe (recipe.h) becomes a list of layers with shapes, tensor
 * names and counts; this list is all that the other code knows of a network. */
#ifndef NETWORK_H
#define NETWORK_H

#include "error.h"
#include "network/recipe.h"

#include <stdbool.h>
#include <stdint.h>

enum { MAX_LAYERS = 32, LAYER_NONE = -1 };

enum layer_kind {
    LAYER_CONV,    /* 3x3 or 1x1 convolution, stride 1, no bias */
    LAYER_NORM,    /* normalization, with ReLU before or after it, then dropout */
    LAYER_POOL,    /* [add skip, ReLU,] 2x2 max pool, stride 2 */
    LAYER_AVERAGE, /* average over the whole map */
    LAYER_LINEAR,  /* 1x1 convolution of a 1x1 map: the classifier */
};

struct shape {
    int channels, height, width;
};

struct layer {
    enum layer_kind kind;
    char name[24]; /* prefix of its tensors' names, "convblock1.0"; or "pool1", "gap" */
    struct shape in, out;
    int input;         /* index of the layer before it; LAYER_NONE: the image */
    int skip;          /* LAYER_POOL: layer whose output is added before ReLU, or LAYER_NONE */
    int kernel;        /* LAYER_CONV: 1 or 3; LAYER_POOL: 2 */
    int padding;       /* LAYER_CONV: zeros on each side */
    float filter_norm; /* LAYER_CONV: filters standardized to this L2 norm; 0: used as they are */
    enum activation activation; /* LAYER_NORM: before it (published order) or after it */
    enum norm_kind norm;        /* LAYER_NORM */
    int groups;                 /* LAYER_NORM: groups of channels; batch norm: unused, 1 */
    bool per_element;           /* LAYER_NORM: weight and bias are [C, H, W], else [C] */
    float epsilon;              /* LAYER_NORM */
    float stat_momentum;        /* NORM_BATCH: weight of the new value in running statistics */
    float dropout;              /* LAYER_NORM: probability that an element is set to 0 */
    int weight_count;           /* elements of its weight; 0: no weight */
    int bias_count;             /* elements of its bias; 0: no bias */
    int64_t multiply_adds;      /* of one image, forward */
};

struct network {
    enum recipe_kind recipe;
    enum norm_kind norm;
    int layer_count;
    struct layer layers[MAX_LAYERS];
};

/* Builds the table of `recipe` with its dropout probability and group count.
 * Errors: STATUS_USAGE when the groups do not divide the channels of a layer, naming the layer. */
enum status network_build(struct error *error, struct network *out, const struct recipe *recipe);

/* The assignment that these networks answer allows fewer parameters. */
enum { PARAMETER_LIMIT = 50000 };

/* Trainable parameters of the whole network, and of one layer. */
int network_parameters(const struct network *network);
int layer_parameters(const struct layer *layer);

/* Whether the layer is a convolution of C, not of c. */
bool layer_is_3x3(const struct layer *layer);

/* Elements of a shape. */
int shape_elements(struct shape shape);

/* Multiply-adds of the forward pass of one image. */
int64_t network_multiply_adds(const struct network *network);

/* Bytes of one image's activations that are kept for the backward pass: each layer's output. */
int64_t network_activation_bytes(const struct network *network);

/* The word for a layer's type: "conv", "group_norm", "max_pool", ... */
const char *layer_type(const struct layer *layer);

#endif
