/* operations.c: the table of operations.
 *
 * An operation that fails while a step is recorded leaves a gap in the recording that CUDA knows
 * nothing of (a refused shape, say), so each entry notes its failure for record_end. */
#include "kernels/device.h"

#define ENTRY(operation, arguments)                                                                \
    static enum status operation(struct error *error, struct device *device,                       \
                                 const struct arguments *a) {                                      \
        enum status status = cuda_##operation(error, device, a);                                   \
        if (status != STATUS_OK)                                                                   \
            device->recording_failed = true;                                                       \
        return status;                                                                             \
    }

ENTRY(input, input_args)
ENTRY(conv_forward, conv_args)
ENTRY(conv_backward, conv_args)
ENTRY(filter_forward, filter_args)
ENTRY(filter_backward, filter_args)
ENTRY(batch_norm_forward, norm_args)
ENTRY(batch_norm_backward, norm_args)
ENTRY(group_norm_forward, norm_args)
ENTRY(group_norm_backward, norm_args)
ENTRY(layer_norm_forward, norm_args)
ENTRY(layer_norm_backward, norm_args)
ENTRY(pool_forward, pool_args)
ENTRY(pool_backward, pool_args)
ENTRY(average_forward, average_args)
ENTRY(average_backward, average_args)
ENTRY(linear_forward, linear_args)
ENTRY(linear_backward, linear_args)
ENTRY(loss, loss_args)
ENTRY(sgd, sgd_args)

const struct operations cuda_operations = {
    .input = input,
    .conv_forward = conv_forward,
    .conv_backward = conv_backward,
    .filter_forward = filter_forward,
    .filter_backward = filter_backward,
    .norm =
        {
            [NORM_BATCH] = {batch_norm_forward, batch_norm_backward, cuda_batch_norm_workspace},
            [NORM_GROUP] = {group_norm_forward, group_norm_backward, cuda_group_norm_workspace},
            [NORM_LAYER] = {layer_norm_forward, layer_norm_backward, cuda_layer_norm_workspace},
        },
    .pool_forward = pool_forward,
    .pool_backward = pool_backward,
    .average_forward = average_forward,
    .average_backward = average_backward,
    .linear_forward = linear_forward,
    .linear_backward = linear_backward,
    .loss = loss,
    .sgd = sgd,
    .conv_workspace = cuda_conv_workspace,
};
