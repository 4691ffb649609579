/* table.c: the operations of one instruction set as the table that the seam asks for. A new norm is
 * one row here. */
#include "cpu/simd/operations.h"

const struct operations NAME(cpu_operations) = {
    .input = NAME(input),
    .conv_forward = NAME(conv_forward),
    .conv_backward = NAME(conv_backward),
    .filter_forward = NAME(filter_forward),
    .filter_backward = NAME(filter_backward),
    .norm =
        {
            [NORM_BATCH] = {NAME(batch_norm_forward), NAME(batch_norm_backward),
                            NAME(batch_norm_workspace)},
            [NORM_GROUP] = {NAME(group_norm_forward), NAME(group_norm_backward),
                            NAME(group_norm_workspace)},
            [NORM_LAYER] = {NAME(layer_norm_forward), NAME(layer_norm_backward),
                            NAME(layer_norm_workspace)},
        },
    .pool_forward = NAME(pool_forward),
    .pool_backward = NAME(pool_backward),
    .average_forward = NAME(average_forward),
    .average_backward = NAME(average_backward),
    .linear_forward = NAME(linear_forward),
    .linear_backward = NAME(linear_backward),
    .loss = NAME(loss),
    .sgd = NAME(sgd),
    .conv_workspace = NAME(conv_workspace),
};
