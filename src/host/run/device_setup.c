/* device_setup.c: opens the device and creates the model that the options ask for. */
#include "run/device_setup.h"

enum status device_set_up(struct error *error, struct device_choice *out,
                          const struct device_request *request) {
    if (device_choose(error, out, backends, request) == STATUS_OK)
        return STATUS_OK;
    return request->kind == DEVICE_CUDA ? error_append(error, "; --device cpu uses the CPU instead")
                                        : error->status;
}

/* model_create fails only for lack of memory. */
enum status model_set_up(struct error *error, struct model **out,
                         const struct device_choice *device, const struct network *network,
                         const struct model_options *options) {
    if (model_create(error, out, device->backend, device->device, network, options) == STATUS_OK)
        return STATUS_OK;
    return error_append(error, "; see --batch-size and --device");
}
