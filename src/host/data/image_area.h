/* image_area.h: resampling by area in exact integers, fed pixel by pixel in any order.
 *
 * The square in the centre of a picture, `side` pixels wide, is divided into 32x32 cells. Lengths
 * are in units of 1/32 pixel: a pixel is 32 wide, a cell is `side` wide, and all overlaps are whole
 * numbers. A cell's value is the mean of its pixels, weighted by their overlaps, which add up to
 * side^2. It is rounded once, at the end. */
#ifndef IMAGE_AREA_H
#define IMAGE_AREA_H

#include "data/dataset.h"

#include <stdint.h>

enum { AREA_PIXEL_BYTES = 8 }; /* red, green, blue, alpha: 16 bits each, big-endian, as in a PNG */

struct image_area {
    int left, top, side; /* of the square, in pixels of the picture */
    /* overlap * color * alpha: at most side^2 * 65535^2, which fits if side <= 65535 */
    uint64_t sums[IMAGE_CHANNELS][IMAGE_SIDE][IMAGE_SIDE];
};

/* Begins a picture with 1 to 65,535 pixels per side. */
void image_area_begin(struct image_area *out, int width, int height);

/* Adds `count` pixels of row `row` of the picture, in columns first, first + step, ... Ignores
 * pixels outside the square. Every pixel must be added exactly once. */
void image_area_add(struct image_area *area, const uint8_t *pixels, int row, int first, int step,
                    int count);

/* Writes the cells, on black, rounded to 8 bits (halves up), as [3][32][32]. */
void image_area_finish(uint8_t out[IMAGE_BYTES], const struct image_area *area);

#endif
