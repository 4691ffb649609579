/* plan.h: where every tensor lies. Pure integer arithmetic: nothing is allocated here, and nothing
 * needs a device.
 *
 * Three arenas: parameters (weights; gradients and momentum have the same layout), activations with
 * their gradients, and a workspace. Offsets count from the start of the arena and are multiples of
 * 64 bytes. */
#ifndef PLAN_H
#define PLAN_H

#include "network/network.h"

#include <stddef.h>

#define PLAN_NONE ((size_t)-1)

/* Offsets of one layer's tensors; PLAN_NONE where it has none. */
struct layer_plan {
    size_t weight, bias;              /* floats, in the parameter arena */
    size_t running_mean, running_var; /* floats, from the start of the statistics */

    /* bytes, in the activation arena */
    size_t output;   /* [batch] maps of layer.out */
    size_t gradient; /* of the output; may be shared, see plan_make */
    size_t mean, rstd;
    size_t code;     /* LAYER_POOL: one byte an output */
    size_t filter;   /* LAYER_CONV with filter_norm: the standardized filters */
    bool accumulate; /* LAYER_CONV: its input's gradient already holds another consumer's part */
};

struct plan {
    int batch; /* the largest batch that fits */
    struct layer_plan layers[MAX_LAYERS];
    size_t parameter_count; /* floats in the parameter arena, padding included */
    size_t
        decayed_count; /* the first of them, the convolutions: those that weight decay applies to */
    size_t statistics_count; /* floats of running statistics */
    size_t input;            /* bytes, in the activation arena: the normalized images */
    size_t activation_bytes;
};

/* Lays out `network` for batches of up to `batch` images.
 *
 * Gradients are shared where one overwrites the other in place: a norm's input gradient takes the
 * place of its output gradient; and the two addends of a skip have one gradient, that of their sum:
 * the convolution at the end of the branch reads it first, then the convolution at its start adds
 * to it. */
void plan_make(struct plan *out, const struct network *network, int batch);

#endif
