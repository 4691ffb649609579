/* norm_kind.h: the normalizations, and the activations that stand with them. */
#ifndef NORM_KIND_H
#define NORM_KIND_H

/* A row for each norm: its value; the name of its layers' type and of its functions in each backend
 * (batch_norm_forward, batch_norm_backward, batch_norm_workspace); its word on the command line and
 * in files; its title in texts. A new norm starts with a row here; the compiler then names every
 * switch that needs a case for it. */
#define NORM_LIST(ROW)                                                                             \
    ROW(NORM_BATCH, batch_norm, "bn", "batch norm")                                                \
    ROW(NORM_GROUP, group_norm, "gn", "group norm")                                                \
    ROW(NORM_LAYER, layer_norm, "ln", "layer norm")

#define NORM_VALUE(value, name, word, title) value,
enum norm_kind { NORM_LIST(NORM_VALUE) };
#undef NORM_VALUE

#define NORM_INDEX(value, name, word, title) INDEX_OF_##value,
enum { NORM_LIST(NORM_INDEX) NORM_COUNT };
#undef NORM_INDEX

/* On which side of the norm, and which function: ReLU, or SiLU, v / (1 + exp(-v)) (Hendrycks and
 * Gimpel 2016; Elfwing et al. 2018). */
enum activation { RELU_BEFORE, RELU_AFTER, SILU_AFTER };

#endif
