/* norm_kind.h: the normalizations. */
#ifndef NORM_KIND_H
#define NORM_KIND_H

/* A row for each norm: its value, and the name of its functions in each backend
 * (batch_norm_forward, batch_norm_backward, batch_norm_workspace). A new norm starts with a row
 * here; the compiler then points at every switch that needs a case for it. */
#define NORM_LIST(ROW)                                                                             \
    ROW(NORM_BATCH, batch_norm)                                                                    \
    ROW(NORM_GROUP, group_norm)                                                                    \
    ROW(NORM_LAYER, layer_norm)

#define NORM_VALUE(value, name) value,
enum norm_kind { NORM_LIST(NORM_VALUE) };
#undef NORM_VALUE

#define NORM_INDEX(value, name) name##_index,
enum { NORM_LIST(NORM_INDEX) NORM_COUNT };
#undef NORM_INDEX

#endif
