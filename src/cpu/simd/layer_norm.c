/* layer_norm.c: normalization over C, H and W for each image (Ba, Kiros and Hinton 2016): group
 * norm with one group, and weights for each channel or each element. */
#include "cpu/simd/variant.h"

size_t NAME(layer_norm_workspace)(const struct device *device, const struct norm_args *args) {
    return NAME(group_norm_workspace)(device, args);
}

enum status NAME(layer_norm_forward)(struct error *error, struct device *device,
                                     const struct norm_args *args) {
    struct norm_args whole = *args;
    whole.groups = 1;
    return NAME(group_norm_forward)(error, device, &whole);
}

enum status NAME(layer_norm_backward)(struct error *error, struct device *device,
                                      const struct norm_args *args) {
    struct norm_args whole = *args;
    whole.groups = 1;
    return NAME(group_norm_backward)(error, device, &whole);
}
