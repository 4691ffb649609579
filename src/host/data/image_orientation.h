/* image_orientation.h: reads the orientation of a camera's image, and turns the image upright. */
#ifndef IMAGE_ORIENTATION_H
#define IMAGE_ORIENTATION_H

#include "image_format.h"

#include <stddef.h>
#include <stdint.h>

/* The orientation in EXIF data, from 1 to 8. If the data is damaged or has no orientation, 1:
 * upright as stored. */
int exif_orientation(const uint8_t *data, size_t bytes);

/* Turns and mirrors the planes of 32x32 of an image with this orientation so that it is upright. */
void image_orient(uint8_t image[IMAGE_BYTES], int orientation);

#endif
