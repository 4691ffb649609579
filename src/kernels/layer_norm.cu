/* layer_norm.cu: normalization over C, H and W for each image (Ba, Kiros and Hinton 2016): group
 * norm with one group, and weights for each channel or each element. */
#include "kernels/kernel.cuh"

static struct norm_args with_one_group(const struct norm_args *args) {
    struct norm_args whole = *args;
    whole.groups = 1;
    return whole;
}

enum status cuda_layer_norm_forward(struct error *error, struct device *device,
                                    const struct norm_args *args) {
    const struct norm_args whole = with_one_group(args);
    return cuda_group_norm_forward(error, device, &whole);
}

enum status cuda_layer_norm_backward(struct error *error, struct device *device,
                                     const struct norm_args *args) {
    const struct norm_args whole = with_one_group(args);
    return cuda_group_norm_backward(error, device, &whole);
}

size_t cuda_layer_norm_workspace(const struct device *device, const struct norm_args *args) {
    const struct norm_args whole = with_one_group(args);
    return cuda_group_norm_workspace(device, &whole);
}
