/* image_orientation.h: which way up a camera's image is. */
#ifndef IMAGE_ORIENTATION_H
#define IMAGE_ORIENTATION_H

#include "image_format.h"

#include <stddef.h>
#include <stdint.h>

/* The orientation in EXIF data, from 1 to 8; 1, the usual one, also for data that is damaged or does
 * not say. */
int exif_orientation(const uint8_t *data, size_t bytes);

/* Turns and mirrors planes of 32x32 so that an image of that orientation stands upright. */
void image_orient(uint8_t image[IMAGE_BYTES], int orientation);

#endif
