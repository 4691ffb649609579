/* image.h: reads a PNG file as an image of the size that the networks take. */
#ifndef IMAGE_H
#define IMAGE_H

#include "data/dataset.h"
#include "error.h"

#include <stdint.h>

enum { IMAGE_MAX_SIDE = 65535, IMAGE_MAX_PIXELS = 1 << 27 };

/* Reads the PNG file `path`, of any kind, with up to IMAGE_MAX_SIDE pixels per side and
 * IMAGE_MAX_PIXELS in total. Puts it on black, crops it to the square in its centre, resamples that
 * by area to red, green and blue planes of 32x32, and turns it upright by its EXIF orientation. An
 * opaque 8-bit image of 32x32 stays as it is. Nothing in the file is trusted, and only a few rows
 * are in memory at a time. Errors: STATUS_BAD_DATA naming the file; STATUS_FAILED: no memory. */
enum status image_read(struct error *error, uint8_t out[IMAGE_BYTES], const char *path);

#endif
