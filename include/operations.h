/* operations.h: a backend's operations, declared and gathered into its table. Before this file is
 * included, NAME(operation) must be defined: the backend's name of an operation, such as
 * cuda_conv_forward. What the operations compute is in backend.h. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "backend.h"

#define OPERATION_DECLARE(name, arguments)                                                         \
    enum status NAME(name)(struct error *, struct device *, const struct arguments *);
#define NORM_DECLARE(value, name, word, title)                                                     \
    OPERATION_DECLARE(name##_forward, norm_args)                                                   \
    OPERATION_DECLARE(name##_backward, norm_args)                                                  \
    size_t NAME(name##_workspace)(const struct device *, const struct norm_args *);

OPERATION_LIST(OPERATION_DECLARE)
NORM_LIST(NORM_DECLARE)
size_t NAME(conv_workspace)(struct device *, const struct conv_args *);
size_t NAME(muon_workspace)(const struct device *, const struct muon_args *);

#undef OPERATION_DECLARE
#undef NORM_DECLARE

/* What every backend's table holds: const struct operations table = {OPERATION_ENTRIES}; */
#define OPERATION_ENTRIES                                                                          \
    OPERATION_LIST(OPERATION_ENTRY).norm = {NORM_LIST(NORM_ENTRY)},                                \
    .conv_workspace = NAME(conv_workspace), .muon_workspace = NAME(muon_workspace)
#define OPERATION_ENTRY(name, arguments) .name = NAME(name),
#define NORM_ENTRY(value, name, word, title)                                                       \
    [value] = {NAME(name##_forward), NAME(name##_backward), NAME(name##_workspace)},

#endif
