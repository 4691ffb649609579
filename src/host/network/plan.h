/* plan.h: where every tensor lies in memory. Integer arithmetic only: it allocates nothing and
 * needs no device.
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
    size_t gradient; /* of the output; may be shared (plan_make) */
    size_t mean, rstd;
    size_t code;     /* LAYER_POOL: one byte per output */
    size_t filter;   /* LAYER_CONV with filter_norm: the standardized filters */
    bool accumulate; /* LAYER_CONV: its input's gradient already holds another consumer's part */

    /* the same in evaluation, for evaluation_batch images; the last layer's output is `output` */
    size_t evaluation_output, evaluation_mean, evaluation_rstd;
};

struct plan {
    int batch;            /* the largest batch that fits, in training */
    int evaluation_batch; /* and in evaluation */
    struct layer_plan layers[MAX_LAYERS];
    size_t parameter_count;  /* floats in the parameter arena, padding included */
    size_t filters_count;    /* of them at its start, the 3x3 filters */
    size_t decayed_count;    /* weight decay applies to this many at its start, the convolutions */
    size_t statistics_count; /* floats of running statistics */
    /* offsets of the normalized images, in bytes, in the activation arena */
    size_t input, evaluation_input;
    size_t activation_bytes;
};

/* Lays out `network` for training in batches of up to `batch` images and evaluation in batches of
 * up to `evaluation_batch`. Both use the same memory in turn. Only the filters and the last layer's
 * output have places of their own.
 *
 * In evaluation a tensor's memory is free again after its last use.
 *
 * Gradients share memory where one overwrites the other. A norm's input gradient replaces its
 * output gradient, but where weights are per element: their gradients may be computed later, from
 * the output gradient. The two addends of a skip have the same gradient, that of their sum: the
 * convolution at the end of the branch reads it first, then the convolution at its start adds to
 * it. */
void plan_make(struct plan *out, const struct network *network, int batch, int evaluation_batch);

#endif
