/* operations.h: the entries of this folder, gathered into one table by table.c. What they compute
 * stands in include/backend.h. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "cpu/simd/variant.h"

#define OPERATION(name, args)                                                                      \
    enum status NAME(name)(struct error *, struct device *, const struct args *)

OPERATION(input, input_args);
OPERATION(conv_forward, conv_args);
OPERATION(conv_backward, conv_args);
OPERATION(filter_forward, filter_args);
OPERATION(filter_backward, filter_args);
OPERATION(batch_norm_forward, norm_args);
OPERATION(batch_norm_backward, norm_args);
OPERATION(group_norm_forward, norm_args);
OPERATION(group_norm_backward, norm_args);
OPERATION(layer_norm_forward, norm_args);
OPERATION(layer_norm_backward, norm_args);
OPERATION(pool_forward, pool_args);
OPERATION(pool_backward, pool_args);
OPERATION(average_forward, average_args);
OPERATION(average_backward, average_args);
OPERATION(linear_forward, linear_args);
OPERATION(linear_backward, linear_args);
OPERATION(loss, loss_args);
OPERATION(sgd, sgd_args);

size_t NAME(conv_workspace)(struct device *, const struct conv_args *);
size_t NAME(batch_norm_workspace)(const struct device *, const struct norm_args *);
size_t NAME(group_norm_workspace)(const struct device *, const struct norm_args *);
size_t NAME(layer_norm_workspace)(const struct device *, const struct norm_args *);

#endif
