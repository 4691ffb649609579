/* device_setup.h: opens the device and creates the model that the options ask for. Errors name the
 * options that help. */
#ifndef DEVICE_SETUP_H
#define DEVICE_SETUP_H

#include "model/device_choice.h"
#include "model/model.h"

/* As device_choose, with all backends of this build. */
enum status device_set_up(struct error *error, struct device_choice *out,
                          const struct device_request *request);

/* As model_create, on that device. */
enum status model_set_up(struct error *error, struct model **out,
                         const struct device_choice *device, const struct network *network,
                         const struct model_options *options);

#endif
