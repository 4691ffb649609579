/* image.h: a picture from a PNG file, as the networks take it. */
#ifndef IMAGE_H
#define IMAGE_H

#include "data/dataset.h"
#include "error.h"

#include <stdint.h>

enum { IMAGE_MAX_SIDE = 65535, IMAGE_MAX_PIXELS = 1 << 27 };

/* Reads the PNG file `path`, of any kind and of up to IMAGE_MAX_SIDE pixels a side and
 * IMAGE_MAX_PIXELS in all: laid over black, cut to the square in its centre, and resampled by area
 * to red, green and blue planes of 32x32, upright as its EXIF orientation says. An opaque 8-bit
 * image of 32x32 comes out as it is. Nothing in the file is trusted, and only a few rows of it are
 * in memory at a time.
 * Errors: STATUS_BAD_DATA naming the file; STATUS_FAILED: no memory. */
enum status image_read(struct error *error, uint8_t out[IMAGE_BYTES], const char *path);

#endif
