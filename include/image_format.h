/* image_format.h: the images that the networks take, as the host stores them and the backends read
 * them: uint8, [count][3][32][32]. */
#ifndef IMAGE_FORMAT_H
#define IMAGE_FORMAT_H

enum {
    IMAGE_CHANNELS = 3, /* red, green, blue planes */
    IMAGE_SIDE = 32,
    IMAGE_PIXELS = IMAGE_SIDE * IMAGE_SIDE,
    IMAGE_BYTES = IMAGE_CHANNELS * IMAGE_PIXELS,
    CLASS_COUNT = 10,
};

/* Initializers of float[IMAGE_CHANNELS]: mean and standard deviation of each channel over the
 * training images of CIFAR-10, with pixels scaled to 0 to 1; the values of the published study. */
#define IMAGE_MEAN                                                                                 \
    { 0.49139968f, 0.48215827f, 0.44653124f }
#define IMAGE_STD                                                                                  \
    { 0.24703233f, 0.24348505f, 0.26158768f }

#endif
